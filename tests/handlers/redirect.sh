#!/bin/sh
# redirect.sh - /from goes to /to within the server, /loop to itself, /away to a
# path of somebody else.
case $PATH_INFO in
/from) printf 'Location: %s/to?a=b\n\n' "$SCRIPT_NAME" ;;
/loop) printf 'Location: %s/loop\n\n' "$SCRIPT_NAME" ;;
/away) printf 'Location: /somewhere/else\n\n' ;;
/bad) printf 'Location: %s/%%zz\n\n' "$SCRIPT_NAME" ;;
*)
	printf 'Content-Type: text/plain\n\n'
	echo "$REQUEST_METHOD $PATH_INFO $QUERY_STRING ${CONTENT_LENGTH-none}"
	cat
	;;
esac
