#!/usr/bin/env bash
# A full disk: new requests get 507, what is stored stays readable, what is
# accepted is worked off, and it mends itself when there is room.
. "$(dirname "$0")/lib.sh"

configure "max_body: 4MiB" <<EOF2
routes:
  - {path: /keep, queue: keep, wait: 30s}
queues:
  - name: keep
    handler: {respond: {status: 200, body: kept}}
    retention: {age: 1h}
EOF2
small_disk "$dir/data" size=64m,mode=0700
start ingress ingress
start worker worker
await_ready ingress

hand_in /keep -d small
early=$ticket
answer "$early"
is "an early answer" 200 "$status"
stop worker

# Filled from outside: no request is taken, nothing else changes.
fill() { head -c 64m /dev/zero >"$dir/data/filler" 2>/dev/null || true; }
head -c 1000000 /dev/urandom >"$dir/upload"
post() {
    http /keep -H 'Prefer: respond-async' --data-binary "@$dir/upload" -H 'Expect:'
}
hand_in /keep -d queued
queued=$ticket
fill
accepted=0
is_full() {
    post
    [ "$status" = 507 ] || { [ "$status" = 202 ] && accepted=$((accepted + 1)) && false; }
}
await 30 is_full
problem 507 'disk-full'
matches "Retry-After" '^[0-9]*$' "$(field Retry-After)"
[ $accepted -lt 10 ] || fail "$accepted MB were accepted on a full disk"
holds_not "a full disk is ready" is_ready
answer "$early"
is "an early answer on a full disk" kept "$(cat "$body")"
http "/-/tickets/$queued"
is "state of what was accepted" queued "$(json .state)"
run submit --data "$dir/upload" /keep
is "exit code of submit on a full disk" 75 "$code"

# The reserve: what was accepted is still worked off.
start worker worker
await_state "$queued" done
answer "$queued"
is "an answer made on a full disk" kept "$(cat "$body")"
nothing_left() { stat_is keep queued 0 && stat_is keep running 0; }
await 20 nothing_left

rm "$dir/data/filler"
is_accepted() {
    post
    [ "$status" = 202 ]
}
await 30 is_accepted
ticket=$(field Location)
answer "${ticket##*/}"
is "an answer after there is room" kept "$(cat "$body")"
await 20 is_ready

# Filled by the requests themselves.
stop worker
tries=0
is_full_of_requests() {
    tries=$((tries + 1))
    [ $tries -lt 200 ] || die "200 MB fit into 64 MiB"
    post
    [ "$status" = 507 ]
}
await 60 is_full_of_requests
among "answers while filling" "202 507" "$status"
http "/-/tickets/$early"
is "status of the early one" 200 "$status"
start worker worker
await 60 nothing_left
for name in worker ingress; do
    holds "$name runs still" alive "${pids[$name]}"
    holds_not "$name called it broken" grep -q event=store-broken "$dir/$name.log"
done
answer "$early"
is "the early answer, at last" kept "$(cat "$body")"
holds "the log says that the disk is full" grep -q event=disk-full "$dir/ingress.log"
stop worker
is "exit code of the worker" 0 "$code"
stop ingress
is "exit code of the ingress" 0 "$code"

# With a short retention the room comes back by itself.
sed -i 's/age: 1h/age: 2s/' "$config"
start ingress ingress
start worker worker
await_ready_or_full() { is_ready || alive "${pids[ingress]}"; }
await 30 await_ready_or_full
await 60 is_accepted
