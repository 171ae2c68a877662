#!/usr/bin/env bash
# Two ingresses, each with a view of its own: what one issued the other answers
# at once, waits for, and cancels; a key that reaches both at the same time is
# one request; and one that is killed is not needed any more.
. "$(dirname "$0")/lib.sh"
expect_crashes=yes

handler slow <<'CGI'
#!/bin/sh
body=$(cat)
echo "$body $CLOAKROOM_TICKET" >>"$MARKS/runs"
until [ -e "$MARKS/$QUERY_STRING" ]; do sleep 0.02; done
printf 'Content-Type: text/plain\n\n%s %s' "$body" "$CLOAKROOM_TICKET"
CGI
queues() {
    cat <<EOF2
routes:
  - {path: /slow, queue: slow, wait: 30s}
queues:
  - name: slow
    handler: {cgi: {command: ./cgi/slow, environment: {MARKS: $marks}}}
    concurrency: 8
EOF2
}
touch "$marks/runs" "$marks/open"
queues | configure
first_config=$config
start first ingress
await_ready first
one=$port first_admin=$admin
free_port && port=$chosen_port
free_port && admin=$chosen_port
two=$port
config=$dir/second.yaml
queues | configure
start second ingress
await_ready second
config=$first_config
start worker worker

# Known to the other one at the first question, whichever issued it.
for i in $(seq 20); do
    if [ $((i % 2)) = 0 ]; then port=$one other=$two; else port=$two other=$one; fi
    hand_in '/slow?open' -d "$i"
    port=$other
    http "/-/tickets/$ticket"
    is "status of ticket $i elsewhere" 200 "$status"
    answer "$ticket"
    is "answer $i elsewhere" "200 $i $ticket" "$status $(cat "$body")"
done

# Who waits at one for what was handed in at the other is told.
port=$one
hand_in '/slow?late' -d late
curl -sS -m 60 -o "$dir/waited" -H 'Prefer: wait=30' \
    "http://127.0.0.1:$two/-/tickets/$ticket/response" &
waiter=$!
await_state "$ticket" running
touch "$marks/late"
wait $waiter
is "who waited elsewhere" "late $ticket" "$(cat "$dir/waited")"

# A cancel at one is the other's as well.
hand_in '/slow?never' -d never
cancelled=$ticket
port=$two
http "/-/tickets/$cancelled" -X DELETE
among "cancelled elsewhere" "200 202 204" "$status"
port=$one
await_state "$cancelled" cancelled
answer "$cancelled"
problem 410 cancelled

# Many keys, each at both at the same time.
keys=20
for at in $one $two; do
    for i in $(seq $keys); do
        curl -sS -m 60 -o "$dir/key-$at-$i" -H "Idempotency-Key: key-$i" \
            -d "key-$i" "http://127.0.0.1:$at/slow?open" &
        asked+=($!)
    done
done
wait "${asked[@]}"
for i in $(seq $keys); do
    matches "answer to key $i" "^key-$i [0-9a-z]{39}\$" "$(cat "$dir/key-$one-$i")"
    is "the other one's answer to key $i" "$(cat "$dir/key-$one-$i")" \
        "$(cat "$dir/key-$two-$i")"
    is "runs of key $i" 1 "$(grep -c "^key-$i " "$marks/runs")"
done

# Nobody's ticket is nobody's, after a look at the log's end.
made_up=${ticket:0:38}$([ "${ticket:38}" = a ] && echo b || echo a)
for port in $one $two; do
    http "/-/tickets/$made_up"
    is "a made-up ticket" 404 "$status"
done

# One is killed: what it issued a moment ago is all there.
port=$one
hand_in '/slow?after' -d after
after=$ticket
kill -KILL "${pids[first]}"
ended first
port=$two
http "/-/tickets/$after"
is "a ticket of the killed one" 200 "$status"
touch "$marks/after"
answer "$after"
is "its answer" "after $after" "$(cat "$body")"
port=$one admin=$first_admin
start first ingress
await_ready first
answer "$after"
is "and at the first, started again" "after $after" "$(cat "$body")"
stop worker
stop second
stop first
is "exit code of the first" 0 "$code"
