/* look.h - what the store says about a ticket, a queue, its workers.
 *
 * Threads: the reader, in a read transaction.
 */
#ifndef BROKER_EMBEDDED_LOOK_H
#define BROKER_EMBEDDED_LOOK_H

#include "broker/embedded/embedded_priv.h"

/* Sets the outputs of lookup. */
void look_ticket(struct embedded *store, struct lookup *lookup);

/* What operators see; see broker.h. */
int look_queue(struct embedded *store, unsigned queue,
               struct queue_stats *stats);
int look_workers(struct embedded *store, struct worker_info **out, size_t *len);
int look_runs(struct embedded *store, unsigned queue, size_t max,
              struct running **out, size_t *len);
int look_waiting(struct embedded *store, unsigned queue, int64_t after,
                 waiting_fn *on_waiting, void *opaque);
int look_history(struct embedded *store, int queue, size_t max,
                 struct history **out, size_t *len);
int look_dead(struct embedded *store, unsigned queue, size_t max,
              struct dead_letter **out, size_t *len);

/* A stored response from its columns; one that is damaged becomes a failure
 * that says so. */
struct stored *look_stored(const struct ticket *ticket, int state, int format,
                           int64_t sum, struct slice message, bool *damaged);

#endif
