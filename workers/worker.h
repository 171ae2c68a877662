/* worker.h - one worker process: takes requests of one queue and runs them.
 *
 *           hello                 SIGTERM                no attempt is out
 *     START -----> SERVING -----------------> STOPPING ---------------> end
 *                  |     ^
 *      lease lost  v     | hello, with backoff
 *      or lapsed   LOST -+      (all handlers are killed first)
 *
 * One that probes stops by itself after its one attempt, and does not say hello
 * again.
 *
 * Threads: the calling thread becomes the loop; the broker brings its own.
 * Source: docs/design.md, sections 5 and 8.
 */
#ifndef WORKERS_WORKER_H
#define WORKERS_WORKER_H

#include <stdbool.h>

#include "broker/broker.h"
#include "common/error.h"
#include "common/settings.h"

struct worker_options {
    unsigned queue;      /* index in the settings */
    const char *release; /* NULL: the queue's */
    const char *name;    /* for people; NULL: "host:pid" */
    const char *program; /* holds the spawner; NULL: /proc/self/exe */
    bool supervised;     /* by `up`, who kills when it is asked twice */
    /* Not NULL: runs this one request, waiting first for another probe. */
    const struct probe *probe;
    /* How the probe's attempt ended, before the broker is told. Not called if
     * it never began. */
    void (*on_probed)(void *opaque, const struct attempt *attempt);
    void *opaque;
};

/* Serves the queue until SIGTERM, SIGINT or SIGHUP: then takes nothing more,
 * lets the attempts end, says goodbye and returns 0. A second wish (asked.h)
 * kills the handlers, except of a supervised worker: there the one signal may
 * come from a service manager and the other, seconds later, from `up`. A
 * negative errno with a sentence in err: it could not start, or cannot go on
 * (its spawner died, the broker broke); the process should end and be started
 * anew. Blocks signals for good, so nothing but the end should follow.
 *
 * A probe returns 0 when its attempt has ended by itself, however, and the
 * queue is drained again. Else, beside what session_open refuses: -EINTR: a
 * signal ended it, and so its handler, asked at the first and killed at the
 * second one. -ESTALE: its lease ended. Whatever it returns, what on_probed
 * heard is what became of the handler. */
int worker_run(const struct settings *settings,
               const struct worker_options *options, struct error *err);

/* The spawner process, run by a worker as `PROGRAM spawner` with their socket
 * as its standard input. Returns the exit code once the worker is gone and no
 * process of a handler is left. */
int spawner_main(int socket_fd);

#endif
