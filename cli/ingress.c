/* ingress.c - cloakroom ingress: the HTTP front, one process of it. */
#include "ingress/ingress.h"

#include <stdlib.h>

#include "cli/child.h"
#include "cli/cli.h"
#include "common/log.h"
#include "common/mem.h"

static const struct flag flags[] = {
    CHILD_FLAGS,
    {0},
};

static const enum end ends[] = {END_UNREACHABLE, END_STORE, END_OK};

static void
on_ready(void *opaque)
{
    child_say_ready(opaque);
}

/* The queues that `up` runs workers for; the caller frees them. */
static unsigned *
worked_queues(const struct settings *settings, size_t *len)
{
    unsigned *queues = mem_grow(NULL, settings->queues_len, sizeof(*queues));

    *len = 0;
    for (size_t i = 0; i < settings->queues_len; i++) {
        if (settings->queues[i].workers > 0)
            queues[(*len)++] = (unsigned)i;
    }
    return queues;
}

static int
serve(const struct options *options, struct child_end *child)
{
    OWNED(settings) settings = NULL;
    struct ingress_options ingress = {.on_ready = on_ready, .opaque = child};
    struct error err;
    unsigned *queues = NULL;
    int end, r;

    settings = config_load(options, &end);
    if (settings == NULL)
        return end;
    if (child->up != 0) {
        queues = worked_queues(settings, &ingress.worked_queues_len);
        ingress.worked_queues = queues;
    }
    r = ingress_run(settings, &ingress, &err);
    free(queues);
    return r == 0 ? END_OK : process_fails(r, &err);
}

static int
run(const struct command *command, int argc, char **argv)
{
    struct options options;
    struct child_end child = CHILD_END_INIT;

    options_init(&options, command, argc, argv);
    for (int flag; (flag = options_next(&options)) != OPTIONS_OVER;)
        child_take_flag(&child, flag, options.value);
    if (options.end >= 0 || options_arguments(&options, 0, 0) == NULL)
        return options.end;
    log_init("ingress", options.verbose ? LOG_DEBUG : LOG_INFO);
    if (child_follow(&child) < 0)
        return END_OK;
    return serve(&options, &child);
}

const struct command ingress_command = {
    .name = "ingress",
    .arguments = "[-c FILE] [--verbose]",
    .summary = "accept requests over HTTP and answer for their tickets",
    .details =
        "Makes the data directory if it is missing. SIGTERM, SIGINT or "
        "SIGHUP:\n"
        "accepts nothing more, gives waiting clients their ticket, finishes "
        "its commits.\n\n"
        "Example: cloakroom ingress -c cloakroom.yaml\n",
    .flags = flags,
    .ends = ends,
    .run = run,
};
