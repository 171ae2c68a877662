#!/usr/bin/env bash
# run.sh - the whole story: clients write and read without a break while the
# guest book goes from v1 to v2, and at the end nothing is lost.
#
#   ./run.sh           the upgrade goes through
#   ./run.sh fails     its migration fails, and is rolled back
#   ./run.sh killed    it is killed in its migration, and run again
#
# It works in a directory of its own, which is gone when all went well, and
# listens at 127.0.0.1, ports PORT and ADMIN_PORT (8080 and 8081). Needs curl,
# python3 and sqlite3, and cloakroom: ../../build/cloakroom, or CLOAKROOM. CONFIG
# is another configuration than cloakroom.yaml here.
set -euo pipefail

story=${1:-goes}
case $story in goes | fails | killed) ;; *)
    sed -n '2,/^set/s/^# \{0,1\}//p' "$0" >&2
    exit 2
    ;;
esac
here=$(realpath "$(dirname "$0")")
port=${PORT:-8080}
cloakroom=$(realpath "${CLOAKROOM:-$here/../../build/cloakroom}")
PATH=$(dirname "$cloakroom"):$PATH
export PATH

work=$(mktemp -d)
cp -r "$here"/{releases,migrate.sh,rollback.sh,verify.sh} "$work"
cp "${CONFIG:-$here/cloakroom.yaml}" "$work/cloakroom.yaml"
cd "$work"
sed -i "s/:8080/:$port/; s/:8081/:${ADMIN_PORT:-8081}/" cloakroom.yaml

leave() {
    local code=$? pids
    trap - EXIT
    touch stop
    pids=$(jobs -p)
    # shellcheck disable=SC2086
    [ -z "$pids" ] || kill $pids 2>/dev/null || true
    wait
    if [ "$code" = 0 ]; then rm -rf "$work"; else
        tail -n 20 up.log
        echo "what is left of it: $work"
    fi
    exit "$code"
}
trap leave EXIT
trap 'exit 130' INT TERM

await() { # await WHAT COMMAND...: for half a minute at most
    local what=$1 until=$((SECONDS + 30))
    shift
    until "$@"; do
        [ $SECONDS -lt $until ] || { echo "waited in vain for $what"; exit 1; }
        sleep 0.05
    done
}

# ---- a guest book of some size, at v1 ----------------------------------------

sqlite3 guests.db >/dev/null <<'SQL'
PRAGMA journal_mode = WAL; -- who reads sees the last commit, and waits for none
CREATE TABLE guests (id INTEGER PRIMARY KEY, name TEXT NOT NULL);
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 50000)
INSERT INTO guests (name) SELECT 'Early Guest' || i FROM n;
PRAGMA user_version = 1;
SQL
touch runs.log

cloakroom up >up.out 2>up.log </dev/null &
up=$!
is_up() { grep -q 'is up at' up.out || ! kill -0 $up 2>/dev/null; }
await "cloakroom up" is_up
kill -0 $up

# ---- clients -----------------------------------------------------------------

# Each line is an answer: its status, and what was asked for.
ask() {
    local asked=$1
    shift
    curl -sS -m 60 -o /dev/null -w "%{http_code} $asked\n" "$@" \
        "http://127.0.0.1:$port/guests" 2>&1 || true
}
writer() {
    local n
    for n in $(seq 2000); do
        [ ! -e stop ] || return 0
        ask "Writer$1 Number$n" -d "Writer$1 Number$n" >>"answers.writer$1"
    done
}
reader() {
    for _ in $(seq 2000); do
        [ ! -e stop ] || return 0
        ask read >>"answers.reader$1"
    done
}
clients=()
for n in 1 2 3; do
    writer $n & clients+=($!)
done
for n in 1 2; do
    reader $n & clients+=($!)
done

count() { grep -c "$@" runs.log || true; }
has() { [ "$(count "$2")" -ge "$1" ]; } # has COUNT WHAT
await "ten writes by v1" has 10 '^write-ends v1 1$'
await "some reads by v1" has 5 '^read v1 1$'

