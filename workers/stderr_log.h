/* stderr_log.h - what a handler writes to its stderr, line by line to the log.
 *
 * I1: at most STDERR_LINES lines of STDERR_LINE bytes for each attempt are
 * logged and all attempts of a process share a rate; the rest is counted, and
 * the count logged at the end.
 *
 * Threads: the loop.
 */
#ifndef WORKERS_STDERR_LOG_H
#define WORKERS_STDERR_LOG_H

#include <stddef.h>
#include <stdint.h>

#include "common/ticket.h"

#define STDERR_LINES 100
#define STDERR_LINE  1000

struct stderr_log {
    const struct ticket *ticket; /* lent until the end */
    const char *queue;
    unsigned attempt;
    unsigned lines;   /* logged */
    uint64_t dropped; /* bytes that were not */
    size_t len;       /* of the line that is being read */
    char line[STDERR_LINE];
};

void stderr_log_init(struct stderr_log *log, const struct ticket *ticket,
                     const char *queue, unsigned attempt);
void stderr_log_add(struct stderr_log *log, const char *at, size_t len);
void stderr_log_end(struct stderr_log *log); /* the last line, and the count */

#endif
