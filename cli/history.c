/* history.c - cloakroom history: what was done to a queue, by whom and why. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/ask.h"
#include "cli/cli.h"
#include "cli/queues.h"
#include "cli/show.h"
#include "cli/tell.h"
#include "ingress/queue_json.h"

#define LIMIT_DEFAULT 50
#define LIMIT_MAX     1000000

enum { FLAG_JSON = 256 };

static const struct flag flags[] = {
    {'n', "limit", "N", "the newest N records (50)"},
    {FLAG_JSON, "json", NULL, "print them as JSON"},
    {0},
};

static const enum end ends[] = {END_UNREACHABLE, END_STORE, END_OK};

/* ---- as a table ---------------------------------------------------------- */

struct widths {
    int queue, change, release, by;
};

static void
widen(int *width, const char *text)
{
    if ((int)strlen(text) > *width)
        *width = (int)strlen(text);
}

static struct widths
widths_of(const struct history *list, size_t len)
{
    struct widths widths = {.queue = (int)strlen("QUEUE"),
                            .change = (int)strlen("CHANGE"),
                            .release = (int)strlen("RELEASE"),
                            .by = (int)strlen("WHO")};

    for (size_t i = 0; i < len; i++) {
        widen(&widths.queue, list[i].queue);
        widen(&widths.change, list[i].change);
        widen(&widths.release, list[i].release);
        widen(&widths.by, list[i].by);
    }
    return widths;
}

static void
print_record(const struct history *record, const struct widths *widths)
{
    char when[TELL_TIME_SIZE], by[TELL_SIZE], why[TELL_SIZE];

    printf("%5" PRIu64 " %s %-*s %-*s %-*s ", record->epoch,
           tell_time(record->at, when), widths->queue, record->queue,
           widths->change, record->change, widths->release, record->release);
    if (record->by[0] == '\0') /* drained: nobody did it */
        printf("-\n");
    else if (record->why[0] != '\0')
        printf("%-*s %s\n", widths->by, tell_clean(record->by, by),
               tell_clean(record->why, why));
    else
        printf("%s\n", tell_clean(record->by, by));
    if (record->receipt != NULL) {
        char *line = tell_receipt_line(record->receipt);
        printf("%5s %s\n", "", line);
        free(line);
    }
}

static void
print_table(const struct history *list, size_t len)
{
    const struct widths widths = widths_of(list, len);

    if (len == 0) {
        printf("no control changes so far\n");
        return;
    }
    printf("%5s %-20s %-*s %-*s %-*s %-*s %s\n", "EPOCH", "WHEN", widths.queue,
           "QUEUE", widths.change, "CHANGE", widths.release, "RELEASE",
           widths.by, "WHO", "WHY");
    for (size_t i = 0; i < len; i++)
        print_record(&list[i], &widths);
}

/* ---- as JSON ------------------------------------------------------------- */

static int
print_json(const struct history *list, size_t len)
{
    json_t *records = json_array();

    for (size_t i = 0; i < len; i++)
        json_array_append_new(records, history_json(&list[i]));
    return show_json(records);
}

/* ---- the command --------------------------------------------------------- */

static int
show_history(const struct command *command, const struct settings *settings,
             int queue, size_t limit, bool json)
{
    OWNED(ask) ask = NULL;
    struct history *list;
    struct error err;
    size_t len;
    int r = ask_open(settings, &ask, &err);

    if (r < 0)
        return command_fails(command, end_of_open(r), "%s", err.text);
    r = broker_history(ask_broker(ask), queue, limit, &list, &len, &err);
    if (r < 0)
        return command_fails(command, end_of(r), "%s", err.text);
    if (json)
        r = print_json(list, len);
    else
        print_table(list, len);
    history_free(list, len);
    if (r < 0)
        return command_fails(command, END_FAILED, "stdout cannot be written");
    return END_OK;
}

static int
take_limit(const char *text, size_t *limit)
{
    char *rest;
    const long long n = strtoll(text, &rest, 10);

    if (*rest != '\0' || rest == text || n < 1 || n > LIMIT_MAX)
        return -EINVAL;
    *limit = (size_t)n;
    return 0;
}

static int
run(const struct command *command, int argc, char **argv)
{
    OWNED(settings) settings = NULL;
    struct options options;
    size_t limit = LIMIT_DEFAULT;
    bool json = false;
    char **arguments;
    int queue = -1, end;

    options_init(&options, command, argc, argv);
    for (int flag; (flag = options_next(&options)) != OPTIONS_OVER;) {
        if (flag == FLAG_JSON)
            json = true;
        else if (take_limit(options.value, &limit) < 0)
            return command_fails(command, END_USAGE,
                                 "--limit %s: a number from 1 to %d",
                                 options.value, LIMIT_MAX);
    }
    if (options.end >= 0 ||
        (arguments = options_arguments(&options, 0, 1)) == NULL)
        return options.end;
    settings = config_load(&options, &end);
    if (settings == NULL)
        return end;
    if (arguments[0] != NULL) {
        queue = settings_queue(settings, arguments[0]);
        if (queue < 0)
            return queues_tell_unknown(command, settings, arguments[0]);
    }
    return show_history(command, settings, queue, limit, json);
}

const struct command history_command = {
    .name = "history",
    .arguments = "[-c FILE] [--limit N] [--json] [QUEUE]",
    .summary = "show what was done to a queue, by whom and why",
    .details = "Control changes, oldest first: pauses and resumes, refusals, "
               "probes, the steps\nof upgrades; and when each pause was "
               "drained, with its receipt in short. Nothing\nis ever taken "
               "out of it.\n\n"
               "Example: cloakroom history hits --limit 10\n",
    .flags = flags,
    .ends = ends,
    .run = run,
};
