/* topics.c - cloakroom topics: what Cloakroom has in Kafka. */
#include <stdio.h>
#include <string.h>

#include "broker/kafka/topics.h"
#include "cli/cli.h"
#include "cli/show.h"
#include "common/log.h"
#include "common/nearest.h"
#include "common/own.h"

enum { FLAG_FROM_OLDEST = 256 };

static const struct flag flags[] = {
    {FLAG_FROM_OLDEST, "from-oldest", NULL,
     "apply: where a queue's offset is lost, begin at its oldest request"},
    {0},
};

static const enum end ends[] = {END_UNREACHABLE, END_STORE, END_NOT_YET,
                                END_OK};

static void
print_line(const char *line, void *opaque)
{
    (void)opaque;
    printf("%s\n", line);
    fflush(stdout); /* the next may take its time */
}

/* ---- apply --------------------------------------------------------------- */

static int
apply(const struct command *command, const struct settings *settings,
      bool from_oldest)
{
    struct error err;
    size_t faults;
    int r = topics_apply(settings, from_oldest, print_line, NULL, &err);

    if (r == 0) {
        printf("all topics are as they must be\n");
        return END_OK;
    }
    /* One is what topics_apply tells; there may be more. */
    if ((r == -EINVAL || r == -ENOENT) &&
        topics_faults(settings, print_line, NULL, &faults, &err) == 0 &&
        faults > 0)
        return command_fails(command, END_FAILED,
                             "%zu thing%s cannot be mended here", faults,
                             faults == 1 ? "" : "s");
    return command_fails(command, end_of_open(r), "%s", err.text);
}

/* ---- check --------------------------------------------------------------- */

static int
check(const struct command *command, const struct settings *settings)
{
    struct error err;
    size_t faults;
    int r = topics_faults(settings, print_line, NULL, &faults, &err);

    if (r < 0)
        return command_fails(command, end_of_open(r), "%s", err.text);
    if (faults > 0)
        return END_FAILED;
    printf("all topics are as they must be\n");
    return END_OK;
}

/* ---- show ---------------------------------------------------------------- */

static void
print_state(const struct topic_state *state, int width)
{
    char age[SHOW_SPAN_SIZE];
    const char *kept = state->spec.kept;

    if (state->partitions == 0) {
        printf("%-*s %10s %6s %7s %-16s %s\n", width, state->spec.name, "-",
               "-", "-", "is not there", state->spec.why);
        return;
    }
    if (state->spec.retention >= 0 && state->retention >= 0)
        kept = show_span(state->retention, age);
    printf("%-*s %10u %6u %7u %-16s %s\n", width, state->spec.name,
           state->partitions, state->replication, state->min_insync, kept,
           state->spec.why);
}

static int
show(const struct command *command, const struct settings *settings)
{
    struct topic_state *states;
    struct error err;
    size_t len;
    int width = (int)strlen("TOPIC");
    int r = topics_look(settings, &states, &len, &err);

    if (r < 0)
        return command_fails(command, end_of_open(r), "%s", err.text);
    for (size_t i = 0; i < len; i++)
        if ((int)strlen(states[i].spec.name) > width)
            width = (int)strlen(states[i].spec.name);
    printf("%-*s %10s %6s %7s %-16s %s\n", width, "TOPIC", "PARTITIONS",
           "COPIES", "IN SYNC", "KEPT", "WHY");
    for (size_t i = 0; i < len; i++)
        print_state(&states[i], width);
    topics_states_free(states, len);
    return END_OK;
}

/* ---- the command --------------------------------------------------------- */

static const char *const words[] = {"apply", "check", "show"};
enum { WORD_APPLY, WORD_CHECK, WORD_SHOW };

static int
find_word(const struct command *command, const char *word)
{
    char hint[HINT_SIZE];

    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (strcmp(words[i], word) == 0)
            return (int)i;
    command_fails(command, END_USAGE, "there is no `topics %.60s`; %s", word,
                  nearest_hint(hint, word, words, ARRAY_LEN(words)));
    return -1;
}

static int
run(const struct command *command, int argc, char **argv)
{
    OWNED(settings) settings = NULL;
    struct options options;
    bool from_oldest = false;
    char **arguments;
    int word, end;

    options_init(&options, command, argc, argv);
    while (options_next(&options) != OPTIONS_OVER)
        from_oldest = true;
    if (options.end >= 0 ||
        (arguments = options_arguments(&options, 1, 1)) == NULL)
        return options.end;
    word = find_word(command, arguments[0]);
    if (word < 0)
        return END_USAGE;
    if (from_oldest && word != WORD_APPLY)
        return command_fails(command, END_USAGE,
                             "--from-oldest is for `topics apply`");
    settings = config_load(&options, &end);
    if (settings == NULL)
        return end;
    if (settings->kafka.servers == NULL)
        return command_fails(command, END_CONFIG,
                             "%s has no broker.kafka: only Kafka has topics",
                             settings->path);
    log_init_command(command->name, options.verbose);
    if (word == WORD_SHOW)
        return show(command, settings);
    return word == WORD_CHECK ? check(command, settings)
                              : apply(command, settings, from_oldest);
}

const struct command topics_command = {
    .name = "topics",
    .arguments = "[-c FILE] apply [--from-oldest] | check | show",
    .summary = "make, check or show the topics in Kafka",
    .details =
        "apply makes what is missing, changes what differs and can be changed, "
        "and says\nwhere new queues begin; a second time it changes nothing. "
        "check tells all that\nis not as it must be, each with the command "
        "that mends it, and exits with 1 then.\nshow lists the topics as they "
        "are, and why there is each.\n\n"
        "--from-oldest is for damage: a queue's committed offset is gone. What "
        "waits runs;\nwhat ended longer ago than is remembered may run "
        "again.\n\n"
        "Example: cloakroom topics apply -c cloakroom.yaml\n",
    .flags = flags,
    .ends = ends,
    .run = run,
};
