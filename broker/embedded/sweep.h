/* sweep.h - what somebody must see to: ends that time brings, and the files.
 *
 * Whoever lives does it, an ingress or a worker, about once a second for the
 * whole directory, in pieces that keep every transaction short: lapsed leases,
 * ttl, retention, keys. The files are upkeep.h's.
 *
 * Threads: the writer.
 */
#ifndef BROKER_EMBEDDED_SWEEP_H
#define BROKER_EMBEDDED_SWEEP_H

#include "broker/embedded/embedded_priv.h"

/* Is it our turn? Claims it. */
bool sweep_is_due(struct embedded *store, boot_ms now);
/* When it may be, if that is before `until`; else until. */
boot_ms sweep_next(const struct embedded *store, boot_ms until);

/* One piece. 1: there is more of it. */
int sweep_piece(struct txn *txn);

#endif
