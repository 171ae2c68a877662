/* reader.h - the thread that looks: lookups, lists, and new responses.
 *
 * Its connection writes nothing. It follows each queue's responses in the order
 * in which they were stored, and hands those on that somebody here waits for.
 *
 * Threads: init, start and stop by the owner; posting by any.
 */
#ifndef BROKER_EMBEDDED_READER_H
#define BROKER_EMBEDDED_READER_H

#include "broker/embedded/embedded_priv.h"

void reader_init(struct embedded *store);
/* Where to follow from: what is stored up to now is not told. */
int reader_prepare(struct embedded *store, struct error *err);
void reader_start(struct embedded *store);
void reader_stop(struct embedded *store);

#endif
