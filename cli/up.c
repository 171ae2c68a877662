/* up.c - cloakroom up: one ingress and the workers of every queue. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "broker/broker.h"
#include "cli/cli.h"
#include "cli/supervisor.h"
#include "cli/uplock.h"
#include "common/log.h"

/* Children are this very program, also after its file was replaced. */
#define PROGRAM          "/proc/self/exe"
/* Over 23 s: the ingress of an `up` that was killed may still hold the address.
 */
#define INGRESS_STARTS   9
/* For commits and waiting clients; and, beyond a handler's own timeout, for
 * what the worker does at its end. */
#define INGRESS_PATIENCE 30000 /* ms */
#define WORKER_PATIENCE  15000 /* ms */

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
    char at[80], admin[80], method[40] = "";

    print_address(&settings->listen, at, sizeof(at));
    print_address(&settings->admin, admin, sizeof(admin));
    if (!takes(route, "GET"))
        snprintf(method, sizeof(method), "-X %s ", route->methods[0]);
    printf("cloakroom %s is up at %s (admin %s), its data in %s\n\n"
           "  curl -i %s%s%s\n"
           "  curl -i -H 'Prefer: respond-async' %s%s%s\n\n"
           "^C stops it in order.\n",
           cli_version, at, admin, settings->directory, method, at,
           route->path[0] != '\0' ? route->path : "/", method, at,
           route->path[0] != '\0' ? route->path : "/");
    fflush(stdout);
}

/* ---- the parts ----------------------------------------------------------- */

/* Makes the store, or finds now that it cannot be used. */
static int
prepare_store(const struct settings *settings, struct error *err)
{
    const struct broker_options options = {
        .settings = settings,
        .role = BROKER_VISITOR,
        .create = true,
    };
    struct broker *broker;
    int r;

    r = broker_open(&options, &broker, err);
    if (r == 0)
        broker_close(broker);
    return r;
}

static void
add_children(struct supervisor *supervisor, const struct settings *settings,
             bool verbose)
{
    const char *last = verbose ? "--verbose" : NULL;
    char name[80];

    supervisor_add(supervisor, PROGRAM,
                   &(struct child_options){
                       .name = "ingress",
                       .step = 0,
                       .patience = INGRESS_PATIENCE,
                       .words = {"ingress", "-c", settings->path, last},
                       .first_starts = INGRESS_STARTS,
                   });
    for (size_t i = 0; i < settings->queues_len; i++) {
        const struct queue_settings *queue = &settings->queues[i];
        snprintf(name, sizeof(name), "worker %s", queue->name);
        for (unsigned n = 0; n < queue->workers; n++)
            supervisor_add(supervisor, PROGRAM,
                           &(struct child_options){
                               .name = name,
                               .step = 1,
                               .patience = queue->timeout + WORKER_PATIENCE,
                               .words = {"worker", "-c", settings->path, "-q",
                                         queue->name, last},
                           });
    }
}

static int
run_children(const struct options *options, struct settings *settings)
{
    OWNED(supervisor) supervisor = NULL;
    struct error err;
    int end, lock, r;

    r = supervisor_new(&supervisor, &err);
    if (r < 0)
        return command_fails(options->command, END_FAILED, "%s", err.text);
    r = prepare_store(settings, &err);
    if (r < 0)
        return command_fails(options->command, end_of_open(r), "%s", err.text);
    lock = uplock_take(settings->directory, &err);
    if (lock < 0)
        return command_fails(options->command, end_of_open(lock), "%s",
                             err.text);
    add_children(supervisor, settings, options->verbose);
    end = supervisor_run(supervisor, on_ready, settings);
    log_event(EVENT_STOPPED, "exit=%d", end);
    close(lock);
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
    if (settings_check_programs(settings, stderr) < 0)
        return END_CONFIG;
    return run_children(&options, settings);
}

const struct command up_command = {
    .name = "up",
    .arguments = "[-c FILE] [--verbose]",
    .summary = "start and watch one ingress and the workers of every queue",
    .details =
        "Checks the configuration, makes the data directory if it is missing, "
        "starts\nall processes and starts again what crashes. ^C or SIGTERM "
        "stops the ingress,\nthen the workers, each after what it has in "
        "hand; a second one, a second or more\nlater, kills.\n\n"
        "Example: cloakroom up -c examples/hits/cloakroom.yaml\n",
    .ends = ends,
    .run = run,
};
