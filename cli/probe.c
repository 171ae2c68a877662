/* probe.c - cloakroom probe: runs one waiting request of a drained queue on a
 * release, in this process, and shows the response.
 */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/ask.h"
#include "cli/cli.h"
#include "cli/queues.h"
#include "cli/show.h"
#include "common/asked.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/message.h"
#include "workers/worker.h"

enum { FLAG_NEXT = 256, FLAG_KEEP, FLAG_DISCARD, FLAG_JSON };

static const struct flag flags[] = {
    {FLAG_NEXT, "next", NULL, "the request that would be taken first"},
    {'q', "queue", "NAME", "of --next; else CLOAKROOM_QUEUES, or the only one"},
    {'r', "release", "LABEL",
     "else CLOAKROOM_TO, the upgrade's next, or the queue's"},
    {FLAG_KEEP, "keep", NULL, "what it answers is the ticket's response"},
    {FLAG_DISCARD, "discard", NULL, "it stays in its place, come what may"},
    {FLAG_JSON, "json", NULL, "print ticket and response as JSON"},
    {0},
};

static const enum end ends[] = {END_STATUS, END_UNREACHABLE, END_STORE,
                                END_NOT_YET, END_OK};

/* What was asked for, and what became of it. */
struct probing {
    const struct command *command;
    const struct settings *settings;
    const char *text;       /* the ticket; NULL: --next */
    const char *queue_name; /* --queue; may be NULL */
    const char *given;      /* --release; may be NULL */
    enum probe_end end;
    bool next, json;

    unsigned queue;
    struct ticket ticket; /* with --next: once it ran */
    char release[RELEASE_SIZE];

    bool ran;
    enum outcome outcome;
    char reason[200];
    uint64_t epoch;
    struct buf response; /* ANSWERED */
};

/* ---- what to run --------------------------------------------------------- */

/* The value of a variable, or NULL if there is nothing in it. */
static const char *
variable(const char *name)
{
    const char *value = getenv(name);

    return value != NULL && value[0] != '\0' ? value : NULL;
}

/* -1, or the exit code, here and below. */
static int
choose_named(struct probing *it, const char *name)
{
    const int queue = settings_queue(it->settings, name);

    if (queue < 0)
        return queues_tell_unknown(it->command, it->settings, name);
    it->queue = (unsigned)queue;
    return -1;
}

static int
choose_queue(struct probing *it)
{
    const char *name = it->queue_name;

    if (name == NULL)
        name = variable("CLOAKROOM_QUEUES");
    if (name == NULL && it->settings->queues_len == 1)
        return -1;
    if (name == NULL)
        return command_fails(it->command, END_USAGE,
                             "%s has %zu queues: name one with --queue",
                             it->settings->path, it->settings->queues_len);
    if (it->queue_name == NULL && strchr(name, ' ') != NULL)
        return command_fails(it->command, END_USAGE,
                             "CLOAKROOM_QUEUES names several (%s): name one "
                             "with --queue",
                             name);
    return choose_named(it, name);
}

/* A ticket knows its queue. */
static int
find_ticket(struct probing *it, struct ask *ask)
{
    struct lookup lookup = {0};

    if (ticket_parse(broker_secret(ask_broker(ask)), slice_of(it->text),
                     &it->ticket) < 0)
        return command_fails(it->command, END_FAILED,
                             "%s is no ticket of this installation", it->text);
    lookup.ticket = it->ticket;
    int r = ask_lookup(ask, &lookup);
    if (r < 0)
        return command_fails(it->command, end_of(r), "%s: %s", it->text,
                             r == -ENOENT ? "it is kept no longer"
                                          : strerror(-r));
    if (ticket_state_is_final(lookup.status.state))
        return command_fails(it->command, END_FAILED,
                             "%s: it is %s and waits no longer", it->text,
                             ticket_state_word(lookup.status.state));
    if (it->queue_name != NULL &&
        strcmp(it->queue_name, lookup.status.queue) != 0)
        return command_fails(it->command, END_USAGE,
                             "%s: it waits in the queue %s, not in %s",
                             it->text, lookup.status.queue, it->queue_name);
    return choose_named(it, lookup.status.queue);
}

/* What the queue is to run next, unless something else was said. */
static int
choose_release(struct probing *it, struct ask *ask)
{
    const char *wanted =
        it->given != NULL ? it->given : variable("CLOAKROOM_TO");
    struct control control;
    struct error err;

    int r = broker_control(ask_broker(ask), it->queue, &control, &err);
    if (r < 0)
        return command_fails(it->command, end_of(r), "%s", err.text);
    if (wanted == NULL && control.upgrade.id[0] != '\0')
        wanted = control.upgrade.to;
    if (wanted == NULL)
        wanted = control.release;
    if (settings_check_release(wanted, &err) < 0)
        return command_fails(it->command, END_USAGE, "%s %s",
                             it->given != NULL ? "--release" : "CLOAKROOM_TO",
                             err.text);
    snprintf(it->release, sizeof(it->release), "%s", wanted);
    return -1;
}

