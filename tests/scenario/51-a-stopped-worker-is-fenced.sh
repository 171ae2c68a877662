#!/usr/bin/env bash
# A worker that is stopped past its lease loses its attempt to another: what it
# says when it goes on again is dropped, and then it works as ever.
. "$(dirname "$0")/lib.sh"
expect_crashes=yes # the lock's holder may be the one that is stopped

# The first attempt answers as soon as its worker is stopped.
handler slow <<'CGI'
#!/bin/sh
echo "$CLOAKROOM_TICKET $CLOAKROOM_ATTEMPT $$" >>"$MARKS/runs"
until [ -e "$MARKS/$QUERY_STRING-$CLOAKROOM_ATTEMPT" ]; do sleep 0.05; done
printf 'Content-Type: text/plain\n\nattempt %s' "$CLOAKROOM_ATTEMPT"
CGI
configure <<EOF2
routes:
  - {path: /slow, queue: slow, wait: 30s}
queues:
  - name: slow
    handler: {cgi: {command: ./cgi/slow, environment: {MARKS: $marks}}}
    concurrency: 1
    lease: 2s
    timeout: 60s
    backoff: {first: 50ms, max: 100ms}
EOF2
touch "$marks/runs"
runs_are() { [ "$(wc -l <"$marks/runs")" -ge "$1" ]; }
start ingress ingress
await_ready ingress

# Stopped while its handler answers; and while its handler goes on.
for case in answers goes-on; do
    : >"$marks/runs"
    start "$case" worker
    hand_in "/slow?$case"
    first=$ticket
    await 20 runs_are 1
    kill -STOP "${pids[$case]}"
    [ $case = goes-on ] || touch "$marks/$case-1"
    start other worker
    await 30 runs_are 2
    is "$case: attempt of the second run" 2 "$(awk 'NR == 2 {print $2}' "$marks/runs")"
    # The first run was ended by its spawner before the second began.
    holds "$case: the first handler is gone" gone "$(awk 'NR == 1 {print $3}' "$marks/runs")"
    touch "$marks/$case-2"
    await_state "$first" done
    answer "$first"
    is "$case: the answer" "attempt 2" "$(cat "$body")"
    stop other
    is "$case: exit code of the other worker" 0 "$code"

    touch "$marks/$case-1"
    holds "$case: it was not killed meanwhile" alive "${pids[$case]}"
    kill -CONT "${pids[$case]}"
    says_so() { grep -qE 'event=(lease-lost|fenced)' "$dir/$case.log"; }
    await 20 says_so
    touch "$marks/after-$case-1"
    hand_in "/slow?after-$case"
    answer "$ticket"
    is "$case: it works again" "attempt 1" "$(cat "$body")"
    answer "$first"
    is "$case: the answer still" "attempt 2" "$(cat "$body")"
    http "/-/tickets/$first"
    is "$case: attempts" 2 "$(json .attempts)"
    stop "$case"
    is "$case: its exit code" 0 "$code"
done
