#!/usr/bin/env bash
# An upgrade ends on the next release, or back on the old one: it says where it
# stopped and how things stand, and never leaves the queues in between.
. "$(dirname "$0")/lib.sh"

for release in v1 v2; do
    mkdir "$dir/cgi/$release"
    for app in hits orders; do
        handler "$release/$app" <<'CGI'
#!/bin/sh
[ -z "$QUERY_STRING" ] || until [ -e "$MARKS/$QUERY_STRING" ]; do sleep 0.05; done
printf 'Content-Type: text/plain\n\n%s' "$CLOAKROOM_RELEASE"
CGI
    done
done
configure <<EOF2
routes:
  - {path: /hits, queue: hits, wait: 30s}
  - {path: /orders, queue: orders, wait: 30s}
  - {path: /other, queue: other, wait: 30s}
queues:
  - name: hits
    release: v1
    handler: {cgi: {command: "./cgi/{release}/hits", environment: {MARKS: $marks}}}
  - name: orders
    release: v1
    handler: {cgi: {command: "./cgi/{release}/orders", environment: {MARKS: $marks}}}
  - name: other
    release: v0
    handler: {respond: {body: other}}
EOF2

# upgrade ARGUMENT...: sets $code; output in $dir/out and $dir/err
upgrade() { run upgrade "$@"; }
first=$marks/first
says() { matches "what upgrade says" "$1" "$(cat "$dir/err")"; }
prints() { matches "what upgrade prints" "$1" "$(cat "$dir/out")"; }
state_of() { stat_of "$1" state; }
release_of() { stat_of "$1" release; }
are_open_on() { # are_open_on RELEASE QUEUE...
    local release=$1 queue
    shift
    for queue; do
        is "$queue" "open $release" "$(state_of "$queue") $(release_of "$queue")"
    done
}
history() { # the last changes of a queue, without the first so many
    "$CLOAKROOM" history -c "$config" --json "$1" | jq -r '[.[].change] | join(" ")'
}
is_state() { [ "$(state_of "$1")" = "$2" ]; }
begin() { # begin NAME ARGUMENT...: an upgrade in the background
    local name=$1
    shift
    : >"$dir/$name.out"
    : >"$dir/$name.log"
    start "$name" upgrade "$@"
}
worker() { start "$1-$2" worker --queue "$1" --release "$2"; }

start ingress ingress
await_ready ingress
for queue in hits orders; do for release in v1 v2; do worker $queue $release; done; done

# ---- forward -----------------------------------------------------------------

cd "$dir" || exit
hand_in '/hits?first'
runs=$ticket
await_state "$runs" running
"$CLOAKROOM" upgrade -c "$config" hits orders --to v2 --reason 'new schema' \
    --migrate 'env | grep ^CLOAKROOM_ >env; pwd >pwd; cat >input; echo moved; echo hm >&2' \
    --verify 'echo "$CLOAKROOM_QUEUES"; test "$(cat env | wc -l)" -ge 5' \
    >"$dir/out" 2>"$dir/err" &
upgrade=$!
is_paused() { [ "$(state_of hits)$(state_of orders)" = "$1" ]; }
await 20 is_paused pauseddrained
holds_not "a migration before it is drained" test -e env
http /hits -H 'Prefer: respond-async'
is "a request in the pause" 202 "$status"
late=$(field Location)
http "$late"
is "why it waits" paused "$(json .reason)"
is "the operator's words" "new schema" "$(stat_of hits why)"
touch "$first"
code=0
wait $upgrade || code=$?
is "exit code" 0 "$code"
prints 'upgrade of hits and orders to release v2
(queue hits waits for .*)?pause: drained after .*
moved
migrate: .* was done after .*
start: workers of release v2 are there after .*
hits orders
verify: .* was done after .*
resume: hits and orders are open on release v2, after a pause of '
is "its stderr" hm "$(cat "$dir/err")"
are_open_on v2 hits orders
is "environment" "CLOAKROOM_CONFIG=$config CLOAKROOM_EPOCH=2 2 CLOAKROOM_FROM=v1 CLOAKROOM_QUEUES=hits orders CLOAKROOM_TO=v2" \
    "$(grep -E '_(CONFIG|EPOCH|FROM|QUEUES|TO)=' env | sort | xargs)"
