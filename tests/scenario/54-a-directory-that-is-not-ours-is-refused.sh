#!/usr/bin/env bash
# A data directory that is read-only, open to others, full of links, in use,
# from the future or damaged: refused with a sentence, and left as it was.
. "$(dirname "$0")/lib.sh"
expect_crashes=yes

configure <<EOF2
routes:
  - {path: /r, queue: r, wait: 30s}
queues:
  - {name: r, handler: {respond: {status: 200, body: ran}}}
EOF2
data=$dir/data

# A store with one answered request in it, kept for comparison.
up
hand_in /r
answer "$ticket"
is "an answer" 200 "$status"

# In use: a second `up` names the first.
run up
is "exit code of a second up" 69 "$code"
holds "it names the first by pid" grep -qw "${pids[up]}" "$dir/err"
http /r
is "the first goes on" 200 "$status"
stop up
cp -a "$data" "$dir/sound"

# The write-ahead log brought into the database, so that what is done to the one
# file is what is read.
python3 - "$dir/sound/cloakroom.db" <<'PYTHON'
import sqlite3, sys
store = sqlite3.connect(sys.argv[1])
store.execute("PRAGMA wal_checkpoint(TRUNCATE)")
store.close()
PYTHON

# refused WHAT REGEX: every command that opens the store refuses with a
# sentence that matches and names the place, and changes nothing in it
refused() {
    local before command
    before=$(fingerprint)
    for command in up ingress worker status; do
        run $command
        among "$1: exit code of $command" "69 74 78" "$code"
        holds "$1: $command says why" grep -qiE "$2" "$dir/err"
        holds "$1: $command names the place" \
            grep -qE "$data|cloakroom\.db" "$dir/err"
    done
    is "$1: nothing was changed" "$before" "$(fingerprint)"
}
fingerprint() {
    touch "$dir/elsewhere" # what links point to
    find "$data/" "$dir/elsewhere" -type f \( -name 'cloakroom.db*' -o \
        -name ticket.key -o -name elsewhere \) ! -name '*-shm' -size +0 |
        sort | xargs -r -d '\n' sha256sum
}
afresh() {
    rm -rf "$data"
    cp -a "$dir/sound" "$data"
}

# Open to others.
for mode in 0770 0777; do
    afresh
    chmod $mode "$data"
    refused "mode $mode" 'mode'
done

# Links where files should be.
for name in cloakroom.db cloakroom.db-wal ticket.key lock shared; do
    afresh
    rm -f "$dir/elsewhere"
    touch "$dir/elsewhere" "$data/$name"
    mv "$data/$name" "$dir/elsewhere"
    ln -s "$dir/elsewhere" "$data/$name"
    refused "a link at $name" 'link'
done
afresh
chmod 0644 "$data/ticket.key"
refused "a ticket.key open to others" 'ticket\.key.*(mode|0600|others)'

# A newer format.
afresh
python3 - "$data/cloakroom.db" <<'PYTHON'
import sqlite3, sys
store = sqlite3.connect(sys.argv[1])
(version,) = store.execute("PRAGMA user_version").fetchone()
assert version > 0, "the store carries no format version"
store.execute(f"PRAGMA user_version = {version + 1}")
store.commit()
store.execute("PRAGMA wal_checkpoint(TRUNCATE)")
store.close()
PYTHON
refused "a newer format" 'version|newer'

# Damaged: the header, then a file that is none at all.
afresh
printf 'garbage!' | dd of="$data/cloakroom.db" conv=notrunc bs=1 seek=0 status=none
refused "a damaged header" 'not a database|damaged|corrupt|malformed'
afresh
head -c 100000 /dev/urandom >"$data/cloakroom.db"
refused "noise" 'not a database|damaged|corrupt|malformed'

# Read-only.
rm -rf "$data"
small_disk "$data" size=16m,mode=0700
cp -a "$dir/sound/." "$data/"
as_root mount -o remount,ro "$data"
refused "a read-only file system" 'read-only|writ|permission'

# Not to be made: its parent is not there.
sed -i "s|directory: ./data|directory: ./no/such/place|" "$config"
for command in up ingress; do
    run $command
    among "no parent: exit code of $command" "69 74 78" "$code"
    holds "no parent: $command names the place" grep -qF "$dir/no/such" "$dir/err"
done
holds_not "something was made" test -e "$dir/no"
