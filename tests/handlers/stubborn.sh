#!/bin/sh
# stubborn.sh - never ends by itself, and does not heed SIGTERM.
trap '' TERM
while :; do sleep 1000; done
