/* live.c - how something stands, told while it goes on. */
#include "cli/live.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "common/log.h"
#include "common/mem.h"

#define PRINT_EVERY 1000 /* ms */

static bool
is_terminal(FILE *to)
{
    const char *term = getenv("TERM");

    return isatty(fileno(to)) && term != NULL && strcmp(term, "dumb") != 0;
}

void
live_init(struct live *live, FILE *to)
{
    *live = (struct live){.to = to, .in_place = to != NULL && is_terminal(to)};
    log_mute(live->in_place);
}

size_t
live_fit(const char *line, size_t len, unsigned columns)
{
    size_t at = 0;

    for (unsigned n = 0; at < len && n < columns; n++) {
        at++;
        while (at < len && ((unsigned char)line[at] & 0xc0) == 0x80)
            at++;
    }
    return at;
}

/* A line that wraps, or scrolls away, could not be drawn over. */
static void
draw(struct live *live, const char *lines)
{
    struct winsize size = {0};
    unsigned drawn = 0;

    if (ioctl(fileno(live->to), TIOCGWINSZ, &size) < 0 || size.ws_col == 0)
        size = (struct winsize){.ws_col = 80, .ws_row = 24};
    if (live->drawn > 0)
        fprintf(live->to, "\033[%uA", live->drawn);
    for (const char *line = lines; *line != '\0';) {
        const size_t len = strcspn(line, "\n");
        if (drawn + 2 >= size.ws_row)
            break;
        fprintf(live->to, "\r%.*s\033[K\n",
                (int)live_fit(line, len, size.ws_col - 1), line);
        drawn++;
        line += len + (line[len] == '\n');
    }
    fputs("\033[J", live->to);
    fflush(live->to);
    live->drawn = drawn;
}

static void
print(struct live *live, const char *line)
{
    const mono_ms now = clock_mono();

    if (now < live->next_at ||
        (live->last != NULL && strcmp(live->last, line) == 0))
        return;
    fprintf(live->to, "%s\n", line);
    fflush(live->to);
    free(live->last);
    live->last = mem_strdup(line);
    live->next_at = now + PRINT_EVERY;
}

void
live_show(struct live *live, const char *line, const char *lines)
{
    if (live->to == NULL)
        return;
    if (live->in_place)
        draw(live, lines);
    else
        print(live, line);
}

void
live_fini(struct live *live, bool erase)
{
    if (erase && live->drawn > 0)
        draw(live, "");
    log_mute(false);
    free(live->last);
    *live = (struct live){0};
}
