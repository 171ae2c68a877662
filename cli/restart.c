/* restart.c - the waits between two lives of a process. */
#include "cli/restart.h"

span_ms
restart_after(struct restart *restart, span_ms lived)
{
    if (restart->last == 0 || lived >= RESTART_CALM)
        restart->last = RESTART_FIRST;
    else if (restart->last < RESTART_MOST / 2)
        restart->last *= 2;
    else
        restart->last = RESTART_MOST;
    return restart->last;
}
