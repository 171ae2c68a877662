/* uplock.h - one `up` at a time on a data directory.
 *
 * Threads: owner.
 */
#ifndef CLI_UPLOCK_H
#define CLI_UPLOCK_H

#include "common/error.h"

/* Takes the lock in the directory: its descriptor, held until it is closed or
 * the process ends. -EBUSY: another `up` has it, err names it. Else what the
 * directory refused. */
int uplock_take(const char *directory, struct error *err);

#endif
