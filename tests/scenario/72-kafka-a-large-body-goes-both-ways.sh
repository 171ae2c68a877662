#!/usr/bin/env bash
# Bodies too large for one record travel in pieces, up to max_body: 64 MiB go to
# the handler and come back byte for byte, also as a second reading, and from
# an ingress that was started since.
. "$(dirname "$0")/lib.sh"

handler parrot <<'CGI'
#!/bin/sh
printf 'Content-Type: application/octet-stream\n\n'
exec cat
CGI
configure "max_body: 64MiB" "max_buffered: 256MiB" <<EOF2
routes:
  - {path: /parrot, queue: parrot, wait: 30s}
queues:
  - name: parrot
    handler: {cgi: {command: ./cgi/parrot}}
    max_response: 65MiB
    timeout: 60s
    concurrency: 2
EOF2
start ingress ingress
await_ready ingress
start worker worker

for size in 900000 1100000 10000000 67108864; do
    head -c $size /dev/urandom >"$dir/sent"
    http /parrot --data-binary "@$dir/sent" -H 'Expect:' \
        -H 'Content-Type: application/octet-stream' -H 'Prefer: wait=60'
    if [ "$status" = 202 ]; then # it took its time
        answer "$(json .ticket)"
    fi
    is "status for $size bytes" 200 "$status"
    holds "$size bytes come back as they went" cmp "$dir/sent" "$body"
done
hand_in /parrot --data-binary "@$dir/sent" -H 'Expect:'
large=$ticket
await_state "$large" done 60
stop ingress
start ingress ingress
await_ready ingress
for i in 1 2; do
    answer "$large"
    is "status of reading $i" 200 "$status"
    holds "reading $i is what was sent" cmp "$dir/sent" "$body"
done

head -c 67108865 /dev/zero >"$dir/sent"
http /parrot --data-binary "@$dir/sent" -H 'Expect:'
problem 413 too-large
stop worker
stop ingress
