#!/usr/bin/env bash
# Paths that climb, hide a slash or end in NUL never reach a program that was
# not meant; a handler's output cannot add fields to the answer's head.
. "$(dirname "$0")/lib.sh"

handler inside <<'CGI'
#!/bin/sh
printf 'Content-Type: text/plain\n\ninside %s|%s' "$SCRIPT_NAME" "$PATH_INFO"
CGI
mkdir "$dir/cgi/sub"
for place in outside cgi/sub/deeper cgi/.hidden; do
    printf '#!/bin/sh\ntouch "%s/escaped"\nprintf "Content-Type: text/plain\\n\\nescaped"\n' \
        "$marks" >"$dir/$place"
    chmod 0755 "$dir/$place"
done
ln -s "$dir/outside" "$dir/cgi/linked-name"
rm "$dir/cgi/linked-name"
printf 'not a program' >"$dir/cgi/data.txt"
handler injects <<'CGI'
#!/bin/sh
case $QUERY_STRING in
cr) printf 'Content-Type: text/plain\nX-A: a\rSet-Cookie: evil=1\n\nbody' ;;
nul) printf 'Content-Type: text/plain\nX-A: a\0Set-Cookie: evil=1\n\nbody' ;;
name) printf 'Content-Type: text/plain\nX-A\r: a\n\nbody' ;;
fold) printf 'Content-Type: text/plain\nX-A: a\n Set-Cookie: evil=1\n\nbody' ;;
blank) printf 'Content-Type: text/plain\nX-A : a\n\nbody' ;;
two-lengths) printf 'Content-Type: text/plain\nContent-Length: 4\nContent-Length: 5\n\nbody' ;;
length) printf 'Content-Type: text/plain\nContent-Length: 1\n\nbody' ;;
location) printf 'Location: http://h/\r\rSet-Cookie: evil=1\n\n' ;;
status) printf 'Status: 200 OK\rSet-Cookie: evil=1\nContent-Type: text/plain\n\nbody' ;;
ours) printf 'Content-Type: text/plain\nConnection: X-A\nX-A: 1\nUpgrade: h2c\nTrailer: X\n\nbody' ;;
esac
CGI
configure <<EOF2
routes:
  - {path: /bin, queue: bin, wait: 30s}
  - {path: /one, queue: one, wait: 30s}
queues:
  - {name: bin, handler: {cgi: {directory: ./cgi}}, attempts: 1}
  - {name: one, handler: {cgi: {command: ./cgi/inside}}}
EOF2
up

http /bin/inside/a/b
is "a program of the cgi-bin" "inside /bin/inside|/a/b" "$(cat "$body")"
http /one/a//b/
is "slashes are kept" "inside /one|/a//b/" "$(cat "$body")"
http '/one/%41%2bx%25'
is "PATH_INFO is decoded once" "inside /one|/A+x%" "$(cat "$body")"

for path in /bin/../outside /bin/%2e%2e/outside /bin/.%2e/outside \
    /bin/..%2foutside /bin/%2e%2e%2foutside '/bin/..%5coutside' \
    /bin/sub/deeper /bin/sub%2fdeeper /bin/sub /bin/. /bin/.. /bin/ /bin \
    /bin//outside /bin//inside/x /bin/./inside /bin/inside%00 \
    /bin/%00 /bin/.hidden /bin/data.txt /bin/%c0%ae%c0%ae%c0%afoutside \
    /bin/%252e%252e%252foutside /bin/inside%2f..%2f..%2foutside \
    //bin/../outside /../bin/../outside "/bin/$(printf 'a%.0s' {1..300})" \
    "$dir/outside" "/bin$dir/outside" "/bin/%2f$dir/outside" /bin/%zz /bin/%2; do
    http "$path"
    among "GET ${path:0:60}" "400 403 404" "$status"
done
for path in '/one/../x' '/one/%2e%2e/x' '/one/a%00b' '/one/a%2fb' '/one/%c0%af'; do
    http "$path"
    # Passed on or refused; never cut at a NUL, never another route's.
    among "GET $path" "200 400 404" "$status"
    [ "$status" != 200 ] || matches "GET $path" '^inside /one\|/' "$(cat "$body")"
done
http '/one/a%00b'
among "a NUL in the path" "400 404" "$status"
holds_not "something outside ran" test -e "$marks/escaped"

for case in cr nul name fold blank two-lengths location status; do
    http "/bin/injects?$case" -X POST
    is "injection by $case" 502 "$status"
    is "injection by $case: a cookie" "" "$(field Set-Cookie)"
done
http '/bin/injects?length'
among "a length of its own that is wrong" "200 502" "$status"
[ "$status" != 200 ] || is "then the body is whole" body "$(cat "$body")"
http '/bin/injects?ours'
is "fields about the connection" 200 "$status"
for name in X-A Upgrade Trailer; do
    is "the field $name" "" "$(field $name)"
done
