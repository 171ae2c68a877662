#!/usr/bin/env bash
# 25 pauses and resumes, for two releases, under load (LONG=1: 200), while
# workers are killed, ended and stopped past their lease, ingresses are killed,
# and so are the commands themselves: no handler lives or starts while the queue
# is drained, no two releases run at once, and every request has one answer.
. "$(dirname "$0")/lib.sh"
expect_crashes=yes
pauses=25
[ -z "${LONG:-}" ] || pauses=200
attempts=100
seed=${SEED:-$RANDOM}

handler work <<'CGI'
#!/bin/bash
echo "start $EPOCHREALTIME $CLOAKROOM_EPOCH $CLOAKROOM_RELEASE $CLOAKROOM_TICKET $CLOAKROOM_ATTEMPT $$" >>"$MARKS/runs"
echo "$REQUEST_METHOD ${HTTP_IDEMPOTENCY_KEY:--} $CLOAKROOM_TICKET $CLOAKROOM_ATTEMPT $$" >>"$MARKS/tries"
case $QUERY_STRING in *[05]) sleep 0.3 ;; esac
printf 'Content-Type: text/plain\n\n%s %s' "$CLOAKROOM_TICKET" "$$"
echo "end $EPOCHREALTIME $CLOAKROOM_EPOCH $CLOAKROOM_RELEASE $CLOAKROOM_TICKET $CLOAKROOM_ATTEMPT $$" >>"$MARKS/runs"
CGI
touch "$marks/runs" "$marks/tries" "$marks/seen"
configure <<EOF2
routes:
  - {path: /work, queue: work, wait: 30s}
queues:
  - name: work
    handler: {cgi: {command: ./cgi/work, environment: {MARKS: $marks}}}
    concurrency: 4
    release: v1
    attempts: $attempts
    backoff: {first: 20ms, max: 100ms}
    lease: 1s
    timeout: 20s
EOF2
echo "seed $seed"
python_start pause_chaos.py "$CLOAKROOM" "$config" "$marks" "$pauses" "$seed"
chaos=$!
pids[chaos]=$chaos
await 30 is_ready
python_start crash_client.py "$port" 8 "$marks/stop" "$marks/seen"
client=$!
await 300 gone "$client"
holds "the clients got all their answers" wait "$client"
nothing_left() { stat_is work queued 0 && stat_is work delayed 0 && stat_is work running 0; }
await 60 nothing_left
python crash_audit.py "$port" "$marks/seen" "$marks/tries" $attempts "$backend" >"$dir/audit" ||
    fail "promises are broken: $(head -n 20 "$dir/audit")"
tail -n 1 "$dir/audit"
touch "$marks/clients-done"
ended chaos 60
is "what the pauser saw" 0 "$code"
