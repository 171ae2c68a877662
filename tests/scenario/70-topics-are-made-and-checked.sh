#!/usr/bin/env bash
# The topics in Kafka are made once, as the settings say; what is not as it must
# be is refused with the command that mends it, and what that command can mend it
# does.
. "$(dirname "$0")/lib.sh"

tamper="$TEST_BUILD/tests/kafka_tamper $servers"
apply="run: cloakroom topics apply -c $config"

# settings PARTITIONS AGE: of a broker in Kafka, and two queues
settings() {
    cat >"$config" <<EOF
broker:
  kafka:
    servers: "$servers"
    prefix: $prefix
    topics: {partitions: $1}
queues:
  - {name: hits, handler: {respond: {}}, retention: {age: $2}}
  - {name: mail, handler: {respond: {}}}
routes:
  - {path: /, queue: hits}
EOF
    chmod 0644 "$config"
}

# refused WHAT TEXT: check says just this, and that is its end
refused() {
    run topics check
    is "exit code of check with $1" 1 "$code"
    is "what check says of $1" "$2" "$(cat "$dir/out")"
}

# mended WHAT TEXT: apply does just this, and check is content
mended() {
    run topics apply
    is "exit code of apply with $1" 0 "$code"
    is "what apply does about $1" "$2" "$(sed '$d' "$dir/out")"
    run topics check
    is "exit code of check after $1" 0 "$code"
}

# ---- made once ---------------------------------------------------------------

settings 3 1h
run topics check
is "exit code of check before anything is there" 1 "$code"
is "number of topics that are missing" 8 "$(wc -l <"$dir/out")"
is "what check says first" "topic $prefix.requests.hits is not there; $apply" \
    "$(head -1 "$dir/out")"

run topics apply
is "exit code of apply" 0 "$code"
is "number of topics made" 8 "$(grep -c ': made' "$dir/out")"
run topics check
is "exit code of check on what was made" 0 "$code"
mended "nothing" ""
for partition in 0 1 2; do
    is "first offset of hits [$partition]" "0 0" \
        "$($tamper committed "$prefix.hits" "$prefix.requests.hits" $partition)"
done

run topics show
is "exit code of show" 0 "$code"
matches "what show says of the tickets" \
    "$prefix\.tickets +3 +1 +1 +while it is needed +what became of requests" \
    "$(cat "$dir/out")"
matches "what show says of control" "$prefix\.control +1 +1 +1 +for ever " \
    "$(cat "$dir/out")"

# ---- configurations ----------------------------------------------------------

# It takes away all else that the topic has of its own.
$tamper configure "$prefix.tickets" retention.ms 60000
run topics check
matches "what check says of a retention" \
    "topic $prefix.tickets has retention.ms=60000 and must have -1; $apply" \
    "$(cat "$dir/out")"
run topics apply
is "exit code of apply with a retention" 0 "$code"
matches "what apply does about a retention" \
    "topic $prefix.tickets: retention.ms=-1, was 60000" "$(cat "$dir/out")"

settings 3 2d
must=$((3 * 24 * 3600 * 1000))
is=$((25 * 3600 * 1000))
refused "dead letters that go too soon" \
    "topic $prefix.dead.hits has retention.ms=$is and must have at least $must; $apply"
mended "dead letters that go too soon" \
    "topic $prefix.dead.hits: retention.ms=$must, was $is"
settings 3 1h
run topics check
is "exit code of check with dead letters that stay longer" 0 "$code"

# ---- partitions --------------------------------------------------------------

settings 4 1h
refused "another number of partitions in the settings" \
    "topic $prefix.tickets and the others have 3 partitions, and the settings say 4; a topic keeps its number: write broker.kafka.topics.partitions: 3 into $config"
run topics apply
is "exit code of apply with another number of partitions" 1 "$code"
settings 3 1h

$tamper delete "$prefix.dead.mail"
await 10 $tamper create "$prefix.dead.mail" 5
run topics check
matches "what check says of one topic with other partitions" \
    "topic $prefix.dead.mail has 5 partitions and must have 3; when nothing in it is needed: kafka-topics.sh --bootstrap-server $servers --delete --topic $prefix.dead.mail, then: cloakroom topics apply -c $config" \
    "$(cat "$dir/out")"
