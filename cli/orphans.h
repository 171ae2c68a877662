/* orphans.h - processes that lost their parent and came to us.
 *
 * `up` is a subreaper: what a killed worker or spawner leaves behind becomes
 * its child. Source: prctl(2), PR_SET_CHILD_SUBREAPER.
 *
 * Threads: owner.
 */
#ifndef CLI_ORPHANS_H
#define CLI_ORPHANS_H

#include <stdbool.h>
#include <sys/types.h>

/* From now on orphans come to this process. */
void orphans_adopt(void);

/* How many children there are that `is_ours` does not know; signal (0: none) is
 * sent to each. Only the caller reaps, so no pid can be another's by now. */
unsigned orphans_signal(int signal, bool (*is_ours)(void *opaque, pid_t pid),
                        void *opaque);

#endif
