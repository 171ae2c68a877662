# search.sh - search a model with Spin; sourced by the tests of the models.
#
#   model_main MODEL FLAG...    one search, and where it fails, how
#   model_main MODEL            those that the function searches() lists, two at
#                               a time: what is to come of each, and its flags
#
# OPTIMIZE: how searches without errors are built, -O2 if unset.
# It tells the seconds of processor time, building included.
# A search without errors counts only if it was complete. A rule that is left
# out must break what is named for it. models/README.md is about all of these.

set -euo pipefail
export LC_ALL=C
work=$(mktemp -d "${TMPDIR:-/tmp}/cloakroom-model.XXXXXX")
trap 'rm -rf "$work"' EXIT
export work

# search FOLDER EXPECTED FLAG...: its result in words
search() {
    local folder=$1 expected=$2 optimize=${OPTIMIZE:--O2}
    shift 2
    [ "$expected" = nothing ] || optimize=-O0 # it ends before that pays
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
    { time search "$folder" "$expected" "$@" >"$folder.found"; } 2>"$folder.seconds"
    found=$(<"$folder.found")
    [ "$found" = "$expected" ] || verdict="FAIL (expected: $expected)"
    states=$(awk '/states, stored/ { print $1 }' "$folder/pan.out" || true)
    printf '%-46s breaks %-18s %8d states %5.1f s  %s\n' "$*" "$found" \
        "$states" "$(tail -n 1 "$folder.seconds")" "$verdict"
    rm -f "$folder/pan"
}
export -f search check

model_main() {
    model=$(realpath "$(dirname "$0")/../../models/$1")
    export model
    shift
    if [ $# -gt 0 ]; then
        check nothing "$@"
        cd "$work"/*/
        [ ! -e "${model##*/}.trail" ] ||
            spin -t -p -g -k "${model##*/}.trail" "$@" "$model" |
            grep -v '^ *$'
        return
    fi
    searches | xargs -P 2 -L 1 bash -c 'check "$@"' check | tee "$work/told"
    [ "$(grep -c 's  ok$' "$work/told")" = "$(searches | wc -l)" ]
}