static int
choose(struct probing *it)
{
    OWNED(ask) ask = NULL;
    struct error err;
    int end;

    if (ask_open(it->settings, &ask, &err) < 0)
        return command_fails(it->command, end_of_open(err.code), "%s",
                             err.text);
    end = it->next ? choose_queue(it) : find_ticket(it, ask);
    if (end < 0)
        end = choose_release(it, ask);
    if (end < 0 && settings_check_program(it->settings, it->queue, it->release,
                                          stderr) < 0)
        end = END_CONFIG; /* it said so */
    return end;
}

/* ---- what it came to ----------------------------------------------------- */

/* An attempt of these leaves no trace, though it be kept. */
static bool
is_in_place(const struct probing *it)
{
    return it->end != PROBE_KEEP || it->outcome == OUTCOME_NOT_STARTED ||
           it->outcome == OUTCOME_KILLED;
}

static const char *
where_it_is(const struct probing *it, const struct lookup *lookup)
{
    if (lookup->r < 0)
        return "its ticket cannot be read";
    switch (lookup->status.state) {
    case TICKET_QUEUED:
        return is_in_place(it) ? "the request is in its place"
                               : "the request waits for the next attempt";
    case TICKET_RUNNING:
        return "the request runs again";
    case TICKET_DONE:
        return "the ticket has this response";
    case TICKET_FAILED:
        return "the ticket has failed, and has a response that says why";
    case TICKET_CANCELLED:
        return "the ticket was cancelled";
    case TICKET_EXPIRED:
        return "the ticket has expired";
    case TICKET_STATES:
        break;
    }
    return "";
}

static int
tell_none(const struct probing *it, const struct lookup *lookup)
{
    char text[TICKET_TEXT + 1];

    ticket_format(&it->ticket, text);
    if (it->outcome == OUTCOME_ANSWERED) /* of a kept one */
        return command_fails(it->command, END_FAILED,
                             "%s on release %s: its answer came too late to "
                             "count; %s",
                             text, it->release, where_it_is(it, lookup));
    return command_fails(it->command, END_FAILED,
                         "%s on release %s: no response: %s: %s; %s", text,
                         it->release, outcome_word(it->outcome), it->reason,
                         where_it_is(it, lookup));
}

static int
show(const struct probing *it, const struct lookup *lookup)
{
    char text[TICKET_TEXT + 1];

    if (it->json)
        return show_stored(it->command, lookup, SHOW_JSON,
                           json_pack("{s:{s:s, s:I, s:b}}", "probe", "release",
                                     it->release, "epoch",
                                     (json_int_t)it->epoch, "kept",
                                     it->end == PROBE_KEEP));
    ticket_format(&it->ticket, text);
    fprintf(stderr, "%s on release %s; %s\n", text, it->release,
            where_it_is(it, lookup));
    return show_stored(it->command, lookup, SHOW_MESSAGE, NULL);
}

/* What is kept is shown as it is stored: another ending may have come first. */
static int
tell(struct probing *it)
{
    const bool keep = it->end == PROBE_KEEP;
    struct lookup lookup = {.ticket = it->ticket, .with_response = keep};
    OWNED(ask) ask = NULL;
    struct error err;
    int end;

    if (ask_open(it->settings, &ask, &err) < 0)
        return command_fails(it->command, end_of_open(err.code), "%s",
                             err.text);
    const int r = ask_lookup(ask, &lookup);
    if (!keep && it->outcome == OUTCOME_ANSWERED) {
        lookup.stored = mem_new(struct stored);
        buf_move(&lookup.stored->bytes, &it->response);
    }
    if (it->outcome != OUTCOME_ANSWERED || lookup.stored == NULL || r < 0 ||
        (keep && lookup.status.state != TICKET_DONE))
        end = tell_none(it, &lookup);
    else
        end = show(it, &lookup);
    stored_free(lookup.stored);
    return end;
}

/* ---- running ------------------------------------------------------------- */

static void
on_probed(void *opaque, const struct attempt *attempt)
{
    struct probing *it = opaque;

    it->ran = true;
    it->ticket = attempt->ticket;
    it->epoch = attempt->epoch;
    it->outcome = attempt->outcome;
    snprintf(it->reason, sizeof(it->reason), "%s", attempt->reason);
    buf_init(&it->response, attempt->response.len);
    buf_add_slice(&it->response, buf_slice(&attempt->response));
}

