#!/usr/bin/env bash
# A pause says at once what still runs, waits until nothing does, and gives a
# receipt of it; a worker that is killed meanwhile is accounted for; a pause that
# was not drained in time stays, or is undone by the command that began it.
. "$(dirname "$0")/lib.sh"

# Says that it runs and with which process, and waits for its mark.
handler slow <<'CGI'
#!/bin/sh
echo $$ >"$MARKS/runs-$QUERY_STRING"
until [ -e "$MARKS/end-$QUERY_STRING" ]; do sleep 0.02; done
printf 'Content-Type: text/plain\n\n%s' "$CLOAKROOM_ATTEMPT"
CGI
configure <<EOF2
routes:
  - {path: /slow, queue: slow, wait: 0s}
  - {path: /quick, queue: quick, wait: 0s}
queues:
  - name: slow
    handler: {cgi: {command: ./cgi/slow, environment: {MARKS: $marks}}}
    concurrency: 2
    timeout: 60s
    release: v1
  - name: quick
    handler: {respond: {status: 200, body: quick}}
EOF2
runs() { [ -e "$marks/runs-$1" ]; }
said() { grep -qs "$2" "$1"; } # said FILE REGEX
receipt() { jq -r "$1" "$dir/receipts.out"; }
history_of() { "$CLOAKROOM" history -c "$config" "$@"; }
export SUDO_USER=ann

start ingress ingress
await_ready ingress
start worker worker --queue slow

# ---- the words of the command line ------------------------------------------
for wrong in '--timeout 1s' '--wait --on-timeout stay' \
    '--wait --timeout 1s --on-timeout resum' '--all slow' 'slwo' ''; do
    # shellcheck disable=SC2086
    run pause $wrong
    is "exit code of pause $wrong" 2 "$code"
done
run pause slow --wait --timeout 1s --on-timeout resum
holds "the nearest word is offered" said "$dir/err" 'resume'
run pause slow --reason "$(printf 'a\nb')"
is "a reason of two lines" 2 "$code"
is "nothing was paused by a mistake" open "$(stat_of slow state)"

# ---- at once ------------------------------------------------------------------
hand_in '/slow?one' && hand_in '/slow?two'
await 20 runs one && await 20 runs two
run pause slow --reason "schema change"
is "exit code" 0 "$code"
is "what it says" "slow: paused at epoch 2; 2 attempts still run" "$(cat "$dir/out")"
is "what it logs" "" "$(cat "$dir/err")"
hand_in '/slow?three'
three=$ticket
is "state behind a pause" queued "$(state "$three")"
run pause slow
is "exit code of a second pause" 0 "$code"
matches "who paused it first" \
    '^slow: paused already, at epoch 2, since .*Z by ann@.*: schema change; 2 att' \
    "$(cat "$dir/out")"
run pause slow --json
is "a line as JSON" "slow 2 paused true 2 schema change" \
    "$(jq -r '.[] | "\(.queue) \(.epoch) \(.state) \(.paused_already) \(.running) \(.why)"' "$dir/out")"

# ---- not in time --------------------------------------------------------------
run pause slow --wait --timeout 300ms
is "exit code when not drained in time" 75 "$code"
is "no receipt" "" "$(cat "$dir/out")"
holds "says what it waits for" said "$dir/err" 'queue slow waits for .*(2 attempts)'
holds "says how to end it" said "$dir/err" 'cloakroom resume slow'
run pause --all --wait --timeout 100ms --on-timeout resume
is "exit code when undone" 75 "$code"
is "another's pause is not undone" paused "$(stat_of slow state)"
is "its own is" open "$(stat_of quick state)"

# ---- drained ------------------------------------------------------------------
start receipts pause slow --wait --json
await 20 said "$dir/receipts.log" 'waits for .*(2 attempts)'
touch "$marks/end-one"
await 20 said "$dir/receipts.log" 'waits for .*(1 attempt)'
is "not drained while one runs" paused "$(stat_of slow state)"
touch "$marks/end-two"
ended receipts
is "exit code when drained" 0 "$code"
is "the receipt" "slow 2 v1 2 0 0 0" \
    "$(receipt '.[] | "\(.queue) \(.epoch) \(.release) \(.ended) \(.killed) \(.put_back) \(.waited_out)"')"
is "its workers" "v1 acknowledged" \
    "$(receipt '.[].workers[] | "\(.release) \(.state)"')"
holds "its bound" test "$(receipt '.[].bound_ms')" -gt 0
is "state" drained "$(stat_of slow state)"
holds_not "a request behind the pause has started" runs three
run pause --all --wait
is "exit code of a pause that is drained" 0 "$code"
is "a receipt for each queue" "slow quick" \
    "$(awk '/^queue/ {print $2}' "$dir/out" | xargs)"
holds "the receipt names the pauser" said "$dir/out" 'paused .* by ann@.*: schema'

# ---- what others are told -----------------------------------------------------
run status
holds "status has the state" said "$dir/out" '^slow  *drained  *v1 '
holds "status says who and why" said "$dir/out" \
    '^slow is paused since .* by ann@.*: schema change$'
run history slow
holds "history: the pause" said "$dir/out" ' 2 .* slow *pause *v1 *ann@.* schema change$'
holds "history: the receipt" said "$dir/out" \
    '1 worker acknowledged; attempts: 2 ended; bound '
history_of --json >"$dir/history"
is "history as JSON, of all queues in order of time" \
    "slow pause,quick pause,quick drained,quick resume,slow drained,quick pause,quick drained" \
    "$(jq -r '[.[] | "\(.queue) \(.change)"] | join(",")' "$dir/history")"
is "its receipt" 2 "$(jq '.[4].receipt.ended' "$dir/history")"
is "the newest record" drained "$(history_of --json --limit 1 | jq -r '.[].change')"

# ---- interrupted --------------------------------------------------------------
run resume --all
is "exit code of resume" 0 "$code"
await 20 runs three
start interrupted pause slow --wait
await 20 said "$dir/interrupted.log" 'waits for'
stop interrupted INT
is "exit code when interrupted" 1 "$code"
holds "says that the pause stays" said "$dir/interrupted.log" 'the pause stays'
is "the pause stays" paused "$(stat_of slow state)"

# ---- a worker that is killed --------------------------------------------------
start killed pause slow --wait --json
await 20 said "$dir/killed.log" 'waits for'
kill -KILL "${pids[worker]}"
ended worker
ended killed
is "exit code" 0 "$code"
holds "drained means that its handlers are gone" gone "$(cat "$marks/runs-three")"
is "it is accounted for" "died 1" \
    "$(jq -r '.[] | "\(.workers[].state) \(.waited_out)"' "$dir/killed.out")"
stop ingress
