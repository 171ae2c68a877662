#!/usr/bin/env bash
# Workers are stopped (SIGSTOP) beyond their lease and continued, in turn: their
# handlers are dead before the lease is over, what they then say is fenced, and
# they work again.
. "$(dirname "$0")/lib.sh"
lease=3 losses=yes

brokers_up
ingress one
ingress two
worker a
worker b
clients
goes_on
lost() { grep -cE 'event=(lease-lost|fenced)' "$dir/$1.log" || true; }
lost_more() { [ "$(lost "$1")" -gt "$2" ]; }
for i in 1 2 3 4 5 6; do
    name=$([ $((i % 2)) = 0 ] && echo a || echo b)
    had=$(lost $name)
    runs_some() { [ -n "$(handlers_of $name)" ]; }
    await 30 runs_some
    say "$name is stopped"
    kill -STOP "${pids[$name]}"
    none() { [ -z "$(handlers_of $name)" ]; }
    await $((lease + 1)) none
    goes_on 60
    # Whoever waited for what it ran has its answer from the other one by now.
    kill -CONT "${pids[$name]}"
    say "$name goes on"
    await 20 lost_more $name $had
    goes_on 60
done
audit
everything_stops