static int
tell_refused(const struct probing *it, int r, const struct error *err)
{
    const char *queue = it->settings->queues[it->queue].name;

    switch (r) {
    case -ENOENT:
        return command_fails(it->command, it->next ? END_NOT_YET : END_FAILED,
                             "queue %s: %s", queue, err->text);
    case -EPERM:
    case -ENOTEMPTY:
    case -EBUSY:
        return command_fails(it->command, END_FAILED, "queue %s: %s", queue,
                             err->text);
    case -EINTR:
    case -EIO: /* the spawner died; a store that breaks ends the process */
        return command_fails(it->command, END_FAILED, "%s", err->text);
    default:
        return command_fails(it->command, end_of_open(r), "%s", err->text);
    }
}

/* The worker's loop is gone, which read them. */
static void
heed_signals(void)
{
    sigset_t asked;

    asked_signals(&asked);
    pthread_sigmask(SIG_UNBLOCK, &asked, NULL);
}

static int
probe(struct probing *it)
{
    char by[BY_SIZE];
    const struct probe what = {.ticket = it->next ? NULL : &it->ticket,
                               .end = it->end};
    const struct worker_options options = {
        .queue = it->queue,
        .release = it->release,
        .name = queues_operator(NULL, by),
        .probe = &what,
        .on_probed = on_probed,
        .opaque = it,
    };
    struct error err;

    int r = worker_run(it->settings, &options, &err);
    heed_signals();
    if (!it->ran && r == 0)
        return command_fails(it->command, END_FAILED,
                             "the probe ended before it began");
    if (!it->ran)
        return tell_refused(it, r, &err);
    const int end = tell(it);
    buf_fini(&it->response);
    return end;
}

/* ---- the command line ---------------------------------------------------- */

static int
take_end(struct probing *it, enum probe_end end)
{
    if (it->end != PROBE_CAREFUL && it->end != end)
        return command_fails(it->command, END_USAGE,
                             "either --keep or --discard, not both");
    it->end = end;
    return -1;
}

static int
take_flag(struct probing *it, int flag, const char *value)
{
    switch (flag) {
    case FLAG_NEXT:
        it->next = true;
        return -1;
    case 'q':
        it->queue_name = value;
        return -1;
    case 'r':
        it->given = value;
        return -1;
    case FLAG_KEEP:
        return take_end(it, PROBE_KEEP);
    case FLAG_DISCARD:
        return take_end(it, PROBE_DISCARD);
    default:
        it->json = true;
        return -1;
    }
}

static int
run(const struct command *command, int argc, char **argv)
{
    struct options options;
    struct probing it = {.command = command, .end = PROBE_CAREFUL};
    OWNED(settings) settings = NULL;
    char **arguments;
    int end = -1;

    options_init(&options, command, argc, argv);
    for (int flag; end < 0 && (flag = options_next(&options)) != OPTIONS_OVER;)
        end = take_flag(&it, flag, options.value);
    if (end >= 0)
        return end;
    if (options.end >= 0 ||
        (arguments = options_arguments(&options, 0, 1)) == NULL)
        return options.end;
    it.text = arguments[0];
    if (it.next == (it.text != NULL))
        return command_fails(command, END_USAGE,
                             "either a ticket or --next is needed");
    settings = config_load(&options, &end);
    if (settings == NULL)
        return end;
    it.settings = settings;
    log_init_command("probe", options.verbose);
    end = choose(&it);
    return end >= 0 ? end : probe(&it);
}

const struct command probe_command = {
    .name = "probe",
    .arguments = "[-c FILE] [options] TICKET | --next",
    .summary = "in a drained queue: run one request, show its response",
    .details =
        "While its queue is drained (cloakroom pause --wait), runs one "
        "waiting request on a\nrelease, in this process, and prints the whole "
        "response. The request then stays in\nits place, as if it had not run; "
        "with --keep the response is the ticket's. A request\nthat may not be "
        "repeated needs either --keep or --discard. A resume waits for the\n"
        "probe; ^C ends it, and kills the handler.\n\n"
        "In a command that `cloakroom upgrade` runs, `cloakroom probe --next` "
        "needs no more:\nCLOAKROOM_CONFIG, CLOAKROOM_QUEUES and CLOAKROOM_TO "
        "are set.\n\n"
        "Example: cloakroom probe --next --queue hits --release v2\n",
    .flags = flags,
    .ends = ends,
    .run = run,
};
