#!/usr/bin/env bash
# The table of Prefer: who gets the answer, who a ticket, and after how long.
. "$(dirname "$0")/lib.sh"

# Answers once the mark that its query names is there.
handler gate <<'CGI'
#!/bin/sh
until [ -e "$MARKS/$QUERY_STRING" ]; do sleep 0.05; done
printf 'Content-Type: text/plain\n\nthrough %s\n' "$QUERY_STRING"
CGI

configure <<EOF2
routes:
  - {path: /gate, queue: gate, wait: 2s, max_wait: 2s}
  - {path: /short, queue: gate, wait: 500ms}
  - {path: /strict, queue: gate, wait: 500ms, strict: true}
  - {path: /never, queue: gate, wait: 0s}
queues:
  - name: gate
    handler: {cgi: {command: ./cgi/gate, environment: {MARKS: $marks}}}
    concurrency: 40
EOF2
up
touch "$marks/open"

# is_a_ticket WHAT: the last answer is a 202 with all that belongs to it
is_a_ticket() {
    is "$1: status" 202 "$status"
    matches "$1: Location" '^/-/tickets/[0-9a-z]{39}$' "$(field Location)"
    matches "$1: Retry-After" '^[0-9]+$' "$(field Retry-After)"
    is "$1: Cache-Control" no-store "$(field Cache-Control)"
    is "$1: media type" application/json "$(field Content-Type)"
    is "$1: ticket in the body" "$(field Location)" \
        "/-/tickets/$(json .ticket)"
    among "$1: state in the body" "queued running" "$(json .state)"
}

# took FROM TO: the last timed request lasted so many milliseconds
timed() {
    local began=${EPOCHREALTIME/./}
    http "$@"
    took=$(((${EPOCHREALTIME/./} - began) / 1000))
}
took() {
    [ "$took" -ge "$2" ] && [ "$took" -le "$3" ] ||
        fail "$1: took $took ms, not between $2 and $3"
}

# Nothing asked for.
http '/gate?open'
is "no preference, answer in time" 200 "$status"
is "nothing was applied" "" "$(field Preference-Applied)"
timed '/short?none'
is_a_ticket "no preference, no answer in time"
took "the route's own wait" 450 10000

# At once.
for prefer in respond-async wait=0 'RESPOND-ASYNC' 'foo=bar, respond-async'; do
    timed '/gate?none' -H "Prefer: $prefer"
    is_a_ticket "Prefer: $prefer"
    took "Prefer: $prefer" 0 1500
done
http '/gate?none' -H 'Prefer: respond-async'
is "what was applied" respond-async "$(field Preference-Applied)"
timed '/never?open'
is_a_ticket "a route that never waits"

# For a while.
http '/gate?open' -H 'Prefer: wait=2'
is "wait=2, answer in time" 200 "$status"
timed '/gate?none' -H 'Prefer: wait=1'
is_a_ticket "wait=1"
took "wait=1" 950 10000
is "wait=1 was applied" wait=1 "$(field Preference-Applied)"
timed '/gate?none' -H 'Prefer: respond-async, wait=1'
is_a_ticket "respond-async, wait=1"
took "respond-async, wait=1" 950 10000
matches "both were applied" 'respond-async, *wait=1' "$(field Preference-Applied)"
timed '/gate?none' -H 'Prefer: wait=999999'
is_a_ticket "a wait above the route's cap"
took "a wait above the route's cap" 1950 12000
is "the cap is said" wait=2 "$(field Preference-Applied)"
timed '/never?open' -H 'Prefer: wait=2'
is "a client may wait where the route does not" 200 "$status"
http '/gate?open' -H 'Prefer: respond-async' -H 'Prefer: wait=2'
is "two lines are one list: the answer came in time" 200 "$status"
http '/gate?none' -H 'Prefer: wait=0, wait=2'
is_a_ticket "of a repeated preference the first counts"

# Nonsense is ignored, never an error.
for prefer in wait=-1 wait=x wait= wait wait=99999999999999999999 ',,,'; do
    http '/gate?open' -H "Prefer: $prefer"
    is "Prefer: $prefer" 200 "$status"
done

# A strict route says 504, with the ticket.
timed '/strict?late'
is "strict: status" 504 "$status"
is "strict: media type" application/problem+json "$(field Content-Type)"
matches "strict: Location" '^/-/tickets/[0-9a-z]{39}$' "$(field Location)"
is "strict: ticket in the problem" "$(field Location)" "/-/tickets/$(json .ticket)"
ticket=$(json .ticket)
touch "$marks/late"
answer "$ticket"
is "strict: the request went on" "through late" "$(cat "$body")"
http '/strict?none2' -H 'Prefer: respond-async'
is_a_ticket "strict, but the client asked for a ticket"

touch "$marks/none" "$marks/none2"
await 20 stat_is gate running 0
