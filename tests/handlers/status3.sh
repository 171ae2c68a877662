#!/bin/sh
# status3.sh - a whole answer, and a failure's exit status.
printf 'Content-Type: text/plain\n\nall of it\n'
exit 3
