#!/bin/sh
# hello.sh - the smallest CGI program.
printf 'Content-Type: text/plain\n\nhello\n'
