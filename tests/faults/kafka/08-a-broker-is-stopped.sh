#!/usr/bin/env bash
# Each broker in turn is stopped (SIGSTOP) for 10 s, connections and all, and goes
# on: leaders move away from it, and it has a stale view when it comes back.
. "$(dirname "$0")/lib.sh"

brokers_up
ingress one
ingress two
worker a
worker b
clients
goes_on
for i in 1 2 3; do
    broker STOP $i
    sleep 10 # the fault itself
    broker CONT $i
    goes_on 100
done
audit
everything_stops
