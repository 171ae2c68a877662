#!/usr/bin/env bash
# What the client sent is what the program sees: any method, any body, 8-bit
# values; without what is about the connection.
. "$(dirname "$0")/lib.sh"

# The environment as it was given, before the shell adds to it.
handler environment <<'CGI'
#!/bin/sh
printf 'Content-Type: application/octet-stream\n\n'
tr '\0' '\n' <"/proc/$$/environ"
CGI
handler digest <<'CGI'
#!/bin/sh
printf 'Content-Type: text/plain\nX-Length: %s\n\n' "$CONTENT_LENGTH"
sha256sum
CGI
handler descriptors <<'CGI'
#!/bin/sh
printf 'Content-Type: text/plain\n\n'
exec ls -l /proc/self/fd
CGI
handler echo <<'CGI'
#!/bin/sh
printf 'Content-Type: text/plain\n\n%s %s' "$REQUEST_METHOD" "$QUERY_STRING"
CGI

configure "max_body: 8MiB" <<EOF2
routes:
  - {path: /env, queue: environment, wait: 30s}
  - {path: /digest, queue: digest, wait: 30s}
  - {path: /fd, queue: descriptors, wait: 30s}
  - {path: /, queue: echo, wait: 30s}
queues:
  - {name: environment, handler: {cgi: {command: ./cgi/environment,
      environment: {COLOR: blue}}}, release: "r7"}
  - {name: digest, handler: {cgi: {command: [./cgi/digest, first, "second one"]}}}
  - {name: descriptors, handler: {cgi: {command: ./cgi/descriptors}}}
  - {name: echo, handler: {cgi: {command: ./cgi/echo}}}
EOF2
export NOT_FOR_HANDLERS=secret
up

variable() { sed -n "s/^$1=//p" "$body"; }
has_no() {
    ! grep -aqE "^$1=" "$body" || fail "the handler sees $1=$(variable "$1")"
}

# The meta-variables of RFC 3875, and nothing else.
http '/env/a%20b//c?x=%20y&z' -X POST -d 'body' -H 'Content-Type: text/x-a' \
    -H 'Authorization: Basic Zm9v' -H 'X-Two: 1' -H 'X-Two: 2' \
    -H 'Cookie: a=1' -H 'Cookie: b=2' -H 'Host: Example.test:99' \
    -H 'Proxy: evil' -H 'X_Under: evil' -H 'User-Agent: test' \
    -H 'Connection: X-Hop, keep-alive' -H 'X-Hop: 1' -H 'Keep-Alive: 5' \
    -H 'TE: trailers' -H 'Upgrade: foo' -H 'Proxy-Authorization: x' \
    -H 'Proxy-Connection: keep-alive' -H 'Trailer: X-T'
