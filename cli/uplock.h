/* uplock.h - one `up` at a time on a data directory; on Kafka, where the data
 * are elsewhere, on the directory of the ingress's view, which is made.
 *
 * Threads: owner.
 */
#ifndef CLI_UPLOCK_H
#define CLI_UPLOCK_H

#include "common/settings.h"

/* Takes the lock in that directory: its descriptor, held until it is closed or
 * the process ends. -EBUSY: another `up` has it, err names it. Else what the
 * directory refused. */
int uplock_take(const struct settings *settings, struct error *err);

#endif
