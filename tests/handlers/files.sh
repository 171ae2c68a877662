#!/bin/sh
# files.sh - which descriptors, blocked and ignored signals does it have?
printf 'Content-Type: text/plain\n\n'
for fd in /proc/$$/fd/*; do echo "fd=${fd##*/}"; done
grep -E '^Sig(Blk|Ign)' /proc/$$/status
echo "session=$(cut -d' ' -f6 /proc/$$/stat) pid=$$"
echo "limit=$(ulimit -n)"