is "status" 200 "$status"
is PATH /usr/local/bin:/usr/bin:/bin "$(variable PATH)"
is COLOR blue "$(variable COLOR)"
is GATEWAY_INTERFACE CGI/1.1 "$(variable GATEWAY_INTERFACE)"
is REQUEST_METHOD POST "$(variable REQUEST_METHOD)"
is SCRIPT_NAME /env "$(variable SCRIPT_NAME)"
is PATH_INFO '/a b//c' "$(variable PATH_INFO)"
is QUERY_STRING 'x=%20y&z' "$(variable QUERY_STRING)"
is CONTENT_LENGTH 4 "$(variable CONTENT_LENGTH)"
is CONTENT_TYPE text/x-a "$(variable CONTENT_TYPE)"
is SERVER_PROTOCOL HTTP/1.1 "$(variable SERVER_PROTOCOL)"
matches SERVER_SOFTWARE '^[Cc]loakroom' "$(variable SERVER_SOFTWARE)"
is SERVER_NAME example.test "$(variable SERVER_NAME | tr 'A-Z' 'a-z')"
is REMOTE_ADDR 127.0.0.1 "$(variable REMOTE_ADDR)"
is HTTP_AUTHORIZATION 'Basic Zm9v' "$(variable HTTP_AUTHORIZATION)"
is HTTP_X_TWO '1, 2' "$(variable HTTP_X_TWO)"
is HTTP_COOKIE 'a=1; b=2' "$(variable HTTP_COOKIE)"
is HTTP_HOST Example.test:99 "$(variable HTTP_HOST)"
is CLOAKROOM_QUEUE environment "$(variable CLOAKROOM_QUEUE)"
is CLOAKROOM_ATTEMPT 1 "$(variable CLOAKROOM_ATTEMPT)"
is CLOAKROOM_RELEASE r7 "$(variable CLOAKROOM_RELEASE)"
matches CLOAKROOM_TICKET '^[0-9a-z]{39}$' "$(variable CLOAKROOM_TICKET)"
for name in HTTP_PROXY HTTP_X_UNDER HTTP_X_HOP HTTP_CONNECTION HTTP_KEEP_ALIVE \
    HTTP_TE HTTP_UPGRADE HTTP_PROXY_AUTHORIZATION HTTP_PROXY_CONNECTION \
    HTTP_TRAILER HTTP_TRANSFER_ENCODING HTTP_CONTENT_LENGTH HTTP_CONTENT_TYPE \
    NOT_FOR_HANDLERS CLOAKROOM_SCENARIO HOME; do
    has_no "$name"
done

# 8-bit values, byte for byte.
printf 'GET /env?%%ff HTTP/1.1\r\nHost: h\r\nX-Latin: caf\xe9 \xff\xfe\r\nConnection: close\r\n\r\n' |
    python raw.py "$port" >"$body"
is "8-bit bytes of a field" " 63 61 66 e9 20 ff fe" \
    "$(variable HTTP_X_LATIN | tr -d '\n' | od -An -tx1)"
is "the query stays encoded" '%ff' "$(variable QUERY_STRING | tr -d '\r')"

# Nothing of ours is open in a handler: three pipes, and what ls itself opens.
http /fd
is "descriptors of a handler" "0 1 2 3" \
    "$(awk '/->/ {print $9}' "$body" | xargs)"

# Any method.
for method in GET POST PUT PATCH DELETE OPTIONS PROPFIND QUERY X-ODD; do
    http "/any?$method" -X $method
    is "$method" "$method $method" "$(cat "$body")"
done
http /any -I
is "HEAD: status" 200 "$status"

# Bodies of every size and form.
for size in 0 1 65536 1000003 8388608; do
    head -c $size /dev/urandom >"$dir/upload"
    sum=$(sha256sum <"$dir/upload")
    http /digest -X POST --data-binary "@$dir/upload" -H 'Expect:'
    is "$size bytes" "$sum" "$(cat "$body")"
    http /digest -X POST -H 'Transfer-Encoding: chunked' \
        --data-binary "@$dir/upload" -H 'Expect:'
    is "$size bytes in chunks" "$sum" "$(cat "$body")"
    [ $size = 0 ] || is "their length" $size "$(field X-Length)"
done
http /digest -X PUT -H 'Expect: 100-continue' --data-binary "@$dir/upload"
is "after a 100 Continue" "$sum" "$(cat "$body")"

# One connection, many requests: in order, whole, also when sent at once.
for i in $(seq 20); do
    printf 'GET /any?%s HTTP/1.1\r\nHost: h\r\n\r\n' $i
done >"$dir/pipeline"
printf 'POST /any?last HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc' >>"$dir/pipeline"
python raw.py "$port" <"$dir/pipeline" >"$dir/pipelined"
is "pipelined answers, in order" \
    "$(for i in $(seq 20); do echo "GET $i"; done && echo "POST last")" \
    "$(tr -d '\r' <"$dir/pipelined" | grep -aoE '(GET [0-9]+|POST last)')"
curl -s -w '%{num_connects}\n' "http://127.0.0.1:$port/any?[1-10]" \
    -o /dev/null >"$dir/connects"
is "connections for 10 requests of one client" 1 \
    "$(awk '{n += $1} END {print n}' "$dir/connects")"
