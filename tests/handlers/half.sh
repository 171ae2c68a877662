#!/bin/sh
# half.sh - dies in the middle of its answer.
printf 'Content-Type: text/plain\n\nhalf of it'
kill -SEGV $$
