/* watch.h - sees to a write lock that does not come.
 *
 * Who holds the lock and is stopped, or hangs, stalls every process of the
 * directory. Whoever waits for longer than two seconds looks at the holder in
 * the shared file, and kills it when it is stopped, or for ten seconds has
 * neither let go nor slept in the disk. The kernel then lets go of its lock,
 * and SQLite rolls its transaction back.
 *
 * Threads: start and stop by the owner; they may be repeated.
 */
#ifndef BROKER_EMBEDDED_WATCH_H
#define BROKER_EMBEDDED_WATCH_H

#include "broker/embedded/embedded_priv.h"

void watch_start(struct embedded *store);
void watch_stop(struct embedded *store);

#endif
