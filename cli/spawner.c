/* spawner.c - cloakroom spawner: what a worker starts to run its handlers. */
#include <unistd.h>

#include "cli/cli.h"
#include "workers/worker.h"

static int
run(const struct command *command, int argc, char **argv)
{
    struct options options;

    options_init(&options, command, argc, argv);
    while (options_next(&options) != OPTIONS_OVER) {
    }
    if (options.end >= 0)
        return options.end;
    return spawner_main(STDIN_FILENO);
}

const struct command spawner_command = {
    .name = "spawner",
    .arguments = "",
    .details = "Started by `cloakroom worker`, with a socket as its standard "
               "input; the parent of\nall handlers. Not for people.\n",
    .run = run,
};
