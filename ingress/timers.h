/* timers.h - a deadline for each of many connections.
 *
 * A heap that is lazy about deadlines which move away: that costs one store,
 * and the timer is put in its place when its old time comes. A connection's
 * deadline moves several times in each request and almost never comes.
 *
 * I1: a timer in the heap has key <= due, and the heap is in order of key.
 * Threads: owner.
 */
#ifndef INGRESS_TIMERS_H
#define INGRESS_TIMERS_H

#include <stddef.h>
#include <stdint.h>

#include "common/clock.h"

#define TIMERS_NEVER INT64_MAX

struct timer {
    mono_ms due;  /* TIMERS_NEVER: not set */
    mono_ms key;  /* where it stands in the heap */
    size_t place; /* in the heap, from 1; 0: not in it */
};

struct timers {
    struct timer **heap; /* [0] is the first; children of i: 2i+1, 2i+2 */
    size_t len, room;
};

void timers_init(struct timers *timers);
void timers_fini(struct timers *timers); /* must be empty */

/* A zeroed timer is ready for use. */
void timers_set(struct timers *timers, struct timer *timer, mono_ms due);
/* Before the timer's memory goes. */
void timers_remove(struct timers *timers, struct timer *timer);

/* When to look again, at the latest; TIMERS_NEVER when there is none. */
mono_ms timers_next(const struct timers *timers);
/* A timer that is due at now, and no longer set; NULL when there is no more. */
struct timer *timers_expired(struct timers *timers, mono_ms now);

#endif
