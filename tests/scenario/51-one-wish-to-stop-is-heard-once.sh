#!/usr/bin/env bash
# A wish to stop that arrives twice is one: systemd signals all processes of a
# service, `timeout` its child and then the group, and `up` passes it on. Only a
# second one a second later kills.
. "$(dirname "$0")/lib.sh"

handler slow <<'CGI'
#!/bin/sh
echo "$CLOAKROOM_ATTEMPT" >>"$MARKS/$QUERY_STRING-runs"
until [ -e "$MARKS/$QUERY_STRING" ]; do sleep 0.05; done
printf 'Content-Type: text/plain\n\n%s' "$QUERY_STRING"
CGI
configure <<EOF2
routes:
  - {path: /slow, queue: slow, wait: 30s}
queues:
  - name: slow
    handler: {cgi: {command: ./cgi/slow, environment: {MARKS: $marks}}}
EOF2
submit() { # submit MARK: what may not be repeated; sets $ticket
    run submit -X POST "/slow?$1"
    ticket=$(cat "$dir/out")
    await 20 test -e "$marks/$1-runs"
}
says_stopping() { grep -q "event=stopping process=$2 " "$dir/$1.log"; }

# All processes of a service, and `up` once more.
up
submit service
ingress=$(child_named "${pids[up]}" ingress)
worker=$(child_named "${pids[up]}" worker)
spawner=$(children "$worker")
kill -TERM "${pids[up]}" "$ingress" "$worker" $spawner
await 20 says_stopping up up
await 20 says_stopping up worker
kill -TERM "${pids[up]}"
await 20 gone "$ingress"
sleep 1 # what `up` passes on comes late
kill -TERM "$worker"
touch "$marks/service"
ended up
is "exit code of up" 0 "$code"
run wait "$ticket" --timeout 0s
is "what ran was let end" "0 service" "$code $(cat "$dir/out")"

# A worker by hand: the echo is none, the later one is.
expect_crashes=yes
start worker worker
submit hand
kill -TERM "${pids[worker]}"
await 20 says_stopping worker worker
kill -INT "${pids[worker]}"
holds "it heard one wish" alive "${pids[worker]}"
sleep 1
kill -INT "${pids[worker]}"
ended worker
is "exit code of the worker" 0 "$code"
await 10 no_handlers
run wait "$ticket" --timeout 0s
is "what ran was killed" 22 "$code"
matches "and why" 'told twice to stop' "$(cat "$dir/out")"
