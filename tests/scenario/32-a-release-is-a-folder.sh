#!/usr/bin/env bash
# Releases lie side by side: a worker runs what is in the folder of its own, and
# nobody starts with one that is not there.
. "$(dirname "$0")/lib.sh"

for release in v1 v2+b; do
    mkdir "$dir/cgi/$release"
    handler "$release/app" <<'CGI'
#!/bin/sh
printf 'Content-Type: text/plain\n\n%s %s %s %s' "$(basename "$PWD")" "$CLOAKROOM_RELEASE" "$DATA" "$1"
CGI
done
configure <<EOF2
routes:
  - {path: /one, queue: one, wait: 30s}
  - {path: /two, queue: two, wait: 30s}
  - {path: /fixed, queue: fixed, wait: 30s}
queues:
  - name: one
    release: v1
    handler: {cgi: {directory: "./cgi/{release}"}}
  - name: two
    release: v2+b
    handler:
      cgi:
        command: ["./cgi/{release}/app", "--as={release}"]
        environment: {DATA: "/data/{release}"}
  - name: fixed
    handler: {respond: {fields: {X-Release: "{release}"}, body: "of {release}"}}
EOF2
run check
is "check" 0 "$code"

start ingress ingress
await_ready ingress
start one worker --queue one
start two worker --queue two --release v2+b
start fixed worker --queue fixed
http /one/app
is "a worker of its queue's release" "v1 v1  " "$(cat "$body")"
http /two
is "a worker that was told its release" "v2+b v2+b /data/v2+b --as=v2+b" "$(cat "$body")"
http /fixed
is "a fixed answer" "of 1" "$(cat "$body")"
is "its field" 1 "$(field X-Release)"

# A worker of another release shows as such and takes nothing.
start other worker --queue two --release v3
releases() { "$CLOAKROOM" status -c "$config" --json | jq -r '.workers[] | select(.queue == "two") | .release' | sort | xargs; }
releases_are() { [ "$(releases)" = "$1" ]; }
await 20 releases_are "v2+b v3"
for _ in 1 2 3 4 5 6; do
    http /two
    is "who answers" "v2+b v2+b /data/v2+b --as=v2+b" "$(cat "$body")"
done
stop other
is "exit code of the other worker" 0 "$code"
for name in one two fixed ingress; do
    stop $name
    is "exit code of $name" 0 "$code"
done

mv "$dir/cgi/v2+b" "$dir/cgi/v2"
for command in check up; do
    run $command
    is "exit code of $command without the folder" 78 "$code"
    matches "what $command says" '/cgi/v2\+b/app is not there' "$(cat "$dir/err")"
done
