#!/usr/bin/env bash
# Ingresses are killed -9 in turn in mid submit, 20 times; clients with keys ask
# at the other one: a key is one request, and nothing runs twice.
. "$(dirname "$0")/lib.sh"

brokers_up
ingress one
ingress two
worker a
worker b
printf '%s\n' "${at[@]}" >"$marks/cut" # these may leave a client without an answer
clients 12
goes_on
for i in $(seq 20); do
    name=$([ $((i % 2)) = 0 ] && echo one || echo two)
    kill -KILL "${pids[$name]}"
    ended $name
    ingress $name
    goes_on 20
done
audit
everything_stops
