#!/usr/bin/env bash
# A queue is opened for one release: another one than before only where it is
# recorded as drained, several queues together or none. Workers of other releases
# wait, are shown as idle, and cost no attempt.
. "$(dirname "$0")/lib.sh"

partitions=1 # a ramp opens one slot: b is to have it before c

handler slow <<'CGI'
#!/bin/sh
touch "$MARKS/runs-$QUERY_STRING"
until [ -e "$MARKS/end-$QUERY_STRING" ]; do sleep 0.02; done
printf 'Content-Type: text/plain\n\n%s' "$CLOAKROOM_ATTEMPT"
CGI
configure <<EOF2
routes:
  - {path: /one, queue: one, wait: 0s}
  - {path: /two, queue: two, wait: 0s}
queues:
  - name: one
    handler: {cgi: {command: ./cgi/slow, environment: {MARKS: $marks}}}
    concurrency: 4
    timeout: 60s
  - name: two
    handler: {respond: {status: 200, body: two}}
EOF2
said() { grep -qs "$2" "$1"; }
states() { echo "$(stat_of one state) $(stat_of two state)"; }
releases() { echo "$(stat_of one release) $(stat_of two release)"; }
worker_of() { # worker_of RELEASE: one of queue one has said hello
    "$CLOAKROOM" status -c "$config" --json |
        jq -e --arg r "$1" '.workers[] | select(.queue == "one" and .release == $r)' \
            >"$dir/worker"
}

start ingress ingress
await_ready ingress
start old worker --queue one
await 20 worker_of 1

# ---- refused ------------------------------------------------------------------
run resume one --release ../v2
is "exit code of a label that is none" 2 "$code"
run resume one --release v2
is "a change of release in an open queue" 1 "$code"
holds "says what it needs" said "$dir/err" 'recorded as drained: pause it with --wait'
run resume one
is "a resume of an open queue" 0 "$code"
matches "what it says" '^one: open already for release 1, ' "$(cat "$dir/out")"

hand_in '/one?a'
await 20 test -e "$marks/runs-a"
run pause one
run resume one --release v2
is "a change of release while something runs" 1 "$code"
run pause two --wait
run resume --all --release v2
is "a change of two, one of which is not drained" 1 "$code"
holds "says that nothing was done" said "$dir/err" 'none was resumed'
is "states" "paused drained" "$(states)"
is "releases" "1 1" "$(releases)"

# ---- the same release, of what is paused only ---------------------------------
run resume two
run resume --all
is "exit code" 0 "$code"
holds "the open one is left as it is" said "$dir/out" '^two: open already'
holds "the paused one is opened" said "$dir/out" '^one: open for release 1, .* 1 worker$'
is "states" "open open" "$(states)"
is "what runs goes on" running "$(state "$ticket")"

# ---- another release ----------------------------------------------------------
touch "$marks/end-a"
run pause --all --wait --timeout 20s
is "drained" 0 "$code"
hand_in '/one?b'
b=$ticket
hand_in '/one?c'
run resume --all --release v2 --ramp 1h
is "exit code" 0 "$code"
holds "says how many wait" said "$dir/out" '^one: open for release v2, .* 2 requests wait, 0 w'
holds "says that nobody is there" said "$dir/out" '^one: no worker of release v2 has said'
is "releases" "v2 v2" "$(releases)"
worker_of 1
is "the old worker waits" false "$(jq -r .admitted "$dir/worker")"
run status
holds "and is shown as idle" said "$dir/out" '^one .* idle .* waiting for release 1$'
holds "a ramp is told" said "$dir/out" '^one lets its slots open one by one'

start new worker --queue one --release v2
await 20 test -e "$marks/runs-b"
worker_of v2
is "the new worker does not wait" true "$(jq -r .admitted "$dir/worker")"
touch "$marks/end-b"
answer "$b"
is "attempts that it cost" 1 "$(cat "$body")"
http "/-/tickets/$b"
is "release of its attempt" v2 "$(json .release)"
touch "$marks/end-c"
answer "$ticket"

# ---- while a probe runs ---------------------------------------------------------
run pause one --wait --timeout 20s
hand_in '/one?p'
start probe probe "$ticket" --discard
await 20 test -e "$marks/runs-p"
start resume resume one
await 20 said "$dir/resume.log" 'queue one: a probe runs; it is waited for'
is "state while a probe runs" probing "$(stat_of one state)"
holds "the resume waits" alive "${pids[resume]}"
touch "$marks/end-p"
ended resume
is "exit code of a resume after a probe" 0 "$code"
ended probe
await_state "$ticket" done

# ---- of a queue that an upgrade holds -------------------------------------------
start upgrade upgrade two --to v3 \
    --migrate "touch $marks/migrates; until [ -e $marks/migrated ]; do sleep 0.02; done"
await 20 test -e "$marks/migrates"
run status
holds "status says who holds it" said "$dir/out" \
    '^two is held by an upgrade from release v2 to v3: migrating, run by process '
run resume --all
is "a resume of what an upgrade holds" 1 "$code"
holds "says what to do" said "$dir/err" 'or resume with --force'
run resume --all --force
is "by force" 0 "$code"
is "states" "open open" "$(states)"
is "releases" "v2 v2" "$(releases)"
touch "$marks/migrated"
ended upgrade
holds_not "an upgrade that lost its queue succeeds" test "$code" = 0

# ---- refuse and accept --------------------------------------------------------
run refuse one --reason "the shop closes"
is "exit code of refuse" 0 "$code"
matches "what it says" '^one: refuses new requests, epoch 9; ' "$(cat "$dir/out")"
run refuse --all
holds "the one that refuses is left as it is" said "$dir/out" '^one: refuses new requests already, epoch 9'
run status
holds "status" said "$dir/out" '^one  *refusing '
run submit '/one?d'
is "exit code of a refused submit" 75 "$code"
run accept --all
touch "$marks/end-d"
run submit '/one?d' --wait 20s
is "exit code after accept" 0 "$code"
run history one
holds "history has the reason" said "$dir/out" ' refuse .* the shop closes$'
stop new
stop old
stop ingress
