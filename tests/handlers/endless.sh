#!/bin/sh
# endless.sh - prints without end.
printf 'Content-Type: text/plain\n\n'
exec yes
