#!/usr/bin/env bash
# In a drained queue one waiting request runs on the release that is asked for,
# while no worker is there: its response is shown, and the request stays in its
# place unless the response is kept. Whatever ends a probe, the handler dies
# with it and the queue is drained again.
. "$(dirname "$0")/lib.sh"
expect_crashes=yes

for release in v1 v2; do
    mkdir "$dir/cgi/$release"
    handler "$release/app" <<'CGI'
#!/bin/sh
echo "$QUERY_STRING $(basename "$PWD") $CLOAKROOM_EPOCH $CLOAKROOM_ATTEMPT" >>"$MARKS/runs"
case $QUERY_STRING in
crash) echo "here it goes" >&2; exit 3 ;;
late) touch "$MARKS/began"; exec sleep 300 ;;
bad) echo "Status: 503 Not now" ;;
esac
printf 'Content-Type: text/plain\n\n%s of %s' "$QUERY_STRING" "$(basename "$PWD")"
CGI
done
touch "$marks/runs"
configure <<EOF2
routes:
  - {path: /app, queue: app, wait: 30s}
  - {path: /fixed, queue: fixed, wait: 30s}
queues:
  - name: app
    release: v1
    handler: {cgi: {command: "./cgi/{release}/app", environment: {MARKS: $marks}}}
    attempts: 2
    backoff: {first: 1h, max: 1h}
  - name: fixed
    handler: {respond: {body: "of {release}"}}
EOF2
start ingress ingress
await_ready ingress

# probe EXPECTED-CODE ARGUMENT...
probe() {
    run probe "${@:2}"
    is "exit code of probe ${*:2}" "$1" "$code"
}
said() { matches "what it says" "$1" "$(cat "$dir/err")"; }
shown() { tr -d '\r' <"$dir/out"; }
drained() { [ "$(control_of "$1")" = drained ]; }
control_of() {
    "$CLOAKROOM" history -c "$config" --json "$1" | jq -r '.[-1].change'
}
runs() { wc -l <"$marks/runs"; }
position() { curl -s "http://127.0.0.1:$port/-/tickets/$1" | jq -r .position; }
in_place() { # TICKET POSITION
    is "state" queued "$(state "$1")"
    is "place" "$2" "$(position "$1")"
}

# ---- where there is nothing to probe
hand_in '/app?one'
one=$ticket
probe 1 --next --queue app
said 'queue app: it is open; .*pause it with --wait'
run pause --all --wait
is "pause" 0 "$code"
run resume app --release v3
is "exit code of a resume for a release without files" 78 "$code"
said 'cgi/v3/app is not there'
said 'nothing was resumed; --force'
code=$(curl -s -o "$body" -w '%{http_code}' -H 'Content-Type: application/json' \
    -d '{"release": "v3"}' "http://127.0.0.1:$admin/-/queues/app/resume")
is "the same over HTTP" "409 no-program" "$code $(json .code)"
holds "it is drained still" drained app
probe 75 --next --queue fixed
said 'no request waits'
probe 2 --next
said 'name one with --queue'
probe 2
probe 2 --next "$one"
probe 2 --next --keep --discard
probe 78 "$one" --release v3
said 'cgi/v3/app is not there'
probe 2 "$one" --release ../v1
probe 1 00000000000000000000000000000000000000
is "runs so far" 0 "$(runs)"

# ---- a request that may be repeated, on two releases side by side
hand_in '/app?two'
two=$ticket
probe 0 "$two" --release v2
is "the whole response" "HTTP/1.1 200 OK
Content-Type: text/plain
Content-Length: 9

two of v2" "$(shown)"
said "$two on release v2; the request is in its place"
in_place "$two" 1
probe 0 --next --queue app --json
is "the first one, on the queue's release" "$one 200 one of v1 v1 false queued" \
    "$(jq -r '[.ticket, .status, .body, .probe.release, .probe.kept, .state] | map(tostring) | join(" ")' "$dir/out")"
in_place "$one" 0
is "what ran, at which epochs" "two v2 3 1 one v1 4 1" "$(xargs <"$marks/runs")"

