/* lease.h - sessions in the store: hello, renewal, the end of a lease.
 *
 * I1: a session's row stands as long as its lease; who ends the one ends the
 * other, with all its running attempts, in one transaction. So attempts are in
 * `running` under live sessions only, and never under two (P4).
 * The row has the lease of the hello; it is renewed in the shared file, which
 * needs no room on the disk.
 * I2: a lapsed lease is final: nobody renews one whose time is over (P7).
 *
 * Threads: the writer, in a transaction.
 */
#ifndef BROKER_EMBEDDED_LEASE_H
#define BROKER_EMBEDDED_LEASE_H

#include "broker/embedded/embedded_priv.h"
#include "broker/embedded/ending.h"

/* Says hello for session: sets its id, lane and lease. */
int lease_begin(struct txn *txn, struct worker_session *session);

/* Is the lease still ours? Renews it when that is due. 1: yes. 0: it is over.
 */
int lease_hold(struct txn *txn, struct worker_session *session,
               boot_ms *renewed);

/* Ends a session; what it runs is lost, for the reason; once it is gone it is
 * accounted for as `state`. 1: it is gone. 0: some of it is left: at most
 * `most` attempts are ended at a time. */
int lease_end(struct txn *txn, unsigned lane, int64_t session,
              const char *release, enum member_state state, const char *reason,
              unsigned most);

/* Ends the sessions whose lease or process is over, at most `most` attempts.
 * 1: there may be more of them. */
int lease_sweep(struct txn *txn, unsigned most);

/* The same until there are none. 0 or negative. */
int lease_sweep_all(struct txn *txn);

#endif
