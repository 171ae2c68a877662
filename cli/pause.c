/* pause.c - cloakroom pause: no attempt starts from here on; and waits until
 * none runs. */
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/ask.h"
#include "cli/changes.h"
#include "cli/child.h"
#include "cli/cli.h"
#include "cli/drain.h"
#include "cli/show.h"
#include "cli/tell.h"
#include "common/asked.h"
#include "common/json_text.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/nearest.h"

enum {
    FLAG_ALL = 256,
    FLAG_WAIT,
    FLAG_ON_TIMEOUT,
    FLAG_KILL,
    FLAG_JSON,
    FLAG_PAUSED,
    FLAG_MADE,
    FLAG_BY,
};

static const struct flag flags[] = {
    {FLAG_ALL, "all", NULL, "all queues"},
    {'r', "reason", "TEXT", "why, for all who ask"},
    {'w', "wait", NULL, "until nothing runs; then prints the receipt"},
    {'t', "timeout", "D", "with --wait: at most so long, as in 30s"},
    {FLAG_ON_TIMEOUT, "on-timeout", "WHAT", "then: stay, resume or kill"},
    {FLAG_KILL, "kill", NULL, "end what runs at once"},
    {FLAG_JSON, "json", NULL, "print it as JSON"},
    /* By an ingress, which has paused the one queue already. */
    {FLAG_PAUSED, "paused", "EPOCH", NULL}, /* wait for this pause alone */
    {FLAG_MADE, "made", NULL, NULL},        /* it is as if we had made it */
    {FLAG_BY, "by", "WHO", NULL},
    CHILD_FLAGS,
    {0},
};

static const enum end ends[] = {END_UNREACHABLE, END_STORE, END_NOT_YET,
                                END_OK};

enum on_timeout { STAY, RESUME, KILL };
static const char *const on_timeout_words[] = {"stay", "resume", "kill"};

struct pausing {
    const struct command *command;
    const char *reason; /* NULL: no words */
    bool all, wait, kill, json, made;
    uint64_t paused; /* the epoch of a pause that is there; 0: make one */
    struct child_end child;
    const char *named;      /* who it is by; NULL: who runs us */
    span_ms limit;          /* below 0: none */
    const char *on_timeout; /* as given; NULL: not */
    enum on_timeout then;
    int signals; /* signalfd; -1: they end us as ever */

    char by[BY_SIZE];
    const struct settings *settings;
    struct broker *broker;
    struct queues queues;
    struct changes changes;
    uint64_t *pauses;
};

static const char *
name_of(const struct pausing *pausing, size_t i)
{
    return pausing->settings->queues[pausing->queues.list[i]].name;
}

/* The words of `cloakroom resume ...` that would undo it. */
static char *
names_of(const struct pausing *pausing)
{
    char *names = mem_strdup("");

    for (size_t i = 0; i < pausing->queues.len; i++) {
        char *longer =
            mem_printf("%s%s%s", names, i > 0 ? " " : "", name_of(pausing, i));
        free(names);
        names = longer;
    }
    return names;
}

/* ---- pausing ------------------------------------------------------------- */

/* The pause that somebody made for us; -ECANCELED: it is over. */
static int
find_pause(struct pausing *pausing, struct error *err)
{
    struct control *control = mem_new(struct control);

    pausing->changes.states = control;
    pausing->changes.made = mem_new(bool);
    *pausing->changes.made = pausing->made;
    int r =
        broker_control(pausing->broker, pausing->queues.list[0], control, err);
    if (r == 0 && control->paused_epoch != pausing->paused)
        return error_set(err, -ECANCELED,
                         "queue %s: the pause was overtaken by a resume",
                         name_of(pausing, 0));
    return r;
}

static int
pause_queues(struct pausing *pausing, struct error *err)
{
    const struct change change = {
        .kind = CHANGE_PAUSE, .by = pausing->by, .why = pausing->reason};
    int r = pausing->paused != 0
                ? find_pause(pausing, err)
                : changes_make(pausing->broker, &pausing->queues, &change,
                               &pausing->changes, err);

    for (size_t i = 0; r == 0 && i < pausing->queues.len; i++)
        pausing->pauses[i] = pausing->changes.states[i].paused_epoch;
    for (size_t i = 0; r == 0 && pausing->kill && i < pausing->queues.len; i++)
        r = broker_kill(pausing->broker, pausing->queues.list[i],
                        pausing->pauses[i], err);
    return r;
}

