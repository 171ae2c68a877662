#!/usr/bin/env bash
# The disk under an ingress's view is full: clients hear 507 at once, the log says
# so once, what was accepted is worked off, and it mends itself when there is room.
. "$(dirname "$0")/lib.sh"

configure <<EOF2
routes:
  - {path: /large, queue: large, wait: 0s}
queues:
  - name: large
    handler: {respond: {status: 200, body: $(printf 'x%.0s' {1..20000})}}
EOF2
view=$dir/view-cloakroom
small_disk "$view" size=2m,mode=0700
start ingress ingress
await_ready ingress
start worker worker

accepted=()
is_full() {
    http /large -d a
    [ "$status" = 202 ] || return 0
    ticket=$(field Location)
    accepted+=("${ticket##*/}")
    [ ${#accepted[@]} -lt 2000 ] || die "40 MB fit into 2 MiB"
    return 1
}
await 60 is_full
problem 507 'disk-full'
matches "Retry-After" '^[0-9]*$' "$(field Retry-After)"
holds_not "a full disk is ready" is_ready
begun=$EPOCHREALTIME
http /large -d a -H 'Idempotency-Key: "one"'
among "a request with a key, then" "507" "$status"
is "whole seconds until it was told" 0 \
    "$(awk "BEGIN { print int(($EPOCHREALTIME - $begun) / 2) }")"

as_root mount -o remount,size=64m "$view"
await 20 is_ready
for ticket in "${accepted[@]}"; do
    await_state "$ticket" done
done
answer "${accepted[-1]}"
is "the last answer" "200 20000" "$status $(wc -c <"$body")"
hand_in /large -d a
await_state "$ticket" done
holds "the log says that the disk is full" grep -q event=disk-full "$dir/ingress.log"
holds_not "the log calls it broken" grep -q event=store-broken "$dir/ingress.log"
stop worker
stop ingress
is "exit code of the ingress" 0 "$code"
