#!/usr/bin/env bash
# A stored request whose bytes were changed on the disk is not run: it ends with
# a stored failure that says so, and the others go on.
. "$(dirname "$0")/lib.sh"
expect_crashes=yes # the log may tell of the damage

handler echo <<'CGI'
#!/bin/sh
cat >>"$MARKS/ran"
printf 'Content-Type: text/plain\n\nran'
CGI
configure <<EOF2
routes:
  - {path: /echo, queue: echo, wait: 0s}
queues:
  - name: echo
    handler: {cgi: {command: ./cgi/echo, environment: {MARKS: $marks}}}
    concurrency: 1
EOF2
touch "$marks/ran"
start ingress ingress
await_ready ingress
hand_in /echo -d 'the sound one, first;'
first=$ticket
hand_in /echo -d 'the bytes TO-BE-FLIPPED here;'
flipped=$ticket
hand_in /echo -d 'the sound one, last;'
last=$ticket
stop ingress

python3 - "$dir/data/cloakroom.db" <<'PYTHON'
import sqlite3, sys
store = sqlite3.connect(sys.argv[1])
store.execute("PRAGMA wal_checkpoint(TRUNCATE)")
store.close()
with open(sys.argv[1], "r+b") as file:
    bytes_ = file.read()
    assert bytes_.count(b"TO-BE-FLIPPED") == 1
    file.seek(bytes_.index(b"TO-BE-FLIPPED"))
    file.write(b"TO-BE-FLOPPED")
PYTHON

start ingress ingress
start worker worker
await_ready ingress
for ticket in $first $last; do
    answer "$ticket"
    is "a sound request" ran "$(cat "$body")"
done
await_state "$flipped" failed
answer "$flipped"
among "the damaged one" "500 502" "$status"
http "/-/tickets/$flipped"
matches "its reason" 'damaged' "$(json .reason)"
holds_not "it ran" grep -q FLOPPED "$marks/ran"
is "what ran" 'the sound one, first;the sound one, last;' "$(cat "$marks/ran")"
stop worker
is "exit code of the worker" 0 "$code"
stop ingress
