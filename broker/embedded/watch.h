/* watch.h - sees to a write lock that does not come.
 *
 * Who holds the lock and is stopped, or hangs, stalls every process of the
 * directory. Whoever waits for longer than two seconds looks at the holder in
 * the shared file, and kills it when it is stopped, or for ten seconds has
 * neither let go nor slept in the disk. The kernel then lets go of its lock,
 * and SQLite rolls its transaction back.
 *
 * Threads: start and stop by the owner.
 */
#ifndef BROKER_EMBEDDED_WATCH_H
#define BROKER_EMBEDDED_WATCH_H

#include "broker/embedded/embedded_priv.h"

#define WATCH_PATIENCE 2000 /* ms */

/* What was seen of a holder so far. */
struct suspicion {
    uint64_t holds;   /* which holding it is about */
    mono_ms since;    /* when it was first seen, or last slept in the disk */
    unsigned stopped; /* how often in a row it was seen stopped */
};

/* Looks at the holder once; to be called every WATCH_EVERY while waiting. */
#define WATCH_EVERY 250 /* ms */
void watch_look(struct shared *shared, struct suspicion *suspicion);

void watch_start(struct embedded *store);
void watch_stop(struct embedded *store);

#endif
