/* upgrade_priv.h - an upgrade that goes on, as its own files see it.
 *
 * Threads: the main thread.
 */
#ifndef CLI_UPGRADE_PRIV_H
#define CLI_UPGRADE_PRIV_H

#include "cli/upgrade_run.h"
#include "common/asked.h"

struct upgrading {
    const struct upgrade_run_options *options;
    const struct queues *queues;
    char id[UPGRADE_SIZE];
    char by[BY_SIZE];
    char why[WHY_SIZE];
    char *names;
    struct control *controls; /* by our last change, in the order of queues */
    bool holds;               /* a change of ours was recorded */
    wall_ms since;            /* the longest pause of them */
    const char *at;           /* what is being done, in a word */
    struct asked asked;       /* by signals, to stop */
    int signal;               /* the first */
    bool undoing;             /* it stops anyway */
    struct error lost;        /* who opened a queue meanwhile */
};

/* ---- upgrade_hold.c: its queues, and who tells it to stop -----------------
 */

/* A line on stdout, behind the word for what is being done. */
void upgrade_say(const struct upgrading *run, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
const char *upgrade_name(const struct upgrading *run, size_t i);
/* "upgrade of hits to v2 stopped in AT: WHY; NOW", on stderr. END_FAILED. */
int upgrade_tell_stopped(const struct upgrading *run, const char *at,
                         const char *why, const char *now);

/* 0, or -EINTR: a signal told it to stop, and it has not begun to. */
int upgrade_heed(struct upgrading *run, struct error *err);

/* Are all queues held by it still? -ECANCELED: one was opened by force. */
int upgrade_check_hold(struct upgrading *run, struct error *err);

#define NO_LIMIT (-1)
/* Changes all its queues, after a probe that runs, which is waited for up to
 * the limit. */
int upgrade_change(struct upgrading *run, struct change wish, span_ms limit,
                   struct error *err);

/* ---- the steps ------------------------------------------------------------
 */

/* upgrade_command.c: runs one of its commands. 0: it exited with 0, and nothing
 * told it to stop meanwhile. */
int upgrade_run_command(struct upgrading *run, const char *line,
                        struct error *err);

/* upgrade_wait.c: waits until its queues are drained; and until each has a
 * worker of the next release, which upgrade_start tells. */
int upgrade_drain(struct upgrading *run, struct error *err);
int upgrade_await_workers(struct upgrading *run, struct error *err);
int upgrade_start(struct upgrading *run, struct error *err);

#endif
