#!/usr/bin/env bash
# A migration that fails after it has changed the schema is rolled back under
# traffic: the writes go on with the old release, and none is lost or doubled.
. "$(dirname "$0")/lib.sh"

export PORT=$port ADMIN_PORT=$admin TMPDIR=$dir
take_example migration fails
code=0
CONFIG=$config "$source_root/examples/migration/run.sh" fails >"$dir/fails.log" 2>&1 || code=$?
is "exit code of the example" 0 "$code"
holds "it says where it stopped and how things stand" grep -qF \
    'stopped in migrate: `./fails.sh` exited with 1; rolled back: writes is open on release v1' \
    "$dir/fails.log"
is "what it checked" 6 "$(grep -c '^holds: ' "$dir/fails.log")"
holds "it ends on v1" grep -q '^holds: writes ran on v1 at the end$' "$dir/fails.log"
