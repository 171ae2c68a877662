/* resume.c - cloakroom resume: opens queues, for one release. */
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/ask.h"
#include "cli/changes.h"
#include "cli/cli.h"
#include "cli/show.h"
#include "common/log.h"

#define LOOK_EVERY 500 /* ms: who waits sweeps */

enum { FLAG_ALL = 256, FLAG_RELEASE, FLAG_RAMP, FLAG_FORCE };

static const struct flag flags[] = {
    {FLAG_ALL, "all", NULL, "all queues"},
    {FLAG_RELEASE, "release", "LABEL", "another release than before"},
    {FLAG_RAMP, "ramp", "D", "let slots open one by one, all after D"},
    {FLAG_FORCE, "force", NULL, "also if an upgrade holds it, or files miss"},
    {0},
};

static const enum end ends[] = {END_UNREACHABLE, END_STORE, END_OK};

struct resuming {
    const struct command *command;
    const char *release; /* NULL: the one it has */
    span_ms ramp;
    bool all, force;

    char by[BY_SIZE];
    const struct settings *settings;
    struct broker *broker;
    struct queues queues;
    struct changes changes;
};

/* ---- told ---------------------------------------------------------------- */

static unsigned
workers_of(const struct worker_info *workers, size_t len, const char *queue,
           const char *release)
{
    unsigned n = 0;

    for (size_t i = 0; i < len; i++)
        n += strcmp(workers[i].queue, queue) == 0 &&
             strcmp(workers[i].release, release) == 0;
    return n;
}

static void
print_queue(const struct resuming *resuming, size_t i, uint64_t waiting,
            unsigned workers)
{
    const struct control *control = &resuming->changes.states[i];
    const char *name =
        resuming->settings->queues[resuming->queues.list[i]].name;

    printf("%s: open %sfor release %s, epoch %" PRIu64 "; %" PRIu64
           " request%s, %u worker%s\n",
           name, resuming->changes.made[i] ? "" : "already ", control->release,
           control->epoch, waiting, waiting == 1 ? " waits" : "s wait", workers,
           workers == 1 ? "" : "s");
    if (workers == 0)
        printf("%s: no worker of release %s has said hello so far; `cloakroom "
               "up` starts them,\nor `cloakroom worker --queue %s --release "
               "%s`\n",
               name, control->release, name, control->release);
}

static int
tell_resumed(const struct resuming *resuming)
{
    struct worker_info *workers = NULL;
    size_t workers_len = 0;
    struct error err;
    int r = broker_workers(resuming->broker, &workers, &workers_len, &err);

    for (size_t i = 0; r == 0 && i < resuming->queues.len; i++) {
        const unsigned queue = resuming->queues.list[i];
        struct queue_stats stats;
        r = broker_queue_stats(resuming->broker, queue, &stats, &err);
        if (r == 0)
            print_queue(resuming, i, stats.queued + stats.delayed,
                        workers_of(workers, workers_len,
                                   resuming->settings->queues[queue].name,
                                   resuming->changes.states[i].release));
    }
    free(workers);
    if (r < 0)
        return command_fails(resuming->command, end_of(r), "%s", err.text);
    return END_OK;
}

/* ---- resuming ------------------------------------------------------------ */

/* Changes them, after the probe of any of them is over. */
static int
resume_queues(struct resuming *resuming, struct error *err)
{
    const struct change change = {
        .kind = CHANGE_RESUME,
        .by = resuming->by,
        .release = resuming->release,
        .ramp = resuming->ramp,
        .force = resuming->force,
    };
    bool told = false;

    for (;;) {
        const uint64_t seen = broker_control_seen(resuming->broker);
        int r = changes_make(resuming->broker, &resuming->queues, &change,
                             &resuming->changes, err);
        if (r != -EINPROGRESS)
            return r;
        if (!told)
            fprintf(stderr, "%s; it is waited for\n", err->text);
        told = true;
        broker_control_wait(resuming->broker, seen, LOOK_EVERY);
    }
}

static int
resume(struct resuming *resuming)
{
    OWNED(ask) ask = NULL;
    struct error err;
    int r, end;

    r = ask_open(resuming->settings, &ask, &err);
    if (r < 0)
        return command_fails(resuming->command, end_of_open(r), "%s", err.text);
    resuming->broker = ask_broker(ask);
    r = resume_queues(resuming, &err);
    if (r < 0)
        return command_fails(resuming->command, end_of(r), "%s%s", err.text,
                             resuming->queues.len > 1 ? "\nnone was resumed"
                                                      : "");
    end = tell_resumed(resuming);
    changes_fini(&resuming->changes);
    return end;
}

/* ---- the command line ---------------------------------------------------- */

/* A queue that is open for a release without files would only put back. */
static bool
has_files(const struct resuming *resuming)
{
    bool has = true;

    if (resuming->release == NULL || resuming->force)
        return true;
    for (size_t i = 0; i < resuming->queues.len; i++)
        has &=
            settings_check_program(resuming->settings, resuming->queues.list[i],
                                   resuming->release, stderr) == 0;
    return has;
}

static int
load_and_resume(struct resuming *resuming, const struct options *options,
                char **names, size_t len)
{
    OWNED(settings) settings = NULL;
    int end = queues_load(options, names, len, resuming->all, &settings,
                          &resuming->queues);

    if (end >= 0)
        return end;
    resuming->settings = settings;
    end = has_files(resuming)
              ? resume(resuming)
              : command_fails(resuming->command, END_CONFIG,
                              "nothing was resumed; --force does it without "
                              "looking");
    queues_fini(&resuming->queues);
    return end;
}

static int
take_flag(struct resuming *resuming, int flag, const char *value,
          struct error *err)
{
    int r = 0;

    switch (flag) {
    case FLAG_ALL:
        resuming->all = true;
        return 0;
    case FLAG_RELEASE:
        resuming->release = value;
        r = settings_check_release(value, err);
        return r < 0 ? error_wrap(err, r, "--release") : 0;
    case FLAG_RAMP:
        r = settings_parse_span(value, &resuming->ramp, err);
        return r < 0 ? error_wrap(err, r, "--ramp") : 0;
    default:
        resuming->force = true;
        return 0;
    }
}

static int
run(const struct command *command, int argc, char **argv)
{
    struct resuming resuming = {.command = command};
    struct options options;
    struct error err;
    char **names;

    options_init(&options, command, argc, argv);
    for (int flag; (flag = options_next(&options)) != OPTIONS_OVER;) {
        if (take_flag(&resuming, flag, options.value, &err) < 0)
            return command_fails(command, END_USAGE, "%s", err.text);
    }
    if (options.end >= 0 ||
        (names = options_arguments(&options, 0, INT_MAX)) == NULL)
        return options.end;
    queues_operator(NULL, resuming.by);
    log_init_command(command->name, options.verbose);
    return load_and_resume(&resuming, &options, names,
                           (size_t)(argv + argc - names));
}

const struct command resume_command = {
    .name = "resume",
    .arguments = "[-c FILE] [options] [QUEUE... | --all]",
    .summary = "open a paused queue, for one release",
    .details =
        "Attempts start again, of the release that the queue had, or of "
        "another one: that\nonly where the pause is recorded as drained "
        "(`cloakroom pause --wait`). Several\nqueues are opened together or "
        "not at all; one that is open already stays as it\nis. A probe that "
        "runs is waited for. A queue that an upgrade holds is opened by\nthat "
        "upgrade, or with --force.\n\n"
        "Examples: cloakroom resume --all\n"
        "          cloakroom resume hits --release v2 --ramp 1m\n",
    .flags = flags,
    .ends = ends,
    .run = run,
};
