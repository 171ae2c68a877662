/* status.c - cloakroom status: queues and workers, or one ticket. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/ask.h"
#include "cli/cli.h"
#include "cli/show.h"
#include "cli/tell.h"
#include "ingress/queue_json.h"

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
    wall_ms now;
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

struct widths {
    int queue, state, release, worker;
};

static void
widen(int *width, const char *text)
{
    if ((int)strlen(text) > *width)
        *width = (int)strlen(text);
}

static struct widths
widths_of(const struct report *report)
{
    struct widths widths = {.queue = (int)strlen("QUEUE"),
                            .state = (int)strlen("STATE"),
                            .release = (int)strlen("RELEASE"),
                            .worker = (int)strlen("WORKER")};
    char state[TELL_STATE_SIZE];

    for (size_t i = 0; i < report->settings->queues_len; i++) {
        const struct control *control = &report->queues[i].control;
        widen(&widths.queue, report->settings->queues[i].name);
        widen(&widths.state, tell_state(control, report->now, state));
        widen(&widths.release, control->release);
    }
    for (size_t i = 0; i < report->workers_len; i++) {
        widen(&widths.release, report->workers[i].release);
        widen(&widths.worker, report->workers[i].name);
    }
    return widths;
}

static void
print_upgrade(const char *name, const struct upgrade *upgrade)
{
    printf("%s is held by an upgrade from release %s to %s: %s, ", name,
           upgrade->from, upgrade->to, upgrade_step_word(upgrade->step));
    if (upgrade->pid != 0)
        printf("run by process %d\n", upgrade->pid);
    else
        printf("its process is gone; run it again\n");
}

/* What the table has no room for. */
static void
print_notes(const struct report *report, size_t i)
{
    const struct queue_stats *stats = &report->queues[i];
    const struct control *control = &stats->control;
    const char *name = report->settings->queues[i].name;
    const wall_ms ramped = control->ramp_since + control->ramp;
    char sign[TELL_SIGN_SIZE], when[TELL_TIME_SIZE];

    if (control->state != CONTROL_OPEN)
        printf("%s is paused %s\n", name, tell_sign(control, sign));
    if (control->upgrade.id[0] != '\0')
        print_upgrade(name, &control->upgrade);
    if (!control->accepting)
        printf("%s refuses new requests; `cloakroom accept %s` ends it\n", name,
               name);
    if (control->state == CONTROL_OPEN && ramped > report->now)
        printf("%s lets its slots open one by one, the last at %s\n", name,
               tell_time(ramped, when));
    if (stats->trouble[0] != '\0')
        printf("trouble at %s: %s\n", name, stats->trouble);
}

static void
print_queues(const struct report *report, const struct widths *widths)
{
    char oldest[SHOW_SPAN_SIZE], state[TELL_STATE_SIZE];

    printf("%-*s %-*s %-*s %6s %7s %7s %6s %8s %8s %4s\n", widths->queue,
           "QUEUE", widths->state, "STATE", widths->release, "RELEASE",
           "QUEUED", "DELAYED", "RUNNING", "OLDEST", "DONE/MIN", "FAIL/MIN",
           "DEAD");
    for (size_t i = 0; i < report->settings->queues_len; i++) {
        const struct queue_stats *stats = &report->queues[i];
        const bool waits = stats->queued + stats->delayed > 0;
        printf("%-*s %-*s %-*s %6llu %7llu %7llu %6s %8llu %8llu %4llu\n",
               widths->queue, report->settings->queues[i].name, widths->state,
               tell_state(&stats->control, report->now, state), widths->release,
               stats->control.release, (unsigned long long)stats->queued,
               (unsigned long long)stats->delayed,
               (unsigned long long)stats->running,
               waits ? show_span(stats->oldest, oldest) : "-",
               (unsigned long long)stats->done_minute,
               (unsigned long long)stats->failed_minute,
               (unsigned long long)stats->dead);
    }
    for (size_t i = 0; i < report->settings->queues_len; i++)
        print_notes(report, i);
}

/* Of whose queue; NULL: it is not in the settings. */
static const struct control *
control_of(const struct report *report, const struct worker_info *worker)
{
    const int queue = settings_queue(report->settings, worker->queue);

    return queue < 0 ? NULL : &report->queues[queue].control;
}

/* Is its release not the one that its queue admits? */
static bool
is_idle(const struct report *report, const struct worker_info *worker)
{
    const struct control *control = control_of(report, worker);

    return control != NULL && strcmp(control->release, worker->release) != 0;
}

static void
print_worker(const struct report *report, const struct worker_info *worker,
             const struct widths *widths)
{
    char since[SHOW_SPAN_SIZE], lease[SHOW_SPAN_SIZE], running[24];
    const bool idle = is_idle(report, worker);

    snprintf(running, sizeof(running), "%u/%u", worker->running,
             worker->concurrency);
    printf("%-*s %-*s %7d %-*s %7s %6s %6s", widths->queue, worker->queue,
           widths->worker, worker->name, worker->pid, widths->release,
           worker->release, idle && worker->running == 0 ? "idle" : running,
           show_span(report->now - worker->since, since),
           worker->lease_left < 0 ? "over"
                                  : show_span(worker->lease_left, lease));
    if (idle)
        printf("  waiting for release %s", worker->release);
    putchar('\n');
}

static void
print_workers(const struct report *report, const struct widths *widths)
{
    if (report->workers_len == 0) {
        printf("no workers run; start some with `cloakroom up`, or one with "
               "`cloakroom worker`\n");
        return;
    }
    printf("%-*s %-*s %7s %-*s %7s %6s %6s\n", widths->queue, "QUEUE",
           widths->worker, "WORKER", "PID", widths->release, "RELEASE",
           "RUNNING", "UP", "LEASE");
    for (size_t i = 0; i < report->workers_len; i++)
        print_worker(report, &report->workers[i], widths);
}

/* ---- as JSON ------------------------------------------------------------- */

static int
print_json(const struct report *report)
{
    json_t *queues = json_array(), *workers = json_array();

    for (size_t i = 0; i < report->settings->queues_len; i++)
        json_array_append_new(
            queues,
            queue_json(report->settings->queues[i].name, &report->queues[i]));
    for (size_t i = 0; i < report->workers_len; i++)
        json_array_append_new(
            workers, worker_json(&report->workers[i],
                                 control_of(report, &report->workers[i])));
    return show_json(
        json_pack("{s:o, s:o}", "queues", queues, "workers", workers));
}

/* ---- the command --------------------------------------------------------- */

static int
show_all(const struct options *options, const struct settings *settings,
         struct ask *ask, bool json)
{
    struct report report = {.settings = settings, .now = clock_wall()};
    struct error err;
    int r;

    r = report_read(&report, ask_broker(ask), &err);
    if (r == 0 && json)
        r = print_json(&report) < 0
                ? error_set(&err, -EPIPE, "stdout cannot be written")
                : 0;
    else if (r == 0) {
        const struct widths widths = widths_of(&report);
        print_queues(&report, &widths);
        putchar('\n');
        print_workers(&report, &widths);
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
