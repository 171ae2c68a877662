/* writer.h - the thread that owns every write transaction.
 *
 * It takes whatever lies in its mailboxes, does it all in one transaction
 * (group commit), and then calls back. Finishes of a batch and the takes for
 * the slots that they free are in one transaction.
 *
 * With no room on the disk it answers submissions -ENOSPC, gives out the
 * reserve, and tries the rest again until it is stored.
 *
 * Threads: init, start and stop by the owner; posting by any.
 */
#ifndef BROKER_EMBEDDED_WRITER_H
#define BROKER_EMBEDDED_WRITER_H

#include "broker/embedded/embedded_priv.h"

void writer_init(struct embedded *store);
void writer_start(struct embedded *store);
/* Does what was posted, then ends the thread and answers the rest. */
void writer_stop(struct embedded *store);

/* Forgets a session and what it could not finish. The writer's. */
void writer_drop_session(struct embedded *store,
                         struct worker_session *session);

void writer_ring(struct embedded *store); /* there is something new */

#endif
