#!/bin/sh
# verify.sh - is v2 what we want, before anybody else gets it?
set -eu
sql() { sqlite3 -bail -cmd '.timeout 20000' guests.db "$@"; }

found=$(sql 'PRAGMA user_version' 'PRAGMA integrity_check' | xargs)
[ "$found" = "2 ok" ] || { echo "schema and integrity: $found" && exit 1; }

# Reads go on while writes wait.
cloakroom submit --wait=20s /guests
echo

# One write that waits runs on v2, and its client gets the answer: a write that
# ran and were put back would be there twice. 75: none waits.
cloakroom probe --next --keep || [ $? = 75 ]
