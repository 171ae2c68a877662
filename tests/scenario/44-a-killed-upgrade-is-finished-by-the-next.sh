#!/usr/bin/env bash
# An upgrade may be killed at any point: its commands die with it, its queues
# stay held, and the same upgrade, run again, goes on where it was. Nobody else
# does.
. "$(dirname "$0")/lib.sh"
expect_crashes=yes

for release in v1 v2 v3; do
    mkdir "$dir/cgi/$release"
    handler "$release/app" <<'CGI'
#!/bin/sh
[ "$QUERY_STRING" != slow ] || until [ -e ../../go-on ]; do sleep 0.05; done
printf 'Content-Type: text/plain\n\n%s' "$CLOAKROOM_RELEASE"
CGI
done
configure <<EOF2
routes:
  - {path: /hits, queue: hits, wait: 30s}
  - {path: /orders, queue: orders, wait: 30s}
queues:
  - name: hits
    release: v1
    handler: {cgi: {command: "./cgi/{release}/app"}}
  - name: orders
    release: v1
    handler: {cgi: {command: "./cgi/{release}/app"}}
EOF2
cd "$dir" || exit

# command NAME: of an upgrade. It says that it ran, and where two runs meet;
# while NAME-hangs is there it hangs, with children of every kind.
for name in migrate verify rollback; do
    cat >"$name" <<'SH'
#!/bin/sh
exec 9>lock
flock -n 9 || echo "${0##*/}" >>overlaps
echo "${0##*/}" >>ran
if [ -e "${0##*/}-hangs" ]; then
    sleep 1000 &
    echo $! >>pids
    setsid sh -c 'echo $$ >>pids; exec sleep 1000' &
    echo $$ >>pids
    sleep 1000
fi
[ ! -e "${0##*/}-fails" ]
SH
    chmod +x "$name"
done
touch ran overlaps pids

commands=(--migrate ./migrate --verify ./verify --rollback ./rollback)
upgrade() { run upgrade hits orders --to v2 "${commands[@]}"; }
says() { matches "what upgrade says" "$1" "$(cat "$dir/err")"; }
prints() { matches "what upgrade prints" "$1" "$(cat "$dir/out")"; }
states() { "$CLOAKROOM" status -c "$config" --json | jq -r '[.queues[] | .state, .release] | join(" ")'; }
steps() { "$CLOAKROOM" status -c "$config" --json | jq -r '[.queues[].upgrade.step] | join(" ")'; }
steps_are() { [ "$(steps)" = "$1" ]; }
back_to_v1() {
    rm -f -- *-fails *-hangs
    run upgrade hits orders --to v1
    is "exit code of the way back" 0 "$code"
    : >ran
    : >pids
}
begin() {
    : >"$dir/$1.out"
    : >"$dir/$1.log"
    start "$1" upgrade hits orders --to v2 "${commands[@]}" "${@:2}"
}
kill_it() { # kill_it NAME
    kill -KILL "${pids[$1]}"
    ended "$1"
}
lines() { [ "$(wc -l <"$1")" -ge "$2" ]; }
pids_are_gone() {
    local pid
    while read -r pid; do
        if alive "$pid"; then return 1; fi
    done <pids
}

start ingress ingress
await_ready ingress
for queue in hits orders; do
    for release in v1 v2; do start "$queue-$release" worker --queue $queue --release $release; done
done

# ---- at every point where something is recorded ------------------------------

point=0
while point=$((point + 1)) && : >ran &&
    CLOAKROOM_FAULT="upgrade.point:$point" upgrade && [ "$code" = 137 ]; do
    upgrade
    is "exit code after a kill at point $point" 0 "$code"
    is "states after a kill at point $point" "open v2 open v2" "$(states)"
    is "what ran, killed at point $point" "migrate verify" "$(uniq ran | xargs)"
    back_to_v1
done
is "exit code of the one that was not killed" 0 "$code"
is "how many points there are" 11 "$point"
back_to_v1

point=0
touch verify-fails
while point=$((point + 1)) && : >ran &&
    CLOAKROOM_FAULT="upgrade.point:$point" upgrade && [ "$code" = 137 ]; do
    last=$(steps)
    upgrade
    is "exit code after a kill at point $point ($last)" 1 "$code"
    is "states after a kill at point $point" "open v1 open v1" "$(states)"
    matches "what ran, killed at point $point" "verify rollback$" "$(uniq ran | xargs)"
done
is "exit code of the one that was not killed" 1 "$code"
is "how many points there are on the way back" 13 "$point"
back_to_v1

# ---- in every command --------------------------------------------------------

