#!/usr/bin/env bash
# SIGTERM: an ingress turns those who wait into tickets; a worker ends what
# runs, takes nothing more; a worker without its parent ends as well.
. "$(dirname "$0")/lib.sh"

handler slow <<'CGI'
#!/bin/sh
echo "$CLOAKROOM_TICKET" >>"$MARKS/runs"
until [ -e "$MARKS/$QUERY_STRING" ]; do sleep 0.05; done
printf 'Content-Type: text/plain\n\n%s' "$QUERY_STRING"
CGI
configure <<EOF2
routes:
  - {path: /slow, queue: slow, wait: 30s}
queues:
  - name: slow
    handler: {cgi: {command: ./cgi/slow, environment: {MARKS: $marks}}}
    concurrency: 2
    lease: 3s
EOF2
touch "$marks/runs"
runs_are() { [ "$(wc -l <"$marks/runs")" = "$1" ]; }

start ingress ingress
start worker worker
await_ready ingress
python_start burst.py --port "$port" --clients 10 --requests 10 --show \
    '/slow?held' >"$dir/waited"
burst=$!
queued_are() { stat_is slow queued "$1" && stat_is slow running "$2"; }
await 20 queued_are 8 2

# The ingress.
stop ingress
is "exit code of the ingress" 0 "$code"
wait $burst
is "those who waited have a ticket" 10 "$(grep -c '^202 [0-9a-z]\{39\} ' "$dir/waited")"
is "different ones" 10 "$(awk '{print $2}' "$dir/waited" | sort -u | wc -l)"
holds_not "somebody listens still" is_ready

# The worker: two run, eight wait.
is "runs so far" 2 "$(wc -l <"$marks/runs")"
kill -TERM "${pids[worker]}"
stopping() { grep -q event=stopping "$dir/worker.log"; }
await 10 stopping
touch "$marks/held"
ended worker
is "exit code of the worker" 0 "$code"
is "runs after SIGTERM" 2 "$(wc -l <"$marks/runs")"
is "what is left for later" 8 "$(stat_of slow queued)"
is "what ended" 2 "$(stat_of slow done)"

# Everything is answered once they run again, each after one run.
start worker worker
while read -r _ ticket _; do
    run wait "$ticket" --timeout 20s
    is "wait for $ticket" 0 "$code"
    is "its answer" held "$(cat "$dir/out")"
done <"$dir/waited"
is "runs in all" 10 "$(wc -l <"$marks/runs")"
stop worker

# `up` that is killed does not leave a half of itself behind.
expect_crashes=yes
up
worker=$(child_named "${pids[up]}" worker)
ingress=$(child_named "${pids[up]}" ingress)
matches "a worker of up" '^[0-9]+$' "$worker"
matches "an ingress of up" '^[0-9]+$' "$ingress"
: >"$marks/runs"
hand_in '/slow?orphan'
await 20 runs_are 1
touch "$marks/orphan"
kill -KILL "${pids[up]}"
ended up
await 20 gone "$ingress"
await 20 gone "$worker"
await 10 no_handlers
up
answer "$ticket"
is "a request from before" orphan "$(cat "$body")"
stop up
is "exit code of up" 0 "$code"
