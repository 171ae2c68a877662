#!/usr/bin/env bash
# 1, 2 and 4 workers of one slot each on a handler that sleeps: as many run at a
# time as there are slots, and nothing runs twice. (How much faster a backlog is
# worked off is a row of bench/.)
. "$(dirname "$0")/lib.sh"

handler nap <<'CGI'
#!/bin/bash
echo "start $EPOCHREALTIME $CLOAKROOM_TICKET" >>"$MARKS/runs"
sleep 0.02
printf 'Content-Type: text/plain\n\nslept'
echo "end $EPOCHREALTIME" >>"$MARKS/runs"
CGI
configure <<EOF2
routes:
  - {path: /nap, queue: nap, wait: 0s}
queues:
  - name: nap
    handler: {cgi: {command: ./cgi/nap, environment: {MARKS: $marks}}}
    concurrency: 1
EOF2
start ingress ingress
await_ready ingress
requests=160
workers_are() { [ "$("$CLOAKROOM" status -c "$config" --json | jq '.workers | length')" = "$1" ]; }
at_once() { # how many ran at a time, at most
    sort -k2,2n "$marks/runs" | awk '{now += $1 == "start" ? 1 : -1}
        now > most {most = now} END {print most}'
}
total=0
started=0
for workers in 1 2 4; do
    run pause nap --wait --timeout 20s
    is "pause" 0 "$code"
    while [ $started -lt $workers ]; do
        started=$((started + 1))
        start "worker-$started" worker
    done
    await 30 workers_are $workers
    python burst.py --port "$port" --clients 8 --requests $requests --method POST \
        --data x /nap >"$dir/tickets"
    is "tickets" $requests "$(grep -c '^202 ' "$dir/tickets")"
    total=$((total + requests))
    : >"$marks/runs"
    run resume nap
    all_done() { stat_is nap done $total; }
    await 60 all_done
    is "$workers workers: runs" $requests "$(grep -c '^start' "$marks/runs")"
    is "$workers workers: runs of different tickets" $requests \
        "$(awk '$1 == "start" {print $3}' "$marks/runs" | sort -u | wc -l)"
    is "$workers workers: at a time" $workers "$(at_once)"
done
for ((i = 1; i <= started; i++)); do stop "worker-$i"; done
stop ingress
