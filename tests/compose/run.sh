#!/usr/bin/env bash
# run.sh - runs the stack of docker-compose.yml for real, and asks it everything.
#
#   tests/compose/run.sh          up, the steps below, down
#   tests/compose/run.sh --keep   leaves the stack running at the end
#   tests/compose/run.sh --down   ends what --keep or a killed run left
#
# Clients submit through the balancer all the while, as clients should: with an
# Idempotency-Key, again when refused. At the end everything that was given a ticket
# must have its own answer. Every step prints one line; the first that fails ends
# the run, with what the containers said. Each wait is bounded.

set -euo pipefail
shopt -s inherit_errexit
root=$(realpath "$(dirname "$0")/../..")
cd "$root"
export LC_ALL=C COMPOSE_PROJECT_NAME=cloakroom-test
keep=no
case ${1:-} in
'') ;;
--keep) keep=yes ;;
--down) ;;
*)
    sed -n '2,/^$/s/^# \{0,1\}//p' "$0" >&2
    exit 2
    ;;
esac

say() { printf 'compose: %s\n' "$*" >&2; }

die() {
    say "$*"
    exit 1
}

# await SECONDS COMMAND...: until it succeeds
await() {
    local deadline=$((SECONDS + $1))
    shift
    until "$@"; do
        [ $SECONDS -lt $deadline ] || return 1
        sleep 0.2
    done
}

# quietly LOG COMMAND...: its output is shown only if it fails
quietly() {
    local log=$1
    shift
    "$@" >"$log" 2>&1 || {
        tail -n 40 "$log" >&2
        return 1
    }
}

. tests/compose/engine.sh
exec 9>"$state/lock"
flock -n 9 || die "it runs already"

# compose SECONDS ARG...
compose() {
    local limit=$1
    shift
    timeout "$limit" docker-compose "$@" </dev/null 9>&-
}

# ---- the end -----------------------------------------------------------------

dir=$(mktemp -d "${TMPDIR:-/tmp}/cloakroom-compose.XXXXXX")
load=() # the processes of the clients
passed=no

down() {
    quietly "$state/down.log" compose 180 down --volumes --timeout 60 ||
        say "could not take the stack down"
}

finish() {
    touch "$dir/enough"
    [ ${#load[@]} = 0 ] || wait "${load[@]}" || true
    if [ $passed = no ] && engine_answers; then
        compose 30 ps >&2 || true
        compose 30 logs --no-color --tail 40 >"$state/containers.log" 2>&1 || true
        say "what the containers said is in build/compose/containers.log"
    fi
    if [ $keep = yes ]; then
        say "the stack is left: DOCKER_HOST=${DOCKER_HOST:-} http://127.0.0.1:$CLOAKROOM_PORT/who"
        say "it ends with ./dev compose --down"
    else
        down
        engine_stop
    fi
    rm -rf "$dir"
}

if [ "${1:-}" = --down ]; then
    rm -rf "$dir"
    engine_find || exit 0
    down
    engine_stop
    exit
fi

# ---- steps -------------------------------------------------------------------

began=$SECONDS
step=''

next() { # next STEP: the one before has passed
    [ -z "$step" ] || printf 'ok   %3d s  %s\n' $((SECONDS - began)) "$step"
    began=$SECONDS step=${1:-}
}

fail() {
    printf 'FAIL %3d s  %s: %s\n' $((SECONDS - began)) "$step" "$*"
    exit 1
}

# ---- clients -----------------------------------------------------------------

# hand_in KEY: prints the ticket's path. Again, with the same key, until it is
# accepted; one that was, and is done, is answered with its response.
hand_in() {
    local code ticket deadline=$((SECONDS + 60))
    local said='%{http_code} %header{location}%header{cloakroom-ticket}\n'
    while :; do
        read -r code ticket < <(
            curl -s -o /dev/null --max-time 10 -w "$said" \
                -H "Idempotency-Key: \"$1\"" -H 'Prefer: respond-async' \
                --data-raw "$1" "$url/who"
        ) || true
        case $code in
        202) echo "$ticket" && return ;;
        200) echo "/-/tickets/${ticket%%;*}" && return ;;
        esac
        [ $SECONDS -lt $deadline ] || return 1
        sleep 0.2
    done
}

