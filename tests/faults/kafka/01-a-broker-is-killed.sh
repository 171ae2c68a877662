#!/usr/bin/env bash
# Each broker in turn is killed -9 and comes back, twice round: nothing is lost,
# nothing runs again, and requests are answered all the while.
. "$(dirname "$0")/lib.sh"

brokers_up
ingress one
ingress two
worker a
worker b
clients
goes_on
for i in 1 2 3 1 2 3; do
    broker KILL $i
    goes_on 100
    broker_again $i
    goes_on
done
audit
everything_stops