is "its directory" "$dir" "$(cat pwd)"
is "its input" "" "$(cat input)"
answer "$runs"
is "what ran before" v1 "$(cat "$body")"
answer "${late##*/}"
is "what waited" v2 "$(cat "$body")"
http /orders
is "the other queue" v2 "$(cat "$body")"
is "history" "pause drained migrating starting verifying resume" "$(history hits)"

upgrade hits orders --to v2 --migrate 'touch migrated'
is "exit code of the same again" 0 "$code"
prints '^hits and orders are of release v2 already$'
holds_not "a migration" test -e migrated

# A queue that is there already is left alone, the other one goes.
upgrade hits --to v1
is "exit code" 0 "$code"
upgrade hits orders --to v2 --migrate 'echo "$CLOAKROOM_QUEUES $CLOAKROOM_FROM"'
is "exit code" 0 "$code"
prints '^orders is of release v2 already
upgrade of hits to release v2
(pause: .*)*hits v1
'
are_open_on v2 hits orders
upgrade hits --to v1
upgrade hits orders --to v1

# ---- probes ------------------------------------------------------------------

# `cloakroom probe` in a command needs no more than its environment.
export CLOAKROOM
await_queued() { [ "$(stat_of hits queued)" = "$1" ]; }
begin probing hits --to v2 --migrate 'until [ -e queued ]; do sleep 0.05; done' \
    --verify '"$CLOAKROOM" probe --next >probed; tail -n 1 probed | grep -qx v2' --rollback 'touch undone'
await 20 is_state hits drained
hand_in '/hits'
touch queued
ended probing
is "exit code with a probe" 0 "$code"
holds_not "a rollback" test -e undone
answer "$ticket"
is "the probed one" v2 "$(cat "$body")"
upgrade hits --to v1

# A probe of somebody else is waited for.
begin probing hits --to v2 --verify 'until [ -e go-on ]; do sleep 0.05; done'
await 20 is_state hits drained
hand_in '/hits?probed'
start probe probe --next --queue hits --release v2
await 20 is_state hits probing
touch go-on
await 20 grep -q "^resume: waits for its end: queue hits: a probe runs" "$dir/probing.out"
touch "$marks/probed"
ended probe
is "exit code of the probe" 0 "$code"
ended probing
is "exit code of who waited for it" 0 "$code"
are_open_on v2 hits
upgrade hits --to v1

# ---- refused before anything is paused ---------------------------------------

mv cgi/v2/orders cgi/v2/away
before=$(history hits)
upgrade hits orders --to v2
is "exit code without the files" 1 "$code"
says 'cgi/v2/orders is not there'
says 'upgrade: the files of release v2 are not all there; nothing was done$'
mv cgi/v2/away cgi/v2/orders
for words in 'hits --to ../v2' 'hits' 'hist --to v2' '--to v2' '--all hits --to v2' \
    'hits --to v2 --timeout soon'; do
    upgrade $words
    is "exit code of $words" 2 "$code"
done
for words in $'two\nlines' $'\e[31m' $'\xff' "$(printf %200s x)"; do
    upgrade hits --to v2 --reason "$words"
    is "exit code for a reason that is none" 2 "$code"
    says '--reason: '
done
is "history" "$before" "$(history hits)"

# ---- a step fails ------------------------------------------------------------

upgrade hits orders --to v2 --migrate 'exit 3' --verify 'touch verified' --rollback 'touch undone'
is "exit code of a failed migration" 1 "$code"
says '^cloakroom upgrade: upgrade of hits and orders to v2 stopped in migrate: `exit 3` exited with 3; rolled back: hits and orders are open on release v1$'
holds "the rollback" test -e undone
holds_not "a verification" test -e verified
are_open_on v1 hits orders
http /hits
is "who answers" v1 "$(cat "$body")"
rm undone

