#!/usr/bin/env bash
# DELETE: a queued request never runs, a running one is killed with all that it
# started, a finished one stays.
. "$(dirname "$0")/lib.sh"

handler slow <<'CGI'
#!/bin/sh
echo "$CLOAKROOM_TICKET" >>"$MARKS/runs"
sleep 1000 &
child=$!
setsid sleep 1000 &
until [ -e "$MARKS/$QUERY_STRING" ]; do sleep 0.05; done
kill $child
printf 'Content-Type: text/plain\n\nended by itself\n'
CGI
configure <<EOF2
routes:
  - {path: /slow, queue: slow, wait: 30s}
queues:
  - name: slow
    handler: {cgi: {command: ./cgi/slow, environment: {MARKS: $marks}}}
    concurrency: 1
EOF2
up
touch "$marks/runs"
runs_are() { [ "$(wc -l <"$marks/runs")" = "$1" ]; }
cancel() { http "/-/tickets/$1" -X DELETE; }

hand_in '/slow?one'
one=$ticket
await 20 runs_are 1
hand_in '/slow?two'
two=$ticket

# A client that waits for a cancelled one is not left waiting.
curl -sS -m 60 -o "$dir/waited" -w '%{http_code}' -H 'Prefer: wait=30' \
    "http://127.0.0.1:$port/-/tickets/$two/response" >"$dir/waited.status" &
waiter=$!
cancel "$two"
among "cancelling a queued one" "200 204" "$status"
is "its state" cancelled "$(state "$two")"
wait $waiter
is "who waited for it" 410 "$(cat "$dir/waited.status")"
answer "$two"
problem 410 'cancelled'
cancel "$two"
is "cancelling it again" 409 "$status"

among "children of the running one" "3 4" "$(handler_pids "$one" | wc -l)"
cancel "$one"
is "cancelling a running one" 202 "$status"
await_state "$one" cancelled
answer "$one"
is "its stored response" 410 "$status"
await 10 no_handlers "$one"

touch "$marks/three"
http '/slow?three'
is "the next one runs" 200 "$status"
ticket=$(tail -n 1 "$marks/runs")
await 10 no_handlers "$ticket"
cancel "$ticket"
is "cancelling a finished one" 409 "$status"
problem 409 '.*'
answer "$ticket"
is "the finished one keeps its answer" "ended by itself" "$(cat "$body")"
is "runs" 2 "$(wc -l <"$marks/runs")"
