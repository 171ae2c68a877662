#!/usr/bin/env bash
# At each cap a client gets a clear status at once, and below it all goes on:
# depth of a queue, held connections, bodies, heads, answers.
. "$(dirname "$0")/lib.sh"

handler slow <<'CGI'
#!/bin/sh
until [ -e "$MARKS/go" ]; do sleep 0.05; done
printf 'Content-Type: text/plain\n\nran'
CGI
handler large <<'CGI'
#!/bin/sh
printf 'Content-Type: text/plain\n\n'
head -c "$QUERY_STRING" /dev/zero
CGI
configure "max_body: 1000B" "max_waiting: 5" "max_header: 4KiB" <<EOF2
routes:
  - {path: /slow, queue: slow, wait: 30s}
  - {path: /deep, queue: deep, wait: 0s}
  - {path: /large, queue: large, wait: 30s}
queues:
  - name: slow
    handler: {cgi: {command: ./cgi/slow, environment: {MARKS: $marks}}}
    concurrency: 20
  - name: deep
    handler: {cgi: {command: ./cgi/slow, environment: {MARKS: $marks}}}
    max_depth: 10
    workers: 0
  - name: large
    handler: {cgi: {command: ./cgi/large}}
    max_response: 4KiB
EOF2
up

# The depth of a queue.
for i in $(seq 10); do
    http "/deep?$i" -d x
    is "request $i of a queue of 10" 202 "$status"
done
http /deep -d x
problem 503 'queue-full'
matches "Retry-After" '^[0-9]+$' "$(field Retry-After)"
run submit --data "$config" /deep
is "exit code of submit to a full queue" 75 "$code"
http /large?10
is "other queues go on" 200 "$status"
is "what is in the queue" 10 "$(stat_of deep queued)"

# Held connections: above the cap a client gets its ticket at once.
python_start burst.py --port "$port" --clients 8 --requests 8 --method POST /slow \
    >"$dir/waiting"
burst=$!
await 20 stat_is slow accepted 8
tickets_at_once() { [ "$(grep -c '^202 ' "$dir/waiting")" = 3 ]; }
await 20 tickets_at_once
touch "$marks/go"
wait $burst
is "those who were held" 5 "$(grep -c '^200 ' "$dir/waiting")"

# Bodies: declared, in chunks, and asked for first.
head -c 1000 /dev/zero >"$dir/fits"
head -c 1001 /dev/zero >"$dir/too-large"
head -c 3000000 /dev/zero >"$dir/much-too-large"
http /slow --data-binary "@$dir/fits"
is "a body at the limit" 200 "$status"
before=$(stat_of slow accepted)
for file in too-large much-too-large; do
    http /slow --data-binary "@$dir/$file" -H 'Expect:'
    problem 413 'too-large'
    http /slow --data-binary "@$dir/$file" -H 'Expect:' \
        -H 'Transfer-Encoding: chunked'
    problem 413 'too-large'
done
# expects WHAT STATUS HEAD: the final status comes instead of a 100
expects() {
    printf "$3\r\nHost: h\r\nExpect: 100-continue\r\n\r\n" |
        python raw.py "$port" --until $'\r\n\r\n' --seconds 10 >"$dir/raw" || true
    is "$1" "HTTP/1.1 $2" "$(head -n 1 "$dir/raw" | cut -d ' ' -f 1,2)"
}
expects "100-continue, too large" 413 'POST /slow HTTP/1.1\r\nContent-Length: 1001'
expects "100-continue, no route" 404 'POST /none HTTP/1.1\r\nContent-Length: 10'
expects "100-continue, welcome" 100 'POST /slow HTTP/1.1\r\nContent-Length: 10'
http /slow -d x -H 'Expect: something-else'
problem 417 '.*'
is "accepted of all those" "$before" "$(stat_of slow accepted)"

# Heads.
http /slow -H "X-Long: $(printf 'a%.0s' {1..5000})"
problem 431 '.*'
http "/slow?$(printf 'a%.0s' {1..5000})"
among "a long target" "414 431" "$status"

# Answers.
http '/large?4000'
is "an answer below the cap" 4000 "$(stat -c %s "$body")"
http '/large?100000'
problem 502 'response-too-large'
ticket=$(json .ticket)
answer "$ticket"
is "the stored failure" 502 "$status"
is "an answer too large is no dead letter" 0 "$(stat_of large dead)"
