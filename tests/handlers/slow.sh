#!/bin/sh
# slow.sh - answers after a second.
sleep 1
printf 'Content-Type: text/plain\n\nslow\n'
