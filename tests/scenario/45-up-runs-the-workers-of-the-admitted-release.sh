#!/usr/bin/env bash
# `cloakroom up` runs the workers of the release that the store admits, not of
# the one in the configuration; during an upgrade those of the next one besides.
. "$(dirname "$0")/lib.sh"

for release in v1 v2 v3 v4; do
    handler $release <<'CGI'
#!/bin/sh
printf 'Content-Type: text/plain\n\n%s of %s' "$CLOAKROOM_RELEASE" "${0##*/}"
CGI
done
configure <<'EOF2'
routes:
  - {path: /work, queue: work, wait: 30s}
  - {path: /idle, queue: idle, wait: 30s}
queues:
  - name: work
    handler: {cgi: {command: "./cgi/{release}"}}
    release: v1
    workers: 2
  - name: idle
    handler: {respond: {status: 200, body: ok}}
    release: v1
EOF2

workers() { child_named "${pids[up]}" "worker .*--queue $1 --release $2"; }
# crew QUEUE RELEASE...: one word for each worker that there is
crew() {
    local release
    for release in v1 v2 v3 v4; do
        workers "$1" $release | sed "s/.*/$release/"
    done | xargs
}
crew_is() { [ "$(crew "$1")" = "$2" ]; }
answers_with() {
    http /work
    is "what answers" "200 $1 of $1" "$status $(cat "$body")"
}
# upgrade_and_wait NAME RELEASE: until it verifies, which ends with NAME-go
upgrade_and_wait() {
    start "$1" upgrade work --to "$2" --rollback : --verify \
        "touch $marks/$1; until [ -e $marks/$1-go ]; do sleep 0.05; done
         ! [ -e $marks/$1-fails ]"
    await 30 test -e "$marks/$1"
}
follower() { child_named "${pids[up]}" follow; }

up
is "the workers of a new queue" "v1 v1" "$(crew work)"
answers_with v1

# A release by hand: the workers of the old one end, those of the new one come.
run pause work --wait
is "exit code of pause" 0 "$code"
is "the workers behind a pause" "v1 v1" "$(crew work)"
run resume work --release v2
is "exit code of resume" 0 "$code"
answers_with v2
await 20 crew_is work "v2 v2"
is "the workers of the other queue" v1 "$(crew idle)"

# An upgrade: both are there, after a restart of `up` as well. It is over while
# nobody follows, and is followed nevertheless.
upgrade_and_wait forth v3
is "the workers during an upgrade" "v2 v2 v3 v3" "$(crew work)"
stop up
is "exit code of up" 0 "$code"
up
await 20 crew_is work "v2 v2 v3 v3"
holds_not "a worker crashed" grep -q event=child-exit "$dir/up.log"
expect_crashes=yes # from here on follow is killed
pids_before=$(workers work v3)
killed=$(follower)
kill -KILL "$killed"
touch "$marks/forth-go"
ended forth
is "exit code of the upgrade" 0 "$code"
await 20 crew_is work "v3 v3"
is "they are the ones that were verified" "$pids_before" "$(workers work v3)"
holds_not "it is the same follower" [ "$killed" = "$(follower)" ]
answers_with v3

# One that goes back.
upgrade_and_wait back v4
is "the workers during the second upgrade" "v3 v3 v4 v4" "$(crew work)"
touch "$marks/back-fails" "$marks/back-go"
ended back
is "exit code of the upgrade that failed" 1 "$code"
await 20 crew_is work "v3 v3"
is "they never went away" "$pids_before" "$(workers work v3)"
answers_with v3

# The configuration says v1 all the time; its program is not needed any more.
stop up
rm "$dir/cgi/v1"
: >"$dir/up.log"
up
is "the workers after a restart" "v3 v3" "$(crew work)"
holds "the log says that the configuration is behind" grep -qF \
    "queue work is of release v3 and the configuration says v1: \`cloakroom upgrade work --to v1\` takes it there" \
    "$dir/up.log"
is "notes of that kind" 1 "$(grep -c 'the configuration says' "$dir/up.log")"
answers_with v3
stop up
is "exit code of up" 0 "$code"
mv "$dir/cgi/v3" "$dir/cgi/v1"
run up
is "exit code of up without the program" 78 "$code"
matches "what is missing" 'queues\[0\].handler.cgi.command: .*/cgi/v3 is not there' \
    "$(cat "$dir/err")"
