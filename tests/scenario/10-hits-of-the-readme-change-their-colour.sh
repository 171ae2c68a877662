#!/usr/bin/env bash
# The README's second screen: behind a pause clients wait and are told why; an
# upgrade lets one of them try the next release, and then all; one that fails
# goes back.
. "$(dirname "$0")/lib.sh"

cp -r "$source_root/examples/hits/." "$dir/"
rm -rf "$dir/cloakroom-data" "$dir"/hits.count* # of a run by hand
sed -i -E "s/^( *listen:).*/\1 127.0.0.1:$port/; s/^( *admin:).*/\1 127.0.0.1:$admin/" \
    "$config"
take_to_backend
cd "$dir" || exit
PATH=$PATH:$(dirname "$CLOAKROOM")
up
http /hits
is "the first hit" "hit 1 of the blue counter" "$(cat "$body")"

run pause hits --wait --reason 'green comes'
is "exit code of pause" 0 "$code"
matches "the receipt" '^queue hits is drained at epoch 2, release blue
  paused    .*Z by .*: green comes
  drained   .*Z
  workers   .* \(release blue\) acknowledged
  attempts  [01] ended
  bound     a worker cut off from the broker has ended all 10s after the pause$' \
    "$(cat out)"
http /hits -H 'Prefer: wait=1'
is "status behind the pause" 202 "$status"
is "why it waits" "queued paused green comes" "$(json '.state + " " + .reason + " " + .paused_why')"
late=$(json .ticket)

run upgrade hits --to green --migrate 'cp hits.count hits.count.blue' \
    --verify 'cloakroom probe --next --keep'
is "exit code of upgrade" 0 "$code"
matches "what it tells" '^upgrade of hits to release green
pause: hits was paused already, since .*; it stays so, and is opened at the end of the upgrade
pause: drained after .*
migrate: .* was done after .*
start: workers of release green are there after .*
hit 2 of the green counter
verify: .* was done after .*
resume: hits is open on release green, after a pause of [^ ]*$' "$(cat out)"
answer "$late"
is "the one that waited" "hit 2 of the green counter" "$(cat "$body")"
http /hits
is "the next one" "hit 3 of the green counter" "$(cat "$body")"
is "the copy" 1 "$(cat hits.count.blue)"

run upgrade hits --to red --verify false
is "exit code of an upgrade that fails" 1 "$code"
matches "where it stopped" 'stopped in verify: .false. exited with 1; there was no --rollback to run: hits is open on release green$' \
    "$(cat err)"
http /hits
is "one after that" "hit 4 of the green counter" "$(cat "$body")"
stop up
is "exit code of up" 0 "$code"
