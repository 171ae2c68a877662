#!/usr/bin/env bash
# Another program that holds the database's lock, as an operator's sqlite3 may:
# requests wait for it or are told to come back, and then all goes on.
. "$(dirname "$0")/lib.sh"

configure <<EOF2
routes:
  - {path: /r, queue: r, wait: 10s}
queues:
  - {name: r, handler: {respond: {status: 200, body: ran}}}
EOF2
up
http /r
is "before" 200 "$status"

# Holds the lock until it is told to let go.
python3 - "$dir/data/cloakroom.db" "$marks" <<'PYTHON' &
import os, sqlite3, sys, time
store = sqlite3.connect(sys.argv[1], isolation_level=None)
store.execute("BEGIN IMMEDIATE")
open(sys.argv[2] + "/held", "w").close()
until = time.monotonic() + 30
while not os.path.exists(sys.argv[2] + "/let-go") and time.monotonic() < until:
    time.sleep(0.05)
store.execute("ROLLBACK")
PYTHON
stranger=$!
await 20 test -e "$marks/held"
for i in $(seq 5); do
    curl -s -m 20 -o /dev/null -w '%{http_code}\n' -d x \
        "http://127.0.0.1:$port/r" >>"$dir/statuses" &
    clients+=($!)
done
http "/-/tickets/x"
is "what needs no lock" 404 "$status"
# The clients hang at the lock now, or were told to come back.
curl -s -m 4 -o /dev/null -d x "http://127.0.0.1:$port/r" || true
touch "$marks/let-go"
wait $stranger "${clients[@]}"
is "answers that are neither" "" "$(grep -vE '^(200|202|503)$' "$dir/statuses" || true)"
served() { http /r -d x && [ "$status" = 200 ]; }
await 20 served
stop up
is "exit code" 0 "$code"