/* ---- told at once -------------------------------------------------------- */

static void
print_line(const struct pausing *pausing, size_t i,
           const struct queue_stats *stats)
{
    const struct control *control = &pausing->changes.states[i];
    char sign[TELL_SIGN_SIZE];
    const bool made = pausing->changes.made[i];

    printf("%s: paused %s epoch %" PRIu64 "%s%s", name_of(pausing, i),
           made ? "at" : "already, at", pausing->pauses[i], made ? "" : ", ",
           made ? "" : tell_sign(control, sign));
    if (stats->control.state == CONTROL_DRAINED)
        printf("; drained\n");
    else if (stats->running == 0)
        printf("; nothing runs\n");
    else
        printf("; %" PRIu64 " attempt%s\n", stats->running,
               stats->running == 1 ? " still runs" : "s still run");
}

static json_t *
line_json(const struct pausing *pausing, size_t i,
          const struct queue_stats *stats)
{
    const struct control *control = &pausing->changes.states[i];
    json_t *line =
        json_pack("{s:s, s:I, s:s, s:s, s:b, s:I}", "queue",
                  name_of(pausing, i), "epoch", (json_int_t)pausing->pauses[i],
                  "state", control_state_word(stats->control.state), "release",
                  control->release, "paused_already", !pausing->changes.made[i],
                  "running", (json_int_t)stats->running);

    json_set_text(line, "by", control->by);
    json_set_text(line, "why", control->why);
    json_set_time(line, "since", control->since);
    return line;
}

static int
tell_paused(const struct pausing *pausing)
{
    json_t *lines = json_array();
    struct queue_stats stats;
    struct error err;
    int r = 0;

    for (size_t i = 0; r == 0 && i < pausing->queues.len; i++) {
        r = broker_queue_stats(pausing->broker, pausing->queues.list[i], &stats,
                               &err);
        if (r == 0 && pausing->json)
            json_array_append_new(lines, line_json(pausing, i, &stats));
        else if (r == 0)
            print_line(pausing, i, &stats);
    }
    if (r == 0 && pausing->json)
        show_json(json_incref(lines));
    json_decref(lines);
    if (r < 0)
        return command_fails(pausing->command, end_of(r), "%s", err.text);
    return END_OK;
}

/* ---- waiting ------------------------------------------------------------- */

/* Those that somebody else had paused. */
static void
tell_joined(const struct pausing *pausing)
{
    char sign[TELL_SIGN_SIZE];

    for (size_t i = 0; i < pausing->queues.len; i++) {
        if (!pausing->changes.made[i])
            fprintf(stderr, "queue %s is paused already, %s\n",
                    name_of(pausing, i),
                    tell_sign(&pausing->changes.states[i], sign));
    }
}

static int
print_receipts(const struct pausing *pausing, const struct drain *drain)
{
    struct error err;
    int r = 0;

    for (size_t i = 0; r == 0 && i < pausing->queues.len; i++) {
        if (pausing->json)
            fputs(i == 0 ? "[\n" : ",\n", stdout);
        r = drain_print_receipt(drain, pausing->queues.list[i], pausing->json,
                                &err);
    }
    if (pausing->json)
        puts("\n]");
    if (r < 0)
        return command_fails(pausing->command, end_of(r), "%s", err.text);
    return END_OK;
}

/* Ends the pause of one queue, if it is the one that this command began. */
static int
undo(const struct pausing *pausing, size_t i, struct error *err)
{
    const unsigned queue = pausing->queues.list[i];
    struct change change = {.kind = CHANGE_RESUME,
                            .by = pausing->by,
                            .why = "it was not drained in time"};
    struct control control;
    int r;

    do {
        r = broker_control(pausing->broker, queue, &control, err);
        if (r < 0 || control.paused_epoch != pausing->pauses[i])
            return r;
        change.expected = control.epoch;
        r = broker_change(pausing->broker, &queue, 1, &change, NULL, err);
    } while (r == -ESTALE);
    return r;
}

