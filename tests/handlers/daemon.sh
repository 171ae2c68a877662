#!/bin/sh
# daemon.sh - leaves a process behind in a session of its own, which holds the
# pipes; its pid is in the answer.
setsid sh -c 'echo $$ >"$0.$CLOAKROOM_TICKET"; exec sleep 1000' "${PID_FILE:?}" &
while [ ! -s "$PID_FILE.$CLOAKROOM_TICKET" ]; do sleep 0.01; done
printf 'Content-Type: text/plain\n\n'
cat "$PID_FILE.$CLOAKROOM_TICKET"
