/* pausing.h - pauses a queue again and again, and says when.
 *
 * Between two pauses the queue is open for 60 to 120 ms; it stays paused for
 * 20 ms beyond drained, in which nothing may start.
 *
 * Threads: owner.
 */
#ifndef BENCH_PAUSING_H
#define BENCH_PAUSING_H

#include "broker/broker.h"

struct pausing {
    struct broker *broker;
    unsigned queue;
    long count;
    char *program; /* is run for each pause, as `PROGRAM pause -c CONFIG`; NULL:
                    * the broker is asked */
    char *config;
};

/* A line for each pause on stdout, four times of the wall clock in ns: when the
 * pause was asked for (the program: just before it was started), when it was
 * durable (the program: when it had ended), when the queue was drained, when
 * the resume was asked for. An error ends the process. */
void pausing_run(const struct pausing *pausing);

#endif
