#!/usr/bin/env bash
# A database goes from one schema to the next while clients write and read, also
# when the upgrade is killed in its migration and run again: the example checks
# that no write is lost, doubled, refused or run on a mixed state.
. "$(dirname "$0")/lib.sh"

export PORT=$port ADMIN_PORT=$admin TMPDIR=$dir
for story in goes killed; do
    take_example migration $story
    code=0
    CONFIG=$config "$source_root/examples/migration/run.sh" $story >"$dir/$story.log" 2>&1 || code=$?
    is "exit code of the example, which $story" 0 "$code"
    is "what it checked" 7 "$(grep -c '^holds: ' "$dir/$story.log")"
    holds "it ends on v2" grep -q '^holds: writes ran on v2 at the end$' "$dir/$story.log"
done
holds "the killed one was gone on with" grep -q \
    'goes on where an earlier run ended (migrating)' "$dir/killed.log"