$tamper delete "$prefix.dead.mail"
is_gone() { run topics check && grep -q "dead.mail is not there" "$dir/out"; }
await 10 is_gone
mended "a topic that is gone" \
    "topic $prefix.dead.mail: made, 1 copy of each partition"

# ---- committed offsets -------------------------------------------------------

for text in one two three; do
    $tamper produce "$prefix.requests.hits" 1 $text
done

$tamper forget "$prefix.hits" "$prefix.requests.hits" 1
refused "an offset that is gone" \
    "group $prefix.hits has no committed offset that is there, in topic $prefix.requests.hits, partition 1; $apply"
mended "an offset that is gone, where nothing was forgotten" \
    "group $prefix.hits: offsets committed in 1 partition of $prefix.requests.hits"
is "the offset that apply commits" "0 0" \
    "$($tamper committed "$prefix.hits" "$prefix.requests.hits" 1)"

$tamper commit "$prefix.hits" "$prefix.requests.hits" 1 2
refused "an offset without a position" \
    "group $prefix.hits has a committed offset without a position in tickets, in topic $prefix.requests.hits, partition 1; $apply"
mended "an offset without a position" \
    "group $prefix.hits: offsets committed in 1 partition of $prefix.requests.hits"
is "the offset that apply keeps" "2 0" \
    "$($tamper committed "$prefix.hits" "$prefix.requests.hits" 1)"

# Here what came of the oldest requests may be forgotten: somebody has to want it.
$tamper truncate "$prefix.requests.hits" 1 1
$tamper forget "$prefix.hits" "$prefix.requests.hits" 1
lost="group $prefix.hits has lost its committed offset, in topic $prefix.requests.hits, partition 1; what waits is all there, but what ended long ago may run again; stop the queue's workers and run: cloakroom topics apply --from-oldest -c $config"
refused "an offset that is lost" "$lost"
run topics apply
is "exit code of apply with an offset that is lost" 1 "$code"
is "what apply says of it" "$lost" "$(cat "$dir/out")"
run topics apply --from-oldest
is "exit code of apply --from-oldest" 0 "$code"
is "where apply --from-oldest begins" "1 0" \
    "$($tamper committed "$prefix.hits" "$prefix.requests.hits" 1)"

# ---- leases -------------------------------------------------------------------

sed -i '0,/handler: {respond: {}}/s//&, lease: 31m/' "$config"
run topics check
is "exit code of check with a lease that is no session" 1 "$code"
matches "what check says of it" \
    "queue hits has a lease of 1860000ms, and Kafka's brokers take [0-9]+ms to 1800000ms; change it in $config, or group.max.session.timeout.ms" \
    "$(cat "$dir/out")"

# ---- what is no matter of topics ---------------------------------------------

sed -i 's/^    topics:/    properties: {sasl.mechansm: PLAIN}\n&/' "$config"
run topics check
is "exit code with a wrong property" 78 "$code"
matches "what is said of it" \
    "cloakroom.yaml:5:18: broker.kafka.properties.sasl.mechansm: is no property .*did you mean .sasl.mechanisms." \
    "$(cat "$dir/err")"

settings 3 1h
sed -i 's/servers: .*/servers: "127.0.0.1:1"/' "$config"
sed -i 's/^    topics:/    timeout: 500ms\n&/' "$config"
run topics check
is "exit code without Kafka" 69 "$code"
matches "what is said without Kafka" "no broker of 127.0.0.1:1 answers" \
    "$(cat "$dir/err")"

cat >"$config" <<EOF
broker:
  embedded: {directory: ./data}
queues:
  - {name: hits, handler: {respond: {}}}
routes:
  - {path: /, queue: hits}
EOF
run topics apply
is "exit code on an embedded broker" 78 "$code"
matches "what is said there" "has no broker.kafka: only Kafka has topics" \
    "$(cat "$dir/err")"
