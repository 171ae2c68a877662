#!/usr/bin/env bash
# The admin API with curl alone: a queue is looked at, paused, waited for,
# resumed and taken to another release, and who may not do so is refused.
. "$(dirname "$0")/lib.sh"

# Says that it runs, waits for its mark, answers with its release.
handler slow <<'CGI'
#!/bin/sh
touch "$MARKS/runs-$QUERY_STRING"
until [ -e "$MARKS/$QUERY_STRING" ]; do sleep 0.05; done
printf 'Content-Type: text/plain\n\nrelease %s\n' "$CLOAKROOM_RELEASE"
CGI

configured() {
    configure "$@" <<EOF2
routes:
  - {path: /slow, queue: slow, wait: 0s}
queues:
  - name: slow
    handler: {cgi: {command: ./cgi/slow, environment: {MARKS: $marks}}}
    release: v1
    workers: 0
    redeliver: never
EOF2
}
configured

# ask METHOD PATH [CURL-ARGUMENT...]: the admin listener, as `http` does
ask() {
    local method=$1 path=$2 public=$port
    shift 2
    port=$admin
    http "$path" -X "$method" "$@"
    port=$public
}
# post PATH JSON [CURL-ARGUMENT...]
post() { ask POST "$1" -H 'Content-Type: application/json' -d "$2" "${@:3}"; }
queue=/-/queues/slow

queue_is() {
    ask GET $queue
    [ "$(json ".$1")" = "$2" ]
}
# operation_ends: follows $operation; its document is in $body
operation_is_over() {
    ask GET "$operation"
    [ "$(json .state)" != running ]
}
# begun WHAT: the last answer is a 202; sets $operation
begun() {
    is "$1" 202 "$status"
    operation=$(field Location)
    matches "where to follow it" '^/-/operations/[0-9a-f]{16}$' "$operation"
}
# The commands that an ingress runs for us.
commands() { child_named "${pids[ingress]}" "$1"; }

start ingress ingress
await_ready ingress
start worker worker --queue slow
worker_is_there() { queue_is 'workers | length' 1; }
await 20 worker_is_there

# ---- looking -----------------------------------------------------------------
ask GET $queue
is "status" 200 "$status"
is "ETag" '"1"' "$(field ETag)"
is "state" open "$(json .state)"
is "release" v1 "$(json .release)"
is "the worker is of it" true "$(json '.workers[0].admitted')"
is "no pause, no barrier" false "$(json 'has("barrier")')"
ask GET /-/queues
is "all of them" slow "$(json '[.[].name] | join(" ")')"
ask GET /-/queues/slwo
problem 404 not-found
matches "the nearest" 'did you mean `slow`' "$(json .detail)"

# ---- a pause that waits ------------------------------------------------------
hand_in '/slow?one' -d x
one=$ticket
await 20 test -e "$marks/runs-one"
post $queue/pause '{"reason": "schema change", "wait": true}' -H 'If-Match: "1"'
begun "a pause that waits"
is "what it is" pause "$(json .command)"
ask GET $queue
is "state while one runs" paused "$(json .state)"
is "what runs" "$one" "$(json '.attempts[0].ticket')"
is "who is waited for" expected "$(json '.barrier.members[0].state')"
is "why" "schema change" "$(json .why)"
matches "by" '^admin API \(127\.0\.0\.1:[0-9]+\)$' "$(json .by)"
ask GET "$operation"
is "the operation meanwhile" running "$(json .state)"
hand_in '/slow?two' -d x
two=$ticket
touch "$marks/one"
await 20 operation_is_over
is "its end" done "$(json .state)"
is "its exit code" 0 "$(json .exit_code)"
is "attempts in the receipt" 1 "$(json '.receipts[0].ended')"
is "the epoch in the receipt" 2 "$(json '.receipts[0].epoch')"
ask GET $queue
is "state" drained "$(json .state)"
is "the second waits" queued "$(state "$two")"
is_ready || fail "a paused queue makes it unready"

# ---- what builds on an old state ---------------------------------------------
post $queue/resume '{}' -H 'If-Match: "1"'
problem 412 stale
ask GET $queue
is "state after that" drained "$(json .state)"
post $queue/resume '{}' -H "If-Match: $(field ETag)"
is "resume" 200 "$status"
is "state" open "$(json .state)"
is "ETag" '"3"' "$(field ETag)"
touch "$marks/two"
answer "$two"
is "the second" "release v1" "$(cat "$body")"

