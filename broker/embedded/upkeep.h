/* upkeep.h - keeps the store's files small: the log, free pages, the reserve.
 *
 * All of it under the write lock, checkpoints too: SQLite before 3.51.3 can
 * damage a store when one runs beside a commit.
 *
 * Threads: the writer, in no transaction.
 */
#ifndef BROKER_EMBEDDED_UPKEEP_H
#define BROKER_EMBEDDED_UPKEEP_H

#include "broker/embedded/embedded_priv.h"

/* After each transaction; swept: it had a piece of the sweep. */
void upkeep(struct embedded *store, bool swept);

/* Writes the log back into the file; whole: all of it, and cuts the log. */
int upkeep_checkpoint(struct embedded *store, bool whole);

#endif
