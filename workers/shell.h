/* shell.h - runs a line of shell to its end, which dies with us.
 *
 * It runs as `sh -c LINE` in our directory, with our environment and what is
 * added to it, under a spawner: whatever way we end, SIGKILL included, the
 * spawner kills all its processes, and whatever way it ends, what it left
 * behind. It has no terminal; its input is empty, its output ours.
 *
 * Threads: the calling thread, which has no other children: they would be
 * killed as well.
 */
#ifndef WORKERS_SHELL_H
#define WORKERS_SHELL_H

#include <stdbool.h>

#include "common/clock.h"
#include "common/error.h"

#define SHELL_PATIENCE ((span_ms)5000) /* from SIGTERM to SIGKILL */
#define SHELL_ASKS     ((span_ms)500)  /* so often */

enum shell_wish {
    SHELL_GO_ON,
    SHELL_END,  /* SIGTERM; when its patience is over SIGKILL */
    SHELL_KILL, /* SIGKILL at once */
};

struct shell_options {
    const char *line;
    char *const *added;  /* "NAME=value" in front of ours, NULL-ended */
    const char *program; /* holds the spawner; NULL: /proc/self/exe */
    int guard;           /* as of struct spawner_options */
    /* Asked every SHELL_ASKS, and when wake_fd is readable (-1: never): is it
     * to go on? It must read what woke it. */
    enum shell_wish (*ask)(void *opaque);
    int wake_fd;
    void *opaque;
};

/* How it ended, when nothing of it was left. */
struct shell_end {
    bool by_wish;  /* of ask */
    int status;    /* its exit status; -1: it was killed, by */
    int signal;    /* this */
    bool stubborn; /* one of its processes would not die */
};

/* 0: it ran, and *end says how it ended. Else it was not run, or not to its
 * end: the spawner died, which killed it. */
int shell_run(const struct shell_options *options, struct shell_end *end,
              struct error *err);

#endif