static void
undo_own(const struct pausing *pausing)
{
    char sign[TELL_SIGN_SIZE];
    struct error err;

    for (size_t i = 0; i < pausing->queues.len; i++) {
        if (!pausing->changes.made[i])
            fprintf(stderr, "queue %s stays paused, as it was before: %s\n",
                    name_of(pausing, i),
                    tell_sign(&pausing->changes.states[i], sign));
        else if (undo(pausing, i, &err) < 0)
            fprintf(stderr, "queue %s stays paused: %s\n", name_of(pausing, i),
                    err.text);
        else
            fprintf(stderr, "queue %s is resumed\n", name_of(pausing, i));
    }
}

static int
tell_undrained(const struct pausing *pausing, int r, const struct error *err)
{
    char *names = names_of(pausing);
    int end;

    if (r == -ETIMEDOUT && pausing->then == RESUME) {
        end = command_fails(pausing->command, END_NOT_YET, "%s", err->text);
        undo_own(pausing);
    } else if (r == -ETIMEDOUT)
        end = command_fails(pausing->command, END_NOT_YET,
                            "%s\nthe pause stays; `cloakroom resume %s` ends "
                            "it",
                            err->text, names);
    else if (r == -EINTR)
        end = command_fails(pausing->command, END_FAILED,
                            "interrupted; the pause stays; `cloakroom resume "
                            "%s` ends it",
                            names);
    else
        end = command_fails(pausing->command, end_of(r), "%s%s", err->text,
                            pausing->queues.len > 1
                                ? "\nthe other queues stay as they are"
                                : "");
    free(names);
    return end;
}

static int
wait_drained(const struct pausing *pausing)
{
    struct drain drain = {
        .settings = pausing->settings,
        .broker = pausing->broker,
        .queues = &pausing->queues,
        .pauses = pausing->pauses,
        .limit = pausing->limit,
        .kill = pausing->kill,
        .stop_fd = pausing->signals,
        .progress = stderr,
    };
    struct error err;
    int r;

    tell_joined(pausing);
    r = drain_await(&drain, &err);
    if (r == -ETIMEDOUT && pausing->then == KILL) {
        fprintf(stderr, "%s\nwhat runs is being ended\n", err.text);
        drain.kill = true;
        drain.limit = -1;
        r = drain_await(&drain, &err);
    }
    return r == 0 ? print_receipts(pausing, &drain)
                  : tell_undrained(pausing, r, &err);
}

/* ---- the command --------------------------------------------------------- */

static int
pause_and_wait(struct pausing *pausing)
{
    OWNED(ask) ask = NULL;
    struct error err;
    int r, end;

    r = ask_open(pausing->settings, &ask, &err);
    if (r < 0)
        return command_fails(pausing->command, end_of_open(r), "%s", err.text);
    pausing->broker = ask_broker(ask);
    pausing->pauses = mem_zalloc(pausing->queues.len * sizeof(uint64_t));
    r = pause_queues(pausing, &err);
    if (r < 0)
        end = command_fails(pausing->command, end_of(r), "%s", err.text);
    else
        end = pausing->wait ? wait_drained(pausing) : tell_paused(pausing);
    changes_fini(&pausing->changes);
    free(pausing->pauses);
    return end;
}

static int
load_and_pause(struct pausing *pausing, const struct options *options,
               char **names, size_t len)
{
    OWNED(settings) settings = NULL;
    int end = queues_load(options, names, len, pausing->all, &settings,
                          &pausing->queues);

    if (end >= 0)
        return end;
    pausing->settings = settings;
    pausing->signals = pausing->wait ? asked_open() : -1;
    if (pausing->wait && pausing->signals < 0)
        end = command_fails(pausing->command, END_FAILED, "signalfd: %s",
                            strerror(-pausing->signals));
    else
        end = pause_and_wait(pausing);
    if (pausing->signals >= 0)
        close(pausing->signals);
    queues_fini(&pausing->queues);
    return end;
}

