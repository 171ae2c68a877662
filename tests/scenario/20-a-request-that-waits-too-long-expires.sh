#!/usr/bin/env bash
# Past its ttl in the queue a request ends with a stored 504, also when no
# worker was ever there; who waits for it is told.
. "$(dirname "$0")/lib.sh"

handler never <<'CGI'
#!/bin/sh
touch "$MARKS/ran"
CGI
configure <<EOF2
routes:
  - {path: /never, queue: never, wait: 30s}
queues:
  - name: never
    handler: {cgi: {command: ./cgi/never, environment: {MARKS: $marks}}}
    ttl: 2s
EOF2
start ingress ingress
await_ready ingress
hand_in /never
http /never -d x
problem 504 'expired'
is "the ticket of who waited" expired "$(state "$(json .ticket)")"
await_state "$ticket" expired
answer "$ticket"
problem 504 'expired'
http "/-/tickets/$ticket"
is "attempts" 0 "$(json .attempts)"
matches "reason" '.' "$(json .reason)"
run wait "$ticket"
is "exit code of wait" 22 "$code"
http "/-/tickets/$ticket" -X DELETE
is "cancelling an expired one" 409 "$status"

# A worker that comes too late runs nothing.
start worker worker
says_hello() { "$CLOAKROOM" status -c "$config" --json | jq -e '.workers[0]' >/dev/null; }
await 20 says_hello
is "queued" 0 "$(stat_of never queued)"
stop worker
holds_not "it ran" test -e "$marks/ran"
is "an expired request is no dead letter" 0 "$(stat_of never dead)"