# ---- from v1 to v2 -----------------------------------------------------------

show() { printf '\n$ %s\n' "$*"; "$@"; }
upgrade_writes() { # upgrade_writes MIGRATE
    show cloakroom upgrade writes --to v2 \
        --migrate "$1" --verify ./verify.sh --rollback ./rollback.sh
}

# v2 reads both schemas, v1 only its own: so reads go first.
show cloakroom upgrade reads --to v2
case $story in
goes)
    upgrade_writes ./migrate.sh
    ;;
fails)
    code=0
    printf '#!/bin/sh\n./migrate.sh\nexit 1\n' >fails.sh
    chmod +x fails.sh
    upgrade_writes ./fails.sh || code=$?
    [ $code = 1 ]
    ;;
killed)
    cloakroom upgrade writes --to v2 --migrate './migrate.sh; touch migrated; sleep 60' \
        --verify ./verify.sh --rollback ./rollback.sh &
    await "its migration" test -e migrated
    kill -KILL $!
    wait $! || true
    upgrade_writes ./migrate.sh
    ;;
esac
show cloakroom history --limit 10
echo

release=v2 schema=2
[ "$story" != fails ] || release=v1 schema=1
writes=$(count "^write-ends $release $schema\$")
await "ten more writes" has $((writes + 10)) "^write-ends $release $schema\$"
reads=$(count "^read v2 $schema\$")
await "some more reads" has $((reads + 5)) "^read v2 $schema\$"
touch stop
wait "${clients[@]}"
kill $up
wait $up

# ---- what must be so ---------------------------------------------------------

failures=0
holds() { # holds SENTENCE COMMAND...
    local sentence=$1
    shift
    if "$@"; then echo "holds: $sentence"; else
        echo "DOES NOT HOLD: $sentence"
        failures=$((failures + 1))
    fi
}

no_crash() { ! grep event=child-exit up.log; }
holds "no process of cloakroom crashed" no_crash

cat answers.* | grep -v '^200 ' >errors || true
holds "no client saw an error ($(cat answers.* | wc -l) answers)" test ! -s errors
head -n 5 errors

cat answers.writer* | sed -n 's/^200 //p' | sort >written
names=name
[ $schema = 1 ] || names="first || ' ' || last"
sqlite3 guests.db "SELECT $names FROM guests WHERE id > 50000" | sort >kept
holds "no write was lost, and none is there twice ($(wc -l <kept) writes)" cmp written kept
early() { [ "$(sqlite3 guests.db "SELECT count(*) FROM guests WHERE $names LIKE 'Early Guest%'")" = 50000 ]; }
holds "the 50000 guests from before are all there" early

# The log is in order: what began before what.
judge() {
    awk '
        $1 == "write-begins" && changing { bad("a write while the schema changes") }
        $1 == "write-begins" && running && $2 != last { bad("two releases at a time") }
        $1 ~ /^write-/ && $2 != "v" $3 { bad("a write on the schema of another release") }
        $1 == "write-begins" { running++; last = $2 }
        $1 == "write-ends" { running-- }
        $1 == "change-begins" && running { bad("a change of the schema while something writes") }
        $1 == "change-begins" { changing = 1 }
        $1 == "change-ends" { changing = 0 }
        function bad(what) { print "line " NR ": " what; wrong = 1 }
        END { exit wrong || running || changing }' runs.log
}
holds "no write ran on a mixed state: each on the schema of its release, none while that changed" judge
holds "writes ran on $release at the end" has 10 "^write-ends $release $schema\$"
went_on() {
    awk '
        /^change-begins/ { waits = 1 }
        /^write-begins/ { waits = 0 }
        /^read / { reads += waits }
        END { print reads + 0 }' runs.log
}
echo "       reads from the first change of the schema to the next write: $(went_on)"
[ "$story" = fails ] || holds "reads went on while writes waited" test "$(went_on)" -ge 1

exit $((failures > 0))
