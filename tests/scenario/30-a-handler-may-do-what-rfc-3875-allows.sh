#!/usr/bin/env bash
# What is unusual but right: large bodies both ways, stdin left unread, local
# redirects, Status, children left behind, much on stderr.
. "$(dirname "$0")/lib.sh"

handler twice <<'CGI'
#!/bin/sh
printf 'Content-Type: application/octet-stream\n\n'
exec cat
CGI
handler unread <<'CGI'
#!/bin/sh
exec <&-
printf 'Content-Type: text/plain\n\nnot read'
CGI
handler redirect <<'CGI'
#!/bin/sh
case $PATH_INFO in
/away) printf 'Location: http://example.test/x\n\n' ;;
/away-too) printf 'Status: 303 See Other\nLocation: http://example.test/y\nContent-Type: text/plain\n\nover there' ;;
/local) printf 'Location: /cgi/redirect/there?a=b\n\n' ;;
/there) printf 'Content-Type: text/plain\n\n%s %s %s' "$REQUEST_METHOD" "$QUERY_STRING" "${CONTENT_LENGTH:-none}" ;;
/loop) printf 'Location: /cgi/redirect/loop\n\n' ;;
/nowhere) printf 'Location: /no/such/route/at/all\n\n' ;;
esac
CGI
handler status <<'CGI'
#!/bin/sh
printf 'Status: %s In Words\nContent-Type: text/plain\n' "$QUERY_STRING"
printf 'Connection: close\nTransfer-Encoding: chunked\nKeep-Alive: 1\nX-Kept: yes\n\nbody'
CGI
handler family <<'CGI'
#!/bin/bash
sleep 1000 &
setsid sleep 1000 &
setsid bash -c 'setsid sleep 1000 & sleep 1000' &
(env -i sleep 1000 &)
nohup sleep 1000 >/dev/null 2>&1 &
printf 'Content-Type: text/plain\n\nleft some behind'
CGI
handler noisy <<'CGI'
#!/bin/sh
head -c 5000000 /dev/zero | tr '\0' 'e' >&2
echo "a word with = and \"quotes\"" >&2
printf 'Content-Type: text/plain\n\nnoisy'
CGI

configure "max_body: 32MiB" <<EOF2
routes:
  - {path: /cgi, queue: cgi, wait: 60s}
queues:
  - name: cgi
    handler: {cgi: {directory: ./cgi}}
    max_response: 32MiB
    attempts: 1
EOF2
up

head -c 20000000 /dev/urandom >"$dir/upload"
http /cgi/twice --data-binary "@$dir/upload" -H 'Expect:'
is "20 MB both ways: status" 200 "$status"
holds "20 MB both ways: every byte" cmp "$dir/upload" "$body"
http /cgi/unread --data-binary "@$dir/upload"
is "a handler that closes stdin" "not read" "$(cat "$body")"

http /cgi/redirect/away
is "Location alone is a 302" 302 "$status"
is "its Location" http://example.test/x "$(field Location)"
http /cgi/redirect/away-too
is "Location and Status" 303 "$status"
is "its body" "over there" "$(cat "$body")"
http /cgi/redirect/local -d 'some body'
is "a local redirect" "GET a=b none" "$(cat "$body")"
http /cgi/redirect/loop
is "a loop of local redirects" 502 "$status"
http /cgi/redirect/nowhere
among "a local redirect to nowhere" "404 502" "$status"

for wanted in 200 503 299 599; do
    http "/cgi/status?$wanted"
    is "Status: $wanted" "$wanted" "$status"
done
http '/cgi/status?404'
is "Status: 404" 404 "$status"
is "a field of its own" yes "$(field X-Kept)"
is "no Keep-Alive from the handler" "" "$(field Keep-Alive)"
is "no Transfer-Encoding from the handler" "" "$(field Transfer-Encoding)"
is "Content-Length is ours" 4 "$(field Content-Length)"
is "its body" body "$(cat "$body")"
for bare in 204 304; do
    http "/cgi/status?$bare"
    is "Status: $bare" "$bare" "$status"
    is "no body with $bare" 0 "$(stat -c %s "$body")"
done

http /cgi/family
is "a handler with children" "left some behind" "$(cat "$body")"
await 10 no_handlers

http /cgi/noisy
is "a handler with much on stderr" noisy "$(cat "$body")"
holds "stderr is in the log" grep -q event=handler-stderr "$dir/up.log"
[ "$(stat -c %s "$dir/up.log")" -lt 2000000 ] ||
    fail "5 MB of stderr made a log of $(stat -c %s "$dir/up.log") bytes"
holds "the log has lines of key=value only" eval \
    '! grep -vE "^[a-z]+=" "$dir/up.log"'
