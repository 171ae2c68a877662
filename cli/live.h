/* live.h - how something stands, told while it goes on.
 *
 * On a terminal some lines are drawn anew in place; elsewhere one line is
 * printed when it is another than the last one, at most one a second.
 *
 * Threads: owner.
 */
#ifndef CLI_LIVE_H
#define CLI_LIVE_H

#include <stdbool.h>
#include <stdio.h>

#include "common/clock.h"

struct live {
    FILE *to;
    bool in_place;
    unsigned drawn;  /* lines that stand on the terminal */
    char *last;      /* the line printed last */
    mono_ms next_at; /* not before that */
};

/* NULL: tells nothing. On a terminal nothing is logged until live_fini. */
void live_init(struct live *live, FILE *to);
/* line: without an end. lines: each ended by '\n'. */
void live_show(struct live *live, const char *line, const char *lines);
/* erase: what stands on the terminal is of no use any more. */
void live_fini(struct live *live, bool erase);

/* The length of the first `columns` characters of a line (UTF-8). */
size_t live_fit(const char *line, size_t len, unsigned columns);

#endif
