/* child.h - being a process that `up` started: it ends with `up`, and says when
 * it is ready.
 *
 * Threads: the main thread.
 */
#ifndef CLI_CHILD_H
#define CLI_CHILD_H

#include "cli/cli.h"

/* The options by which `up` tells; shown to nobody. */
enum { FLAG_UP = 900, FLAG_READY };
#define CHILD_FLAGS                                                            \
    {FLAG_UP, "up", "PID", NULL},                                              \
    {                                                                          \
        FLAG_READY, "ready", "FD", NULL                                        \
    }

struct child_end {
    int up;    /* pid of `up`; 0: nobody started us */
    int ready; /* to say it on; -1: nobody asked */
};

#define CHILD_END_INIT ((struct child_end){.ready = -1})

/* Reads one of the two options; false when the flag is another. */
bool child_take_flag(struct child_end *end, int flag, const char *value);

/* From now on the end of `up`, however it comes, is a SIGTERM to us. -ESRCH:
 * it has ended already. */
int child_follow(const struct child_end *end);

/* Once. */
void child_say_ready(struct child_end *end);

#endif
