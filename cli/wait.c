/* wait.c - cloakroom wait: waits for a ticket's response and prints it. */
#include "cli/ask.h"
#include "cli/cli.h"
#include "cli/show.h"

enum { FLAG_JSON = 256 };

static const struct flag flags[] = {
    {'t', "timeout", "D", "give up after this, as in 30s (0s: only look)"},
    {FLAG_JSON, "json", NULL, "print ticket and response as JSON"},
    {0},
};

static const enum end ends[] = {END_STATUS, END_UNREACHABLE, END_STORE,
                                END_NOT_YET, END_OK};

static int
open_and_wait(const struct options *options, const char *text, span_ms limit,
              bool json)
{
    OWNED(settings) settings = NULL;
    OWNED(ask) ask = NULL;
    struct ticket ticket;
    struct error err;
    int end, r;

    settings = config_load(options, &end);
    if (settings == NULL)
        return end;
    r = ask_open_waiting(settings, &ask, &err);
    if (r < 0)
        return command_fails(options->command, end_of_open(r), "%s", err.text);
    if (ticket_parse(broker_secret(ask_broker(ask)), slice_of(text), &ticket) <
        0)
        return command_fails(options->command, END_FAILED,
                             "%s is no ticket of this installation", text);
    return show_response(options->command, ask, &ticket, limit, json);
}

static int
run(const struct command *command, int argc, char **argv)
{
    struct options options;
    span_ms limit = -1;
    bool json = false;
    struct error err;
    char **arguments;

    options_init(&options, command, argc, argv);
    for (int flag; (flag = options_next(&options)) != OPTIONS_OVER;) {
        if (flag == FLAG_JSON)
            json = true;
        else if (settings_parse_span(options.value, &limit, &err) < 0)
            return command_fails(command, END_USAGE, "--timeout: %s", err.text);
    }
    if (options.end >= 0 ||
        (arguments = options_arguments(&options, 1, 1)) == NULL)
        return options.end;
    return open_and_wait(&options, arguments[0], limit, json);
}

const struct command wait_command = {
    .name = "wait",
    .arguments = "[-c FILE] [--timeout D] [--json] TICKET",
    .summary = "wait for a ticket's response and print it",
    .details =
        "Prints the body of the response as soon as it is there. Without "
        "--timeout it\nwaits as long as that takes. Reading removes "
        "nothing.\n\n"
        "Example: cloakroom wait --timeout 10s \"$TICKET\"\n",
    .flags = flags,
    .ends = ends,
    .run = run,
};
