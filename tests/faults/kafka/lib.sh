# lib.sh - the ground of a fault: three brokers of its own, ingresses, workers,
# clients that submit all the while, and the audit at the end.
#
# Sourced first; builds on tests/scenario/lib.sh, whose words are used here too.
# Needs CLOAKROOM. What a fault says before the clients start:
#   lease=SECONDS   of the queue; `timeout` of the broker is $patience seconds
# What it says before the audit:
#   losses=yes      workers were lost: what they ran may have been repeated or
#                   failed; without it every ticket is done by its first run

export CLOAKROOM_BACKEND=kafka
kafka=$(realpath "$(dirname "${BASH_SOURCE[0]}")/../../../broker-config/kafka")
jars=$(realpath "$kafka/../../build/kafka/libs")
cluster=$(mktemp -d "${TMPDIR:-/tmp}/cloakroom-cluster.XXXXXX")
trap 'rm -rf "$cluster"' EXIT
mkdir "$cluster/kafka"
echo nowhere >"$cluster/kafka/servers"
TEST_BUILD=$cluster
. "$(dirname "${BASH_SOURCE[0]}")/../../scenario/lib.sh"
drop_topics=true # they end with their cluster
beside=$(realpath "$(dirname "${BASH_SOURCE[0]}")")
expect_crashes=yes
nodes=3 partitions=6
lease=30 patience=5 losses=no
# Above `timeout`: a handful of threads on a machine that brokers are starting on.
slack=2.5
declare -A at=() # HOST:PORT of each ingress, by name

# ---- brokers -------------------------------------------------------------------

# They outlive no fault, and are no strays of the scenario.
kafka() { env -u CLOAKROOM_SCENARIO "$kafka/$1" --dir "$cluster/kafka" "${@:2}"; }

brokers_up() { # brokers_up [OPTION...]
    servers=$(kafka up --nodes $nodes --port 0 "$@" 2>>"$dir/kafka.err") ||
        die "no brokers: $(cat "$dir/kafka.err")"
    servers=${servers#servers: }
}

at_end() {
    [ -z "${KEEP:-}" ] || cp -r "$cluster/kafka" "$dir/brokers"
    [ -z "${STAY:-}" ] || { echo "stays: $dir on $servers"; return; }
    kafka down 2>>"$dir/kafka.err"
    rm -rf "$cluster"
}

broker_pid() { cat "$cluster/kafka/node-$1/pid"; }

# broker SIGNAL I
broker() {
    say "SIG$1 to broker $2"
    kill -"$1" "$(broker_pid "$2")"
}

# broker_again I: after a kill; returns when it is in
broker_again() {
    kafka up --node "$1" >/dev/null 2>>"$dir/kafka.err" ||
        die "broker $1 does not come back: $(tail -n 5 "$dir/kafka.err")"
    say "broker $1 is back"
}

# active_controller: its node, as Kafka tells; nothing while there is none
active_controller() {
    timeout 30 java -XX:TieredStopAtLevel=1 -XX:+UseSerialGC -cp "$jars/*" \
        org.apache.kafka.tools.MetadataQuorumCommand \
        --bootstrap-server "$servers" describe --status 2>>"$dir/kafka.err" |
        sed -n 's/^LeaderId: *//p'
}

say() { printf '%s %s\n' "$(date +%T.%3N)" "$*" | tee -a "$dir/story" >&2; }

# ---- cloakroom -------------------------------------------------------------------

# The handler tells when it starts and ends; a second run of a ticket at the same
# time finds the lock held.
handler work <<'CGI'
#!/bin/bash
exec 9>"$MARKS/locks/$CLOAKROOM_TICKET"
flock -n 9 || echo "$CLOAKROOM_TICKET $CLOAKROOM_ATTEMPT $$" >>"$MARKS/overlaps"
echo "start $EPOCHREALTIME $REQUEST_METHOD ${HTTP_IDEMPOTENCY_KEY:--} $CLOAKROOM_TICKET $CLOAKROOM_ATTEMPT $$" >>"$MARKS/runs"
case $QUERY_STRING in *[05]) sleep 0.4 ;; esac
echo "end $EPOCHREALTIME $REQUEST_METHOD ${HTTP_IDEMPOTENCY_KEY:--} $CLOAKROOM_TICKET $CLOAKROOM_ATTEMPT $$" >>"$MARKS/runs"
printf 'Content-Type: text/plain\n\n%s %s' "$CLOAKROOM_TICKET" "$$-$CLOAKROOM_ATTEMPT"
CGI
mkdir "$marks/locks"
touch "$marks/runs" "$marks/overlaps" "$marks/seen"

