#!/usr/bin/env bash
# Requests whose length or lines can be read in two ways are refused, the
# connection is closed, and nothing of them reaches a queue.
. "$(dirname "$0")/lib.sh"

configure <<EOF2
routes:
  - {path: /r, queue: r, wait: 30s}
  - {path: /smuggled, queue: smuggled, wait: 30s}
queues:
  - {name: r, handler: {respond: {status: 200, body: ran}}}
  - {name: smuggled, handler: {respond: {status: 200, body: smuggled}}}
EOF2
start up up --verbose # which logs each refusal
await_ready up

python framing.py "$port" >"$dir/framing" ||
    fail "not refused:"$'\n'"$(cat "$dir/framing")"

# What was harmless may have run; of what was refused nothing did.
among "requests that ran" "0 1 2 3 4 5 6 7" "$(stat_of r accepted)"
among "requests smuggled behind harmless ones" "0 1 2 3 4 5 6 7" \
    "$(stat_of smuggled accepted)"

# A refusal is a problem with a code, and one line in the log.
printf 'POST /r HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n' |
    python raw.py "$port" >"$dir/refusal"
holds "the refusal is a problem" grep -q application/problem+json "$dir/refusal"
holds "it closes the connection" grep -qi '^connection: close' "$dir/refusal"
holds "it is in the log" grep -q event=refused "$dir/up.log"

http /r
is "afterwards all is well" 200 "$status"
