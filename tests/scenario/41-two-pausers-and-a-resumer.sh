#!/usr/bin/env bash
# Two operators pause and a third resumes, in all orders: who waits with a pause
# that was resumed is told so and by whom; who paused after the resume waits on,
# and only then is anything called drained. A later pause is not taken for the
# first one by a waiter that slept meanwhile.
. "$(dirname "$0")/lib.sh"

handler slow <<'CGI'
#!/bin/sh
touch "$MARKS/runs-$QUERY_STRING"
until [ -e "$MARKS/end-$QUERY_STRING" ]; do sleep 0.02; done
printf 'Content-Type: text/plain\n\nended'
CGI
configure <<EOF2
routes:
  - {path: /slow, queue: slow, wait: 0s}
queues:
  - name: slow
    handler: {cgi: {command: ./cgi/slow, environment: {MARKS: $marks}}}
    timeout: 60s
EOF2
said() { grep -qs "$2" "$1"; }
start ingress ingress
await_ready ingress
start worker worker

# do_step WHO: a pauser (it waits from then on), or the resumer (r)
do_step() {
    if [ "$1" = r ]; then
        SUDO_USER=rita run resume slow
        is "$order: exit code of the resume" 0 "$code"
        return
    fi
    SUDO_USER=$1 start "$order-$1" pause slow --wait --json
    await 20 said "$dir/$order-$1.log" 'waits for\|paused already'
}

# overtaken WHO: it was told by whom
overtaken() {
    ended "$order-$1"
    is "$order: exit code of $1, overtaken" 1 "$code"
    holds "$order: $1 is told by whom" said "$dir/$order-$1.log" \
        'rita@.* resumed it at .*before it was drained'
    is "$order: $1 has no receipt" "" "$(cat "$dir/$order-$1.out")"
}

# drained WHO
drained() {
    ended "$order-$1"
    is "$order: exit code of $1, drained" 0 "$code"
    is "$order: the receipt of $1" "$(stat_of slow paused_epoch) 1" \
        "$(jq -r '.[] | "\(.epoch) \(.ended)"' "$dir/$order-$1.out")"
}

for order in abr bar arb bra rab rba; do
    hand_in "/slow?$order"
    await 20 test -e "$marks/runs-$order"
    for who in $(fold -w1 <<<"$order"); do
        do_step "$who"
    done
    before=${order%r*} after=${order#*r}
    for who in $(fold -w1 <<<"$before"); do overtaken "$who"; done
    for who in $(fold -w1 <<<"$after"); do
        holds "$order: $who waits on" alive "${pids[$order-$who]}"
    done
    is "$order: nothing is called drained" "$([ -n "$after" ] && echo paused || echo open)" \
        "$(stat_of slow state)"
    touch "$marks/end-$order"
    for who in $(fold -w1 <<<"$after"); do drained "$who"; done
    await_state "$ticket" done
    run resume slow
done

# A waiter that is stopped while its pause is resumed, and another begins.
order=stopped
hand_in "/slow?$order"
await 20 test -e "$marks/runs-$order"
do_step a
kill -STOP "${pids[$order-a]}"
do_step r
do_step b
kill -CONT "${pids[$order-a]}"
overtaken a
touch "$marks/end-$order"
drained b

# One that finds the queue drained and open again is told that, too.
run resume slow
order=late
hand_in "/slow?$order"
await 20 test -e "$marks/runs-$order"
do_step a
kill -STOP "${pids[$order-a]}"
touch "$marks/end-$order"
stat_drained() { stat_is slow state drained; }
await 20 stat_drained
do_step r
kill -CONT "${pids[$order-a]}"
ended "$order-a"
is "late: exit code" 1 "$code"
holds "late: what it is told" said "$dir/$order-a.log" \
    'rita@.* resumed it at .*after it was drained: it is open now'
stop worker
stop ingress
