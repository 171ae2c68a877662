# lib.sh - a scenario's ground: a fresh directory, free ports, processes that
# end with it, and checks that print what they saw.
#
# Sourced first by every scenario; needs CLOAKROOM, the path of the binary, and
# takes the backend from CLOAKROOM_BACKEND: embedded (the default) or kafka, the
# one that listens where TEST_BUILD/kafka/servers says.
#   $backend        embedded or kafka
#   $prefix         on Kafka, of the scenario's own topics, which are deleted
#   $dir            the scenario's own directory, gone when it passed
#   $port, $admin   where its ingress listens
#   $cli            what the processes run with: -c $dir/cloakroom.yaml
# A check that fails is printed and remembered, and the scenario goes on; what
# makes going on pointless ends it (`die`). Nothing waits for a time: `await`
# polls a condition up to a bound. On EXIT every process that was started is
# ended, by pid, and a failure prints the logs.

set -euo pipefail
shopt -s inherit_errexit
: "${CLOAKROOM:?must be the path of the cloakroom binary}"
CLOAKROOM=$(realpath "$CLOAKROOM")
scenario=$(basename "$0" .sh)
here=$(realpath "$(dirname "${BASH_SOURCE[0]}")")
source_root=$(realpath "$here/../..")
export PYTHONDONTWRITEBYTECODE=1 LC_ALL=C

dir=$(mktemp -d "${TMPDIR:-/tmp}/cloakroom-${scenario%%-*}.XXXXXX")
dir=$(realpath "$dir")
mkdir "$dir/cgi" "$dir/marks"
config=$dir/cloakroom.yaml
head=$dir/head   # of the last `http`
body=$dir/body   # likewise
marks=$dir/marks # where handlers and scenarios leave word for each other
export CLOAKROOM_SCENARIO=$dir # marks our processes

backend=${CLOAKROOM_BACKEND:-embedded}
prefix=s${scenario%%-*}-${dir##*.}
servers=
drop_topics=
partitions=4 # within one requests are taken in their order, else in none
if [ "$backend" = kafka ]; then
    servers=$(cat "${TEST_BUILD:?}/kafka/servers")
    drop_topics=$TEST_BUILD/tests/drop_topics
fi
on_kafka() { [ "$backend" = kafka ]; }

declare -A pids=() # of what `start` started, by name
mounts=()          # undone at the end
failures=0
code=0             # exit code of the last `run`, `stop` or `ended`
status=0           # of the last `http`
expect_crashes=no  # set to yes where processes are killed on purpose

# ---- checks ------------------------------------------------------------------

# where: the scenario's own line that led here
where() { echo "$scenario:${BASH_LINENO[-2]}"; }

fail() {
    failures=$((failures + 1))
    printf 'FAIL %s: %s\n' "$(where)" "$*"
}

die() {
    printf 'FATAL %s: %s\n' "$(where)" "$*"
    exit 1
}

# is WHAT EXPECTED ACTUAL
is() {
    [ "$2" = "$3" ] || fail "$1: expected '$2', got '$3'"
}

# among WHAT "A B C" ACTUAL: one of the words
among() {
    case " $2 " in *" $3 "*) ;; *) fail "$1: expected one of '$2', got '$3'" ;; esac
}

# matches WHAT REGEX ACTUAL: an extended regular expression
matches() {
    [[ $3 =~ $2 ]] || fail "$1: expected to match '$2', got '$3'"
}

# holds WHAT COMMAND...: the command must succeed
holds() {
    local what=$1
    shift
    "$@" || fail "$what: not so ($*)"
}

# holds_not WHAT COMMAND...
holds_not() {
    local what=$1
    shift
    ! "$@" || fail "$what: it is so ($*)"
}

# await SECONDS COMMAND...: polls until the command succeeds
await() {
    local until=$((SECONDS + $1 + 1))
    shift
    until "$@"; do
        [ $SECONDS -lt $until ] || die "waited in vain for: $*"
        sleep 0.05
    done
}

# ---- processes ---------------------------------------------------------------

