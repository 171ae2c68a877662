#!/bin/sh
# shut.sh - closes its input and works on.
exec <&-
printf 'Content-Type: text/plain\n\nshut\n'
