/* take.h - takes requests for a session, and takes back what became of them.
 *
 * I1: an attempt is in `running`, counted, before its taker hears of it (P4).
 * I2: an answer counts only if running still has this request under this
 * session and attempt; then it is taken out in the same transaction (P2, P7).
 *
 * Threads: the writer, in a transaction.
 */
#ifndef BROKER_EMBEDDED_TAKE_H
#define BROKER_EMBEDDED_TAKE_H

#include "broker/embedded/embedded_priv.h"
#include "broker/embedded/ending.h"

/* An attempt of the session at a request, for the worker; not stored. */
struct held_attempt *attempt_new(struct txn *txn,
                                 struct worker_session *session,
                                 struct lane *lane,
                                 const struct request *request,
                                 unsigned attempts, unsigned put_backs);

/* Takes up to `want` requests in their order. The attempts are added to *last,
 * a list by mail; *taken is how many. Damaged and expired requests that stand
 * first are ended on the way. */
int attempt_take(struct txn *txn, struct worker_session *session, unsigned want,
                 struct mail ***last, unsigned *taken);

/* Ends an attempt of a session whose lease holds. *fenced: it does not count.
 */
int attempt_finish(struct txn *txn, struct held_attempt *held, bool *fenced);

#endif
