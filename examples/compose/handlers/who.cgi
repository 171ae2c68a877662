#!/bin/sh
# who.cgi - says who ran it: the worker's host, then the request's body; /who?2
# takes two seconds for it.
case $QUERY_STRING in
'' | *[!0-9.]*) ;;
*) sleep "$QUERY_STRING" ;;
esac
printf 'Content-Type: text/plain\r\n\r\n'
printf 'worker %s, attempt %s: ' "$(hostname)" "$CLOAKROOM_ATTEMPT"
exec cat