# settings NAME HOST: $dir/NAME.yaml, which becomes $config. Each process that
# has a view has a file of its own. The first one makes the topics.
settings() {
    local name=$1 host=${2:-127.0.0.1}
    free_port && port=$chosen_port
    free_port && admin=$chosen_port
    config=$dir/$name.yaml
    cat >"$config" <<END
broker:
  kafka:
    servers: "$servers"
    prefix: $prefix
    view: ./view-$name
    secret_file: ./ticket.key
    timeout: ${patience}s
    topics: {partitions: $partitions}
ingress: {listen: "$host:$port", admin: "127.0.0.1:$admin"}
routes:
  - {path: /work, queue: work, wait: 30s}
queues:
  - name: work
    handler: {cgi: {command: ./cgi/work, environment: {MARKS: $marks}}}
    concurrency: 4
    attempts: 20
    backoff: {first: 50ms, max: 200ms}
    lease: ${lease}s
    timeout: 20s
END
    [ -e "$dir/topics.log" ] || apply_topics
}

# inside NAME: commands that go to that network namespace; empty: to this one
inside() { :; }

# process NAME COMMAND: `start`, which survives its network namespace
process() {
    local name=$1 space
    space=$(inside "$name")
    # shellcheck disable=SC2086
    $space "$CLOAKROOM" "${@:2}" -c "$config" </dev/null \
        >>"$dir/$name.out" 2>>"$dir/$name.log" &
    pids[$name]=$!
}

says_ready() { # says_ready NAME
    [ "$($(inside "$1") curl -s -o /dev/null -m 5 -w '%{http_code}' \
        "http://127.0.0.1:${admins[$1]}/readyz")" = 200 ]
}
declare -A admins=()

ingress() { # ingress NAME [HOST]
    if [ -z "${at[$1]:-}" ]; then
        settings "$@"
        at[$1]=${2:-127.0.0.1}:$port
        admins[$1]=$admin
    fi
    config=$dir/$1.yaml
    process "$1" ingress
    await 60 says_ready "$1"
}

worker() { # worker NAME
    process "$1" worker
}

# ---- clients -------------------------------------------------------------------

handlers_of() { # handlers_of WORKER: pids below its spawner
    local spawner
    for spawner in $(children "${pids[$1]}"); do children "$spawner"; done
}

client=
clients() { # clients [NUMBER]
    local to=()
    for name in "${!at[@]}"; do to+=("${at[$name]}"); done
    python3 "$beside/clients.py" "$marks/stop" "$marks/seen" \
        "${1:-8}" "$patience" "$slack" "${to[@]}" &
    client=$!
}

answered() { grep -c '"status": 200' "$marks/seen" || true; }
more_answered() { [ "$(answered)" -ge "$1" ] || gone $client; }

# goes_on [NUMBER]: so many more are answered, now
goes_on() {
    local begun=$EPOCHREALTIME
    await 90 more_answered $(($(answered) + ${1:-60}))
    say "${1:-60} more answers in $(awk "BEGIN { printf \"%.1f\", $EPOCHREALTIME - $begun }") s"
}

unknown() {
    grep -cE '"code": "(outcome-unknown|RemoteDisconnected|Connection.*)"' \
        "$marks/seen" || true
}
nothing_left() {
    "$CLOAKROOM" status -c "$config" --json 2>>"$dir/status.err" |
        jq -e '.queues[0] | .queued + .running + .delayed == 0' >/dev/null
}

# audit: the clients come to their end, and all that was promised is looked at
audit() {
    touch "$marks/stop"
    await 150 gone $client
    holds "the clients got all their answers" wait $client
    local until=$((SECONDS + 60))
    until nothing_left; do
        if [ $SECONDS -gt $until ]; then
            fail "something is left: $("$CLOAKROOM" status -c "$config" --json)"
            break
        fi
        sleep 0.2
    done
    python3 "$beside/audit.py" "$marks" "$losses" "$patience" "$slack" \
        "${at[@]}" >"$dir/audit" ||
        fail "promises are broken: $(head -n 20 "$dir/audit")"
    tail -n 1 "$dir/audit"
    say "outcome unknown: $(unknown)"
    is "runs of a ticket at the same time" "" "$(cat "$marks/overlaps")"
    await 10 no_handlers
}

# everything_stops: each process ends by itself when it is asked to
everything_stops() {
    local name
    for name in "${!pids[@]}"; do
        stop "$name"
        is "exit code of $name" 0 "$code"
    done
}
