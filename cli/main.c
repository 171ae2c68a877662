/* main.c - cloakroom's commands: finds the one that was asked for. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "cli/cli.h"
#include "common/fault.h"
#include "common/nearest.h"
#include "common/own.h"

static const struct command *const commands[] = {
    &up_command,      &ingress_command, &worker_command, &submit_command,
    &wait_command,    &status_command,  &pause_command,  &resume_command,
    &refuse_command,  &accept_command,  &probe_command,  &upgrade_command,
    &history_command, &check_command,   &topics_command, &move_command,
    &spawner_command, &follow_command,
};

static void
print_help(FILE *to)
{
    fprintf(to, "Usage: cloakroom COMMAND [-c FILE] ...\n\n"
                "Puts HTTP requests on a durable queue, answers with a ticket "
                "or the response.\n\nCommands:\n");
    for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
        if (commands[i]->summary != NULL)
            fprintf(to, "  %-8s  %s\n", commands[i]->name,
                    commands[i]->summary);
    }
    fprintf(to,
            "\n`cloakroom COMMAND --help` tells more; `cloakroom --version` "
            "tells the version.\n");
}

static int
tell_unknown(const char *name)
{
    const char *words[ARRAY_LEN(commands)];
    char hint[HINT_SIZE];
    size_t len = 0;

    for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
        if (commands[i]->summary != NULL)
            words[len++] = commands[i]->name;
    }
    fprintf(stderr, "cloakroom: there is no command `%s`; %s\n", name,
            nearest_hint(hint, name, words, len));
    return END_USAGE;
}

static const struct command *
command_named(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
        if (strcmp(commands[i]->name, name) == 0)
            return commands[i];
    }
    return NULL;
}

static int
help(int argc, char **argv)
{
    const struct command *command;

    if (argc < 3) {
        print_help(stdout);
        return END_OK;
    }
    command = command_named(argv[2]);
    if (command == NULL)
        return tell_unknown(argv[2]);
    command_print_help(command);
    return END_OK;
}

/* A descriptor from 0 to 2 that is closed would be given to the next file that
 * is opened, and that file would get what is printed and logged. */
static void
fill_files(void)
{
    int fd;

    do
        fd = open("/dev/null", O_RDWR);
    while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd >= 0)
        close(fd);
}

int
main(int argc, char **argv)
{
    const struct command *command;

    fill_files();
    /* A child started as /proc/self/exe would else be called `exe`. */
    prctl(PR_SET_NAME, "cloakroom");
    fault_init();
    if (argc < 2) {
        print_help(stderr);
        return END_USAGE;
    }
    if (strcmp(argv[1], "--version") == 0) {
        printf("cloakroom %s\n", cli_version);
        return END_OK;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
        strcmp(argv[1], "help") == 0)
        return help(argc, argv);
    command = command_named(argv[1]);
    if (command == NULL)
        return tell_unknown(argv[1]);
    return command->run(command, argc - 1, argv + 1);
}
