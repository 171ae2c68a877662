#!/usr/bin/env bash
# The README's first screen: the hit counter loses no hit, waited for or not,
# and what is handed in while no worker runs is answered when one does.
. "$(dirname "$0")/lib.sh"

cp -r "$source_root/examples/hits/." "$dir/"
rm -rf "$dir/cloakroom-data" "$dir"/hits.count* # of a run by hand
sed -i -E "s/^( *listen:).*/\1 127.0.0.1:$port/; s/^( *admin:).*/\1 127.0.0.1:$admin/" \
    "$config"
holds "the example sets the public port" grep -q ":$port" "$config"
holds "the example sets the admin port" grep -q ":$admin" "$config"
take_to_backend

start ingress ingress
start worker worker --queue hits
await_ready ingress

# 50 at once, half of them for a ticket.
python burst.py --port "$port" --clients 25 --requests 25 --method POST /hits \
    >"$dir/waited"
python burst.py --port "$port" --clients 25 --requests 25 --method POST \
    --field 'Prefer: respond-async' /hits >"$dir/tickets"
is "answers to those who waited" 25 "$(grep -c '^200 ' "$dir/waited")"
is "tickets of those who did not" 25 "$(grep -c '^202 ' "$dir/tickets")"

stop worker
is "exit code of the worker" 0 "$code"
python burst.py --port "$port" --clients 10 --requests 10 --method POST \
    --field 'Prefer: respond-async' /hits >>"$dir/tickets"
is "tickets while no worker runs" 35 "$(grep -c '^202 ' "$dir/tickets")"

start worker worker --queue hits
while read -r _ ticket _; do
    run wait "$ticket" --timeout 30s
    is "exit code of wait" 0 "$code"
    cat "$dir/out" >>"$dir/answers"
done <"$dir/tickets"

# Each hit sees a number of its own; the next one must be the 61st.
http /hits -X POST
is "status of the 61st hit" 200 "$status"
holds "the counter says 61 after 60 hits" grep -qw 61 "$body"
is "different answers to the tickets" 35 "$(sort -u "$dir/answers" | grep -c .)"
stop worker
stop ingress
is "exit code of the ingress" 0 "$code"