static int
take_on_timeout(struct pausing *pausing)
{
    char hint[HINT_SIZE];

    if (pausing->on_timeout == NULL)
        return -1;
    for (size_t i = 0; i < ARRAY_LEN(on_timeout_words); i++) {
        if (strcmp(pausing->on_timeout, on_timeout_words[i]) != 0)
            continue;
        pausing->then = (enum on_timeout)i;
        return -1;
    }
    return command_fails(
        pausing->command, END_USAGE, "--on-timeout %s: %s", pausing->on_timeout,
        nearest_hint(hint, pausing->on_timeout, on_timeout_words,
                     ARRAY_LEN(on_timeout_words)));
}

/* -1, or the exit code after a mistake was told. */
static int
check(struct pausing *pausing)
{
    if (pausing->limit >= 0 && !pausing->wait)
        return command_fails(pausing->command, END_USAGE,
                             "--timeout is for --wait; say both");
    if (pausing->on_timeout != NULL && pausing->limit < 0)
        return command_fails(pausing->command, END_USAGE,
                             "--on-timeout needs a --timeout");
    if (pausing->reason != NULL) {
        int end = queues_check_reason(pausing->command, pausing->reason);
        if (end >= 0)
            return end;
    }
    return take_on_timeout(pausing);
}

static int
take_flag(struct pausing *pausing, int flag, const char *value,
          struct error *err)
{
    switch (flag) {
    case FLAG_ALL:
        pausing->all = true;
        return 0;
    case 'r':
        pausing->reason = value;
        return 0;
    case 'w':
        pausing->wait = true;
        return 0;
    case 't':
        return settings_parse_span(value, &pausing->limit, err);
    case FLAG_ON_TIMEOUT:
        pausing->on_timeout = value;
        return 0;
    case FLAG_KILL:
        pausing->kill = true;
        return 0;
    case FLAG_JSON:
        pausing->json = true;
        return 0;
    case FLAG_PAUSED:
        pausing->paused = strtoull(value, NULL, 10);
        return 0;
    case FLAG_MADE:
        pausing->made = true;
        return 0;
    case FLAG_BY:
        pausing->named = value;
        return 0;
    default:
        child_take_flag(&pausing->child, flag, value);
        return 0;
    }
}

static int
run(const struct command *command, int argc, char **argv)
{
    struct pausing pausing = {
        .command = command, .limit = -1, .child = CHILD_END_INIT};
    struct options options;
    struct error err;
    char **names;
    int end;

    options_init(&options, command, argc, argv);
    for (int flag; (flag = options_next(&options)) != OPTIONS_OVER;) {
        if (take_flag(&pausing, flag, options.value, &err) < 0)
            return command_fails(command, END_USAGE, "--timeout: %s", err.text);
    }
    if (options.end >= 0 ||
        (names = options_arguments(&options, 0, INT_MAX)) == NULL)
        return options.end;
    end = check(&pausing);
    if (end >= 0)
        return end;
    if (child_follow(&pausing.child) < 0)
        return END_FAILED;
    queues_operator(pausing.named, pausing.by);
    log_init_command(command->name, options.verbose);
    return load_and_pause(&pausing, &options, names,
                          (size_t)(argv + argc - names));
}

const struct command pause_command = {
    .name = "pause",
    .arguments = "[-c FILE] [options] [QUEUE... | --all]",
    .summary = "start nothing more in a queue; --wait until nothing runs",
    .details =
        "No attempt starts once the pause is recorded; requests are accepted "
        "and wait.\nA pause does not end by itself and outlives every process: "
        "`cloakroom resume`\nends it. A queue that is paused already stays as "
        "it is.\n\n"
        "With --wait the exit code is 0 only when everyone who could run "
        "something is\naccounted for; then a receipt is printed. At the "
        "timeout the queue stays paused,\nor is resumed (if this very command "
        "paused it), or what runs is ended: requests\nthat may be repeated go "
        "back to the queue, the others fail as lost attempts do.\n\n"
        "Examples: cloakroom pause --all --reason \"the database moves\"\n"
        "          cloakroom pause hits --wait --timeout 5m && ./migrate &&\n"
        "              cloakroom resume hits --release v2\n",
    .flags = flags,
    .ends = ends,
    .run = run,
};
