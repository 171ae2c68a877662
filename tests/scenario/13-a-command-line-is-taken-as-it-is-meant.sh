#!/usr/bin/env bash
# What a command does not understand it refuses, with 2 and a sentence, and does
# nothing; and it minds its own files, also where its three usual ones are
# closed.
. "$(dirname "$0")/lib.sh"

configure <<EOF2
routes:
  - {path: /ok, queue: ok, wait: 5s}
queues:
  - name: ok
    handler: {respond: {status: 200, fields: {Content-Type: text/plain}, body: ok}}
EOF2

refused() { # refused SENTENCE COMMAND...: told on stderr, and nothing else done
    local sentence=$1
    shift
    run "$@"
    is "exit code of $*" 2 "$code"
    matches "what is said to $*" "$sentence" "$(cat "$dir/err")"
    is "output of $*" "" "$(cat "$dir/out")"
}

# `up` without stdin, stdout and stderr.
"$CLOAKROOM" up -c "$config" <&- >&- 2>&- &
pids[up]=$!
await_ready up
matches "the lock's file" '^pid [0-9]+, since [^ ]+$' "$(cat "$dir/data/up.lock")"

refused '`soon`' submit --wait=soon /ok
refused 'write 5s' submit --wait 5 /ok
refused 'did you mean --wait' submit --wiat /ok
refused "write 'Name: value'" submit -H nonsense /ok
refused 'argument is missing' submit
refused 'too many arguments' submit /ok /ok
refused '`1y`' wait --timeout 1y 0
refused 'did you mean `ok`' worker --queue ko
refused '`v 2` is no release; write letters' worker --release 'v 2'
refused '`../v2` is no release; write letters' worker -r ../v2
refused 'too many arguments' status a b
refused 'did you mean --json' status --jsno
is "requests accepted of all that" 0 "$(stat_of ok accepted)"

run submit --wait=5s /ok
is "a wait that is one" "0 ok" "$code $(cat "$dir/out")"
run submit --wait 5s /ok
is "the same in two words" "0 ok" "$code $(cat "$dir/out")"
run submit --wait /ok
is "without a limit" "0 ok" "$code $(cat "$dir/out")"

stop up
is "exit code of up" 0 "$code"
matches "the lock's file at the end" '^pid [0-9]+, since [^ ]+$' "$(cat "$dir/data/up.lock")"
