#!/bin/sh
# deaf.sh - never reads its input.
printf 'Content-Type: text/plain\n\ndeaf\n'
