/* log.h - one line per event that matters, as key=value on stderr.
 *
 *     time=2026-11-22T07:00:00.000Z level=info event=attempt-failed
 *         process=worker pid=71 ticket=... queue=hits attempt=2 text="..."
 *
 * Events stand in events.def with their level; none is logged per request
 * unless LOG_DEBUG is on (--verbose). A line is written by one write(2) that
 * never blocks for long: stderr is made non-blocking where it is a pipe, what
 * does not fit is dropped and counted, and the count is logged later.
 *
 * Threads: any.
 */
#ifndef COMMON_LOG_H
#define COMMON_LOG_H

#include <stdbool.h>

#include "common/slice.h"
#include "common/ticket.h"

enum log_level { LOG_ERROR, LOG_WARNING, LOG_INFO, LOG_DEBUG, LOG_LEVELS };

enum log_event {
#define EVENT(name, word, level, text) EVENT_##name,
#include "common/events.def"
#undef EVENT
    EVENTS
};

/* Called once by main of what runs on: the process's word ("ingress") and the
 * highest level that is written; before that, warnings. */
void log_init(const char *process, enum log_level level);
/* The same for a command that a person runs: warnings and worse, what a handler
 * writes to its stderr and notes, as "cloakroom probe: event key=value"; with
 * verbose all, as ever. stderr stays as it is. */
void log_init_command(const char *process, bool verbose);
bool log_is_on(enum log_level level);
/* While what is drawn on the terminal is not to be written over. */
void log_mute(bool mute);

/* Further key=value pairs as a format: log_event(EVENT_TAKEN, "queue=%s", q).
 * Values with spaces or quotes are the caller's to give through log_quote. */
void log_event(enum log_event event, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* The same with ticket=, queue= and attempt= in front; queue may be NULL and
 * attempt 0, which leaves them out. */
void log_ticket(enum log_event event, const struct ticket *ticket,
                const char *queue, unsigned attempt, const char *format, ...)
    __attribute__((format(printf, 5, 6)));

/* text as "quoted" for a log line, with control bytes as \xNN, cut to room.
 * Returns quoted. */
const char *log_quote(struct slice text, char *quoted, size_t room);

#endif
