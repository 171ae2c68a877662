/* control_row.h - a queue's control state in the store, its barrier, its
 * history.
 *
 * What every transaction needs of it stands in the queue's row and is read with
 * that (lane->control); who, why and the upgrade stand in `control`.
 * I1: state, barrier and history change in one transaction, and takes look at
 * the state in theirs: so there is an instant after which nothing starts (P5).
 * I2: a member is accounted for in the transaction that ends what it runs.
 *
 * Threads: the writer, in a transaction; reading, any connection.
 */
#ifndef BROKER_EMBEDDED_CONTROL_ROW_H
#define BROKER_EMBEDDED_CONTROL_ROW_H

#include "broker/embedded/embedded_priv.h"

/* Reads what lane_load leaves out: by, why, upgrade. 0 or negative. */
int control_row_read(struct embedded *store, struct db *db, struct lane *lane);

/* Writes lane->control, which was changed, and a record of it for the history.
 * receipt: NULL, or what the record carries. */
int control_row_write(struct txn *txn, struct lane *lane, const char *change,
                      const char *release, const char *by, const char *why,
                      const char *receipt);
/* Who acts for the upgrade that holds the queue: this process. */
int control_row_own(struct txn *txn, const struct lane *lane);

/* A new barrier: of all sessions of the queue, or of one. */
int barrier_row_all(struct txn *txn, const struct lane *lane);
int barrier_row_one(struct txn *txn, const struct lane *lane, int64_t session);
int barrier_row_drop(struct txn *txn, const struct lane *lane);
int barrier_row_read(struct embedded *store, struct db *db,
                     const struct lane *lane, struct barrier *barrier);

/* A session is accounted for. Nothing happens when its queue is open, or
 * drained already, or when it is no member. Drains the queue if it was the
 * last. */
int barrier_row_account(struct txn *txn, struct lane *lane, int64_t session,
                        enum member_state state);
/* Drains the queue if nobody is expected. */
int barrier_row_settle(struct txn *txn, struct lane *lane);

/* An attempt has ended: while its queue is paused that is counted. */
enum barrier_count {
    BARRIER_ENDED,
    BARRIER_KILLED,
    BARRIER_PUT_BACK,
    BARRIER_WAITED_OUT
};
int barrier_row_count(struct txn *txn, struct lane *lane,
                      enum barrier_count what);

#endif
