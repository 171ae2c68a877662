#!/usr/bin/env bash
# An ingress whose view is lost or damaged makes it again from the log: until
# that is done /readyz says so, and no ticket is ever denied meanwhile.
. "$(dirname "$0")/lib.sh"

configure <<EOF2
routes:
  - {path: /echo, queue: echo, wait: 0s}
queues:
  - name: echo
    handler: {respond: {status: 200, body: here}}
    concurrency: 50
EOF2
view=$dir/view-cloakroom
start ingress ingress
await_ready ingress
start worker worker
python burst.py --port "$port" --clients 16 --requests 2000 --method POST \
    --data x /echo >"$dir/tickets"
is "tickets" 2000 "$(grep -c '^202 ' "$dir/tickets")"
all_done() { stat_is echo done 2000; }
await 60 all_done
awk 'NR % 50 == 1 {print $2}' "$dir/tickets" >"$dir/some"
is "some of them" 40 "$(wc -l <"$dir/some")"

# ask_while_it_starts: what the ingress says from its first answer on, once it
# was started: each line is a status of /readyz and one of an old ticket's
ask_while_it_starts() {
    local ready ticket
    : >"$dir/asked"
    start ingress ingress
    for ((;;)); do
        gone "${pids[ingress]}" && die "the ingress ended"
        ready=$(curl -s -m 20 -o "$dir/ready" -w '%{http_code}' \
            "http://127.0.0.1:$admin/readyz") || continue
        ticket=$(shuf -n 1 "$dir/some")
        http "/-/tickets/$ticket/response"
        echo "$ready $status" >>"$dir/asked"
        [ "$ready" = 503 ] || break
        cat "$dir/ready" >>"$dir/unready"
    done
}
all_answer() {
    while read -r ticket; do
        http "/-/tickets/$ticket/response"
        is "$1: an answer" "200 here" "$status $(cat "$body")"
    done <"$dir/some"
    is "$1: how many are done" 2000 "$(stat_of echo done)"
}

for how in lost damaged; do
    stop ingress
    case $how in
    lost) rm -r "$view" ;;
    damaged)
        for file in "$view"/*; do
            printf 'none of ours, %s' "$(head -c 8192 /dev/zero | tr '\0' x)" >"$file"
        done
        ;;
    esac
    : >"$dir/unready"
    ask_while_it_starts
    is "$how: tickets that were denied" "" "$(grep -vE ' (200|202|503)$' "$dir/asked" || true)"
    if [ -s "$dir/unready" ]; then
        matches "$how: why it is not ready" 'view' "$(cat "$dir/unready")"
    fi
    all_answer $how
done
stop worker
stop ingress
is "exit code of the ingress" 0 "$code"
