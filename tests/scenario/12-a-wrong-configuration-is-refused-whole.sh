#!/usr/bin/env bash
# Every error of a configuration is named at once, with file, line and key, and
# nothing starts; `check` comes to the same verdict as `up`.
. "$(dirname "$0")/lib.sh"

good_queue='  - {name: hits, handler: {respond: {status: 200, body: ok}}}'

# says WHAT LINE REGEX: some line of the refusal names that line and matches
says() {
    grep -E "cloakroom.yaml:$2(:|\b)" "$dir/err" | grep -qE "$3" ||
        fail "$1: nothing on line $2 that matches '$3' in: $(cat "$dir/err")"
}

configure <<EOF2
routes:
  - {path: /hits, queue: hits}
queues:
$good_queue
EOF2
run check
is "exit code of check on a good file" 0 "$code"
run check --defaults
is "exit code of check --defaults" 0 "$code"
holds "the defaults name max_depth" grep -q max_depth "$dir/out"

cat >"$config" <<EOF2
broker:
  embedded: {directory: ./data}
ingress:
  listen: 127.0.0.1:$port
  admin: 127.0.0.1:$admin
  max_bdy: 16MiB
routes:
  - {path: /hits, queue: hits, wait: 30parsecs}
  - {path: /other, queue: hitz}
  - {path: /hits, queue: hits}
queues:
  - name: hits
    handler: {respond: {status: 200, body: ok}}
    retention: {age: 1h, bytes: 1Gib}
    concurrency: -4
    attempts: many
    timeout: 30s
    timeout: 40s
    workrs: 1
  - {name: hits, handler: {respond: {status: 200}}}
  - {name: lost, handler: {telepathy: {}}}
  - {name: "bad name", handler: {respond: {status: 99}}}
EOF2
run check
is "exit code of check" 78 "$code"
says "an unknown key, with the nearest" 6 'max_bdy.*max_body'
says "a bad unit of time" 8 'wait'
says "a queue that is not there, with the nearest" 9 'hitz.*hits'
says "two routes with one match" 10 'route.*line 8'
says "a bad unit of size" 14 'bytes'
says "a negative number" 15 'concurrency'
says "a word for a number" 16 'attempts'
says "a key twice" 18 'timeout'
says "another unknown key" 19 'workrs.*workers'
says "two queues of one name" 20 'hits'
says "an unknown kind of handler" 21 'telepathy'
says "a name that is none" 22 'bad name'
says "a status that is none" 22 'status'
cp "$dir/err" "$dir/check.err"
for command in up ingress worker; do
    run $command
    is "exit code of $command" 78 "$code"
    for key in max_bdy hitz workrs telepathy; do
        holds "$command names $key" grep -q $key "$dir/err"
    done
done
holds_not "something was started" test -e "$dir/data"

# What is no YAML at all.
for junk in 'a: [' $'\tx: 1' 'just words' '' $'a: "\x01"' '- 1' '&a [*a]'; do
    printf '%s\n' "$junk" >"$config"
    run check
    is "exit code of check on '$junk'" 78 "$code"
    holds "a sentence about '$junk'" test -s "$dir/err"
done
head -c 100000 /dev/urandom >"$config"
run check
is "exit code of check on noise" 78 "$code"
rm "$config"
run check
is "exit code of check without a file" 78 "$code"
holds "the missing file is named" grep -q "$config" "$dir/err"

# Carriage returns at line ends are no error.
configure <<EOF2
routes:
  - {path: /hits, queue: hits}
queues:
$good_queue
EOF2
sed -i 's/$/\r/' "$config"
run check
is "exit code of check on CRLF lines" 0 "$code"

# Wrong words on the command line.
run check --no-such-option
is "exit code of a wrong option" 2 "$code"
code=0
"$CLOAKROOM" no-such-command >"$dir/out" 2>"$dir/err" || code=$?
is "exit code of a wrong command" 2 "$code"
for command in up ingress worker submit wait status check; do
    code=0
    "$CLOAKROOM" $command --help >"$dir/out" 2>&1 || code=$?
    is "exit code of $command --help" 0 "$code"
    holds "$command --help says something" grep -qi "usage" "$dir/out"
done
