/* worker.c - cloakroom worker: serves one queue. */
#include <time.h>

#include "cli/ask.h"
#include "cli/child.h"
#include "cli/cli.h"
#include "cli/queues.h"
#include "common/log.h"
#include "workers/worker.h"

#define STORE_WAIT 10000     /* ms */
#define STORE_LOOK 100000000 /* ns between two looks */

static const struct flag flags[] = {
    {'q', "queue", "NAME", "the queue; may be left out when there is one"},
    {'r', "release", "LABEL", "of the handler's code; else the queue's"},
    CHILD_FLAGS,
    {0},
};

static const enum end ends[] = {END_UNREACHABLE, END_STORE, END_OK};

/* Its index, or the exit code, negative. */
static int
choose_queue(const struct command *command, const struct settings *settings,
             const char *name)
{
    if (name == NULL && settings->queues_len == 1)
        return 0;
    if (name == NULL)
        return -command_fails(command, END_USAGE,
                              "%s has %zu queues: name one with --queue",
                              settings->path, settings->queues_len);
    const int queue = settings_queue(settings, name);
    return queue >= 0 ? queue : -queues_tell_unknown(command, settings, name);
}

/* Ingress and workers may be started in any order: the first ingress makes the
 * store. 0, or why it cannot be used. */
static int
await_store(const struct settings *settings, struct error *err)
{
    const mono_ms until = clock_mono() + STORE_WAIT;
    bool told = false;
    int r;

    for (;;) {
        OWNED(ask) ask = NULL;
        r = ask_open(settings, &ask, err);
        if (r != -ENOENT || clock_mono() >= until)
            return r;
        if (!told)
            log_event(EVENT_NOTE,
                      "%s=%s text=\"waits for the store, "
                      "which the first ingress makes\"",
                      settings->directory != NULL ? "directory" : "secret_file",
                      settings->directory != NULL
                          ? settings->directory
                          : settings->kafka.secret_file);
        told = true;
        nanosleep(&(struct timespec){.tv_nsec = STORE_LOOK}, NULL);
    }
}

static int
serve(const struct options *options, const char *queue_name,
      struct worker_options *worker)
{
    OWNED(settings) settings = NULL;
    struct error err;
    int end, queue, r;

    settings = config_load(options, &end);
    if (settings == NULL)
        return end;
    queue = choose_queue(options->command, settings, queue_name);
    if (queue < 0)
        return -queue;
    worker->queue = (unsigned)queue;
    r = await_store(settings, &err);
    if (r < 0)
        return process_fails(r, &err);
    r = worker_run(settings, worker, &err);
    if (r == 0)
        return END_OK;
    /* A store that breaks ends the process itself; -EIO is our own trouble (the
     * spawner died), which a new start helps. */
    process_fails(r, &err);
    return r == -EIO ? END_FAILED : end_of_open(r);
}

static int
run(const struct command *command, int argc, char **argv)
{
    struct options options;
    struct child_end child = CHILD_END_INIT;
    struct worker_options worker = {0};
    const char *queue = NULL;
    struct error err;

    options_init(&options, command, argc, argv);
    for (int flag; (flag = options_next(&options)) != OPTIONS_OVER;) {
        if (child_take_flag(&child, flag, options.value))
            continue;
        if (flag == 'r')
            worker.release = options.value;
        else
            queue = options.value;
    }
    if (options.end >= 0 || options_arguments(&options, 0, 0) == NULL)
        return options.end;
    if (worker.release != NULL &&
        settings_check_release(worker.release, &err) < 0)
        return command_fails(command, END_USAGE, "--release %s", err.text);
    worker.supervised = child.up != 0;
    log_init("worker", options.verbose ? LOG_DEBUG : LOG_INFO);
    if (child_follow(&child) < 0)
        return END_OK;
    return serve(&options, queue, &worker);
}

const struct command worker_command = {
    .name = "worker",
    .arguments = "[-c FILE] [--queue NAME] [--release LABEL] [--verbose]",
    .summary = "serve one queue: take its requests and run their handler",
    .details =
        "SIGTERM, SIGINT or SIGHUP: takes nothing more, lets the running "
        "handlers end,\nsays goodbye. A second one, a second or more later, "
        "kills them. "
        "Many workers may serve\none queue; one of another release than the "
        "queue's waits until that is its own.\n\n"
        "Example: cloakroom worker -c cloakroom.yaml --queue hits --release "
        "v2\n",
    .flags = flags,
    .ends = ends,
    .run = run,
};
