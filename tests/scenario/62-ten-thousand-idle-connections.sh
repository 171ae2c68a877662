#!/usr/bin/env bash
# 10,000 idle connections with a small soft descriptor limit: the soft limit is
# raised to the hard one at start, and new clients are answered.
. "$(dirname "$0")/lib.sh"

configure "max_connections: 15000" "header_timeout: 2m" <<EOF2
routes:
  - {path: /r, queue: r, wait: 30s}
queues:
  - {name: r, handler: {respond: {status: 200, body: ran}}}
EOF2
hard=$(ulimit -Hn)
[ "$hard" = unlimited ] || [ "$hard" -ge 10500 ] ||
    die "this scenario needs a hard limit of 10500 descriptors; it is $hard"
ulimit -Sn 256
up
python_start idle.py "$port" 10000 "$marks/there" "$marks/enough"
idle=$!
there() { [ -e "$marks/there" ] || gone $idle; }
await 60 there
holds "10,000 connections are open" test -e "$marks/there"
ingress=$(child_named "${pids[up]}" ingress)
# A connection is open to its client before the ingress has accepted it.
all_accepted() { [ "$(find "/proc/$ingress/fd" -mindepth 1 | wc -l)" -ge 10000 ]; }
await 20 all_accepted
for i in 1 2 3; do
    began=${EPOCHREALTIME/./}
    http "/r?$i" -d x
    is "a new client" 200 "$status"
    [ $((${EPOCHREALTIME/./} - began)) -lt 3000000 ] ||
        fail "a new client waited $((${EPOCHREALTIME/./} - began)) us"
done
touch "$marks/enough"
holds "each of some idle ones is answered when it speaks" wait $idle
closed() { [ "$(find "/proc/$ingress/fd" -mindepth 1 | wc -l)" -lt 100 ]; }
await 40 closed

# More than are let in: the rest is turned away, the others are served.
stop up
sed -i 's/max_connections: .*/max_connections: 50/' "$config"
up
rm -f "$marks/there" "$marks/enough"
python_start idle.py "$port" 45 "$marks/there" "$marks/enough"
idle=$!
await 20 there
python burst.py --port "$port" --clients 40 --requests 40 --timeout 5 /r >"$dir/burst"
touch "$marks/enough"
holds "those inside are served" wait $idle
served() { http /r && [ "$status" = 200 ]; }
await 20 served
