/* handler.h - what a kind of handler is to a worker; one file for each kind.
 *
 * A kind either answers at once (`answer`) or runs (`start`, `kill`):
 *
 *     handler_open -> answer*                                -> handler_close
 *                  -> (start -> [kill...] -> run_end)*       -> handler_close
 *
 * Threads: the loop, except `answer`, which any thread may call at any time
 * between open and close.
 */
#ifndef WORKERS_HANDLERS_HANDLER_H
#define WORKERS_HANDLERS_HANDLER_H

#include <uv.h>

#include "broker/broker.h"
#include "common/settings.h"
#include "workers/spawner.h"

struct handler;
struct run;

/* What handlers stand on; lent by the worker until handler_close. */
struct handler_ground {
    uv_loop_t *loop;
    struct spawner *spawner;
    const struct queue_settings *queue;
    const char *release;
};

enum kill_how {
    KILL_GENTLY, /* ask: SIGTERM */
    KILL_NOW,    /* SIGKILL; may come again until it has ended */
};

struct handler_kind {
    bool needs_spawner;
    int (*open)(const struct handler_ground *ground, struct handler **out,
                struct error *err);
    void (*close)(struct handler *handler);
    /* Sets outcome and response. NULL: it runs instead. Takes microseconds. */
    void (*answer)(struct handler *handler, struct attempt *attempt);
    /* Begins; run_end follows exactly once, perhaps before this returns. */
    void (*start)(struct handler *handler, struct run *run);
    /* Makes it end soon; run_end still follows. */
    void (*kill)(struct handler *handler, struct run *run, enum kill_how how);
};

struct handler {
    const struct handler_kind *kind;
};

extern const struct handler_kind cgi_kind, respond_kind;

/* The kind that the settings name. */
const struct handler_kind *handler_kind_of(enum handler_type type);
int handler_open(const struct handler_ground *ground, struct handler **out,
                 struct error *err);
void handler_close(struct handler *handler); /* nothing runs; NULL is fine */

#endif