upgrade hits orders --to v2 --migrate 'touch m' --verify 'kill -9 $$'
is "exit code of a failed verification" 1 "$code"
says 'stopped in verify: `kill -9 \$\$` was killed by SIGKILL; there was no --rollback to run: hits and orders are open on release v1$'
are_open_on v1 hits orders

upgrade hits orders --to v2 --migrate 'mv cgi/v2/orders cgi/v2/away' --rollback 'mv cgi/v2/away cgi/v2/orders'
is "exit code where the files went away" 1 "$code"
says 'stopped in resume: the files of release v2 are not all there any more; rolled back: hits and orders are open on release v1$'
are_open_on v1 hits orders

# What it leaves behind is dead when the next step begins.
upgrade hits --to v2 --migrate 'sleep 1000 & echo $! >left' --verify 'kill -0 "$(cat left)"' --rollback true
is "exit code where nothing was left" 1 "$code"
says 'stopped in verify: .* exited with 1; rolled back'

hand_in '/hits?second'
await_state "$ticket" running
upgrade hits orders --to v2 --timeout 300ms --migrate 'touch migrated' --rollback 'touch undone'
is "exit code of a drain that lasts" 1 "$code"
says "stopped in pause: not drained within 300ms: .*; nothing was changed: hits and orders are open on release v1\$"
holds_not "a migration" test -e migrated
holds_not "a rollback" test -e undone
are_open_on v1 hits orders
await_state "$ticket" running
upgrade hits orders --to v2 --kill --timeout 20s
is "exit code with --kill" 0 "$code"
touch "$marks/second"
answer "$ticket"
is "the killed one ran again" v2 "$(cat "$body")"
upgrade hits orders --to v1

stop hits-v2
stop orders-v2
upgrade hits orders --to v2 --timeout 2500ms --rollback 'echo undone'
is "exit code without workers" 1 "$code"
prints 'start: waits for a worker of release v2 for hits and orders
start: waits for a worker of release v2 for hits and orders .*cloakroom worker -c .* --queue hits --release v2'
says 'stopped in start: no worker of release v2 came for hits and orders within 2s; rolled back: hits and orders are open on release v1$'
are_open_on v1 hits orders
worker hits v2
worker orders v2

# ---- told to stop ------------------------------------------------------------

for signal in INT TERM; do
    rm -f begun undone
    begin up-$signal hits orders --to v2 --verify 'touch begun; sleep 1000' --rollback 'touch undone'
    await 20 test -e begun
    stop up-$signal $signal
    is "exit code after SIG$signal" 1 "$code"
    matches "what it says" "stopped in verify: interrupted by SIG$signal; rolled back: hits and orders are open on release v1" \
        "$(cat "$dir/up-$signal.log")"
    holds "the rollback" test -e undone
    are_open_on v1 hits orders
done

# In the drain it goes back without one.
hand_in '/hits?third'
await_state "$ticket" running
begin drain hits orders --to v2 --rollback 'touch undone2'
await 20 is_paused pauseddrained
stop drain INT
matches "what it says" "stopped in pause: interrupted by SIGINT; nothing was changed" "$(cat "$dir/drain.log")"
holds_not "a rollback" test -e undone2
touch "$marks/third"
are_open_on v1 hits orders

# A second wish leaves it as it is: the same upgrade ends the undoing.
rm -f begun
begin twice hits orders --to v2 --migrate 'touch begun; exit 1' --rollback 'touch undoing; sleep 1000'
await 20 test -e undoing
kill -INT "${pids[twice]}"
await 20 grep -q 'a second signal leaves it' "$dir/twice.out"
sleep 1.1 # a second one that comes sooner is the first one's echo
stop twice INT
is "exit code after two signals" 1 "$code"
matches "what it says" 'stopped in rollback: told twice to stop; ' "$(cat "$dir/twice.log")"
is "held" "drained rolling-back" "$(state_of hits) $(stat_of hits upgrade.step)"
upgrade hits orders --to v2
is "exit code without the rollback" 1 "$code"
says 'ended in rolling-back: give --rollback again'
upgrade hits orders --to v2 --rollback 'echo undone'
is "exit code of the same again" 1 "$code"
says 'stopped in rollback: it failed in an earlier run; rolled back: hits and orders are open on release v1'
are_open_on v1 hits orders

