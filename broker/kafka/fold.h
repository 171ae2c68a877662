/* fold.h - what the facts of one partition of `tickets` come to.
 *
 *            started             response, failed, cancel*
 *     QUEUED --------> RUNNING ---------------------------> an ending
 *      |  ^              |  |          over                  ^
 *      |  |    retry     |  +------> RUNNING, orphaned ------+ failed
 *      |  +--------------+                 |                 |
 *      |  +------- retry ------------------+                 |
 *      +-------- cancel, expired, failed (run 0) ------------+
 *      (* a cancel of what runs is a wish: `retry` then ends it as cancelled)
 *
 * Every reader that folds the log in its order, from the start or from the
 * claim in force at some place, comes to the same verdict on every fact, and a
 * verdict never changes as the log grows.
 * I1: `started` counts iff its claim is the one in force and the ticket is
 *     QUEUED.
 * I2: an ending or a retry of a run counts iff that run goes on, if the run's
 *     own session says so, and iff it is an orphan, if another one does.
 * I3: the first ending stays (P2).
 * I4: a later claim voids nothing that stands before it.
 * I5: `over` is an event: runs of that session become orphans, and a claim of
 *     its is in force no more. It says nothing of what comes later.
 *
 * Threads: any; pure. Source: docs/design.md, section 4; models/claim.pml.
 */
#ifndef BROKER_KAFKA_FOLD_H
#define BROKER_KAFKA_FOLD_H

#include "broker/kafka/record.h"

/* The claim in force of one queue in one partition. */
struct fold_claim {
    int64_t offset;   /* where it stands; -1: none is in force */
    uint64_t session; /* whose it is */
};

/* One ticket. All zero but `request`: nothing was read about it. */
struct fold_ticket {
    enum ticket_state state;
    bool is_orphan;        /* RUNNING: its session is over */
    bool is_cancelled;     /* RUNNING: the client wishes it to end */
    uint64_t run, session; /* RUNNING: which, whose */
    unsigned attempts;     /* counted, that which runs included */
    unsigned put_backs;
    wall_ms due;     /* QUEUED: not before; 0: at once */
    int64_t request; /* offset of its request; -1: not known */
};
struct fold_ticket fold_ticket_none(void);

void fold_claim(struct fold_claim *claim, const struct fact *fact,
                int64_t offset);
/* The claim's part of an OVER. */
void fold_over(struct fold_claim *claim, uint64_t session);

/* Any other fact but OVER, KEY, DROPPED and REPLAYED. True: it counts, and
 * *ticket is the new state. */
bool fold_fact(struct fold_ticket *ticket, const struct fold_claim *claim,
               const struct fact *fact);

/* Its session is over: a run of that becomes an orphan. True: it was one. */
bool fold_orphan(struct fold_ticket *ticket, uint64_t session);

#endif
