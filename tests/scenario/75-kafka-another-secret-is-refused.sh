#!/usr/bin/env bash
# All processes of an installation have one secret: who comes with another is
# refused, and who comes with none before the first ingress made it waits.
. "$(dirname "$0")/lib.sh"

configure <<EOF2
routes:
  - {path: /r, queue: r, wait: 30s}
queues:
  - {name: r, handler: {respond: {status: 200, body: ok}}}
EOF2
start worker worker
waits() { grep -q 'waits for the store' "$dir/worker.log"; }
await 20 waits
start ingress ingress
await_ready ingress
is "mode of the secret" 600 "$(stat -c %a "$dir/ticket.key")"
http /r
is "status" 200 "$status"

# One that comes from another machine, where nobody copied the secret to.
sed "s/:$port/:$((port + 2))/; s/:$admin/:$((admin + 2))/; s/view-cloakroom/view-other/; s/ticket.key/other.key/" \
    "$config" >"$dir/other.yaml"
ours=$config
config=$dir/other.yaml
run ingress
is "exit code of an ingress without the secret" 78 "$code"
matches "what it says" "other.key: is missing, .*copy it" "$(cat "$dir/err")"
holds "nothing is in the right one's way" test ! -e "$dir/other.key"
head -c 32 /dev/urandom >"$dir/other.key"
chmod 0600 "$dir/other.key"
for what in worker status up; do
    run $what
    is "exit code of $what with another secret" 78 "$code"
    matches "what $what says" "other.key: .*(another|differ|not the)" "$(cat "$dir/err")"
done
config=$ours
http /r
is "the others go on" 200 "$status"
stop worker
stop ingress