for name in migrate verify rollback; do
    [ $name != rollback ] || touch verify-fails
    touch "$name-hangs"
    begin first
    await 20 lines pids 3
    is "held by" "${pids[first]} ${pids[first]}" \
        "$("$CLOAKROOM" status -c "$config" --json | jq -r '[.queues[].upgrade.pid] | join(" ")')"

    # While its process lives nobody else may.
    upgrade
    is "exit code while it lives" 1 "$code"
    says "an upgrade of queue hits to release v2 is run by process ${pids[first]} \(.*\)\$"
    run upgrade hits --to v3
    says "an upgrade of queue hits to release v2 is run by process ${pids[first]} \(.*\)\$"

    kill_it first
    await 10 pids_are_gone
    for words in "hits --to v3" "orders hits --to v3"; do
        run upgrade $words
        is "exit code of $words" 1 "$code"
        says "held by an unfinished upgrade to release v2 \(.*\): run that one again to end it, or .cloakroom resume --force"
    done
    run upgrade hits --to v2 "${commands[@]}"
    is "exit code with one queue less" 1 "$code"
    says 'the unfinished upgrade of queue hits holds queue orders, too: name both'
    run resume hits
    is "exit code of a resume" 1 "$code"
    run upgrade hits orders --to v2 "${commands[@]}" --expect 1
    is "exit code of one that builds on another epoch" 1 "$code"
    says 'its epoch is [0-9]+ and not 1: .*; nothing was done$'
    rm "$name-hangs"
    upgrade
    prints "upgrade of hits and orders to release v2: goes on where an earlier run ended"
    if [ $name = rollback ]; then
        is "exit code of the undoing" 1 "$code"
        says 'stopped in rollback: it failed in an earlier run; rolled back: hits and orders are open on release v1$'
        is "states" "open v1 open v1" "$(states)"
    else
        is "exit code after a kill in $name" 0 "$code"
        is "states" "open v2 open v2" "$(states)"
    fi
    matches "what ran" "$name $name" "$(xargs <ran)"
    back_to_v1
done

# What the killed one ran is dead before the next one runs anything, however
# long that takes.
touch migrate-hangs
begin first
await 20 lines pids 3
spawner=$(children "${pids[first]}" | xargs)
kill -STOP $spawner
kill_it first
rm migrate-hangs
begin second
await 20 grep -q 'waits until nothing is left of the killed process' "$dir/second.out"
holds "the command of the killed one still runs" alive "$(tail -n 1 pids)"
is "where it waits" "migrating migrating" "$(steps)"
holds_not "a second run" lines ran 2
kill -CONT $spawner
ended second
is "exit code of the next one" 0 "$code"
is "runs that met" "" "$(cat overlaps)"
is "what ran" "migrate migrate verify" "$(xargs <ran)"
holds "all of the first" pids_are_gone
back_to_v1

# An operator who wants to go back instead lets the command fail.
touch migrate-hangs
begin first
await 20 lines pids 3
kill_it first
run upgrade hits orders --to v2 --migrate false --rollback ./rollback
is "exit code of going back" 1 "$code"
says 'stopped in migrate: `false` exited with 1; rolled back: hits and orders are open on release v1$'
is "what ran" "migrate rollback" "$(xargs <ran)"
rm migrate-hangs
: >ran
: >pids

# A probe dies with it as well, and its request is in its place.
export CLOAKROOM
probe=(--migrate 'until [ -e queued ]; do sleep 0.05; done' --verify '"$CLOAKROOM" probe --next --queue hits --discard')
start first upgrade hits orders --to v2 "${probe[@]}"
await 20 stat_is hits state drained
hand_in '/hits?slow' -X POST
touch queued
await 20 stat_is hits state probing
kill_it first
await 10 no_handlers
touch go-on
run upgrade hits orders --to v2 "${probe[@]}"
is "exit code of the next one" 0 "$code"
answer "$ticket"
is "who answered" v2 "$(cat "$body")"
back_to_v1

# ---- where it waits, and with all others -------------------------------------

stop hits-v2
stop orders-v2
begin first
await 20 grep -q 'start: waits for a worker of release v2 for hits and orders' "$dir/first.out"
kill_it first
for name in hits-v1 orders-v1 ingress; do
    kill -KILL "${pids[$name]}"
    ended $name
done
start ingress ingress
await_ready ingress
is "the states, from the store" "drained v1 drained v1" "$(states)"
is "the steps" "starting starting" "$(steps)"
http /hits -H 'Prefer: respond-async'
is "a request to a held queue" 202 "$status"
late=$(field Location)
for queue in hits orders; do start "$queue-v2" worker --queue $queue --release v2; done
upgrade
is "exit code of the next one" 0 "$code"
is "what ran" "migrate verify" "$(xargs <ran)"
answer "${late##*/}"
is "who answered" v2 "$(cat "$body")"

is "runs that met" "" "$(cat overlaps)"
for name in hits-v2 orders-v2 ingress; do
    stop $name
    is "exit code of $name" 0 "$code"
done
