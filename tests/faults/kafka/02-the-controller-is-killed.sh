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
    controller=$(active_controller)
    killed+="$controller "
    broker KILL "$controller"
    changed() { [ "$(active_controller)" != "$controller" ]; }
    await 30 changed
    goes_on 100
    broker_again "$controller"
    goes_on
done
echo "controllers killed: $killed"
audit
everything_stops
