/* changes.h - one change, of those of some queues that need it.
 *
 * Queues that are as wished already are left out; the others change together,
 * or none does.
 *
 * Threads: the main thread.
 */
#ifndef CLI_CHANGES_H
#define CLI_CHANGES_H

#include "broker/broker.h"
#include "cli/queues.h"

/* Both in the order of the queues; freed by changes_fini. */
struct changes {
    struct control *states; /* after it, or as it was already */
    bool *made;             /* by this call */
};

/* 0, also when there was nothing to do. Else as broker_change, without
 * -EALREADY. expected is not for this. */
int changes_make(struct broker *broker, const struct queues *queues,
                 const struct change *change, struct changes *out,
                 struct error *err);
void changes_fini(struct changes *changes);

/* Is the queue as wished? */
bool changes_is_so(const struct control *control, const struct change *change);

#endif