# ---- a rollback fails --------------------------------------------------------

upgrade hits orders --to v2 --migrate false --rollback 'exit 7'
is "exit code" 1 "$code"
says 'stopped in migrate: `false` exited with 1; going back failed: `exit 7` exited with 7; hits and orders stay paused and held \(rolling-back\): mend it and run the same upgrade again, which ends the undoing, or open each as it is by `cloakroom resume --force hits orders`$'
is "its state" "drained drained" "$(state_of hits) $(state_of orders)"
run resume hits
is "exit code of a resume" 1 "$code"
upgrade hits orders --to v3
is "exit code of another one" 1 "$code"
mkdir cgi/v3
upgrade hits orders --to v2 --migrate 'touch again' --rollback 'echo undone'
is "exit code of the same" 1 "$code"
holds_not "a migration" test -e again
are_open_on v1 hits orders

# ---- opened by force meanwhile -----------------------------------------------

rm -f begun
begin forced hits orders --to v2 --migrate 'touch begun; sleep 1000' --rollback 'touch undone3'
await 20 test -e begun
run resume --force hits
is "exit code of the force" 0 "$code"
ended forced
is "exit code of the upgrade" 1 "$code"
matches "what it says" 'stopped in migrate: hits was resumed by force \(by .*\); nothing more is done; orders stays paused and held: `cloakroom upgrade orders --to v2' \
    "$(cat "$dir/forced.log")"
holds_not "a rollback" test -e undone3
is "the states" "open drained" "$(state_of hits) $(state_of orders)"
upgrade hits orders --to v2 --migrate 'touch again'
is "exit code of both" 1 "$code"
says 'queue orders is held by an unfinished upgrade, queue hits is not, or not any more: run it again without hits'
upgrade orders --to v2 --migrate 'touch again'
is "exit code of the rest" 0 "$code"
holds "its migration" test -e again
are_open_on v1 hits
are_open_on v2 orders

# While it drains, and while it waits for workers.
run resume orders --release v2
hand_in '/hits?fourth'
await_state "$ticket" running
begin forced hits --to v2 --migrate 'touch never'
await 20 is_state hits paused
run resume --force hits
ended forced
is "exit code of the upgrade" 1 "$code"
matches "what it says" 'stopped in pause: queue hits: .* resumed it at .*, before it was drained; nothing more is done$' \
    "$(cat "$dir/forced.log")"
touch "$marks/fourth"
mkdir cgi/v4
cp cgi/v2/hits cgi/v4/
begin forced hits --to v4 --rollback 'touch never'
await 20 grep -q 'start: waits for' "$dir/forced.out"
run resume --force hits
ended forced
is "exit code of the upgrade" 1 "$code"
matches "what it says" 'stopped in start: hits was resumed by force \(by .*\); nothing more is done$' "$(cat "$dir/forced.log")"
holds_not "a command" test -e never
are_open_on v1 hits

# ---- paused before, by an operator -------------------------------------------

run pause orders --wait --reason mine
upgrade hits orders --to v2
is "exit code where one is there already" 0 "$code"
is "the paused one is left alone" drained "$(state_of orders)"
upgrade orders --to v1
is "exit code of a paused one" 0 "$code"
prints 'pause: orders was paused already, since .*: mine; it stays so, and is opened at the end of the upgrade'
are_open_on v1 orders

for name in hits-v1 hits-v2 orders-v1 orders-v2 ingress; do
    stop $name
    is "exit code of $name" 0 "$code"
done
