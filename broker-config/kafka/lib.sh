# lib.sh - what `fetch`, `up` and `down` share.
#
# A cluster is a folder DIR: `cluster` says how many nodes it has and where they
# listen; node-I holds `pid`, `born` (when that process began, as a process id
# alone may come to name another), `server.properties`, `log` and `data`.

set -euo pipefail
here=$(dirname "$(realpath "${BASH_SOURCE[0]}")")
root=$(realpath "$here/../..")
jars=$root/build/kafka

die() {
    printf 'kafka: %s\n' "$*" >&2
    exit 1
}

# stat_of PID: the array `stat` becomes /proc/PID/stat from its third field on, as
# the second, a name, may have blanks
stat_of() {
    { stat=$(<"/proc/$1/stat"); } 2>/dev/null || return 1
    read -ra stat <<<"${stat##*) }"
}

born() { # born PID: in ticks since boot
    local stat
    stat_of "$1" && echo "${stat[19]}"
}

# fate NODE: its process `runs`, `ends` or is `gone`. One that was killed ends for a
# while, in which its ports are not free yet.
fate() {
    local stat
    if ! { [ -s "$1/pid" ] && stat_of "$(<"$1/pid")" &&
        [ "${stat[19]}" = "$(<"$1/born")" ]; }; then
        echo gone
    elif [ "${stat[0]}" = Z ] && [ "${stat[17]}" -le 1 ]; then
        echo gone # but for whoever is to hear of it
    elif [ "${stat[0]}" = Z ] || ((stat[6] & 0x404 || stat[28] & 0x100)); then
        echo ends # other threads do; PF_EXITING, PF_SIGNALED; SIGKILL pending
    else
        echo runs
    fi
}

# signal NAME NODE...: to those that run
signal() {
    local node name=$1
    shift
    for node; do
        [ "$(fate "$node")" != runs ] || kill -"$name" "$(<"$node/pid")" || true
    done
}

# fates NODE...
fates() {
    local node
    for node; do fate "$node"; done
}

# stop NODES NODE...: a clean end, for all of these at once. Of NODES controllers a
# majority must be there for that; the last ones would wait for it for minutes,
# with all that is theirs written: they are killed after 2 s, any node after 30 s.
stop() {
    local nodes=$1 left since=$SECONDS deadline=$((SECONDS + 30))
    shift
    signal TERM "$@"
    signal CONT "$@" # one that is suspended hears nothing
    while [[ $(fates "$@") =~ runs|ends ]]; do
        left=$(fates "${1%/*}"/node-* | grep -c runs || true)
        [ $((2 * left)) -le "$nodes" ] || since=$SECONDS
        [ $SECONDS -lt $((since + 3)) ] && [ $SECONDS -lt $deadline ] ||
            signal KILL "$@"
        sleep 0.02
    done
    rm -f "${@/%//pid}" "${@/%//born}"
}