alive() { # alive PID: runs, and is no zombie
    local stat
    stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 1
    stat=${stat##*) }
    case $stat in Z* | X*) return 1 ;; esac
}

gone() { ! alive "$1"; }

# start NAME COMMAND [ARGUMENT...]: `cloakroom COMMAND -c FILE ...` in the
# background; its log is $dir/NAME.log, what it prints $dir/NAME.out
start() {
    local name=$1 command=$2
    shift 2
    "$CLOAKROOM" "$command" -c "$config" "$@" \
        </dev/null >>"$dir/$name.out" 2>>"$dir/$name.log" &
    pids[$name]=$!
}

# ended NAME [SECONDS]: waits for its end; sets $code
ended() {
    local pid=${pids[$1]}
    await "${2:-20}" gone "$pid"
    code=0
    wait "$pid" || code=$?
    unset "pids[$1]"
}

# stop NAME [SIGNAL]
stop() {
    kill -"${2:-TERM}" "${pids[$1]}" || die "$1 does not run any more"
    ended "$1"
}

# run COMMAND...: cloakroom in the foreground; sets $code, output in $dir/out
# and $dir/err
run() {
    local command=$1
    shift
    code=0
    timeout 60 "$CLOAKROOM" "$command" -c "$config" "$@" \
        >"$dir/out" 2>"$dir/err" </dev/null || code=$?
}

# children PID: its direct children's pids
children() {
    cat /proc/"$1"/task/*/children 2>/dev/null || true
}

# child_named PID WORD: pids of direct children whose command is `cloakroom WORD`
child_named() {
    local pid
    for pid in $(children "$1"); do
        if tr '\0' ' ' 2>/dev/null <"/proc/$pid/cmdline" |
            grep -q "cloakroom $2 "; then
            echo "$pid"
        fi
    done
}

# strays: pids that this scenario caused and that still live
strays() {
    local pid
    {
        grep -lszF "CLOAKROOM_SCENARIO=$dir" /proc/[0-9]*/environ
        find /proc -maxdepth 2 -path '/proc/[0-9]*/cwd' -lname "$dir*" 2>/dev/null
    } | tr -dc '0-9\n' | sort -un | while read -r pid; do
        # Our own shells, and what they run to find out, are no strays.
        if [ "$pid" != $$ ] && alive "$pid" && ! descends "$pid" $$; then
            echo "$pid"
        fi
    done || true
}

# descends PID ANCESTOR: not through anything started by `start`; or it is gone
descends() {
    local pid=$1 started
    while [ "${pid:-1}" -gt 1 ]; do
        for started in "${pids[@]}"; do
            [ "$pid" != "$started" ] || return 1
        done
        [ "$pid" != "$2" ] || return 0
        pid=$(awk '/^PPid:/ {print $2}' "/proc/$pid/status" 2>/dev/null)
        # One on the way ended meanwhile: it itself, or it has a new parent.
        [ -n "$pid" ] || { alive "$1" || return 0; pid=$1; }
    done
    return 1
}

no_strays() { [ -z "$(strays)" ]; }

# handler_pids [TICKET]: what runs in the programs' directory, where handlers
# run, or carries that ticket in its environment
handler_pids() {
    local pid
    if [ $# = 0 ]; then
        find /proc -maxdepth 2 -path '/proc/[0-9]*/cwd' -lname "$dir/cgi*" \
            2>/dev/null
    else
        grep -lszF "CLOAKROOM_TICKET=$1" /proc/[0-9]*/environ
    fi | tr -dc '0-9\n' | while read -r pid; do
        if alive "$pid"; then echo "$pid"; fi
    done || true
}

no_handlers() { [ -z "$(handler_pids "$@")" ]; }

show_processes() {
    local pid
    for pid in $(strays); do
        printf '%s: %s\n' "$pid" "$(tr '\0' ' ' <"/proc/$pid/cmdline")"
    done
}

# end_processes: tells all that was started to end, and sees to it
end_processes() {
    local name pid i
    for pid in $(jobs -p); do # our clients; a scenario that passed has none
        case " ${pids[*]} " in *" $pid "*) ;; *) kill "$pid" ;; esac
    done
    for name in "${!pids[@]}"; do
        kill -CONT "${pids[$name]}" 2>/dev/null
        kill -TERM "${pids[$name]}" 2>/dev/null
    done
    for i in $(seq 200); do
        no_strays && break
        sleep 0.05
    done
    if ! no_strays; then
        fail "processes are left over:"
        show_processes
        for pid in $(strays); do kill -KILL "$pid" 2>/dev/null; done
    fi
    for name in "${!pids[@]}"; do wait "${pids[$name]}" 2>/dev/null; done
}

