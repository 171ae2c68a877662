#!/bin/sh
# noisy.sh - much on stderr, then an answer.
yes 'a line of complaint' | head -n 20000 >&2
printf 'Content-Type: text/plain\n\nnoisy\n'