# ---- a pause that gives up ---------------------------------------------------
hand_in '/slow?three' -d x
three=$ticket
await 20 test -e "$marks/runs-three"
post $queue/pause '{"wait": true, "timeout": "200ms", "on_timeout": "resume"}'
begun "a pause with a timeout"
await 20 operation_is_over
is "its end" failed "$(json .state)"
is "its exit code" 75 "$(json .exit_code)"
matches "what it says" 'is resumed' "$(json '.output | join(" ")')"
ask GET $queue
is "state" open "$(json .state)"

# Of a queue that somebody else has paused it undoes nothing.
post $queue/pause '{}'
is "a pause at once" 200 "$status"
post $queue/pause '{"wait": true, "timeout": "200ms", "on_timeout": "resume"}'
begun "a second pause"
await 20 operation_is_over
is "its end" failed "$(json .state)"
ask GET $queue
is "state" paused "$(json .state)"
post $queue/resume '{"release": "v2"}'
problem 409 not-drained

# What runs is ended for it.
post $queue/pause '{"wait": true, "kill": true}'
begun "a pause that kills"
await 20 operation_is_over
is "its end" done "$(json .state)"
is "killed, in the receipt" 1 "$(json '.receipts[0].killed')"
await_state "$three" failed

# A resume overtakes who waits.
post $queue/resume '{}'
is "resume" 200 "$status"
hand_in '/slow?four' -d x
await 20 test -e "$marks/runs-four"
post $queue/pause '{"wait": true}'
begun "one more pause"
post $queue/resume '{}'
is "resume" 200 "$status"
await 20 operation_is_over
is "the overtaken one" failed "$(json .state)"
is "state" open "$(ask GET $queue && json .state)"
touch "$marks/four"

# ---- refuse and accept -------------------------------------------------------
post $queue/refuse '{"reason": "the shop closes"}'
is "refuse" 200 "$status"
is "accepting" false "$(json .accepting)"
post $queue/accept '{}'
is "accepting" true "$(json .accepting)"

# ---- who may not -------------------------------------------------------------
post $queue/pause '{}' -H 'Origin: http://evil.example'
problem 403 forbidden
post $queue/pause '{}' -H 'Host: evil.example'
problem 421 misdirected
ask POST $queue/pause -d 'wait=true'
problem 415 unsupported-media-type
post $queue/pause '{"resaon": "x"}'
problem 400 bad-request
matches "the nearest" 'did you mean `reason`' "$(json .detail)"
post $queue/upgrade "{\"to\": \"v2\", \"migrate\": \"touch $marks/migrated\"}"
problem 403 forbidden
ask DELETE $queue
problem 405 method-not-allowed
ask GET $queue
is "none of it did anything" open "$(json .state)"

# ---- an ingress that ends takes its commands along ---------------------------
hand_in '/slow?five' -d x
five=$ticket
await 20 test -e "$marks/runs-five"
post $queue/pause '{"wait": true}'
begun "a pause before the end"
pause=$(commands pause)
matches "its process" '^[0-9]+$' "$pause"
stop ingress
is "exit code of the ingress" 0 "$code"
holds "the command is gone" gone "$pause"

configured 'admin_commands: true'
start ingress ingress
await_ready ingress
ask GET $queue
is "the pause stays" paused "$(json .state)"
ask GET /-/operations
is "operations are of one process" 0 "$(json length)"
post $queue/pause '{"wait": true}'
begun "a pause before the kill"
pause=$(commands pause)
kill -KILL "${pids[ingress]}"
ended ingress
await 20 gone "$pause"
touch "$marks/five"
start ingress ingress
await_ready ingress
await 20 queue_is state drained

# ---- an upgrade --------------------------------------------------------------
start next worker --queue slow --release v2
post $queue/upgrade "{\"to\": \"v2\", \"migrate\": \"touch $marks/migrated\"}" \
    -H 'If-Match: "1"'
problem 412 stale
post $queue/resume '{}'
is "resume" 200 "$status"
post $queue/upgrade "{\"to\": \"v2\", \"migrate\": \"touch $marks/migrated\",
    \"reason\": \"v2 comes\"}" -H "If-Match: $(field ETag)"
begun "an upgrade"
await 30 operation_is_over
is "its end: $(json '.output | join("; ")')" done "$(json .state)"
holds "its command ran" test -e "$marks/migrated"
ask GET $queue
is "state" open "$(json .state)"
is "release" v2 "$(json .release)"
touch "$marks/six"
hand_in '/slow?six' -d x
answer "$ticket"
is "the next release answers" "release v2" "$(cat "$body")"
ask GET $queue/history
is "the last change" resume "$(json '.[-1].change')"
is "its release" v2 "$(json '.[-1].release')"
matches "by whom" '^admin API' "$(json '.[-1].by')"
holds "a receipt is kept" test "$(json '[.[] | select(.receipt)] | length')" -ge 3

stop next
stop worker
stop ingress
