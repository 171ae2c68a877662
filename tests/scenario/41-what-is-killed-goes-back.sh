#!/usr/bin/env bash
# What a pause kills is gone at once: what may be repeated goes back to the queue
# and has lost no attempt, the rest fails as lost.
. "$(dirname "$0")/lib.sh"

handler slow <<'CGI'
#!/bin/sh
echo $$ >"$MARKS/runs-$QUERY_STRING"
until [ -e "$MARKS/end-$QUERY_STRING" ]; do sleep 0.02; done
printf 'Content-Type: text/plain\n\nended'
CGI
configure <<EOF2
routes:
  - {path: /slow, queue: slow, wait: 0s}
queues:
  - name: slow
    handler: {cgi: {command: ./cgi/slow, environment: {MARKS: $marks}}}
    concurrency: 4
    timeout: 60s
    attempts: 1
EOF2
said() { grep -qs "$2" "$1"; }
is_drained() { stat_is slow state drained; }
killed() { jq -r '.[] | "\(.ended) \(.killed) \(.put_back)"' "$1"; }
start ingress ingress
await_ready ingress
start worker worker

# run_two NAME: one that may be repeated in $again, one that may not in $once
run_two() {
    rm -f "$marks"/runs-*
    hand_in "/slow?$1-again"
    again=$ticket
    hand_in "/slow?$1-once" -d body
    once=$ticket
    await 20 test -e "$marks/runs-$1-again"
    await 20 test -e "$marks/runs-$1-once"
}

# judge NAME: what became of them
judge() {
    holds "$1: the handlers are gone" no_handlers
    is "$1: what may be repeated" queued "$(state "$again")"
    is "$1: what may not" failed "$(state "$once")"
    answer "$once"
    problem 502 '.*'
    http "/-/tickets/$again"
    is "$1: attempts that it cost" 0 "$(json .attempts)"
    touch "$marks/end-$1-again"
    run resume slow
    await_state "$again" done
}

run_two now
run pause slow --kill --wait --timeout 30s --json
is "now: exit code" 0 "$code"
is "now: the receipt" "0 2 1" "$(killed "$dir/out")"
judge now

run_two late
run pause slow --wait --timeout 200ms --on-timeout kill --json
is "late: exit code" 0 "$code"
holds "late: says that it kills" said "$dir/err" 'what runs is being ended'
is "late: the receipt" "0 2 1" "$(killed "$dir/out")"
judge late

# Without a wait, and of a queue that somebody else has paused.
run_two joined
run pause slow
run pause slow --kill
is "joined: exit code" 0 "$code"
await 20 is_drained
run pause slow --wait
holds "joined: the receipt" said "$dir/out" 'attempts  0 ended, 2 killed (1 put back)'
judge joined
stop worker
stop ingress
