#!/usr/bin/env bash
# Where a queue's committed offset is gone nothing is guessed: everything refuses
# to start and says the command that mends it, and then nothing was lost.
. "$(dirname "$0")/lib.sh"

handler count <<'CGI'
#!/bin/sh
echo "$CLOAKROOM_TICKET" >>"$MARKS/runs"
printf 'Content-Type: text/plain\n\nran'
CGI
configure <<EOF2
routes:
  - {path: /count, queue: count, wait: 0s}
queues:
  - name: count
    handler: {cgi: {command: ./cgi/count, environment: {MARKS: $marks}}}
    lease: 1s
EOF2
touch "$marks/runs"
start ingress ingress
await_ready ingress
start worker worker
for i in $(seq 20); do hand_in /count -d x; done
all_done() { stat_is count done 20; }
await 30 all_done
stop worker
for i in $(seq 10); do hand_in /count -d x; done
is "queued" 10 "$(stat_of count queued)"
stop ingress

offset_is_gone() {
    "$drop_topics" "$servers" "$prefix" groups
    ! "$CLOAKROOM" topics check -c "$config" >"$dir/check" 2>&1
}
await 30 offset_is_gone
for what in ingress worker up status; do
    run $what
    is "exit code of $what" 78 "$code"
    matches "what $what says" \
        "group $prefix.count has no committed offset.*; run: cloakroom topics apply -c " \
        "$(cat "$dir/err")"
done
is "runs meanwhile" 20 "$(wc -l <"$marks/runs")"
mends=$(sed -n 's/.*run: cloakroom \(topics apply -c .*\)/\1/p' "$dir/err")
holds "the command is told" test -n "$mends"
# shellcheck disable=SC2086
"$CLOAKROOM" $mends >"$dir/out" 2>&1 || fail "$mends: $(cat "$dir/out")"
"$CLOAKROOM" topics check -c "$config" >"$dir/out" 2>&1 || fail "check: $(cat "$dir/out")"

start ingress ingress
await_ready ingress
start worker worker
none_waits() { stat_is count done 30; }
await 30 none_waits
is "runs" 30 "$(wc -l <"$marks/runs")"
is "none of them twice" 30 "$(sort -u "$marks/runs" | wc -l)"
stop worker
stop ingress
