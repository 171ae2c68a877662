#!/usr/bin/env bash
# `cloakroom move`, killed in the middle and called again: every
# request that waited in the embedded store runs on Kafka once, under its ticket
# and with its key; the store stays paused and refuses.
. "$(dirname "$0")/lib.sh"
expect_crashes=yes

handler run <<'CGI'
#!/bin/sh
sum=$(sha256sum | cut -d' ' -f1)
[ "$PATH_INFO" != /fail ] || [ -e "$MARKS/mended" ] || exit 1
echo "$CLOAKROOM_TICKET" >>"$MARKS/runs"
printf 'Content-Type: text/plain\n\n%s %s' "$CLOAKROOM_TICKET" "$sum"
CGI
configure "max_body: 8MiB" <<EOF2
routes:
  - {path: /run, queue: run, wait: 30s}
  - {path: /other, queue: other, wait: 30s}
queues:
  - name: run
    handler: {cgi: {command: ./cgi/run, environment: {MARKS: $marks}}}
    backoff: {first: 1h, max: 1h}
    concurrency: 8
  - name: other
    handler: {respond: {status: 200, body: other}}
EOF2
on_kafka_config=$config
config=$dir/old.yaml
sed 's|^  kafka:.*|  embedded: {directory: ./data}|' "$on_kafka_config" >"$config"
touch "$marks/runs"
text='Content-Type: text/plain'
move() { run move --from "$config" --to "${1:-$on_kafka_config}"; }

# 500 wait: one for its second attempt, some with keys, some large.
start ingress ingress
await_ready ingress
start worker worker -q run
hand_in /run/fail -X PUT --data failed
failed=$ticket
await 20 stat_is run delayed 1
stop worker
for i in $(seq 39); do
    hand_in /run -H "Idempotency-Key: \"key-$i\"" -H "$text" --data "keyed $i"
    echo "$ticket" >>"$dir/tickets"
    eval "key_$i=\$ticket"
done
python burst.py --port "$port" --clients 8 --requests 440 --method POST \
    --data plain --field 'Prefer: respond-async' /run >"$dir/burst"
head -c 3000000 /dev/urandom >"$dir/large"
for i in $(seq 19); do
    hand_in /run --data-binary "@$dir/large" -H 'Expect:'
    large=$ticket
    echo "$ticket" >>"$dir/tickets"
done
hand_in /other --data x
other=$ticket
awk '$1 == 202 {print $2}' "$dir/burst" >>"$dir/tickets"
printf '%s\n%s\n' "$failed" "$other" >>"$dir/tickets"
is "requests that wait" 500 "$(sort -u "$dir/tickets" | wc -l)"

# What is wrong is told before anything is paused.
sed '/name: other/,$d; /queue: other/d' "$on_kafka_config" >"$dir/less.yaml"
move "$dir/less.yaml"
is "exit code where a queue is missing" 78 "$code"
matches "what it says" "lacks queue other of .*topics apply" "$(cat "$dir/err")"
head -c 32 /dev/urandom >"$dir/foreign.key"
chmod 600 "$dir/foreign.key"
sed 's/ticket.key/foreign.key/' "$on_kafka_config" >"$dir/foreign.yaml"
move "$dir/foreign.yaml"
is "exit code with another secret" 1 "$code"
matches "what it says" "foreign.key is another secret than .*data/ticket.key: the tickets of one are strangers to the other" \
    "$(cat "$dir/err")"
is "nothing was paused" open "$(stat_of run state)"

# What the killed one had sent arrives all the same: the third may find nothing
# left to do.
kills=0
for point in 100 50 10; do
    CLOAKROOM_FAULT="kafka.delivered:$point" move
    among "exit code when killed at delivery $point" "137 0" "$code"
    [ "$code" = 0 ] || kills=$((kills + 1))
    is "state of the store then" drained "$(stat_of run state)"
done
among "times it was killed" "2 3" $kills
move
is "exit code of the last call" 0 "$code"
matches "what it tells" 'run: [0-9]+ requests? copied, [0-9]+ there already' "$(cat "$dir/out")"
matches "what it tells of the other queue" 'other: (1 request copied|0 requests copied, 1 there)' \
    "$(cat "$dir/out")"
move
is "exit code of one call more" 0 "$code"
matches "what it tells" 'run: 0 requests copied, 499 there already' "$(cat "$dir/out")"
is "mode of the secret" 600 "$(stat -c %a "$dir/ticket.key")"
holds "it is the same one" cmp "$dir/ticket.key" "$dir/data/ticket.key"
http /run --data late
is "a new request at the store" 503 "$status"
is "the failed one there" queued "$(state "$failed")"
stop ingress

# On Kafka each is answered once.
touch "$marks/mended"
from=$config config=$on_kafka_config
start ingress ingress
await_ready ingress
is "they wait there" "499 1" "$(stat_of run queued) $(stat_of other queued)"
http "/-/tickets/$failed"
is "attempts of the one that failed" 0 "$(json .attempts)"
http /run -H 'Idempotency-Key: "key-7"' -H "$text" -H 'Prefer: respond-async' --data 'keyed 7'
is "a key that is repeated joins" "202 ${key_7:?}" "$status $(json .ticket)"
http /run -H 'Idempotency-Key: "key-7"' -H "$text" -H 'Prefer: respond-async' --data 'keyed 8'
problem 422 key-reused
start worker worker -q run
start others worker -q other
await 60 stat_is run done 499
python answers.py "$port" <"$dir/tickets" >"$dir/answers"
is "answers, each its ticket's own" "499 1" "$(grep -c '^200 \(.*\) \1$' "$dir/answers")\
 $(grep -c "^200 $other other$" "$dir/answers")"
is "runs" 499 "$(wc -l <"$marks/runs")"
is "none of them twice" 499 "$(sort -u "$marks/runs" | wc -l)"
answer "$large"
is "a large body" "$large $(sha256sum <"$dir/large" | cut -d' ' -f1)" "$(cat "$body")"

# Later calls copy nothing, also where the mark is lost.
config=$from
for what in '' marks; do
    [ -z "$what" ] || rm "$dir/data/moved"
    move
    is "exit code after all was answered" 0 "$code"
    matches "what it tells" 'run: 0 requests copied, 499 there already' "$(cat "$dir/out")"
done
config=$on_kafka_config
is "nothing waits" 0 "$(stat_of run queued)"
is "runs in the end" 499 "$(wc -l <"$marks/runs")"
stop worker
stop others
stop ingress