# ---- one that may not
hand_in '/app?bad' -d body
bad=$ticket
before=$(runs)
probe 1 "$bad"
said '--keep.*--discard'
is "runs for a refused probe" "$before" "$(runs)"
probe 22 "$bad" --discard
is "its status" "HTTP/1.1 503 Service Unavailable" "$(shown | head -n 1)"
in_place "$bad" 2
probe 22 "$bad" --keep --release v2
said 'the ticket has this response'
answer "$bad"
is "the ticket's response" "503 bad of v2" "$status $(cat "$body")"
probe 1 "$bad" --keep
said 'it is done and waits no longer'

# ---- a handler that gives no response
hand_in '/app?crash'
crash=$ticket
probe 1 "$crash"
said 'crashed: the program exited with status 3'
said 'here it goes'
in_place "$crash" 2
probe 1 "$crash" --keep
said 'the request waits for the next attempt'
is "counted attempts" 1 "$(curl -s "http://127.0.0.1:$port/-/tickets/$crash" | jq -r .attempts)"

# ---- a prober that is killed, or told to end
hand_in '/app?late'
late=$ticket
began() { [ -e "$marks/began" ]; }
start_late() { # NAME ARGUMENT...
    rm -f "$marks/began"
    start "$1" probe "$late" "${@:2}"
    await 20 began
}
# On Kafka what is not kept is in no log.
if on_kafka; then probed=queued; else probed=running; fi
for how in KILL TERM INT; do
    start_late "late-$how" --discard
    is "state while it is probed" $probed "$(state "$late")"
    stop "late-$how" $how
    await 20 drained app
    holds "no handler lives when the queue is drained" no_handlers
    in_place "$late" 2
done
is "exit code of the last" 1 "$code"
matches "what it says" 'killed: .*the request is in its place' "$(cat "$dir/late-INT.log")"
start_late late-keep --keep
stop late-keep
is "exit code of a kept one" 1 "$code"
in_place "$late" 2

# ---- two at once: the second one waits, as a resume does
start_late late-first
start second probe --next --queue app
waits() { grep -qs 'waits for another probe' "$dir/$1.log"; }
await 20 waits second
is "runs of the second meanwhile" "$(grep -c . "$marks/runs")" "$(runs)"
stop late-first
ended second
is "exit code of the second" 0 "$code"
is "its response" "one of v1" "$(tail -n 1 "$dir/second.out")"
start_late late-again
start third probe --next --queue app
await 20 waits third
stop third INT
is "exit code of one that is told to end while it waits" 1 "$code"
stop late-again
drained app || fail "app is not drained: $(control_of app)"

# ---- inside an upgrade's command nothing needs to be said
(
    cd / # where no cloakroom.yaml is
    export CLOAKROOM_CONFIG=$config CLOAKROOM_QUEUES=app CLOAKROOM_TO=v2
    "$CLOAKROOM" probe --next >"$dir/out" 2>"$dir/err"
) || fail "probe --next without options: $(cat "$dir/err")"
is "its response" "one of v2" "$(shown | tail -n 1)"
code=0
CLOAKROOM_QUEUES="app fixed" "$CLOAKROOM" probe -c "$config" --next 2>"$dir/err" || code=$?
is "exit code with several queues" 2 "$code"

# ---- a fixed answer, and what was probed is answered at last
hand_in /fixed
fixed=$ticket
probe 0 --next --queue fixed --release v9 --keep
is "its last line" "of v9" "$(shown | tail -n 1)"
answer "$fixed"
is "the kept one" "of v9" "$(cat "$body")"
hand_in '/app?crash' -d body
dead=$ticket
probe 1 "$dead" --keep
said 'the ticket has failed, and has a response that says why'
before=$(grep -c '^crash' "$marks/runs")
http "/-/tickets/$late" -X DELETE
run resume app --release v2
is "resume" 0 "$code"
start worker worker --queue app --release v2
answer "$one"
is "the first one's response" "one of v2" "$(cat "$body")"
answer "$two"
is "the second one's response" "two of v2" "$(cat "$body")"
stop worker
is "runs of those that crashed, after all" "$before" "$(grep -c '^crash' "$marks/runs")"
is "dead letters" 1 "$(stat_of app dead)"
stop ingress
