/* spawner.h - the worker's side of its spawner: starts children, hears of
 * their ends, winds the lease's clock.
 *
 * The spawner is a small process of its own, parent of all handlers, with
 * nothing of ours open but the guard. It starts a child at the cost that the
 * kernel asks for (vfork semantics in a process of few pages), kills whatever a
 * child leaves behind, and kills everything when it is not wound in time or the
 * worker dies.
 *
 * I1: an exit is told only when no process of the child's attempt is left (or,
 * after SPAWNER_STUBBORN, what is left has been killed and does not die).
 * I2: a generation whose clock ran down starts nothing more.
 *
 * Threads: the loop. Source: docs/design.md, sections 5 and 8.
 */
#ifndef WORKERS_SPAWNER_H
#define WORKERS_SPAWNER_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "common/buf.h"
#include "common/clock.h"
#include "common/error.h"

#define SPAWNER_STUBBORN ((span_ms)5000) /* for killed processes to be gone */

struct spawner;

/* What became of a child. */
enum spawn_step { SPAWN_FORK, SPAWN_CHDIR, SPAWN_EXEC, SPAWN_STEPS };
struct spawn_exit {
    int error; /* 0: it was started. Else an errno: it was not, and */
    enum spawn_step step; /* this failed (ESTALE: the lease's clock ran down) */
    int code;             /* CLD_EXITED, CLD_KILLED or CLD_DUMPED */
    int status;           /* the exit status, or the signal */
    bool lapsed;          /* killed, or not started: the clock ran down */
    unsigned strays;      /* processes that it left and that were killed */
    bool stubborn;        /* one of them would not die */
};

/* What to run: `program` in `directory`, and its argv and environment, each as
 * strings with their NULs one behind the other. */
struct spawn_plan {
    const char *directory;
    const char *program;
    struct buf arguments;
    struct buf environment;
    unsigned arguments_len;
    unsigned environment_len;
};
void spawn_plan_fini(struct spawn_plan *plan); /* frees the buffers */

/* A child that was asked for; the caller's storage until on_exit. */
struct spawned {
    uint64_t id; /* the spawner's */
    unsigned slot;
    void (*on_exit)(struct spawned *spawned, const struct spawn_exit *how);
};

struct spawner_options {
    uv_loop_t *loop;
    unsigned slots;      /* children at a time */
    const char *program; /* NULL: /proc/self/exe */
    int guard; /* it holds a copy to its end (broker_guard); below 3: none */
    void (*on_dead)(void *opaque); /* it ended by itself: nothing works now */
    /* The clock of this generation ran down: said before each exit that came
     * of it. */
    void (*on_lapsed)(void *opaque);
    void *opaque;
};

int spawner_start(const struct spawner_options *options, struct spawner **out,
                  struct error *err);
/* Ends it and everything that it runs; no callback comes any more. Returns when
 * it is gone. NULL is fine. The loop must run once more to free its handles. */
void spawner_stop(struct spawner *spawner);

/* Starts a child in a slot that is free; files are its 0, 1 and 2, which are
 * closed here in any case. on_exit comes later, exactly once, also for what
 * could not be started. -E2BIG: arguments and environment are more than a
 * message holds; no on_exit then. */
int spawner_spawn(struct spawner *spawner, unsigned slot,
                  const struct spawn_plan *plan, const int files[3],
                  struct spawned *spawned);
/* Sends a signal to the child's process group; SIGKILL to all its processes. */
void spawner_kill(struct spawner *spawner, const struct spawned *spawned,
                  int signal);
/* The children may live until `until`. The first one of a larger generation
 * lets it start children again. */
void spawner_wind(struct spawner *spawner, uint64_t generation, boot_ms until);

/* Kills the spawner, which does not do what it is told (it was stopped, say):
 * on_dead follows. */
void spawner_abandon(struct spawner *spawner);

pid_t spawner_pid(const struct spawner *spawner);

#endif
