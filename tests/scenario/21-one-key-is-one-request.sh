#!/usr/bin/env bash
# An Idempotency-Key joins its first request, however many ask and at whichever
# ingress; every ingress answers for every ticket.
. "$(dirname "$0")/lib.sh"

handler count <<'CGI'
#!/bin/sh
body=$(cat)
echo "$body $CLOAKROOM_TICKET" >>"$MARKS/runs"
until [ -e "$MARKS/go" ]; do sleep 0.05; done
printf 'Content-Type: text/plain\n\n%s %s' "$body" "$CLOAKROOM_TICKET"
CGI
queues() {
    cat <<EOF2
routes:
  - {path: /count, queue: count, wait: 30s}
  - {path: /other, queue: count, wait: 30s}
queues:
  - name: count
    handler: {cgi: {command: ./cgi/count, environment: {MARKS: $marks}}}
EOF2
}
queues | configure
start first ingress
start worker worker
await_ready first
one=$port
first_config=$config first_admin=$admin
free_port && port=$chosen_port
free_port && admin=$chosen_port
two=$port
config=$dir/second.yaml
queues | configure
start second ingress
await_ready second
config=$first_config
touch "$marks/runs"
text='Content-Type: text/plain'
runs() { grep -c "^$1 " "$marks/runs" || true; }

# 100 at once, half at each ingress, some waiting, some not.
for try in 1 2; do
    for at in $one $two; do
        python_start burst.py --port "$at" --clients 25 --requests 25 --method POST \
            --field "Idempotency-Key: \"many-$try\"" --data "many-$try" --field "$text" --show \
            /count >"$dir/waiting-$at-$try"
        waiting+=($!)
        python_start burst.py --port "$at" --clients 25 --requests 25 --method POST \
            --field "Idempotency-Key: many-$try" --data "many-$try" \
            --field "$text" --field 'Prefer: respond-async' /count >"$dir/async-$at-$try"
        async+=($!)
    done
done
# Those who want a ticket have it before anything is answered.
wait "${async[@]}"
touch "$marks/go"
wait "${waiting[@]}"
for try in 1 2; do
    cat "$dir"/async-*-$try >"$dir/tickets"
    is "round $try: tickets" 50 "$(grep -c '^202 ' "$dir/tickets")"
    is "round $try: different ones" 1 \
        "$(awk '{print $2}' "$dir/tickets" | sort -u | wc -l)"
    ticket=$(awk '{print $2; exit}' "$dir/tickets")
    is "round $try: answers" 50 \
        "$(cat "$dir"/waiting-*-$try | grep -c "^200 .* many-$try $ticket\$")"
    is "round $try: runs" 1 "$(runs "many-$try")"
done

# Done: the stored answer again, quoted or bare, at either ingress.
for port in $one $two; do
    for key in many-1 '"many-1"'; do
        http /count -d many-1 -H "$text" -H "Idempotency-Key: $key"
        is "a repetition with $key" 200 "$status"
        matches "its answer" '^many-1 ' "$(cat "$body")"
    done
done
# Under another name of the host, and by the command: the same scope.
http /count -d many-1 -H "$text" -H 'Idempotency-Key: many-1' -H 'Host: other.example'
is "a repetition under another host's name" 200 "$status"
is "its answer is the first one's" "many-1 $(awk '$1 == "many-1" {print $2}' "$marks/runs")" \
    "$(cat "$body")"
first=$(cat "$body")
printf many-1 >"$dir/many-1"
run submit -X POST -H "$text" --data "$dir/many-1" --key many-1 --wait /count
is "the same by the command" "$first" "$(cat "$dir/out")"
is "runs after repetitions" 1 "$(runs many-1)"

# Another request under that key is refused; another scope is another key.
http /count -d other -H "$text" -H 'Idempotency-Key: many-1'
problem 422 'key-reused'
http '/count?other' -d many-1 -H "$text" -H 'Idempotency-Key: many-1'
problem 422 'key-reused'
is "runs of the refused" 0 "$(runs other)"
http /count -X PUT -d elsewhere -H 'Idempotency-Key: many-1'
is "the same key with another method" 200 "$status"
http /other -d elsewhere -H 'Idempotency-Key: many-1'
is "the same key on another route" 200 "$status"
is "runs of those" 2 "$(runs elsewhere)"
http /count -d junk -H 'Idempotency-Key: ""'
problem 400 'bad-key'
http /count -d junk -H "Idempotency-Key: $(printf 'k%.0s' {1..5000})"
problem 400 'bad-key'
is "runs of those without a key that is one" 0 "$(runs junk)"

# Any ingress answers for any ticket, at once after another issued it.
for i in 1 2 3; do
    port=$one
    hand_in /count -d "cross-$i"
    port=$two
    http "/-/tickets/$ticket"
    is "the other ingress knows the ticket" 200 "$status"
    answer "$ticket"
    is "and its answer" "cross-$i $ticket" "$(cat "$body")"
    http "/-/tickets/$ticket" -X DELETE
    is "and that it has ended" 409 "$status"
done

# The command joins a key as well.
run submit --key from-the-command -X POST --data "$config" /count
ticket=$(cat "$dir/out")
run submit --key from-the-command -X POST --data "$config" /count
is "the ticket of the second submit" "$ticket" "$(cat "$dir/out")"
run wait "$ticket" --timeout 20s
is "wait for it" 0 "$code"

# The key outlives a restart of everything.
stop second
stop worker
stop first
start first ingress
start worker worker
port=$one admin=$first_admin
await_ready first
http /count -d many-1 -H "$text" -H 'Idempotency-Key: many-1'
is "after a restart" 200 "$status"
is "runs after a restart" 1 "$(runs many-1)"
