#!/usr/bin/env bash
# Two of three brokers are killed -9 at once: too few copies are left, so each
# submission is a 503 in time; when they are back it all goes on by itself, and
# what was acknowledged is there. Once within the lease, once far beyond it: then
# workers have killed what they ran, and only that is repeated.
. "$(dirname "$0")/lib.sh"
lease=12

brokers_up
ingress one
ingress two
worker a
worker b
clients
goes_on

# asks NAME: hands one in by itself; sets $status and $took in ms
asks() {
    local begun=${EPOCHREALTIME/./}
    port=${at[$1]#*:}
    http /work?0 -H 'Prefer: respond-async' -d x -m 60
    took=$(((${EPOCHREALTIME/./} - begun) / 1000))
}
refused() { asks one && [ "$status" = 503 ]; }

for away in 4 40; do
    say "two brokers are away for $away s"
    broker KILL 1
    broker KILL 2
    [ $away -lt $lease ] || losses=yes
    await 20 refused
    end=$((SECONDS + away))
    while [ $SECONDS -lt $end ]; do
        for name in one two; do
            asks $name
            is "while two brokers are away" 503 "$status"
            among "its word" "unreachable outcome-unknown" "$(json .code)"
            holds "in time: $took ms" test "$took" -lt $((patience * 1000 + 2500))
            holds "when to come back" test -n "$(field Retry-After)"
        done
        sleep 0.5 # they are away for as long as said
    done
    before=$(grep -c ^start "$marks/runs")
    kafka up >/dev/null 2>>"$dir/kafka.err" || die "the brokers do not come back"
    say "they are back"
    back=$SECONDS
    more_ran() { [ "$(grep -c ^start "$marks/runs")" -gt "$before" ]; }
    await 60 more_ran
    holds "the first run comes soon after: $((SECONDS - back)) s" \
        test $((SECONDS - back)) -le 30
    goes_on 100
    for name in one two; do await 30 says_ready $name; done
done
audit
everything_stops
