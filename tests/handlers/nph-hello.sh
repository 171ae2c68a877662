#!/bin/sh
# nph-hello.sh - speaks HTTP itself, which is not supported.
printf 'HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\nhello\n'
