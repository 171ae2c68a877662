/* receipt.h - what a pauser is told, and the history keeps, of a drained queue.
 *
 * {"queue","epoch","release","paused","by","why","drained","ended","killed",
 *  "put_back","waited_out","bound_ms",
 *  "workers":[{"session","name","release","state"}]}:
 * epoch, by, why: of the pause, why only if it was said; times in RFC 3339;
 * killed: attempts that were ended for it, put_back of which went back to the
 * queue; waited_out: attempts that were lost with their worker; state as in
 * control/barrier.def. bound_ms: a worker that was cut off from the broker when
 * the queue was paused has ended all it ran so long after; every worker in the
 * list is accounted for sooner.
 *
 * Threads: any; pure. Source: docs/pause.md, "The receipt".
 */
#ifndef BROKER_RECEIPT_H
#define BROKER_RECEIPT_H

#include "broker/broker.h"

/* The text, malloc'ed. control: of the queue as it is drained. */
char *receipt_write(const char *queue, const struct control *control,
                    const struct barrier *barrier, wall_ms drained);

/* The record of a queue's history, oldest first, with the receipt of the pause
 * at that epoch. NULL: it was not drained, or not so far. */
const struct history *receipt_find(const struct history *list, size_t len,
                                   uint64_t paused_epoch);

#endif
