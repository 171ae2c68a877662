/* child.h - one program's run: its three pipes, served at once, and its end.
 *
 *     child_start -> body goes in, output and stderr come out, in any order
 *                 -> the spawner tells the exit: what is in the pipes is read
 *                 -> on_end
 *
 * The exit ends it, not the end of the output: a process that escaped may hold
 * a pipe open for ever. The spawner tells it after it killed what was left, so
 * what is in the pipes by then is all there is.
 *
 * Threads: the loop.
 */
#ifndef WORKERS_CHILD_H
#define WORKERS_CHILD_H

#include <stdbool.h>
#include <uv.h>

#include "common/buf.h"
#include "common/error.h"
#include "workers/spawner.h"
#include "workers/stderr_log.h"

struct child_pipe {
    uv_poll_t poll; /* first */
    struct child *child;
    int fd; /* -1: closed, or never there */
    bool watched;
};

struct child {
    struct spawner *spawner;
    uv_loop_t *loop;
    struct spawned spawned;
    struct child_pipe in, out, errors;
    unsigned open; /* handles whose close is not through */
    struct stderr_log *log;
    struct slice body; /* what is still to be written; the caller's */
    bool overflowed;   /* more output than the cap; it was killed for that */
    bool exited;
    /* for on_end */
    struct buf output;
    struct spawn_exit how;
    void (*on_end)(struct child *child);
};

/* Runs plan in a slot. The body and the ticket of the log outlive the run;
 * output is at most output_max. Later on_end, exactly once: then nothing of the
 * child is left but `output` (the caller's to free) and `how`.
 * A negative errno: nothing was begun and no on_end comes: -EMFILE, -ENFILE,
 * -ENOMEM, or -E2BIG (the plan is larger than the system takes). */
int child_start(struct child *child, uv_loop_t *loop, struct spawner *spawner,
                unsigned slot, const struct spawn_plan *plan, struct slice body,
                size_t output_max, struct stderr_log *log);
void child_kill(struct child *child, int signal);

#endif
