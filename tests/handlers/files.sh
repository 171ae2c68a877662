#!/bin/sh
# files.sh - which descriptors, blocked and ignored signals does it have?
printf 'Content-Type: text/plain\n\n'
fd=0
while [ $fd -lt 300 ]; do
	[ -e /proc/$$/fd/$fd ] && echo "fd=$fd"
	fd=$((fd + 1))
done
echo end
echo "session=$(cut -d' ' -f6 /proc/$$/stat) pid=$$"
echo "limit=$(ulimit -n)"
exec grep -E '^Sig(Blk|Ign)' /proc/self/status
