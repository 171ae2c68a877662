/* schema.h - the tables of cloakroom.db and their version.
 *
 *   queue       one row a queue: control state, head and tail, counters
 *   ticket      finds a request (place) and, once it has ended, its response
 *   request_N   what was accepted for queue N, in order; gone when it has
 *               ended, except dead letters. Above `head` they are untaken
 *   again       requests that were taken and wait for another attempt
 *   running     requests under a lease
 *   session     workers' leases
 *   response_N  how the requests of queue N ended, in that order
 *   dead        those of them that are dead letters
 *   key         Idempotency-Keys
 *   control     of each queue's control state what is not needed at each take
 *   barrier     members of the barrier of a queue that is not open
 *   history     what was done to queues; nothing is ever taken out
 *
 * I1: a request that has not ended is in request_N, and is either untaken (seq
 * above head), or in again, or in running; never two of them, but for the one
 * that is probed, which stays in its place and is in running besides.
 * I2: a ticket's end is 0 until its response stands, in the same transaction.
 *
 * There is a request table for each queue, so that all of them grow at their
 * right edge, where SQLite is quickest, and a queue's head is a position.
 *
 * Threads: the connection's.
 */
#ifndef BROKER_EMBEDDED_SCHEMA_H
#define BROKER_EMBEDDED_SCHEMA_H

#include "broker/embedded/db.h"
#include "common/error.h"

#define SCHEMA_VERSION     2
#define SCHEMA_APPLICATION 0x434c4b52 /* "CLKR" */
#define RECORD_FORMAT      1 /* of what stands in request_N and response_N */

/* Makes the tables in an empty file (create), or checks that the file is ours
 * and of a version that we know; an older one is brought to ours, in one
 * transaction. Under the write lock. -ENOENT: empty and not
 * to be made. -EINVAL: not ours, or newer; it was left alone. */
int schema_open(struct db *db, bool create, struct error *err);

/* The id of a queue, which is added with its tables when new. In no
 * transaction, under the write lock. */
int schema_queue(struct db *db, const char *name, const char *release,
                 unsigned *id, struct error *err);

/* Looks for damage, for at most two seconds. */
int schema_check(struct db *db, struct error *err);

#endif
