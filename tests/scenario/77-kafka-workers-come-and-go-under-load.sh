#!/usr/bin/env bash
# Workers join and leave while requests come in: each request, also one that must
# not be repeated, runs once, is answered by that run, and none is lost.
. "$(dirname "$0")/lib.sh"

handler work <<'CGI'
#!/bin/sh
echo "$CLOAKROOM_TICKET" >>"$MARKS/runs"
sleep 0.05
printf 'Content-Type: text/plain\n\n%s' "$CLOAKROOM_TICKET"
CGI
configure <<EOF2
routes:
  - {path: /work, queue: work, wait: 30s, max_wait: 60s}
queues:
  - name: work
    handler: {cgi: {command: ./cgi/work, environment: {MARKS: $marks}}}
    concurrency: 3
    redeliver: never
EOF2
touch "$marks/runs"
start ingress ingress
await_ready ingress
start stays worker
python_start burst.py --port "$port" --clients 12 --requests 700 --method POST \
    --data x --field 'Prefer: wait=60' --timeout 100 --show /work >"$dir/answers"
burst=$!
ran() { wc -l <"$marks/runs"; }
more_ran() { [ "$(ran)" -ge "$1" ] || gone $burst; }
turns=0
while alive $burst; do
    turns=$((turns + 1))
    start one worker
    await 60 more_ran $(($(ran) + 30))
    start two worker
    await 60 more_ran $(($(ran) + 30))
    stop one
    is "exit code of one, turn $turns" 0 "$code"
    await 60 more_ran $(($(ran) + 30))
    stop two
    is "exit code of two, turn $turns" 0 "$code"
done
wait $burst
holds "workers came and went often enough: $turns times" test $turns -ge 3
is "answers" 700 "$(grep -c '^200 ' "$dir/answers")"
is "different ones" 700 "$(awk '{print $3}' "$dir/answers" | sort -u | wc -l)"
is "runs" 700 "$(wc -l <"$marks/runs")"
is "runs of different tickets" 700 "$(sort -u "$marks/runs" | wc -l)"
is "failed" 0 "$(stat_of work failed)"
stop stays
stop ingress