logs() { find "$dir" -maxdepth 1 -name '*.log' -size +0 | sort; }

judge_logs() {
    local bad='Sanitizer|runtime error:|Assertion' lines
    [ "$expect_crashes" = yes ] ||
        bad="$bad|event=(child-exit|lock-kill|store-corrupt|store-broken)"
    lines=$(logs | xargs -r grep -hE "$bad")
    [ -z "$lines" ] || fail "the logs tell of a crash: $lines"
}

leave() {
    local exit_code=$? name
    trap - EXIT
    set +e
    end_processes
    judge_logs
    [ "$exit_code" = 0 ] && [ $failures -gt 0 ] && exit_code=1
    if [ "$exit_code" != 0 ]; then
        for name in $(logs); do
            echo "--- $name (its last 100 lines)"
            tail -n 100 "$name"
        done
        echo "$scenario failed: $failures failed checks, exit code $exit_code"
    fi
    for name in "${mounts[@]}"; do as_root umount "$name"; done
    at_end
    if on_kafka && [ -z "${KEEP:-}" ]; then "$drop_topics" "$servers" "$prefix"; fi
    if [ -z "${KEEP:-}" ]; then rm -rf "$dir"; else echo "kept: $dir"; fi
    exit "$exit_code"
}
at_end() { :; } # who has more to undo says how
trap leave EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi
}

# small_disk DIRECTORY OPTIONS: mounts a tmpfs there
small_disk() {
    mkdir -p "$1"
    as_root mount -t tmpfs -o "$2" none "$1" ||
        die "this scenario needs the right to mount a tmpfs (root or sudo)"
    mounts+=("$1")
}

# ---- configuration -----------------------------------------------------------

# Ten ports are ours as long as we hold a lock, also while nothing of ours
# listens there. They lie below the kernel's own range, so that no client gets
# one. Whoever inherits the lock holds it too, which is right.
take_ports() {
    local block lock
    for ((block = 0; block < 1000; block++)); do
        exec {lock}>"/tmp/cloakroom-ports-$block" || continue
        if flock -n "$lock"; then
            next_port=$((10000 + block * 10))
            return
        fi
        exec {lock}>&-
    done
    die "no ports are free"
}

# free_port: the next of ours that no stranger listens at; sets $chosen_port
free_port() {
    while (exec 3<>"/dev/tcp/127.0.0.1/$next_port") 2>/dev/null; do
        next_port=$((next_port + 1))
    done
    chosen_port=$next_port
    next_port=$((next_port + 1))
}
take_ports
free_port && port=$chosen_port
free_port && admin=$chosen_port

