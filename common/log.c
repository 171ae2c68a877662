/* log.c - one line per event that matters, as key=value on stderr. */
#include "common/log.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/clock.h"

/* Below PIPE_BUF: lines of processes do not mix. */
#define LINE_MAX_BYTES 4000

static const struct {
    const char *word;
    enum log_level level;
} events[EVENTS] = {
#define EVENT(name, word, level, text) [EVENT_##name] = {word, level},
#include "common/events.def"
#undef EVENT
};

static const char *const level_words[LOG_LEVELS] = {"error", "warning", "info",
                                                    "debug"};

static const char *process_word = "cloakroom";
static enum log_level level_max = LOG_WARNING; /* before log_init */
static bool is_command;
static atomic_bool muted;
static atomic_uint dropped;

void
log_init(const char *process, enum log_level level)
{
    struct stat st;

    process_word = process;
    level_max = level;
    if (fstat(STDERR_FILENO, &st) == 0 && S_ISFIFO(st.st_mode)) {
        int flags = fcntl(STDERR_FILENO, F_GETFL);
        fcntl(STDERR_FILENO, F_SETFL, flags | O_NONBLOCK);
    }
}

void
log_init_command(const char *process, bool verbose)
{
    process_word = process;
    level_max = verbose ? LOG_DEBUG : LOG_WARNING;
    is_command = !verbose;
}

bool
log_is_on(enum log_level level)
{
    return level <= level_max && !muted;
}

void
log_mute(bool mute)
{
    muted = mute;
}

static bool
is_written(enum log_event event)
{
    return log_is_on(events[event].level) ||
           (is_command && !muted &&
            (event == EVENT_STDERR || event == EVENT_NOTE));
}

/* Appends to a line of fixed room; what does not fit is cut. */
struct line {
    char text[LINE_MAX_BYTES];
    size_t len;
};

__attribute__((format(printf, 2, 0))) static void
line_vadd(struct line *line, const char *format, va_list args)
{
    size_t room = sizeof(line->text) - 1 - line->len; /* keeps the newline's */
    int n = vsnprintf(line->text + line->len, room, format, args);

    if (n > 0)
        line->len += (size_t)n < room ? (size_t)n : room - 1;
}

__attribute__((format(printf, 2, 3))) static void
line_add(struct line *line, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    line_vadd(line, format, args);
    va_end(args);
}

static void
line_start(struct line *line, enum log_event event)
{
    char now[CLOCK_TEXT_SIZE];

    line->len = 0;
    if (is_command) {
        line_add(line, "cloakroom %s: %s", process_word, events[event].word);
        return;
    }
    clock_format(clock_wall(), now);
    line_add(line, "time=%s level=%s event=%s process=%s pid=%d", now,
             level_words[events[event].level], events[event].word, process_word,
             (int)getpid());
}

/* Writes the line; says whether it was taken. */
static bool
line_write(struct line *line)
{
    ssize_t n;

    for (size_t i = 0; i < line->len; i++)
        if (line->text[i] == '\n' || line->text[i] == '\r')
            line->text[i] = ' ';
    line->text[line->len++] = '\n';
    do
        n = write(STDERR_FILENO, line->text, line->len);
    while (n < 0 && errno == EINTR);
    return n == (ssize_t)line->len;
}

static void
line_end(struct line *line)
{
    if (!line_write(line)) {
        atomic_fetch_add(&dropped, 1);
        return;
    }
    unsigned lost = atomic_exchange(&dropped, 0);
    if (lost == 0)
        return;
    line_start(line, EVENT_DROPPED);
    line_add(line, " lines=%u", lost);
    if (!line_write(line))
        atomic_fetch_add(&dropped, lost);
}

void
log_event(enum log_event event, const char *format, ...)
{
    struct line line;
    va_list args;

    if (!is_written(event))
        return;
    line_start(&line, event);
    line_add(&line, " ");
    va_start(args, format);
    line_vadd(&line, format, args);
    va_end(args);
    line_end(&line);
}

static void
line_name(struct line *line, const struct ticket *ticket, const char *queue,
          unsigned attempt)
{
    char text[TICKET_TEXT + 1];

    ticket_format(ticket, text);
    line_add(line, " ticket=%s", text);
    if (queue != NULL)
        line_add(line, " queue=%s", queue);
    if (attempt > 0)
        line_add(line, " attempt=%u", attempt);
}

void
log_ticket(enum log_event event, const struct ticket *ticket, const char *queue,
           unsigned attempt, const char *format, ...)
{
    struct line line;
    va_list args;

    if (!is_written(event))
        return;
    line_start(&line, event);
    if (!is_command) /* it is about one, and says so itself */
        line_name(&line, ticket, queue, attempt);
    line_add(&line, " ");
    va_start(args, format);
    line_vadd(&line, format, args);
    va_end(args);
    line_end(&line);
}

const char *
log_quote(struct slice text, char *quoted, size_t room)
{
    size_t at = 0;

    assert(room >= 3);
    quoted[at++] = '"';
    for (size_t i = 0; i < text.len && at + 6 <= room; i++) {
        unsigned char c = (unsigned char)text.at[i];
        if (c < 0x20 || c == 0x7f)
            at += (size_t)snprintf(quoted + at, 5, "\\x%02x", c);
        else if (c == '"' || c == '\\')
            at += (size_t)snprintf(quoted + at, 3, "\\%c", c);
        else
            quoted[at++] = (char)c;
    }
    quoted[at++] = '"';
    quoted[at] = '\0';
    return quoted;
}
