/* up.c - cloakroom up: one ingress and the workers of every queue. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "broker/broker.h"
#include "cli/cli.h"
#include "cli/crews.h"
#include "cli/follow.h"
#include "cli/supervisor.h"
#include "cli/uplock.h"
#include "common/log.h"
#include "common/mem.h"

/* Children are this very program, also after its file was replaced. */
#define PROGRAM          "/proc/self/exe"
/* Over 23 s: the ingress of an `up` that was killed may still hold the address.
 */
#define INGRESS_STARTS   9
#define INGRESS_PATIENCE 30000 /* ms, for commits and waiting clients */
/* The same time for a store whose write lock does not come. */
#define FOLLOW_STARTS    9
#define FOLLOW_PATIENCE  5000 /* ms */
#define FOLLOW_STEP      2    /* after the workers, whose step is 1 */

static const enum end ends[] = {END_UNREACHABLE, END_STORE, END_OK};

/* ---- a friendly start ---------------------------------------------------- */

static const char *
print_address(const struct address *address, char *text, size_t room)
{
    const bool v6 = strchr(address->host, ':') != NULL;

    snprintf(text, room, "http://%s%s%s:%u", v6 ? "[" : "", address->host,
             v6 ? "]" : "", address->port);
    return text;
}

static bool
takes(const struct route_settings *route, const char *method)
{
    for (char **m = route->methods; m != NULL && *m != NULL; m++) {
        if (strcmp(*m, method) == 0)
            return true;
    }
    return route->methods == NULL;
}

static void
on_ready(void *opaque)
{
    const struct settings *settings = opaque;
    const struct route_settings *route = &settings->routes[0];
    const bool kafka = settings->directory == NULL;
    char at[80], admin[80], method[40] = "";

    print_address(&settings->listen, at, sizeof(at));
    print_address(&settings->admin, admin, sizeof(admin));
    if (!takes(route, "GET"))
        snprintf(method, sizeof(method), "-X %s ", route->methods[0]);
    printf("cloakroom %s is up at %s (admin %s), its data in %s%s\n\n"
           "  curl -i %s%s%s\n"
           "  curl -i -H 'Prefer: respond-async' %s%s%s\n\n"
           "^C stops it in order.\n",
           cli_version, at, admin, kafka ? "Kafka at " : "",
           kafka ? settings->kafka.servers : settings->directory, method, at,
           route->path[0] != '\0' ? route->path : "/", method, at,
           route->path[0] != '\0' ? route->path : "/");
    fflush(stdout);
}

/* ---- the store ----------------------------------------------------------- */

/* The control states of all queues. Makes the store if that is wished, or
 * finds now that it cannot be used; -ENOENT: there is none. */
static int
look_at_store(const struct settings *settings, bool create,
              struct control *controls, struct error *err)
{
    const struct broker_options options = {
        .settings = settings,
        .role = BROKER_VISITOR,
        .create = create,
    };
    struct broker *broker;
    int r;

    r = broker_open(&options, &broker, err);
    if (r < 0)
        return r;
    for (unsigned i = 0; i < settings->queues_len && r == 0; i++)
        r = broker_control(broker, i, &controls[i], err);
    broker_close(broker);
    return r;
}

static int
check_programs(const struct settings *settings, const struct control *controls)
{
    int r = 0;

    for (unsigned i = 0; i < settings->queues_len; i++) {
        if (settings_check_program(settings, i, controls[i].release, stderr) <
            0)
            r = -ENOENT;
    }
    return r;
}

/* The configuration's release is only what a new queue begins with. */
static void
tell_other_releases(const struct settings *settings,
                    const struct control *controls)
{
    for (size_t i = 0; i < settings->queues_len; i++) {
        const struct queue_settings *queue = &settings->queues[i];
        if (strcmp(queue->release, controls[i].release) != 0)
            log_event(EVENT_NOTE,
                      "text=\"queue %s is of release %s and the configuration "
                      "says %s: `cloakroom upgrade %s --to %s` takes it "
                      "there\"",
                      queue->name, controls[i].release, queue->release,
                      queue->name, queue->release);
    }
}

/* A store is made only for programs that are there. -1, or the exit code after
 * it was told why. */
static int
prepare_store(const struct command *command, const struct settings *settings,
              struct control *controls)
{
    struct error err;
    int r;

