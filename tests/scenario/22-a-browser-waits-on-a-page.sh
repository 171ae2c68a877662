#!/usr/bin/env bash
# A browser that must wait gets a page in place of JSON, and the ticket's events
# to come back by; programs get what they always got.
. "$(dirname "$0")/lib.sh"

handler page <<'CGI'
#!/bin/sh
touch "$MARKS/runs"
until [ -e "$MARKS/go" ]; do sleep 0.05; done
printf 'Content-Type: text/html\n\n<title>done</title>\n'
CGI

configure <<EOF2
routes:
  - {path: /page, queue: page, wait: 0s}
queues:
  - name: page
    handler: {cgi: {command: ./cgi/page, environment: {MARKS: $marks}}}
EOF2
browser='Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8'
start ingress ingress
await_ready ingress

# is_a_page WHAT: the last answer is the waiting page of $ticket
is_a_page() {
    is "$1: status" 202 "$status"
    is "$1: media type" 'text/html; charset=utf-8' "$(field Content-Type)"
    is "$1: Location" "/-/tickets/$ticket" "$(field Location)"
    is "$1: Cache-Control" no-store "$(field Cache-Control)"
    matches "$1: Retry-After" '^[0-9]+$' "$(field Retry-After)"
    matches "$1: Vary" 'Accept' "$(field Vary)"
    holds "$1: where it leads without scripts" grep -q \
        "<noscript><meta http-equiv=\"refresh\" content=\"[0-9]*; url=/-/tickets/$ticket/response\"></noscript>" \
        "$body"
    holds "$1: the ticket" grep -q "<code>$ticket</code>" "$body"
}

# No worker: who asks for a page gets one, and the others do not.
http /page -H "$browser"
ticket=$(field Location)
ticket=${ticket##*/}
is_a_page "on the route"
holds "the state" grep -q 'data-state="queued"' "$body"
holds "the position" grep -q '<dd id="position">0</dd>' "$body"
http "/-/tickets/$ticket/response" -H "$browser"
is_a_page "at the response"
matches "its policy" "^default-src 'none'; script-src 'sha256-[^']*'; style-src 'sha256-" \
    "$(field Content-Security-Policy)"
http "/-/tickets/$ticket" -H "$browser"
is "the status document is JSON for browsers too" application/json "$(field Content-Type)"
http "/-/tickets/$ticket/response"
is "curl gets JSON" application/json "$(field Content-Type)"
is "the ticket in it" "$ticket" "$(json .ticket)"

# Only GET streams.
http "/-/tickets/$ticket/events" -I
is "HEAD of the events" 405 "$status"
http "/-/tickets/$ticket/events" -X POST
is "POST to the events" 405 "$status"
is "what is allowed" GET "$(field Allow)"

# A stream tells each state once, and ends with the response.
curl -sSN -m 60 -D "$dir/stream.head" -o "$dir/stream" \
    "http://127.0.0.1:$port/-/tickets/$ticket/events" &
stream=$!
states() { # of the events of a kind
    grep -A2 "^event: $1\$" "$dir/stream" 2>/dev/null | sed -n 's/^data: //p' | jq -r .state
}
has_told() { [ "$(states status | tail -n 1)" = "$1" ]; }
await 20 has_told queued
start worker worker
await 20 test -e "$marks/runs"
await 20 has_told running
touch "$marks/go"
wait $stream || fail "the stream ended with curl's exit code $?"
is "the states that were told" "queued running" "$(states status | xargs)"
is "the end" done "$(states end)"
is "the id of the end" 'id: end' "$(grep '^id:' "$dir/stream")"
matches "media type of the stream" 'text/event-stream' "$(tr -d '\r' <"$dir/stream.head")"

# A stream of what has ended ends at once; who has seen that is told to stop.
http "/-/tickets/$ticket/events"
is "a late stream" 200 "$status"
holds "it has the end" grep -q '^event: end$' "$body"
http "/-/tickets/$ticket/events" -H 'Last-Event-ID: end'
is "a browser that asks once more" 204 "$status"
http "/-/tickets/$ticket/response" -H "$browser"
is "the response" 200 "$status"
is "as the program said it" '<title>done</title>' "$(cat "$body")"

# The end of the ingress ends streams, which say nothing of an end.
rm "$marks/go" "$dir/stream"
hand_in /page
curl -sSN -m 60 -o "$dir/stream" "http://127.0.0.1:$port/-/tickets/$ticket/events" &
stream=$!
await 20 has_told running
stop ingress
wait $stream || fail "the stream ended with curl's exit code $?"
is "it has no end" "" "$(states end)"
touch "$marks/go"
stop worker
