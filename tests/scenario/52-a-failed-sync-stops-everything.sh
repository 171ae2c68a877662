#!/usr/bin/env bash
# A sync that fails: every process stops with 74 and `up` does not start them
# again; what was acknowledged is there after a restart on a sound disk.
. "$(dirname "$0")/lib.sh"
expect_crashes=yes

handler work <<'CGI'
#!/bin/sh
echo "$CLOAKROOM_TICKET" >>"$MARKS/runs"
printf 'Content-Type: text/plain\n\n%s' "$CLOAKROOM_TICKET"
CGI
configure <<EOF2
routes:
  - {path: /work, queue: work, wait: 30s}
queues:
  - name: work
    handler: {cgi: {command: ./cgi/work, environment: {MARKS: $marks}}}
    workers: 2
    attempts: 5
    backoff: {first: 50ms, max: 200ms}
    lease: 2s
EOF2
touch "$marks/runs"
export FAILSYNC_WHEN=$marks/the-disk-is-bad
shim=$(find "${TEST_BUILD:?}" -name libfailsync.so)
[ -n "$shim" ] || die "no libfailsync.so under $TEST_BUILD"

# Under AddressSanitizer something preloaded is in front of its runtime.
with_bad_disk() {
    LD_PRELOAD=$shim \
        ASAN_OPTIONS=${ASAN_OPTIONS:+$ASAN_OPTIONS:}verify_asan_link_order=0 \
        start "$@"
}

for round in 1 2 3; do
    rm -f "$FAILSYNC_WHEN"
    with_bad_disk up up
    await_ready up
    python burst.py --port "$port" --clients 4 --requests 60 --method POST \
        --field 'Prefer: respond-async' --data "later $round" \
        /work >"$dir/later-$round"
    python_start burst.py --port "$port" --clients 8 --requests 100000 --method POST \
        --data "round $round" --timeout 20 --show /work >"$dir/seen-$round"
    burst=$!
    enough() { [ "$(grep -c '^200 ' "$dir/seen-$round")" -ge $((10 * round)) ]; }
    await 30 enough
    touch "$FAILSYNC_WHEN"
    ended up 30
    is "round $round: exit code of up" 74 "$code"
    kill "$burst"
    wait "$burst" 2>/dev/null || true
    holds "round $round: the log says why" grep -q event=store-broken "$dir/up.log"
    holds_not "round $round: something was started again after that" eval \
        'sed -n "/event=store-broken/,\$p" "$dir/up.log" | grep -q event=child-restart'
    : >"$dir/up.log"
    await 10 no_handlers
    # Status words while the disk fails: never an acknowledgement unsynced.
    is "round $round: answers that are neither" "" \
        "$(grep -vE '^(200|202|000|500|502|503)( |$)' "$dir/seen-$round" | head -n 1)"
done

# A restart on a sound disk: all that was acknowledged is there and ends.
rm -f "$FAILSYNC_WHEN"
up
nothing_left() {
    stat_is work queued 0 && stat_is work delayed 0 && stat_is work running 0
}
await 60 nothing_left
cat "$dir"/later-* "$dir"/seen-* | awk '$1 == 202 {print $2} $1 == 200 {print $3}' \
    >"$dir/acknowledged"
[ "$(wc -l <"$dir/acknowledged")" -ge 240 ] ||
    fail "only $(wc -l <"$dir/acknowledged") requests were acknowledged"
python answers.py "$port" <"$dir/acknowledged" >"$dir/answers"
is "acknowledged tickets without an end" "" \
    "$(grep -vE '^(200|502) ' "$dir/answers" | head -n 3)"
is "each is answered by its own run" "" \
    "$(awk '$1 == 200 && $2 != $3' "$dir/answers" | head -n 3)"
stop up
is "exit code of up" 0 "$code"
