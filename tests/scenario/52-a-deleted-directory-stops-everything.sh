#!/usr/bin/env bash
# A data directory that is deleted under us: no more tickets for what would be
# gone at a restart; every process stops with 74.
. "$(dirname "$0")/lib.sh"
expect_crashes=yes

configure <<'EOF2'
routes:
  - {path: /work, queue: work, wait: 0s}
queues:
  - name: work
    handler: {respond: {status: 200, body: ok}}
EOF2
up
http /work -d before
is "a request before" 202 "$status"
rm -rf "$dir/data"
ended up 30
is "exit code of up" 74 "$code"
holds "the log says why" grep -q 'event=store-broken.*was deleted' "$dir/up.log"
holds_not "something was started again after that" eval \
    'sed -n "/event=store-broken/,\$p" "$dir/up.log" | grep -q event=child-restart'

up
http /work -d after
is "a request on a new directory" 202 "$status"
stop up
is "exit code of up then" 0 "$code"
