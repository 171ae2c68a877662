#!/bin/sh
# hits.cgi - a hit counter: adds one under a lock, and says the new number.
set -eu

counter=hits.count # a CGI runs in its program's directory

# Descriptor 9 holds the lock until the program ends, however it ends.
exec 9>>"$counter.lock"
flock 9

hits=0
[ ! -s "$counter" ] || read -r hits <"$counter"
hits=$((hits + 1))
# A whole file takes the old one's place: a crash between leaves the old number.
echo "$hits" >"$counter.new"
mv "$counter.new" "$counter"

printf 'Content-Type: text/plain\r\n\r\n'
printf 'hit %d of the %s counter\n' "$hits" "${COLOR:-plain}"
