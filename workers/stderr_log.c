/* stderr_log.c - what a handler writes to its stderr, line by line. */
#include "workers/stderr_log.h"

#include <string.h>

#include "common/log.h"

#define LINES_A_SECOND 500 /* of all attempts of this process together */

void
stderr_log_init(struct stderr_log *log, const struct ticket *ticket,
                const char *queue, unsigned attempt)
{
    log->ticket = ticket;
    log->queue = queue;
    log->attempt = attempt;
    log->lines = 0;
    log->dropped = 0;
    log->len = 0;
}

/* One loop writes them all, so the rate needs no lock. */
static bool
is_within_rate(void)
{
    static mono_ms second;
    static unsigned lines;

    if (clock_mono() - second >= 1000) {
        second = clock_mono();
        lines = 0;
    }
    return lines++ < LINES_A_SECOND;
}

static void
end_line(struct stderr_log *log)
{
    char quoted[STDERR_LINE * 4 + 3];

    if (log->len == 0)
        return;
    if (log->lines < STDERR_LINES && is_within_rate()) {
        log->lines++;
        log_ticket(EVENT_STDERR, log->ticket, log->queue, log->attempt,
                   "text=%s",
                   log_quote((struct slice){log->line, log->len}, quoted,
                             sizeof(quoted)));
    } else {
        log->dropped += log->len;
    }
    log->len = 0;
}

/* A part without a line's end; what is too long for one line is dropped. */
static void
add_part(struct stderr_log *log, const char *at, size_t len)
{
    size_t room = STDERR_LINE - log->len;
    size_t kept = len < room ? len : room;

    memcpy(log->line + log->len, at, kept);
    log->len += kept;
    log->dropped += len - kept;
}

void
stderr_log_add(struct stderr_log *log, const char *at, size_t len)
{
    struct slice rest = {at, len};

    while (rest.len > 0) {
        const char *end = memchr(rest.at, '\n', rest.len);
        size_t part = end == NULL ? rest.len : (size_t)(end - rest.at);
        add_part(log, rest.at, part);
        if (end == NULL)
            return;
        end_line(log);
        rest = slice_from(rest, part + 1);
    }
}

void
stderr_log_end(struct stderr_log *log)
{
    end_line(log);
    if (log->dropped > 0)
        log_ticket(EVENT_STDERR, log->ticket, log->queue, log->attempt,
                   "dropped_bytes=%llu", (unsigned long long)log->dropped);
    log->dropped = 0;
}
