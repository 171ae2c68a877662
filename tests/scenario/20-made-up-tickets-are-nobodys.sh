#!/usr/bin/env bash
# A ticket that was not issued here is a 404, however it is made.
. "$(dirname "$0")/lib.sh"

configure <<EOF2
routes:
  - {path: /r, queue: r, wait: 30s}
  - {path: /, queue: r, wait: 30s}
queues:
  - {name: r, handler: {respond: {status: 200, body: ok}}}
EOF2
up
hand_in /r
answer "$ticket"
is "a real ticket" 200 "$status"

flipped() { # flipped POSITION: the ticket with one character changed
    local to=a
    [ "${ticket:$1:1}" != a ] || to=b
    echo "${ticket:0:$1}$to${ticket:$(($1 + 1))}"
}
made_up=(
    "$(head -c 400 /dev/urandom | tr -dc '0-9a-hjkmnp-tv-z' | head -c 39)"
    "$(printf '0%.0s' {1..39})"
    "$(flipped 0)" "$(flipped 5)" "$(flipped 20)" "$(flipped 38)"
    "${ticket^^}" "${ticket}0" "${ticket:0:38}" "$ticket." "$ticket%00"
    "$ticket%20" "%2e%2e%2f$ticket" "..%2f..%2fticket.key" "'%20or%201=1--"
    "*" "%" "%zz" "x" "$(printf 'a%.0s' {1..2000})"
)
for text in "${made_up[@]}"; do
    for path in "/-/tickets/$text" "/-/tickets/$text/response"; do
        http "$path"
        among "GET $path" "400 404" "$status"
        is "GET $path: media type" application/problem+json \
            "$(field Content-Type)"
    done
    http "/-/tickets/$text" -X DELETE
    among "DELETE $text" "400 404" "$status"
done
for path in "/-/tickets/" "/-/tickets" "/-/" "/-/nothing" "/-/tickets/$ticket/x" \
    "/-/tickets//$ticket" "/-/tickets/$ticket/response/"; do
    http "$path"
    is "GET $path, which always belongs to Cloakroom" 404 "$status"
done
http "/-/tickets/$ticket" -X POST -d x
is "POST to a ticket" 405 "$status"
matches "what is allowed there" 'DELETE' "$(field Allow)"
run wait "$(flipped 9)" --timeout 1s
holds_not "wait accepts a made-up ticket" test "$code" = 0
holds_not "wait says later for a made-up ticket" test "$code" = 75

# None of this became a request.
is "done requests" 1 "$(stat_of r accepted)"
