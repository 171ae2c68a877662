/* txn.h - one write transaction and the queues that it touches.
 *
 *     txn_begin (takes the write lock) ... txn_commit | txn_fail
 *
 * A queue's row is read when the transaction first needs it and written once,
 * at the commit. What others must be told (responses, work) is gathered here
 * and rung after the commit. Before every transaction the broken mark is looked
 * at, and a write or sync that fails marks it: both end the process.
 *
 * Threads: the writer; one transaction at a time.
 */
#ifndef BROKER_EMBEDDED_TXN_H
#define BROKER_EMBEDDED_TXN_H

#include "broker/embedded/db.h"
#include "common/clock.h"
#include "common/settings.h"
#include "control/control.h"

struct embedded;

#define PLACE_BITS     48
#define PLACE(id, seq) ((int64_t)(id) << PLACE_BITS | (int64_t)(seq))
#define PLACE_LANE(p)  ((unsigned)((p) >> PLACE_BITS))
#define PLACE_SEQ(p)   ((p) & ((INT64_C(1) << PLACE_BITS) - 1))

/* What changes with every request; written back when it did. */
struct lane_numbers {
    int64_t head; /* requests above it were never taken */
    int64_t tail; /* the last one accepted */
    int64_t last_end;
    int64_t last_attempt;
    int64_t queued;   /* to be taken now: untaken ones and returned ones */
    int64_t returned; /* rows of `again` that are due */
    int64_t delayed;  /* rows of `again` that are not */
    int64_t running, dead, accepted, done, failed, retained;
    char trouble[200]; /* the last put-back's reason; "": it is over */
    wall_ms trouble_at;
};

/* One queue, as the transaction sees it. */
struct lane {
    unsigned id;
    const struct queue_settings *settings; /* NULL: not in our settings */
    char name[65];
    /* What takes look at; the rest by control_row_read. */
    struct control control;
    bool owns_upgrade; /* this process runs the one that holds it */
    span_ms paused_ms; /* of earlier pauses, in which its ttl stood still */
    struct lane_numbers n;
    struct lane_numbers was; /* n as it was read */
    /* of this transaction */
    bool loaded;
    bool got_work;
    bool moved; /* its control state or barrier */
    unsigned new_done, new_failed;
    struct lane *next; /* that this transaction loaded */
};

struct txn {
    struct embedded *store;
    struct db *db;
    wall_ms now;
    boot_ms boot;
    bool lazy; /* its commit need not be synced */
    struct lane *lanes;
};

/* 0, or why nothing can be stored now: -ENOSPC, -ENOTCONN. */
int txn_begin(struct txn *txn, struct embedded *store);
int txn_commit(struct txn *txn);
/* Rolls back after something in it failed with r; returns r if that mends
 * itself, else ends the process. */
int txn_fail(struct txn *txn, int r);

/* The write lock alone, for what is no transaction (a checkpoint). */
void txn_lock(struct embedded *store);
void txn_unlock(struct embedded *store);
/* Ends the process unless r is a failure that mends itself; returns r then. */
int txn_sort_failure(struct embedded *store, int r);

/* The queue of that id, read if need be. 0, or negative and db->err. */
int txn_lane(struct txn *txn, unsigned id, struct lane **out);

/* The clock that a queue's ttl is measured on: it stands still during pauses.
 */
wall_ms lane_clock_at(const struct lane *lane, wall_ms now);
wall_ms lane_clock(const struct txn *txn, const struct lane *lane);

/* Reads a queue's row; any connection. 1, 0 for no such row, or negative. */
int lane_load(struct db *db, unsigned id, struct lane *lane);

#endif
