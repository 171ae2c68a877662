#!/usr/bin/env bash
# A worker that is killed counts as alive as long as its spawner has handlers to
# kill: its attempts are not given to another before they are dead. Only its
# lease bounds that.
. "$(dirname "$0")/lib.sh"
expect_crashes=yes

# Says so where two runs of a ticket meet.
handler slow <<'CGI'
#!/bin/sh
exec 9>"$MARKS/lock-$CLOAKROOM_TICKET"
flock -n 9 || echo "$CLOAKROOM_TICKET" >>"$MARKS/overlaps"
echo "$CLOAKROOM_ATTEMPT $$" >>"$MARKS/$QUERY_STRING-runs"
until [ -e "$MARKS/$QUERY_STRING" ]; do sleep 0.05; done
printf 'Content-Type: text/plain\n\nattempt %s' "$CLOAKROOM_ATTEMPT"
CGI
configure <<EOF2
routes:
  - {path: /slow, queue: slow, wait: 30s}
  - {path: /brief, queue: brief, wait: 30s}
queues:
  - name: slow
    handler: {cgi: {command: ./cgi/slow, environment: {MARKS: $marks}}}
    lease: 10m
    timeout: 10m
    backoff: {first: 1ms, max: 1ms}
  - name: brief
    handler: {cgi: {command: ./cgi/slow, environment: {MARKS: $marks}}}
    lease: 3s
    timeout: 10m
EOF2
touch "$marks/overlaps"
has_run() { [ "$(wc -l <"$marks/$1-runs")" = "$2" ]; }
sessions_are() { # sessions_are QUEUE COUNT: as status tells
    [ "$("$CLOAKROOM" status -c "$config" --json |
        jq --arg queue "$1" '[.workers[] | select(.queue == $queue)] | length')" = "$2" ]
}
kill_worker() { # kill_worker NAME: its spawner stands still; sets $spawner
    spawner=$(children "${pids[$1]}" | xargs)
    kill -STOP "$spawner"
    kill -KILL "${pids[$1]}"
    ended "$1"
}

start ingress ingress
await_ready ingress
start first worker --queue slow
touch "$marks/kept-runs" "$marks/lost-runs"
hand_in '/slow?kept'
await 20 has_run kept 1
handler=$(awk '{print $2}' "$marks/kept-runs")
start other worker --queue slow
await 20 sessions_are slow 2
kill_worker first

# Sessions were looked at since then: one whose spawner is gone too has ended.
start canary worker --queue brief
await 20 sessions_are brief 1
kill -KILL "${pids[canary]}"
ended canary
await 20 sessions_are brief 0
holds "the session of the killed worker" sessions_are slow 2
holds "its handler lives" alive "$handler"
holds "it ran once" has_run kept 1
is "state" running "$(state "$ticket")"

# Also for who comes when all processes but a spawner are gone.
kill -KILL "${pids[ingress]}" "${pids[other]}"
ended ingress
ended other
start ingress ingress
await_ready ingress
start other worker --queue slow
await 20 sessions_are slow 2
start canary worker --queue brief
await 20 sessions_are brief 1
kill -KILL "${pids[canary]}"
ended canary
await 20 sessions_are brief 0
holds "its session, after all were killed" sessions_are slow 2
holds "it ran once still" has_run kept 1

kill -CONT "$spawner"
await 20 has_run kept 2
holds "the first handler is gone" gone "$handler"
await 20 gone "$spawner"
is "attempt of the second run" 2 "$(awk 'NR == 2 {print $1}' "$marks/kept-runs")"
touch "$marks/kept"
answer "$ticket"
is "the answer" "attempt 2" "$(cat "$body")"
holds "the sessions at the end" sessions_are slow 1

# A spawner that never goes on does not keep a session longer than its lease.
start brief worker --queue brief
hand_in '/brief?lost' -X POST
await 20 has_run lost 1
kill_worker brief
await 20 sessions_are brief 0
answer "$ticket"
is "status of what it ran" 502 "$status"
matches "and why" 'silent for longer than its lease' "$(json .detail)"
kill -CONT "$spawner"
await 10 gone "$spawner"
await 10 no_handlers
is "runs of a ticket at the same time" "" "$(cat "$marks/overlaps")"
for name in other ingress; do
    stop $name
    is "exit code of $name" 0 "$code"
done