# answered TICKET KEY: its response is there within a minute, and is its own
answered() {
    local code deadline=$((SECONDS + 60)) answer
    answer=$(mktemp "$dir/answer.XXXXXX")
    while :; do
        code=$(curl -s -o "$answer" --max-time 40 -w '%{http_code}' \
            -H 'Prefer: wait=20' "$url$1/response") || true
        [ "$code" != 200 ] || break
        [ $SECONDS -lt $deadline ] || fail "$1 of $2: $code $(head -c 300 "$answer")"
        sleep 0.2
    done
    grep -q ": $2\$" "$answer" || fail "$1 of $2 was answered: $(head -c 300 "$answer")"
    rm "$answer"
}

# hand_in_all PREFIX N: adds a line `ticket key` for each to $dir/tickets
hand_in_all() {
    local n ticket
    for n in $(seq "$2"); do
        ticket=$(hand_in "$1-$n") || fail "$1-$n was not accepted for a minute"
        echo "$ticket $1-$n" >>"$dir/tickets"
    done
}

all_answered() {
    local ticket key
    while read -r ticket key; do answered "$ticket" "$key"; done <"$dir/tickets"
}

# keep_handing_in NAME: until $dir/enough is there
keep_handing_in() {
    local n=0 ticket
    while [ ! -e "$dir/enough" ]; do
        n=$((n + 1))
        ticket=$(hand_in "$1-$n") || {
            echo "$1-$n was not accepted for a minute" >>"$dir/refused"
            return 1
        }
        echo "$ticket $1-$n" >>"$dir/$1"
        sleep 0.05
    done
}

load_start() { # load_start NAME
    rm -f "$dir/enough"
    keep_handing_in "$1" 9>&- &
    load=($!)
    await 20 test -s "$dir/$1" || fail "no client was served"
}

load_end() { # load_end NAME: and all that it was promised
    touch "$dir/enough"
    wait "${load[@]}" || true
    load=()
    [ ! -e "$dir/refused" ] || fail "$(cat "$dir/refused")"
    cat "$dir/$1" >>"$dir/tickets"
}

handed_in() { wc -l <"$dir/$1"; }
more_than() { [ "$(handed_in "$1")" -gt "$2" ]; }

# ---- what the stack says of itself -------------------------------------------

cloakroom() { # in the container of an ingress that runs
    compose 60 exec -T "$inside" cloakroom "$@"
}

# stat JQ-FILTER
stat() { cloakroom status --json 2>/dev/null | jq -r "$1"; }
stat_is() { [ "$(stat "$1" || true)" = "$2" ]; }

# healthy SERVICE...
healthy() {
    local service id
    for service; do
        id=$(compose 30 ps -q "$service") && [ -n "$id" ] &&
            [ "$(docker inspect -f '{{.State.Health.Status}}' "$id")" = healthy ] ||
            return 1
    done
}

# workers_seen: the workers that answered some more requests, one a line. They
# take a while, so that one worker is not there for all of them.
workers_seen() {
    local n
    for n in $(seq 12); do
        curl -s --max-time 40 -w "\n" --data-raw "$n" "$url/who?0.5" 9>&- &
    done | sed -n 's/^worker \([^,]*\),.*/\1/p' >>"$dir/seen"
    sort -u "$dir/seen"
}

workers_seen_are() { [ "$(workers_seen | wc -l)" = "$1" ]; }

listens() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# ---- the run -----------------------------------------------------------------

next "an engine"
if [ -z "${CLOAKROOM_PORT:-}" ]; then
    CLOAKROOM_PORT=8080
    while listens "$CLOAKROOM_PORT"; do CLOAKROOM_PORT=$((20000 + RANDOM % 9000)); done
fi
export CLOAKROOM_PORT
url=http://127.0.0.1:$CLOAKROOM_PORT
inside=ingress-a
trap finish EXIT
trap 'exit 130' INT TERM
engine_start

next "images"
images

next "up: three brokers, topics, two ingresses, a worker, a balancer"
down
quietly "$state/up.log" compose 300 up --detach --no-build || fail "not up"
await 90 healthy kafka1 kafka2 kafka3 ingress-a ingress-b balancer ||
    fail "not healthy"
await 60 stat_is '[.workers[] | select(.queue == "who")] | length' 1 ||
    fail "no worker"

