#!/usr/bin/env bash
# The active controller, which is a broker as well, is killed -9, four times.
. "$(dirname "$0")/lib.sh"

brokers_up
ingress one
ingress two
worker a
worker b
clients
goes_on
killed=
for i in 1 2 3 4; do
    found() { controller=$(active_controller) && [ -n "$controller" ]; }
    await 60 found
    killed+="$controller "
    broker KILL "$controller"
    goes_on 100
    now=$(active_controller)
    holds "another one is active: $now" test "${now:-none}" != "$controller"
    broker_again "$controller"
    goes_on
done
echo "controllers killed: $killed"
audit
everything_stops
