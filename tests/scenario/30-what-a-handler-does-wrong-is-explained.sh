#!/usr/bin/env bash
# The zoo: each way for a program to fail is a stored failure that says why,
# after exactly as many runs as the table allows; never a cut 200.
. "$(dirname "$0")/lib.sh"

# What each animal shares: it leaves a line for each run.
animal() {
    { printf '#!/bin/bash\necho "$CLOAKROOM_TICKET" >>"$MARKS/%s"\n' "$1" && cat; } |
        handler "$1"
}
animal exits <<<'exit 1'
animal answers-and-exits <<<$'printf "Content-Type: text/plain\\n\\nall of it"\nexit 3'
animal killed <<<'kill -SEGV $$'
animal silent <<<'exit 0'
animal no-blank-line <<<'printf "Content-Type: text/plain\n"'
animal no-fields <<<'printf "just text, no fields\n\nbody"'
animal bad-name <<<'printf "Content-Type: text/plain\nBad Name: x\n\nbody"'
animal nul <<<'printf "Content-Type: text/plain\nX-Nul: a\0b\n\nbody"'
animal bare-cr <<<'printf "Content-Type: text/plain\nX-Cr: a\rSet-Cookie: evil=1\n\nbody"'
animal status-99 <<<'printf "Status: 99 Odd\nContent-Type: text/plain\n\nbody"'
animal status-100 <<<'printf "Status: 100 Continue\nContent-Type: text/plain\n\nbody"'
animal status-word <<<'printf "Status: fine\nContent-Type: text/plain\n\nbody"'
animal long-line <<<'printf "X-Long: %0200000d\nContent-Type: text/plain\n\nbody" 1'
animal dies-amid <<<$'printf "Content-Type: text/plain\\nContent-Length: 100\\n\\nhalf"\nkill -KILL $$'
animal cut-short <<<'printf "Content-Type: text/plain\nContent-Length: 100\n\nhalf"'
animal flood <<<'printf "Content-Type: text/plain\n\n"; head -c 100000000 /dev/zero'
animal endless <<<'printf "Content-Type: text/plain\n\n"; exec cat /dev/zero'
animal hangs <<<'exec sleep 1000'
animal deaf <<<$'trap "" TERM\nwhile :; do sleep 1000; done'
animal hangs-amid <<<$'printf "Content-Type: text/plain\\n\\nhalf"\nexec sleep 1000'

configure <<EOF2
routes:
  - {path: /zoo, queue: zoo, wait: 60s}
  - {path: /never, queue: never, wait: 60s}
  - {path: /always, queue: always, wait: 60s}
queues:
  - name: zoo
    handler: {cgi: {directory: ./cgi, environment: {MARKS: $marks}}}
    concurrency: 16
    timeout: 2s
    attempts: 2
    backoff: {first: 50ms, max: 100ms}
    max_response: 1MiB
  - name: never
    handler: {cgi: {directory: ./cgi, environment: {MARKS: $marks}}}
    redeliver: never
    backoff: {first: 50ms, max: 100ms}
  - name: always
    handler: {cgi: {directory: ./cgi, environment: {MARKS: $marks}}}
    redeliver: always
    attempts: 3
    backoff: {first: 50ms, max: 100ms}
EOF2
up

runs() { wc -l <"$marks/$1"; }

# fails NAME STATUS CODE GET-RUNS: asked with GET, POST and a keyed POST, all
# three at once
fails() {
    local name=$1 kind
    rm -f "$marks/$name"
    for kind in get post keyed; do
        local more=()
        [ $kind = get ] || more=(-X POST)
        [ $kind = keyed ] && more+=(-H "Idempotency-Key: $name")
        curl -sS -m 60 -D "$dir/$name.$kind.head" -o "$dir/$name.$kind.body" \
            "${more[@]}" "http://127.0.0.1:$port/zoo/$name" \
            2>"$dir/curl-error" &
        zoo+=($!)
    done
}
judge() {
    local name=$1 kind want=$2 word=$3 repeated=$4
    for kind in get post keyed; do
        head=$dir/$name.$kind.head body=$dir/$name.$kind.body
        is "$name, $kind: status" "$want" "$(awk 'NR == 1 {print $2}' "$head")"
        is "$name, $kind: media type" application/problem+json \
            "$(field Content-Type)"
        matches "$name, $kind: code" "^($word)$" "$(json .code)"
        is "$name, $kind: a sentence" true "$(json '.detail | length > 10')"
        ticket=$(json .ticket)
        local allowed=$repeated
        [ $kind != post ] || allowed=1
        is "$name, $kind: runs" "$allowed" "$(grep -cx "$ticket" "$marks/$name")"
        http "/-/tickets/$ticket"
        is "$name, $kind: state" failed "$(json .state)"
        is "$name, $kind: attempts" "$allowed" "$(json .attempts)"
        is "$name, $kind: a reason" true "$(json '.reason | length > 5')"
        head=$dir/head body=$dir/body
    done
}
bad_output='silent no-blank-line no-fields bad-name nul bare-cr status-99
    status-100 status-word long-line cut-short'
for name in exits killed dies-amid $bad_output flood endless hangs deaf \
    hangs-amid; do
    fails "$name"
done
wait "${zoo[@]}"
for name in exits killed dies-amid; do
    judge $name 502 'crashed|bad-output' 2
done
for name in $bad_output; do judge $name 502 'bad-output|crashed' 2; done
for name in flood endless; do judge $name 502 'response-too-large' 1; done
for name in hangs deaf hangs-amid; do judge $name 504 'timed-out' 2; done
is "dead letters" $(((3 + 11 + 3) * 3)) "$(stat_of zoo dead)"
await 10 no_handlers

# A program that said all it had and then failed is not believed.
http /zoo/answers-and-exits
is "answered, then exit code 3" 502 "$status"

# redeliver: never and always.
http /never/exits
is "redeliver never: status" 502 "$status"
is "redeliver never: runs of a GET" 1 "$(grep -cx "$(json .ticket)" "$marks/exits")"
http /always/exits -X POST
is "redeliver always: status" 502 "$status"
is "redeliver always: runs of a POST" 3 "$(grep -cx "$(json .ticket)" "$marks/exits")"

# A second try that goes well is the answer.
animal second-time <<'CGI'
[ "$CLOAKROOM_ATTEMPT" = 2 ] || exit 1
printf 'Content-Type: text/plain\n\nattempt %s' "$CLOAKROOM_ATTEMPT"
CGI
http /zoo/second-time
is "the second attempt's answer" "attempt 2" "$(cat "$body")"
is "runs for it" 2 "$(runs second-time)"
