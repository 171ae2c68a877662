/* drain.h - waits until queues are drained, and shows what for.
 *
 * On a terminal the lines are drawn anew in place; else one line is printed
 * when what is waited for changes, at most one a second.
 *
 * Threads: the main thread.
 */
#ifndef CLI_DRAIN_H
#define CLI_DRAIN_H

#include <stdbool.h>
#include <stdio.h>

#include "broker/broker.h"
#include "cli/queues.h"

struct drain {
    const struct settings *settings;
    struct broker *broker;
    const struct queues *queues;
    /* Of each queue the paused_epoch of the pause that is meant, in their
     * order: another one means that this one was overtaken. */
    const uint64_t *pauses;
    span_ms limit;  /* below 0: as long as it takes */
    bool kill;      /* asks what runs to end, again and again: OUTCOME_KILLED */
    int stop_fd;    /* readable: give up (a signalfd); -1: never */
    FILE *progress; /* NULL: shows nothing */
};

/* 0: all are recorded as drained. -ETIMEDOUT: not within the limit; err says
 * what for. -ECANCELED: a resume overtook it. -EINTR: stop_fd. Else what the
 * broker says. */
int drain_await(const struct drain *drain, struct error *err);

/* Prints the receipt of a drained queue, for people or as JSON, a value without
 * a line's end (the history has it). queue: one of drain->queues, as there. 0,
 * or what the broker says. */
int drain_print_receipt(const struct drain *drain, unsigned queue, bool json,
                        struct error *err);

#endif
