/* restart.h - how long a process that ended waits before it is started again.
 *
 * 100 ms at first, doubling to 10 s while it keeps ending early; one that lived
 * for 10 s begins anew.
 *
 * Threads: owner; pure.
 */
#ifndef CLI_RESTART_H
#define CLI_RESTART_H

#include "common/clock.h"

#define RESTART_FIRST 100   /* ms */
#define RESTART_MOST  10000 /* ms */
#define RESTART_CALM                                                           \
    10000 /* ms: having lived so long, it was no crash loop                    \
           */

struct restart {
    span_ms last; /* the wait before this life; 0: none */
};

/* It lived that long and ended; how long to wait now. */
span_ms restart_after(struct restart *restart, span_ms lived);

#endif
