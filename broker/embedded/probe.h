/* probe.h - one request of a drained queue, run to see what a release makes of
 * it.
 *
 * I1: the request stays where it stands (untaken, or in again) and is counted
 * as queued; it is in running besides, under the session that probes. So a
 * probe that is dropped, whatever way, leaves it as it was. I2: while it runs
 * the queue is PROBING, and its barrier has one member, the session; with that
 * the queue is drained again.
 *
 * Threads: the writer, in a transaction.
 */
#ifndef BROKER_EMBEDDED_PROBE_H
#define BROKER_EMBEDDED_PROBE_H

#include "broker/embedded/embedded_priv.h"
#include "broker/embedded/ending.h"

/* Says hello for a session that probes, records the probe, and holds the
 * attempt ready as session->probed. call->r says how it was refused. */
int probe_begin(struct txn *txn, struct call *call,
                struct worker_session *session);

/* What a probe's attempt comes to, out of running by now. kept: it counts. */
int probe_end(struct txn *txn, struct lane *lane, const struct tried *tried,
              bool kept, enum outcome outcome, const char *reason,
              struct slice response, bool is_cancelled);

#endif
