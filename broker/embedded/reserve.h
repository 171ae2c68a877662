/* reserve.h - ballast on the disk, given out when it is full.
 *
 * What it frees lets finishes, leases and sweeps go on while new requests are
 * refused; it is made again when there is room, and requests are welcome again.
 * shared->full says that it is given out.
 *
 * Threads: the writer; open by the owner.
 */
#ifndef BROKER_EMBEDDED_RESERVE_H
#define BROKER_EMBEDDED_RESERVE_H

#include "broker/embedded/embedded_priv.h"

/* Under the write lock. A disk that is full already is no error. */
int reserve_open(struct embedded *store, struct error *err);
void reserve_give_out(struct embedded *store);
/* Makes it again if it was given out and there is room now. */
void reserve_restore(struct embedded *store);

#endif
