#!/usr/bin/env bash
# 32 pauses and resumes under load with three brokers, while workers of two
# releases join, leave, are killed and stopped, ingresses are killed, and brokers
# are restarted: when the queue is drained nothing runs.
. "$(dirname "$0")/lib.sh"
lease=1 pauses=32
seed=${SEED:-$RANDOM}

handler work <<'CGI'
#!/bin/bash
echo "start $EPOCHREALTIME $CLOAKROOM_EPOCH $CLOAKROOM_RELEASE $CLOAKROOM_TICKET $CLOAKROOM_ATTEMPT $$" >>"$MARKS/runs"
echo "$REQUEST_METHOD ${HTTP_IDEMPOTENCY_KEY:--} $CLOAKROOM_TICKET $CLOAKROOM_ATTEMPT $$" >>"$MARKS/tries"
case $QUERY_STRING in *[05]) sleep 0.3 ;; esac
printf 'Content-Type: text/plain\n\n%s %s' "$CLOAKROOM_TICKET" "$$"
echo "end $EPOCHREALTIME $CLOAKROOM_EPOCH $CLOAKROOM_RELEASE $CLOAKROOM_TICKET $CLOAKROOM_ATTEMPT $$" >>"$MARKS/runs"
CGI
touch "$marks/tries"
brokers_up
settings chaos
sed -i "s/^    attempts: .*/    attempts: 100\n    release: v1/" "$config"
echo "seed $seed"
python_start pause_chaos.py "$CLOAKROOM" "$config" "$marks" "$pauses" "$seed"
chaos=$!
pids[chaos]=$chaos
await 30 is_ready
python_start crash_client.py "$port" 8 "$marks/stop" "$marks/seen"
client=$!
while alive $client; do
    for i in 1 2 3; do
        kafka down --node $i 2>>"$dir/kafka.err"
        broker_again $i
        alive $client || break
    done
done
holds "the clients got all their answers" wait "$client"
await 60 nothing_left
python crash_audit.py "$port" "$marks/seen" "$marks/tries" 100 kafka >"$dir/audit" ||
    fail "promises are broken: $(head -n 20 "$dir/audit")"
tail -n 1 "$dir/audit"
touch "$marks/clients-done"
ended chaos 60
is "what the pauser saw" 0 "$code"