# configure [INGRESS-SETTING...] <routes and queues
configure() {
    {
        echo "broker:"
        echo "  embedded: {directory: ./data}"
        echo "ingress:"
        echo "  listen: 127.0.0.1:$port"
        echo "  admin: 127.0.0.1:$admin"
        [ $# = 0 ] || printf '  %s\n' "$@"
        cat
    } >"$config"
    chmod 0644 "$config"
    take_to_backend
}

# take_to_backend: has $config, which says `embedded:`, say what this scenario
# runs on, and makes the topics
take_to_backend() {
    on_kafka || return 0
    sed -i "s|^  embedded:.*|  kafka: {servers: \"$servers\", prefix: $prefix,\
    view: ./view-$(basename "$config" .yaml), secret_file: ./ticket.key,\
    topics: {partitions: $partitions}}|" "$config"
    apply_topics
}

# take_example NAME AS: makes $config, $dir/AS.yaml, of the configuration of an
# example, on this scenario's backend with topics of its own
take_example() {
    config=$dir/$2.yaml
    cp "$source_root/examples/$1/cloakroom.yaml" "$config"
    prefix=$prefix.$2 take_to_backend
}

apply_topics() {
    "$CLOAKROOM" topics apply -c "$config" >>"$dir/topics.log" 2>&1 ||
        die "no topics: $(tail -n 5 "$dir/topics.log")"
}

# handler NAME <the program: $dir/cgi/NAME, an executable
handler() {
    cat >"$dir/cgi/$1"
    chmod 0755 "$dir/cgi/$1"
}

is_ready() {
    [ "$(curl -s -o /dev/null -m 5 -w '%{http_code}' \
        "http://127.0.0.1:$admin/readyz")" = 200 ]
}

# up: `cloakroom up`, and waits until it is ready
up() {
    start up up
    await_ready up
}

# await_ready NAME: until the ingress that NAME is or has says it is ready
await_ready() {
    await 30 ready_or_gone "$1"
    alive "${pids[$1]}" || die "$1 ended before it was ready"
}

ready_or_gone() { is_ready || gone "${pids[$1]}"; }

# ---- HTTP --------------------------------------------------------------------

# http PATH [CURL-ARGUMENT...]: sets $status, fills $head and $body
http() {
    local path=$1
    shift
    : >"$body"
    status=$(curl -sS --path-as-is -m 60 -o "$body" -D "$head" \
        -w '%{http_code}' "$@" "http://127.0.0.1:$port$path" \
        2>"$dir/curl-error") || true
}

# field NAME: its value in the last answer's head, the last if repeated
field() {
    tr -d '\r' <"$head" | awk -v name="$1" '
        BEGIN { name = tolower(name) ":" }
        tolower(substr($0, 1, length(name))) == name {
            value = substr($0, length(name) + 1)
            sub(/^[ \t]+/, "", value)
        }
        END { print value }'
}

# json FILTER: of the last answer's body
json() { jq -r "$1" "$body" 2>/dev/null || echo "not JSON: $(head -c 200 "$body")"; }

# hand_in PATH [CURL-ARGUMENT...]: asks for a ticket at once; sets $ticket
hand_in() {
    http "$1" -H 'Prefer: respond-async' "${@:2}"
    is "handing in $1" 202 "$status"
    ticket=$(field Location)
    ticket=${ticket##*/}
}

# state TICKET
state() {
    curl -s -m 20 "http://127.0.0.1:$port/-/tickets/$1" | jq -r .state
}

is_in_state() { [ "$(state "$1")" = "$2" ]; }

# await_state TICKET STATE [SECONDS]
await_state() { await "${3:-20}" is_in_state "$1" "$2"; }

# answer TICKET: waits for the response (in $head, $body); sets $status
answer() {
    http "/-/tickets/$1/response" -H 'Prefer: wait=30'
}

# a problem of ours: problem STATUS CODE-REGEX; looks at the last answer
problem() {
    is "status of the refusal" "$1" "$status"
    is "its media type" application/problem+json "$(field Content-Type)"
    is "status in the problem" "$1" "$(json .status)"
    matches "code in the problem" "^($2)$" "$(json .code)"
}

# stat QUEUE MEMBER: of `cloakroom status --json`
stat_of() {
    "$CLOAKROOM" status -c "$config" --json |
        jq -r --arg queue "$1" ".queues[] | select(.name == \$queue) | .$2 // \"\""
}

stat_is() { [ "$(stat_of "$1" "$2")" = "$3" ]; }

# python HELPER ARGUMENT...: one of the programs beside this file
python() { python3 "$here/$1" "${@:2}"; }

# python_start HELPER ARGUMENT...: the same in the background; its pid is in $!
# (of `python ... &` it would be the pid of a shell)
python_start() { python3 "$here/$1" "${@:2}" & }
