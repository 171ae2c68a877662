#!/bin/sh
# cat.sh - answers with the body that it is given.
printf 'Content-Type: application/octet-stream\n\n'
exec cat
