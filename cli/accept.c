/* accept.c - cloakroom refuse, cloakroom accept: the switch for new requests.
 */
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>

#include "cli/ask.h"
#include "cli/changes.h"
#include "cli/cli.h"
#include "cli/show.h"
#include "common/log.h"

enum { FLAG_ALL = 256 };

static const struct flag flags[] = {
    {FLAG_ALL, "all", NULL, "all queues"},
    {'r', "reason", "TEXT", "why, for the history"},
    {0},
};

static const enum end ends[] = {END_UNREACHABLE, END_STORE, END_OK};

struct switching {
    const struct command *command;
    struct change change;
    char by[BY_SIZE];
    bool all;
};

static int
tell_switched(const struct switching *switching,
              const struct settings *settings, const struct queues *queues,
              const struct changes *changes, struct broker *broker)
{
    const bool accepts = switching->change.kind == CHANGE_ACCEPT;
    struct queue_stats stats;
    struct error err;

    for (size_t i = 0; i < queues->len; i++) {
        int r = broker_queue_stats(broker, queues->list[i], &stats, &err);
        if (r < 0)
            return command_fails(switching->command, end_of(r), "%s", err.text);
        printf("%s: %s new requests%s, epoch %" PRIu64 "; %" PRIu64
               " wait, %" PRIu64 " run\n",
               settings->queues[queues->list[i]].name,
               accepts ? "accepts" : "refuses",
               changes->made[i] ? "" : " already", changes->states[i].epoch,
               stats.queued + stats.delayed, stats.running);
    }
    return END_OK;
}

static int
switch_queues(const struct switching *switching,
              const struct settings *settings, const struct queues *queues)
{
    OWNED(ask) ask = NULL;
    struct changes changes;
    struct error err;
    int r, end;

    r = ask_open(settings, &ask, &err);
    if (r < 0)
        return command_fails(switching->command, end_of_open(r), "%s",
                             err.text);
    r = changes_make(ask_broker(ask), queues, &switching->change, &changes,
                     &err);
    if (r < 0)
        return command_fails(switching->command, end_of(r), "%s", err.text);
    end = tell_switched(switching, settings, queues, &changes, ask_broker(ask));
    changes_fini(&changes);
    return end;
}

static int
load_and_switch(const struct switching *switching,
                const struct options *options, char **names, size_t len)
{
    OWNED(settings) settings = NULL;
    struct queues queues;
    int end =
        queues_load(options, names, len, switching->all, &settings, &queues);

    if (end >= 0)
        return end;
    end = switch_queues(switching, settings, &queues);
    queues_fini(&queues);
    return end;
}

static int
run(const struct command *command, enum change_kind kind, int argc, char **argv)
{
    struct switching switching = {.command = command, .change = {.kind = kind}};
    struct options options;
    char **names;
    int end = -1;

    options_init(&options, command, argc, argv);
    for (int flag; (flag = options_next(&options)) != OPTIONS_OVER;) {
        if (flag == FLAG_ALL)
            switching.all = true;
        else
            switching.change.why = options.value;
    }
    if (options.end >= 0 ||
        (names = options_arguments(&options, 0, INT_MAX)) == NULL)
        return options.end;
    if (switching.change.why != NULL)
        end = queues_check_reason(command, switching.change.why);
    if (end >= 0)
        return end;
    switching.change.by = queues_operator(NULL, switching.by);
    log_init_command(command->name, options.verbose);
    return load_and_switch(&switching, &options, names,
                           (size_t)(argv + argc - names));
}

static int
run_refuse(const struct command *command, int argc, char **argv)
{
    return run(command, CHANGE_REFUSE, argc, argv);
}

static int
run_accept(const struct command *command, int argc, char **argv)
{
    return run(command, CHANGE_ACCEPT, argc, argv);
}

const struct command refuse_command = {
    .name = "refuse",
    .arguments = "[-c FILE] [--reason TEXT] [QUEUE... | --all]",
    .summary = "take no new requests into a queue; what waits goes on",
    .details = "New requests get 503 and Retry-After; those that wait are run, "
               "unless the queue\nis paused as well. So a queue is emptied. "
               "`cloakroom accept` ends it.\n\n"
               "Example: cloakroom refuse hits --reason \"the shop closes\"\n",
    .flags = flags,
    .ends = ends,
    .run = run_refuse,
};

const struct command accept_command = {
    .name = "accept",
    .arguments = "[-c FILE] [--reason TEXT] [QUEUE... | --all]",
    .summary = "take new requests again, after refuse",
    .details = "It does not open a queue that is paused: that is `cloakroom "
               "resume`.\n\n"
               "Example: cloakroom accept --all\n",
    .flags = flags,
    .ends = ends,
    .run = run_accept,
};
