/* supervisor.h - starts, watches and stops the processes of `up`.
 *
 *     supervisor_add
 *           |        spawn               ended by itself
 *           +-> WAITING ------> RUNNING -----------------> WAITING (backoff)
 *                  |               |
 *                  | dismissed     | dismissed: SIGTERM; SIGKILL when its
 *                  v               v            patience is over
 *                 GONE <-------- GOING
 *                        ended, however it did
 *
 * All are stopped by a signal, or by a child that no restart can help: SIGTERM
 * in the order of the steps, SIGKILL when its patience is over or asked twice
 * (asked.h). Then nothing is started any more.
 *
 * A restart helps no child that ended with 74 (the store is broken) or, before
 * all were ready, 78 (the configuration is wrong), nor one that never came up
 * in so many starts: then all are stopped, and its exit code is ours.
 *
 * I1: when all are stopped, a child of a later step gets its SIGTERM after all
 * of the earlier steps have ended. I2: supervisor_run returns with no child
 * left, adopted ones included, but for those that cannot be killed. I3: a child
 * that is dismissed is not started again.
 *
 * Threads: the owner, which has no others.
 */
#ifndef CLI_SUPERVISOR_H
#define CLI_SUPERVISOR_H

#include <stdbool.h>

#include "common/clock.h"
#include "common/error.h"
#include "common/own.h"

struct supervisor;
struct child;

struct child_options {
    const char *name;      /* for the log: "worker hits" */
    unsigned step;         /* when it is stopped: 0 first */
    span_ms patience;      /* from SIGTERM to SIGKILL */
    const char *words[10]; /* the command line, NULL-ended: "worker", ... */
    /* Not 0: it says on --ready FD when it is up, by a first byte; having ended
     * so many times before that, it is beyond help. */
    unsigned first_starts;
    /* Not NULL: it says lines there as long as it lives, and each is handed
     * over without its newline. Dropped are torn ones, those beyond 255 bytes
     * or with a NUL, and maybe the last ones before its end: a new life is to
     * say all anew. May add and dismiss children. */
    void (*on_line)(void *opaque, const char *line);
    void *opaque;
};

/* Blocks the signals that it takes (SIGINT, SIGTERM, SIGHUP, SIGCHLD); call it
 * before threads are made. */
int supervisor_new(struct supervisor **out, struct error *err);
void supervisor_free(struct supervisor *supervisor);
OWNED_DEFINE(supervisor)

/* program: what is executed. Copies what it is given. At any time; the child
 * is lent until it is dismissed. */
struct child *supervisor_add(struct supervisor *supervisor, const char *program,
                             const struct child_options *options);
/* It is not wanted any more; *child is NULL afterwards. At any time. */
void supervisor_dismiss(struct supervisor *supervisor, struct child **child);

/* Runs until told to stop or until a child ends beyond help. Says on_ready
 * once, when all that tell have told. The exit code. */
int supervisor_run(struct supervisor *supervisor,
                   void (*on_ready)(void *opaque), void *opaque);

#endif
