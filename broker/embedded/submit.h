/* submit.h - puts requests on their queues, and takes them off on a cancel.
 *
 * Threads: the writer, in a transaction.
 */
#ifndef BROKER_EMBEDDED_SUBMIT_H
#define BROKER_EMBEDDED_SUBMIT_H

#include "broker/embedded/ending.h"

/* Sets the outputs of submission. 0, also when it was refused; negative when
 * the transaction failed. */
int request_submit(struct txn *txn, struct submission *submission);

/* The same for a cancellation. */
int request_cancel(struct txn *txn, struct cancellation *cancellation);

#endif
