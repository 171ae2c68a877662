#!/usr/bin/env bash
# Numbered requests with keep-alive, while the ingress, the workers, their
# spawners and the handlers are killed in turn, 12 times (LONG=1: 100 times):
# every accepted request ends with one response that never changes.
. "$(dirname "$0")/lib.sh"
expect_crashes=yes
kills=12
[ -z "${LONG:-}" ] || kills=100
attempts=20

# One line per run; a second run at the same time finds the lock held.
handler work <<'CGI'
#!/bin/sh
exec 9>"$MARKS/locks/$CLOAKROOM_TICKET"
flock -n 9 || echo "$CLOAKROOM_TICKET" >>"$MARKS/overlaps"
run=$$-$CLOAKROOM_ATTEMPT
echo "$REQUEST_METHOD ${HTTP_IDEMPOTENCY_KEY:--} $CLOAKROOM_TICKET $CLOAKROOM_ATTEMPT $run" >>"$MARKS/runs"
case $QUERY_STRING in *[05]) sleep 0.3 ;; esac
printf 'Content-Type: text/plain\n\n%s %s' "$CLOAKROOM_TICKET" "$run"
CGI
mkdir "$marks/locks"
touch "$marks/runs" "$marks/overlaps" "$marks/seen"

configure <<EOF2
routes:
  - {path: /work, queue: work, wait: 30s}
queues:
  - name: work
    handler: {cgi: {command: ./cgi/work, environment: {MARKS: $marks}}}
    concurrency: 4
    workers: 2
    attempts: $attempts
    backoff: {first: 50ms, max: 200ms}
    lease: 2s
    timeout: 20s
EOF2
up
python_start crash_client.py "$port" 8 "$marks/stop" "$marks/seen"
client=$!

one_of() { shuf -n 1; }
ingresses() { child_named "${pids[up]}" ingress; }
workers() { child_named "${pids[up]}" worker; }
spawners() {
    local worker
    for worker in $(workers); do children "$worker" | xargs -r -n 1; done
}
handlers() {
    local spawner
    for spawner in $(spawners); do children "$spawner" | xargs -r -n 1; done
}
some() { [ -n "$("$1")" ]; }
# kill_one KIND: SIGKILL to one of them; a handler may be gone before it comes
kill_one() {
    local pid
    await 30 some "$1"
    pid=$("$1" | one_of)
    [ -n "$pid" ] && kill -KILL "$pid" 2>/dev/null
}
answered() { wc -l <"$marks/seen"; }
more_answered() {
    [ "$(answered)" -ge "$1" ] || gone "$client" || gone "${pids[up]}"
}

for i in $(seq $kills); do
    case $((i % 4)) in
    1) await 30 kill_one ingresses ;;
    2) await 30 kill_one workers ;;
    3) await 30 kill_one handlers ;;
    0) await 30 kill_one spawners ;;
    esac
    # Work goes on before the next blow.
    await 60 more_answered $(($(answered) + 20))
    alive "${pids[up]}" || die "up ended after kill $i"
done

touch "$marks/stop"
await 150 gone "$client"
holds "the clients got all their answers" wait "$client"
nothing_left() { stat_is work queued 0 && stat_is work delayed 0 && stat_is work running 0; }
await 60 nothing_left
python crash_audit.py "$port" "$marks/seen" "$marks/runs" $attempts "$backend" >"$dir/audit" ||
    fail "promises are broken: $(head -n 20 "$dir/audit")"
tail -n 1 "$dir/audit"
is "runs of a ticket at the same time" "" "$(cat "$marks/overlaps")"
await 10 no_handlers
stop up
is "exit code of up" 0 "$code"
