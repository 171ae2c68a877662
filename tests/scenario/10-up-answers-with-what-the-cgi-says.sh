#!/usr/bin/env bash
# `cloakroom up` starts; curl gets the program's own answer, or a ticket for it.
. "$(dirname "$0")/lib.sh"

handler hello <<'CGI'
#!/bin/sh
printf 'Status: 201 Created\r\nContent-Type: text/plain\r\nX-Made-By: hello\r\n\r\n'
printf 'hello from %s\n' "$REQUEST_METHOD$PATH_INFO"
cat
CGI

configure <<EOF2
routes:
  - {path: /hello, queue: hello, wait: 30s}
queues:
  - name: hello
    handler: {cgi: {command: ./cgi/hello}}
EOF2

# What of the installation is kept on this machine.
if on_kafka; then kept=$dir/view-cloakroom; else kept=$dir/data; fi
holds_not "there is a directory of it before up" test -e "$kept"
up
is "the directory's mode" 700 "$(stat -c %a "$kept")"

http /hello/there
is "status" 201 "$status"
is "a field of the program" hello "$(field X-Made-By)"
is "its media type" text/plain "$(field Content-Type)"
is "its body" "hello from GET/there" "$(cat "$body")"

http /hello -d 'a body'
is "the answer to a POST" $'hello from POST\na body' "$(cat "$body")"

hand_in /hello -d 'for later'
matches "a ticket" '^[0-9abcdefghjkmnpqrstvwxyz]{39}$' "$ticket"
answer "$ticket"
is "status of the stored response" 201 "$status"
is "the stored response" $'hello from POST\nfor later' "$(cat "$body")"

http /elsewhere
problem 404 '.*'
http /hello2
is "a prefix counts in whole segments" 404 "$status"

run submit --data - /hello
is "submit's exit code" 0 "$code"
run submit --data "$config" --key k1 -X PUT /hello/file
ticket=$(cat "$dir/out")
matches "the ticket that submit printed" '^[0-9a-z]{39}$' "$ticket"
run wait "$ticket" --timeout 20s
is "wait's exit code" 0 "$code"
is "what wait printed" \
    "$(echo "hello from PUT/file" && cat "$config")" "$(cat "$dir/out")"

run submit --wait -H 'X-Extra: 1' /hello/now
is "exit code of submit --wait" 0 "$code"
is "what submit --wait printed" "hello from GET/now" "$(cat "$dir/out")"
run submit /nowhere
holds_not "submit takes a path without a route" test "$code" = 0
run status
is "exit code of status" 0 "$code"
holds "status names the queue" grep -q hello "$dir/out"
holds "status --json is JSON" eval \
    '"$CLOAKROOM" status -c "$config" --json | jq -e . >"$dir/status.json"'

http /healthz
is "/healthz is not on the public listener" 404 "$status"
is "/healthz" 200 "$(curl -s -o "$body" -w '%{http_code}' \
    "http://127.0.0.1:$admin/healthz")"

stop up INT
is "exit code of up after SIGINT" 0 "$code"
