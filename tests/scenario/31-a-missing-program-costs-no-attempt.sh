#!/usr/bin/env bash
# A program that is not there costs no attempt: the request is put back, status
# says why, and it runs when the program appears.
. "$(dirname "$0")/lib.sh"

configure <<EOF2
routes:
  - {path: /late, queue: late, wait: 0s}
  - {path: /dir, queue: dir, wait: 30s}
queues:
  - name: late
    handler: {cgi: {command: ./cgi/late}}
    attempts: 1
    backoff: {first: 100ms, max: 300ms}
  - name: dir
    handler: {cgi: {directory: ./cgi}}
EOF2
handler late <<'CGI'
#!/bin/sh
printf 'Content-Type: text/plain\n\nat last, attempt %s' "$CLOAKROOM_ATTEMPT"
CGI
chmod 0644 "$dir/cgi/late"
mv "$dir/cgi/late" "$dir/late"
start ingress ingress
await_ready ingress
start worker worker --queue late
start dir worker --queue dir

hand_in /late -d once
says_why() { [ "$(stat_of late trouble)" != "" ]; }
put_back_often() { [ "$(grep -c event=put-back "$dir/worker.log")" -ge 3 ]; }
await 20 says_why
matches "what status says" 'late' "$(stat_of late trouble)"
await 20 put_back_often
# A look between a try and its putting back says that it runs.
waits_uncounted() {
    http "/-/tickets/$ticket"
    [ "$(json .state) $(json .attempts)" = "queued 0" ]
}
await 20 waits_uncounted
matches "reason" '.' "$(json .reason)"

# There, but not executable: the same.
cp "$dir/late" "$dir/cgi/late"
seen=$(grep -c event=put-back "$dir/worker.log")
put_back_again() {
    [ "$(grep -c event=put-back "$dir/worker.log")" -gt "$((seen + 1))" ]
}
await 20 put_back_again
await_state "$ticket" queued

chmod 0755 "$dir/cgi/late"
answer "$ticket"
is "status when it is there" 200 "$status"
matches "its answer" '^at last' "$(cat "$body")"
http "/-/tickets/$ticket"
is "attempts that counted" 1 "$(json .attempts)"
says_nothing() { [ "$(stat_of late trouble)" = "" ]; }
is "dead letters" 0 "$(stat_of late dead)"

# In a cgi-bin the client names the program: one that is not there is a 404.
http /dir/no-such-program
is "a program that a client made up" 404 "$status"
