/* status.c - cloakroom status: queues and workers, or one ticket. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/ask.h"
#include "cli/cli.h"
#include "cli/show.h"

enum { FLAG_JSON = 256 };

static const struct flag flags[] = {
    {FLAG_JSON, "json", NULL, "print it as JSON"},
    {0},
};

static const enum end ends[] = {END_UNREACHABLE, END_STORE, END_OK};

/* What is shown; the arrays are as long as the settings' queues, and
 * workers_len. */
struct report {
    const struct settings *settings;
    struct queue_stats *queues;
    struct worker_info *workers;
    size_t workers_len;
};

static int
report_read(struct report *report, struct broker *broker, struct error *err)
{
    report->queues =
        calloc(report->settings->queues_len, sizeof(*report->queues));
    for (size_t i = 0; i < report->settings->queues_len; i++) {
        int r =
            broker_queue_stats(broker, (unsigned)i, &report->queues[i], err);
        if (r < 0)
            return r;
    }
    return broker_workers(broker, &report->workers, &report->workers_len, err);
}

static void
report_fini(struct report *report)
{
    free(report->queues);
    free(report->workers);
}

/* ---- as tables ----------------------------------------------------------- */

static int
name_width(const struct report *report)
{
    size_t width = strlen("QUEUE");

    for (size_t i = 0; i < report->settings->queues_len; i++) {
        if (strlen(report->settings->queues[i].name) > width)
            width = strlen(report->settings->queues[i].name);
    }
    return (int)width;
}

static void
print_queues(const struct report *report, int width)
{
    char oldest[SHOW_SPAN_SIZE];

    printf("%-*s %8s %7s %7s %6s %8s %8s %6s\n", width, "QUEUE", "QUEUED",
           "DELAYED", "RUNNING", "OLDEST", "DONE/MIN", "FAIL/MIN", "DEAD");
    for (size_t i = 0; i < report->settings->queues_len; i++) {
        const struct queue_stats *stats = &report->queues[i];
        const bool waits = stats->queued + stats->delayed > 0;
        printf("%-*s %8llu %7llu %7llu %6s %8llu %8llu %6llu\n", width,
               report->settings->queues[i].name,
               (unsigned long long)stats->queued,
               (unsigned long long)stats->delayed,
               (unsigned long long)stats->running,
               waits ? show_span(stats->oldest, oldest) : "-",
               (unsigned long long)stats->done_minute,
               (unsigned long long)stats->failed_minute,
               (unsigned long long)stats->dead);
    }
    for (size_t i = 0; i < report->settings->queues_len; i++) {
        if (report->queues[i].trouble[0] != '\0')
            printf("trouble at %s: %s\n", report->settings->queues[i].name,
                   report->queues[i].trouble);
    }
}

static void
print_workers(const struct report *report, int width)
{
    char since[SHOW_SPAN_SIZE], lease[SHOW_SPAN_SIZE], running[24];
    const wall_ms now = clock_wall();

    if (report->workers_len == 0) {
        printf("no workers run; start some with `cloakroom up`, or one with "
               "`cloakroom worker`\n");
        return;
    }
    printf("%-*s %-22s %7s %-10s %8s %6s %6s\n", width, "QUEUE", "WORKER",
           "PID", "RELEASE", "RUNNING", "UP", "LEASE");
    for (size_t i = 0; i < report->workers_len; i++) {
        const struct worker_info *worker = &report->workers[i];
        snprintf(running, sizeof(running), "%u/%u", worker->running,
                 worker->concurrency);
        printf("%-*s %-22s %7d %-10s %8s %6s %6s\n", width, worker->queue,
               worker->name, worker->pid, worker->release, running,
               show_span(now - worker->since, since),
               worker->lease_left < 0 ? "over"
                                      : show_span(worker->lease_left, lease));
    }
}

/* ---- as JSON ------------------------------------------------------------- */

static void
set_count(json_t *object, const char *key, uint64_t count)
{
    json_object_set_new(object, key, json_integer((json_int_t)count));
}

