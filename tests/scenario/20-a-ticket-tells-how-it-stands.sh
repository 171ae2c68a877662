#!/usr/bin/env bash
# The life of a ticket as its client sees it: every state, and a response that
# is the same at each reading, byte for byte.
. "$(dirname "$0")/lib.sh"
partitions=1 # the first is to run first

# Says that it runs, waits for its mark, answers with the bytes of a file.
handler slow <<'CGI'
#!/bin/sh
touch "$MARKS/runs-$QUERY_STRING"
until [ -e "$MARKS/$QUERY_STRING" ]; do sleep 0.05; done
printf 'Content-Type: application/x-bytes\r\nX-Case: KePt\r\nX-Two: 1\r\nX-Two: 2\r\n\r\n'
cat "$MARKS/bytes"
CGI

configure <<EOF2
routes:
  - {path: /slow, queue: slow, wait: 0s}
  - {path: /brief, queue: brief, wait: 30s}
queues:
  - name: slow
    handler: {cgi: {command: ./cgi/slow, environment: {MARKS: $marks}}}
    concurrency: 1
    release: v1
  - name: brief
    handler: {respond: {status: 418, fields: {X-Pot: tea}, body: short and stout}}
    retention: {age: 2s}
EOF2
head -c 300000 /dev/urandom >"$marks/bytes"
members() { json 'keys | join(" ")'; }
rfc3339='^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?Z$'

start ingress ingress
await_ready ingress

# Queued: two of them, no worker yet.
hand_in '/slow?one' -d 'first'
one=$ticket
is "state in the 202" queued "$(json .state)"
is "ticket in the 202" "$one" "$(json .ticket)"
hand_in '/slow?two' -d 'second'
two=$ticket
http "/-/tickets/$one"
is "status of the status" 200 "$status"
is "its media type" application/json "$(field Content-Type)"
is "state" queued "$(json .state)"
is "queue" slow "$(json .queue)"
is "attempts" 0 "$(json .attempts)"
is "response" "/-/tickets/$one/response" "$(json .response)"
is "position of the first" 0 "$(json .position)"
matches "submitted" "$rfc3339" "$(json .submitted)"
for absent in started ended release; do
    is "$absent of a queued one" false "$(json "has(\"$absent\")")"
done
http "/-/tickets/$two"
is "position of the second" 1 "$(json .position)"
http "/-/tickets/$one/response"
is "response while queued" 202 "$status"
matches "Retry-After" '^[0-9]+$' "$(field Retry-After)"
http "/-/tickets/$one/response" -H 'Prefer: wait=1'
is "response while queued, after a wait" 202 "$status"
run wait "$one" --timeout 1s
is "exit code of wait while queued" 75 "$code"

# Running.
start worker worker --queue slow
start brief worker --queue brief
await 20 test -e "$marks/runs-one"
http "/-/tickets/$one"
is "state" running "$(json .state)"
is "attempts" 1 "$(json .attempts)"
is "release" v1 "$(json .release)"
matches "started" "$rfc3339" "$(json .started)"
for absent in ended position; do
    is "$absent of a running one" false "$(json "has(\"$absent\")")"
done
http "/-/tickets/$one/response"
is "response while running" 202 "$status"

# Done; a client that waits for the response is told at once.
http_waiter() {
    curl -sS -m 60 -o "$dir/waited" -w '%{http_code}' \
        -H 'Prefer: wait=30' "http://127.0.0.1:$port/-/tickets/$one/response"
}
http_waiter >"$dir/waited.status" &
waiter=$!
touch "$marks/one"
wait $waiter
is "a client that waited at the ticket" 200 "$(cat "$dir/waited.status")"
holds "what it got is what the program said" cmp "$marks/bytes" "$dir/waited"
http "/-/tickets/$one"
is "state" done "$(json .state)"
is "response" "/-/tickets/$one/response" "$(json .response)"
matches "ended" "$rfc3339" "$(json .ended)"
is "position of a finished one" false "$(json 'has("position")')"
http "/-/tickets/$one/response"
is "status of the response" 200 "$status"
is "Content-Type" application/x-bytes "$(field Content-Type)"
is "Content-Length" 300000 "$(field Content-Length)"
holds "a field's case is kept" grep -q '^X-Case: KePt' "$head"
is "a repeated field stays repeated" 2 "$(grep -c '^X-Two: ' "$head")"
holds "the body, byte for byte" cmp "$marks/bytes" "$body"
grep -vi '^date:' "$head" >"$dir/first.head"
http "/-/tickets/$one/response"
holds "read again: the body" cmp "$marks/bytes" "$body"
grep -vi '^date:' "$head" >"$dir/second.head"
holds "read again: the fields" diff "$dir/first.head" "$dir/second.head"
http "/-/tickets/$one/response" -I
is "HEAD of the response" 200 "$status"
run wait "$one"
is "exit code of wait" 0 "$code"
holds "wait prints the body" cmp "$marks/bytes" "$dir/out"

# A handler's own error is an answer like others.
http /brief
is "a teapot" 418 "$status"
is "its field" tea "$(field X-Pot)"
hand_in /brief
brief=$ticket
run wait "$brief" --timeout 20s
is "exit code of wait for an error" 22 "$code"
is "what wait printed" "short and stout" "$(cat "$dir/out")"
is "state of a handler's error" done "$(state "$brief")"

# Gone after its time: 410, and says so.
response_is_gone() {
    http "/-/tickets/$brief/response"
    [ "$status" = 410 ]
}
await 40 response_is_gone
problem 410 '.*'
http "/-/tickets/$brief"
is "status of what is gone" 410 "$status"
run wait "$brief" --timeout 2s
holds_not "wait succeeds for what is gone" test "$code" = 0

touch "$marks/two"
answer "$two"
is "the second" 200 "$status"
stop worker
stop brief
stop ingress
