/* asked.h - was a process told once or twice to stop?
 *
 * One wish can arrive several times: systemd signals all processes of a service
 * and `timeout` its child and then the whole group, and those who were told
 * pass it on. So a signal that follows the first one closely is its echo; only
 * a later one is a second wish.
 *
 * Threads: the owner.
 */
#ifndef COMMON_ASKED_H
#define COMMON_ASKED_H

#include <signal.h>

#include "common/clock.h"

#define ASKED_ECHO_SPAN ((span_ms)1000)

enum asked_how { ASKED_FIRST, ASKED_ECHO, ASKED_AGAIN };

/* All zero: not asked so far. */
struct asked {
    mono_ms first; /* 0: never */
};

/* Call it for each signal. */
enum asked_how asked_now(struct asked *asked);

/* The signals that ask: SIGINT, SIGTERM, and SIGHUP (our terminal is gone). */
void asked_signals(sigset_t *set);
/* Blocks them for good, and returns a signalfd of them that does not block; or
 * -errno. Before any thread is made, which inherits what is blocked. */
int asked_open(void);

#endif
