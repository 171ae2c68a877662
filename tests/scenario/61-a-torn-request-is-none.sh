#!/usr/bin/env bash
# Uploads that break off enqueue nothing; slow ones are cut off at a deadline;
# clients that go away while they wait are forgotten, their requests are not.
. "$(dirname "$0")/lib.sh"

handler slow <<'CGI'
#!/bin/sh
until [ -e "$MARKS/go" ]; do sleep 0.05; done
printf 'Content-Type: text/plain\n\nran'
CGI
configure "header_timeout: 2s" "body_timeout: 3s" <<EOF2
routes:
  - {path: /r, queue: r, wait: 30s}
  - {path: /slow, queue: slow, wait: 60s}
queues:
  - {name: r, handler: {respond: {status: 200, body: ran}}}
  - name: slow
    handler: {cgi: {command: ./cgi/slow, environment: {MARKS: $marks}}}
    concurrency: 50
EOF2
up
ingress=$(child_named "${pids[up]}" ingress)
descriptors() { find "/proc/$ingress/fd" -mindepth 1 | wc -l; }
descriptors_at_most() { [ "$(descriptors)" -le "$1" ]; }
calm=$(descriptors)

# Torn at every place: the client is gone, or sends nothing more.
python torn.py "$port" >"$dir/torn" || fail "torn uploads: $(cat "$dir/torn")"
is "requests accepted of the torn" 0 "$(stat_of r accepted)"

# Too slow: dribbled heads and bodies end at the deadline, silent ones as well.
python slow.py "$port" >"$dir/slow" || fail "slow clients: $(cat "$dir/slow")"
is "requests accepted of the slow" 0 "$(stat_of r accepted)"
http /r
is "a quick one meanwhile" 200 "$status"

# 40 clients wait and go away; their connections are gone long before the wait.
python vanish.py "$port" /slow 40
await 20 stat_is slow accepted 40
await 12 descriptors_at_most $((calm + 5))
touch "$marks/go"
await 30 stat_is slow done 40
