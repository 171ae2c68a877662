#!/usr/bin/env bash
# Brokers are restarted in turn, a clean end and a killing by turns, as fast as
# they come back, for a minute and a half: leaders move all the time.
. "$(dirname "$0")/lib.sh"

brokers_up
ingress one
ingress two
worker a
worker b
clients
goes_on
end=$((SECONDS + 90)) turns=0
while [ $SECONDS -lt $end ]; do
    for i in 1 2 3; do
        if [ $((turns % 2)) = 0 ]; then
            kafka down --node $i 2>>"$dir/kafka.err"
            say "broker $i has ended"
        else
            broker KILL $i
        fi
        broker_again $i
        turns=$((turns + 1))
    done
done
say "$turns restarts"
holds "restarts" test $turns -ge 6
goes_on
audit
everything_stops