static json_t *
queue_json(const char *name, const struct queue_stats *stats)
{
    json_t *queue = json_object();

    json_object_set_new(queue, "name", json_string(name));
    set_count(queue, "epoch", stats->control.epoch);
    json_object_set_new(queue, "release", json_string(stats->control.release));
    set_count(queue, "queued", stats->queued);
    set_count(queue, "delayed", stats->delayed);
    set_count(queue, "running", stats->running);
    if (stats->queued + stats->delayed > 0)
        json_object_set_new(queue, "oldest_ms", json_integer(stats->oldest));
    set_count(queue, "accepted", stats->accepted);
    set_count(queue, "done", stats->done);
    set_count(queue, "failed", stats->failed);
    set_count(queue, "done_per_minute", stats->done_minute);
    set_count(queue, "failed_per_minute", stats->failed_minute);
    set_count(queue, "dead", stats->dead);
    set_count(queue, "retained_bytes", stats->retained_bytes);
    if (stats->trouble[0] != '\0')
        json_object_set_new(queue, "trouble", json_string(stats->trouble));
    return queue;
}

static json_t *
worker_json(const struct worker_info *info)
{
    json_t *worker = json_object();

    json_object_set_new(worker, "name", json_string(info->name));
    json_object_set_new(worker, "pid", json_integer(info->pid));
    json_object_set_new(worker, "queue", json_string(info->queue));
    json_object_set_new(worker, "release", json_string(info->release));
    set_count(worker, "running", info->running);
    set_count(worker, "concurrency", info->concurrency);
    show_json_time(worker, "since", info->since);
    json_object_set_new(worker, "lease_left_ms",
                        json_integer(info->lease_left));
    return worker;
}

static int
print_json(const struct report *report)
{
    json_t *queues = json_array(), *workers = json_array();

    for (size_t i = 0; i < report->settings->queues_len; i++)
        json_array_append_new(
            queues,
            queue_json(report->settings->queues[i].name, &report->queues[i]));
    for (size_t i = 0; i < report->workers_len; i++)
        json_array_append_new(workers, worker_json(&report->workers[i]));
    return show_json(
        json_pack("{s:o, s:o}", "queues", queues, "workers", workers));
}

/* ---- the command --------------------------------------------------------- */

static int
show_all(const struct options *options, const struct settings *settings,
         struct ask *ask, bool json)
{
    struct report report = {.settings = settings};
    struct error err;
    int r;

    r = report_read(&report, ask_broker(ask), &err);
    if (r == 0 && json)
        r = print_json(&report) < 0
                ? error_set(&err, -EPIPE, "stdout cannot be written")
                : 0;
    else if (r == 0) {
        const int width = name_width(&report);
        print_queues(&report, width);
        putchar('\n');
        print_workers(&report, width);
    }
    report_fini(&report);
    if (r < 0)
        return command_fails(options->command, end_of(r), "%s", err.text);
    return END_OK;
}

static int
show_one(const struct options *options, struct ask *ask, const char *text,
         bool json)
{
    struct lookup lookup = {0};
    int r;

    if (ticket_parse(broker_secret(ask_broker(ask)), slice_of(text),
                     &lookup.ticket) < 0)
        return command_fails(options->command, END_FAILED,
                             "%s is no ticket of this installation", text);
    r = ask_lookup(ask, &lookup);
    if (r == -ENOENT)
        return command_fails(options->command, END_FAILED,
                             "%s is kept no longer", text);
    if (r < 0)
        return command_fails(options->command, end_of(r), "%s: %s", text,
                             strerror(-r));
    if (json)
        show_json(show_ticket_json(&lookup.ticket, &lookup.status));
    else
        show_ticket(&lookup.ticket, &lookup.status);
    return END_OK;
}

static int
open_and_show(const struct options *options, const char *ticket, bool json)
{
    OWNED(settings) settings = NULL;
    OWNED(ask) ask = NULL;
    struct error err;
    int end, r;

    settings = config_load(options, &end);
    if (settings == NULL)
        return end;
    r = ask_open(settings, &ask, &err);
    if (r < 0)
        return command_fails(options->command, end_of_open(r), "%s", err.text);
    return ticket == NULL ? show_all(options, settings, ask, json)
                          : show_one(options, ask, ticket, json);
}

static int
run(const struct command *command, int argc, char **argv)
{
    struct options options;
    bool json = false;
    char **arguments;

    options_init(&options, command, argc, argv);
    while (options_next(&options) != OPTIONS_OVER)
        json = true; /* its one flag */
    if (options.end >= 0 ||
        (arguments = options_arguments(&options, 0, 1)) == NULL)
        return options.end;
    return open_and_show(&options, arguments[0], json);
}

const struct command status_command = {
    .name = "status",
    .arguments = "[-c FILE] [--json] [TICKET]",
    .summary = "show the queues and the workers, or one ticket",
    .details = "Reads the store itself, so it works when nothing runs.\n\n"
               "Example: cloakroom status --json | jq '.queues[].queued'\n",
    .flags = flags,
    .ends = ends,
    .run = run,
};
