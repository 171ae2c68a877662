#!/usr/bin/env bash
# pause.sh - models/pause.pml keeps its promises and needs each of its rules.
#
#   tests/models/pause.sh            what ./dev test runs
#   tests/models/pause.sh FLAG...    one search: -DKAFKA -DLAST=4, say; where one
#                                    fails, it shows how
#
# It tells the seconds of processor time, building included.
# A search without errors counts only if it was complete. A rule that is left
# out must break what is named for it. models/README.md is about all of these.

set -euo pipefail
export LC_ALL=C
model=$(realpath "$(dirname "$0")/../../models/pause.pml")
work=$(mktemp -d "${TMPDIR:-/tmp}/cloakroom-model.XXXXXX")
trap 'rm -rf "$work"' EXIT
export model work

# What is to come of it, and the flags. The longest first.
searches() {
    cat <<'END'
nothing            -DKAFKA -DLAST=3
nothing            -DLAST=5
nothing            -DKAFKA -DLAST=4 -DNO_PROBE
nothing            -DKAFKA -DLIVE -DLAST=3 -DNO_PROBE
nothing            -DLIVE -DLAST=2
nothing            -DKAFKA -DREMOTE -DLAST=2
P5_holds           -DKAFKA -DLAST=2 -DBREAK=FINAL
P5_holds           -DLAST=3 -DBREAK=FINAL
P5_holds           -DLAST=2 -DBREAK=KILL
P5_holds           -DLAST=2 -DBREAK=MARGIN
P5_holds           -DLAST=2 -DBREAK=DIED
P5_holds           -DREMOTE -DLAST=2 -DBREAK=TIMEOUT
P5_holds           -DLAST=2 -DBREAK=IDLE_TAKEN
P5_holds           -DLAST=2 -DBREAK=IDLE_RUNNING
P5_holds           -DLAST=2 -DBREAK=IDLE_LEAVE
P5_holds           -DKAFKA -DLAST=3 -DNO_PROBE -DBREAK=SAME_EPOCH
P5_holds           -DLAST=2 -DBREAK=SESSION
P5_holds           -DKAFKA -DLAST=2 -DNO_PROBE -DBREAK=HELLO
P5_holds_at_take   -DLAST=2 -DBREAK=IN_TAKE
P6_holds           -DLAST=2 -DBREAK=RELEASE
P6_holds           -DLAST=2 -DBREAK=DRAIN_FIRST
P6_holds           -DLAST=3 -DBREAK=CAS
P5_holds           -DKAFKA -DLAST=3 -DNO_PROBE -DBREAK=DRAIN_EPOCH
P5_holds           -DKAFKA -DLAST=2 -DBREAK=PROBE_ENDS
P6_holds           -DLAST=3 -DBREAK=PROBE_WAITS
P5_holds           -DLAST=2 -DBREAK=PROBE_HELLO
P7_holds           -DLAST=2 -DBREAK=FENCE
migration_is_alone -DLAST=3 -DBREAK=HOLD
migration_is_alone -DLAST=3 -DBREAK=HOLD_PROBE
end                -DLIVE -DLAST=2 -DBREAK=COUNT_OUT
end                -DLIVE -DLAST=2 -DBREAK=BARRIER
end                -DLIVE -DLAST=2 -DBREAK=OVERTAKEN
END
}

# search FOLDER FLAG...: its result in words
search() {
    local folder=$1 optimize=-O2
    shift
    [[ "$*" != *-DBREAK=* ]] || optimize=-O0 # it ends before that pays
    mkdir "$folder"
    cd "$folder"
    spin -a "$@" "$model" >spin.out 2>&1 || { cat spin.out; return; }
    gcc "$optimize" -w -DSAFETY -DNOREDUCE -DVECTORSZ=2048 -DMEMLIM=3000 \
        -o pan pan.c || return
    ./pan -m20000 -w22 >pan.out 2>&1 || true
    if grep -q 'assertion violated' pan.out; then
        sed -n 's/.*assertion violated \([^ ]*\).*/\1/p' pan.out
    elif grep -q 'invalid end state (' pan.out; then
        echo end
    elif grep -q 'errors: 0$' pan.out &&
        ! grep -Eq 'too small|not completed|out of memory' pan.out; then
        echo nothing
    else
        echo "nothing, but was not complete:"
        grep -E 'too small|not completed|MEMLIM|out of memory' pan.out ||
            tail -n 20 pan.out
    fi
}

# check EXPECTED FLAG...: one line about it, which begins with ok or FAIL
check() {
    local expected=$1 verdict=ok folder found states
    shift
    folder=$work/$(tr -dc 'A-Z0-9' <<<"$*")
    TIMEFORMAT=%U
    { time search "$folder" "$@" >"$folder.found"; } 2>"$folder.seconds"
    found=$(<"$folder.found")
    [ "$found" = "$expected" ] || verdict="FAIL (expected: $expected)"
    states=$(awk '/states, stored/ { print $1 }' "$folder/pan.out" || true)
    printf '%-46s breaks %-18s %8d states %5.1f s  %s\n' "$*" "$found" \
        "$states" "$(tail -n 1 "$folder.seconds")" "$verdict"
    rm -f "$folder/pan"
}
export -f search check

if [ $# -gt 0 ]; then
    check nothing "$@"
    cd "$work"/*/
    [ ! -e pause.pml.trail ] ||
        spin -t -p -g -k pause.pml.trail "$@" "$model" | grep -v '^ *$'
    exit
fi

searches | xargs -P 2 -L 1 bash -c 'check "$@"' check | tee "$work/told"
[ "$(grep -c 's  ok$' "$work/told")" = "$(searches | wc -l)" ]
