#!/usr/bin/env bash
# In one partition a slow request holds back the watermark and nobody: those
# behind it are answered, and run no second time when the worker is killed.
. "$(dirname "$0")/lib.sh"
expect_crashes=yes

handler work <<'CGI'
#!/bin/sh
echo "$QUERY_STRING $CLOAKROOM_TICKET $CLOAKROOM_ATTEMPT" >>"$MARKS/runs"
[ "$QUERY_STRING" != slow ] || until [ -e "$MARKS/go" ]; do sleep 0.05; done
printf 'Content-Type: text/plain\n\n%s %s' "$QUERY_STRING" "$CLOAKROOM_ATTEMPT"
CGI
configure <<EOF2
routes:
  - {path: /work, queue: work, wait: 30s}
queues:
  - name: work
    handler: {cgi: {command: ./cgi/work, environment: {MARKS: $marks}}}
    concurrency: 2
    lease: 2s
    timeout: 2m
    backoff: {first: 1ms, max: 1ms}
EOF2
touch "$marks/runs"
start ingress ingress
await_ready ingress
start worker worker
hand_in '/work?slow'
slow=$ticket
await_state "$slow" running
for i in $(seq 100); do
    http "/work?$i"
    is "request $i behind it" "200 $i 1" "$status $(cat "$body")"
done
is "the slow one" running "$(state "$slow")"

# Another worker comes and takes its share, and goes: the slow one runs on.
start second worker
hellos() { [ "$("$CLOAKROOM" status -c "$config" --json | jq '.workers | length')" = "$1" ]; }
await 20 hellos 2
for i in $(seq 101 120); do
    http "/work?$i"
    is "request $i with two workers" "200 $i 1" "$status $(cat "$body")"
done
stop second
is "exit code of the second" 0 "$code"
is "runs of the slow one" 1 "$(grep -c '^slow' "$marks/runs")"

kill -KILL "${pids[worker]}"
ended worker
start worker worker
runs_again() { [ "$(grep -c '^slow' "$marks/runs")" = 2 ]; }
await 30 runs_again
touch "$marks/go"
answer "$slow"
is "its answer" "200 slow 2" "$status $(cat "$body")"
is "runs of the others" 120 "$(grep -vc '^slow' "$marks/runs")"
stop worker
stop ingress
