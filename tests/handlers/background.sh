#!/bin/sh
# background.sh - leaves a process behind that holds the pipes.
sleep 1000 &
printf 'Content-Type: text/plain\n\n%s\n' "$!"
