#!/usr/bin/env bash
# A program in another language submits and gets the response without any
# ingress, by docs/kafka.md alone; what it handed in is a ticket like any other.
. "$(dirname "$0")/lib.sh"

handler echo <<'CGI'
#!/bin/sh
printf 'Status: 201\nContent-Type: text/plain\n\n%s %s %s' "$REQUEST_METHOD" \
    "$CLOAKROOM_TICKET" "$(cat)"
CGI
configure <<EOF2
routes:
  - {path: /echo, queue: echo, wait: 30s}
queues:
  - name: echo
    handler: {cgi: {command: ./cgi/echo}}
EOF2
/usr/bin/python3 -c 'import confluent_kafka' ||
    die "the example needs Debian's python3-confluent-kafka, and it is not here"

# client METHOD TARGET [BODY]: what it prints, in $dir/said
client() {
    timeout 60 /usr/bin/python3 "$source_root/examples/kafka-client/client.py" "$servers" \
        "$prefix" "$partitions" "$dir/ticket.key" echo "$@" >"$dir/said" 2>"$dir/client.err" ||
        fail "the client: $(cat "$dir/client.err")"
    ticket=$(sed -n 's/.* is ticket //p' "$dir/client.err")
}

# The worker waits for who makes the secret; no ingress runs from then on.
start ingress ingress
await_ready ingress
stop ingress
start worker worker
for i in 1 2 3 4 5; do
    client POST "/echo?n=$i" "from Python $i"
    matches "status of answer $i" '^HTTP/1.1 201 ' "$(head -n 1 "$dir/said")"
    is "body of answer $i" "POST $ticket from Python $i" "$(tail -n 1 "$dir/said")"
done
client GET /echo
is "an answer to GET" "GET $ticket " "$(tail -n 1 "$dir/said")"

start ingress ingress
await_ready ingress
http "/-/tickets/$ticket"
is "the ticket at an ingress" "200 done" "$status $(json .state)"
answer "$ticket"
is "its response there" "201 GET $ticket " "$status $(cat "$body")"
is "none waits" 0 "$(stat_of echo queued)"
stop worker
stop ingress