    r = look_at_store(settings, false, controls, &err);
    for (size_t i = 0; i < settings->queues_len && r == -ENOENT; i++)
        controls[i] = control_initial(settings->queues[i].release);
    if (r < 0 && r != -ENOENT)
        return command_fails(command, end_of_open(r), "%s", err.text);
    if (check_programs(settings, controls) < 0)
        return END_CONFIG;
    if (r == -ENOENT)
        r = look_at_store(settings, true, controls, &err);
    if (r < 0)
        return command_fails(command, end_of_open(r), "%s", err.text);
    tell_other_releases(settings, controls);
    return -1;
}

/* ---- the parts ----------------------------------------------------------- */

static void
on_line(void *opaque, const char *line)
{
    struct followed followed;
    char quoted[300];

    if (follow_parse(line, &followed))
        crews_follow(opaque, &followed);
    else
        log_event(EVENT_NOTE, "text=\"told nonsense by follow\" line=%s",
                  log_quote(slice_of(line), quoted, sizeof(quoted)));
}

static void
add_children(struct supervisor *supervisor, const struct settings *settings,
             struct crews *crews, bool verbose)
{
    const char *last = verbose ? "--verbose" : NULL;

    supervisor_add(supervisor, PROGRAM,
                   &(struct child_options){
                       .name = "ingress",
                       .step = 0,
                       .patience = INGRESS_PATIENCE,
                       .words = {"ingress", "-c", settings->path, last},
                       .first_starts = INGRESS_STARTS,
                   });
    supervisor_add(supervisor, PROGRAM,
                   &(struct child_options){
                       .name = "follow",
                       .step = FOLLOW_STEP,
                       .patience = FOLLOW_PATIENCE,
                       .words = {"follow", "-c", settings->path, last},
                       .first_starts = FOLLOW_STARTS,
                       .on_line = on_line,
                       .opaque = crews,
                   });
}

/* controls: as they were when we looked; what came after, follow tells. */
static int
run_children(const struct options *options, struct settings *settings,
             struct supervisor *supervisor, const struct control *controls)
{
    OWNED(crews) crews = NULL;
    struct error err;
    int end, lock;

    lock = uplock_take(settings, &err);
    if (lock < 0)
        return command_fails(options->command, end_of_open(lock), "%s",
                             err.text);
    crews = crews_new(supervisor, PROGRAM, settings, options->verbose);
    add_children(supervisor, settings, crews, options->verbose);
    for (size_t i = 0; i < settings->queues_len; i++) {
        const struct followed followed =
            follow_of(settings->queues[i].name, &controls[i]);
        crews_follow(crews, &followed);
    }
    end = supervisor_run(supervisor, on_ready, settings);
    log_event(EVENT_STOPPED, "exit=%d", end);
    close(lock);
    return end;
}

static int
prepare_and_run(const struct options *options, struct settings *settings)
{
    OWNED(supervisor) supervisor = NULL;
    struct control *controls;
    struct error err;
    int end, r;

    r = supervisor_new(&supervisor, &err); /* before the broker's threads */
    if (r < 0)
        return command_fails(options->command, END_FAILED, "%s", err.text);
    controls = mem_zalloc((settings->queues_len + 1) * sizeof(*controls));
    end = prepare_store(options->command, settings, controls);
    if (end < 0)
        end = run_children(options, settings, supervisor, controls);
    free(controls);
    return end;
}

static int
run(const struct command *command, int argc, char **argv)
{
    OWNED(settings) settings = NULL;
    struct options options;
    int end;

    options_init(&options, command, argc, argv);
    while (options_next(&options) != OPTIONS_OVER) {
    }
    if (options.end >= 0 || options_arguments(&options, 0, 0) == NULL)
        return options.end;
    log_init("up", options.verbose ? LOG_DEBUG : LOG_INFO);
    settings = config_load(&options, &end);
    if (settings == NULL)
        return end;
    return prepare_and_run(&options, settings);
}

const struct command up_command = {
    .name = "up",
    .arguments = "[-c FILE] [--verbose]",
    .summary = "start and watch one ingress and the workers of every queue",
    .details =
        "Checks the configuration, makes the data directory if it is missing, "
        "starts\nall processes and starts again what crashes. The workers are "
        "of the release that\nthe queue is at, during an upgrade of the next "
        "one besides. ^C or SIGTERM stops\nthe ingress, then the workers, "
        "each after what it has in hand; a second one, a\nsecond or more "
        "later, kills.\n\n"
        "Example: cloakroom up -c examples/hits/cloakroom.yaml\n",
    .ends = ends,
    .run = run,
};