next "they run as a normal user and cannot write to their root"
for service in ingress-a ingress-b worker; do
    [ "$(compose 30 exec -T $service id -u)" = 1000 ] || fail "$service: user"
    ! compose 30 exec -T $service touch /here 2>/dev/null || fail "$service: root"
done

next "a client that waits gets its answer"
for n in 1 2 3 4; do
    answer=$(curl -sf --max-time 40 --data-raw "hello $n" "$url/who") ||
        fail "no answer"
    [[ $answer = "worker "*", attempt 1: hello $n" ]] || fail "$answer"
done

next "a client with a ticket gets its answer"
hand_in_all ticket 20
all_answered

next "one key handed in twice is one ticket"
first=$(hand_in twice)
[ "$(hand_in twice)" = "$first" ] || fail "two tickets"

next "workers from 1 to 3: each of them answers"
load_start scale
quietly "$state/scale.log" compose 120 up --detach --no-build --no-deps \
    --no-recreate --scale worker=3 worker || fail "not scaled"
await 90 stat_is '[.workers[] | select(.queue == "who")] | length' 3 ||
    fail "$(stat .workers)"
: >"$dir/seen"
await 90 workers_seen_are 3 || fail "answers of $(sort -u "$dir/seen" | wc -l)"
load_end scale
all_answered

next "a pause with --wait: nothing runs, clients are accepted"
load_start pause
cloakroom pause who --wait --timeout 60s --reason compose >"$dir/receipt" ||
    fail "not drained: $(cat "$dir/receipt")"
grep -q 'is drained' "$dir/receipt" || fail "$(cat "$dir/receipt")"
before=$(handed_in pause)
await 30 more_than pause $((before + 10)) || fail "clients are not accepted"
load_end pause
stat_is '.queues[] | select(.name == "who") | .running' 0 || fail "something runs"
queued=$(stat '.queues[] | select(.name == "who") | .queued')
[ "$queued" -ge 10 ] || fail "only $queued wait"
ticket=$(tail -n 1 "$dir/tickets" | cut -d' ' -f1)
[ "$(curl -s --max-time 10 "$url$ticket" | jq -r .reason)" = paused ] ||
    fail "a ticket does not say that it is paused"

next "a resume: all that waited is answered"
cloakroom resume who >/dev/null || fail "not resumed"
all_answered

next "a broker stops: clients are served, and all is answered"
load_start broker
before=$(handed_in broker)
quietly "$state/stop.log" compose 90 stop kafka2 || fail "kafka2 did not stop"
now=$(handed_in broker)
await 60 more_than broker $((now + 20)) || fail "no client is served any more"
load_end broker
all_answered

next "it comes back"
quietly "$state/start.log" compose 60 start kafka2 || fail "kafka2 did not start"
await 90 healthy kafka2 || fail "not healthy"

for gone in ingress-a ingress-b; do
    next "$gone stops: the other one serves, and answers for every ticket"
    [ $gone = ingress-a ] && inside=ingress-b || inside=ingress-a
    load_start $gone
    quietly "$state/stop.log" compose 60 stop $gone || fail "it did not stop"
    now=$(handed_in $gone)
    await 60 more_than $gone $((now + 20)) || fail "no client is served any more"
    load_end $gone
    all_answered
    quietly "$state/start.log" compose 60 start $gone || fail "it did not start"
    await 90 healthy $gone || fail "not healthy again"
done

next "workers from 3 to 1 under load: what runs ends, all is answered"
load_start fewer
quietly "$state/scale.log" compose 120 up --detach --no-build --no-deps \
    --no-recreate --scale worker=1 worker || fail "not scaled"
await 90 stat_is '[.workers[] | select(.queue == "who")] | length' 1 ||
    fail "$(stat .workers)"
load_end fewer
all_answered

if [ $keep = no ]; then
    next "down: nothing is left"
    down
    filter=label=com.docker.compose.project=$COMPOSE_PROJECT_NAME
    left=$(docker ps -aq --filter "$filter"; docker volume ls -q --filter "$filter"
        docker network ls -q --filter "$filter")
    [ -z "$left" ] || fail "left: $left"
fi
next
passed=yes
printf 'all %d tickets had their answer\n' "$(handed_in tickets)"
