#!/usr/bin/env bash
# What others write into our topics is set aside and blocks nothing: neither the
# requests behind it nor the watermark.
. "$(dirname "$0")/lib.sh"
expect_crashes=yes # a damaged record is told of as such

handler count <<'CGI'
#!/bin/sh
echo "$CLOAKROOM_TICKET" >>"$MARKS/runs"
printf 'Content-Type: text/plain\n\nran'
CGI
configure <<EOF2
routes:
  - {path: /count, queue: count, wait: 30s}
queues:
  - name: count
    handler: {cgi: {command: ./cgi/count, environment: {MARKS: $marks}}}
EOF2
touch "$marks/runs"
# foreign TOPIC PARTITION KCAT-ARGUMENT...: one record from the standard input
foreign() { kcat -q -P -b "$servers" -t "$prefix.$1" -p "$2" "${@:3}"; }
dead() { # how many records were set aside, in all partitions
    kcat -q -C -b "$servers" -t "$prefix.dead.count" -o beginning -e -f '%h\n' 2>/dev/null |
        grep -c 'cloakroom=damaged/1' || true
}
dead_are() { [ "$(dead)" = "$1" ]; }

start ingress ingress
await_ready ingress
http /count -H 'Prefer: respond-async'
valid=$(field Location)
valid=${valid##*/}
for partition in 0 1 2 3; do
    echo "no header at all" | foreign requests.count $partition
    echo "of a format to come" | foreign requests.count $partition -H cloakroom=request/9
    head -c 3000 /dev/urandom | tr -d '\n' |
        foreign requests.count $partition -H cloakroom=request/1 -k "$valid"
    echo "of no ticket" | foreign requests.count $partition -H cloakroom=request/1 -k nonsense
    echo nonsense | foreign tickets $partition
    echo nonsense | foreign tickets $partition -H cloakroom=response/1 -k "$valid"
    echo nonsense | foreign tickets $partition -H cloakroom=started/7 -k "$valid"
done
echo '{"v":1' | foreign control 0
echo nonsense | foreign workers 0

start worker worker
answer "$valid"
is "the one before them" "200 ran" "$status $(cat "$body")"
python burst.py --port "$port" --clients 8 --requests 40 --method POST --data x \
    --show /count >"$dir/answers"
is "those behind them" 40 "$(grep -c '^200 .* ran$' "$dir/answers")"
is "runs" 41 "$(wc -l <"$marks/runs")"
# In the ticket's own partition its copy is one, and no more than that.
await 20 dead_are 15

# They are behind the watermark: the next worker does not meet them again.
stop worker
is "exit code of the worker" 0 "$code"
stop ingress
is "exit code of the ingress" 0 "$code"
start ingress ingress
await_ready ingress
start worker worker
python burst.py --port "$port" --clients 8 --requests 20 --method POST --data x \
    --show /count >"$dir/answers"
is "after a restart" 20 "$(grep -c '^200 .* ran$' "$dir/answers")"
is "what is set aside" 15 "$(dead)"
is "all runs" 61 "$(sort -u "$marks/runs" | wc -l)"
is "none of them twice" 61 "$(wc -l <"$marks/runs")"
run pause count --wait --timeout 20s
is "a pause" 0 "$code"
stop worker
stop ingress
