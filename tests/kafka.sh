#!/usr/bin/env bash
# kafka.sh - the tests' Kafka: `up DIR` begins a new one there, on free ports, and
# writes DIR/servers; `down DIR` ends it.

set -euo pipefail
scripts=$(dirname "$(realpath "$0")")/../broker-config/kafka
dir=$2

"$scripts/down" --dir "$dir"
[ "$1" = up ] || exit 0
rm -rf "$dir"
servers=$("$scripts/up" --port 0 --dir "$dir")
echo "${servers#servers: }" >"$dir/servers"
