#!/bin/sh
# env.sh - prints its environment, its arguments and its directory.
printf 'Content-Type: text/plain\n\n'
env
for argument; do echo "argument=$argument"; done
echo "directory=$(pwd -P)"
