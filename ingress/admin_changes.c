/* admin_changes.c - what operators do to a queue over HTTP.
 *
 * What is done at once is done here, by the broker. What takes its time is a
 * command of this program, started as an operation: there is one pause that
 * waits and one upgrade, not two.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/mem.h"
#include "ingress/admin_priv.h"
#include "ingress/etag.h"
#include "ingress/wish.h"

#define WORDS_MAX    32 /* of a command */
#define TRIES        3  /* to pause a queue that others open meanwhile */

/* More than libmicrohttpd has memory for. */
#define IF_MATCH_MAX (64 * 1024)

/* One wish about one queue. */
struct asked_change {
    struct admin_request *request;
    struct wish wish;
    unsigned queue;
    uint64_t expected; /* by If-Match; 0: any */
    char by[BY_SIZE];
};

/* ---- what is asked ------------------------------------------------------- */

/* Is it for the epoch that it has now? Sets expected. */
static int
check_if_match(struct asked_change *asked, struct slice list, struct error *err)
{
    struct admin_request *request = asked->request;
    struct control control;
    int r =
        broker_control(request->ingress->broker, asked->queue, &control, err);

    if (r < 0)
        return r;
    const int names = etag_names(list, control.epoch);
    if (names < 0)
        return error_set(err, names,
                         "If-Match is %.*s, and is to be `*` or tags in their "
                         "quotes with commas between: \"%llu\"",
                         list.len < 60 ? (int)list.len : 60, list.at,
                         (unsigned long long)control.epoch);
    if (names == 0)
        return error_set(err, -ESTALE,
                         "If-Match is %.*s, and the epoch of queue %s is "
                         "\"%llu\"; look again",
                         list.len < 60 ? (int)list.len : 60, list.at,
                         request->name, (unsigned long long)control.epoch);
    if (!slice_is(list, "*"))
        asked->expected = control.epoch;
    return 0;
}

/* False after a refusal. */
static bool
read_if_match(struct asked_change *asked)
{
    struct buf text;
    struct error err;
    int r = 0;

    buf_init(&text, IF_MATCH_MAX);
    if (admin_list(asked->request, "If-Match", &text))
        r = check_if_match(asked, slice_trim(buf_slice(&text)), &err);
    buf_fini(&text);
    if (r == -EINVAL)
        admin_refuse(asked->request, 400, "bad-request", "%s", err.text);
    else if (r < 0)
        admin_refuse_result(asked->request, r, &err);
    return r == 0;
}

static void
name_client(struct asked_change *asked)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(
        asked->request->connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    char peer[ADDRESS_SIZE];

    address_of_peer(info->connect_fd, peer);
    snprintf(asked->by, sizeof(asked->by), "admin API (%s)", peer);
}

/* False after a refusal. Else asked_fini is due. */
static bool
asked_init(struct asked_change *asked, struct admin_request *request,
           enum wish_kind kind)
{
    struct error err;
    const int queue = admin_queue(request);

    if (queue < 0)
        return false;
    *asked =
        (struct asked_change){.request = request, .queue = (unsigned)queue};
    if (wish_read(&asked->wish, kind, buf_slice(&request->body), &err) < 0) {
        admin_refuse(request, 400, "bad-request", "%s", err.text);
        return false;
    }
    if (!read_if_match(asked)) {
        wish_fini(&asked->wish);
        return false;
    }
    name_client(asked);
    return true;
}

static void
asked_fini(struct asked_change *asked)
{
    wish_fini(&asked->wish);
}

/* ---- at once ------------------------------------------------------------- */

/* 0: *after is the state now. *made: by us; else it was so already. */
static int
change_queue(const struct asked_change *asked, const struct change *change,
             struct control *after, bool *made, struct error *err)
{
    struct broker *broker = asked->request->ingress->broker;
    int r = broker_change(broker, &asked->queue, 1, change, after, err);

    *made = r == 0;
    return r == -EALREADY ? broker_control(broker, asked->queue, after, err)
                          : r;
}

/* False after a refusal: a queue that is open for a release without files would
 * only put back. */
static bool
check_files(const struct asked_change *asked)
{
    const struct settings *settings = asked->request->ingress->settings;
    char *text = NULL;
    size_t len = 0;

    if (asked->wish.release == NULL || asked->wish.force)
        return true;
    FILE *errors = open_memstream(&text, &len);
    assert(errors != NULL);
    const bool has = settings_check_program(settings, asked->queue,
                                            asked->wish.release, errors) == 0;
    fclose(errors);
    if (!has)
        admin_refuse(asked->request, 409, "no-program",
                     "%.*s; put it there, or resume with force",
                     (int)strcspn(text, "\n"), text);
    free(text);
    return has;
}

static void
post_change(struct admin_request *request, enum wish_kind wish_kind,
            enum change_kind kind)
{
    struct asked_change asked;
    struct control after;
    struct error err;
    bool made;

    if (!asked_init(&asked, request, wish_kind))
        return;
    const struct change change = {
        .kind = kind,
        .expected = asked.expected,
        .by = asked.by,
        .why = asked.wish.reason,
        .release = asked.wish.release,
        .ramp = asked.wish.ramp_span,
        .force = asked.wish.force,
    };
    if (check_files(&asked)) {
        int r = change_queue(&asked, &change, &after, &made, &err);
        if (r < 0)
            admin_refuse_result(request, r, &err);
        else
            admin_answer_queue(request, asked.queue, &after);
    }
    asked_fini(&asked);
}

void
admin_post_resume(struct admin_request *request)
{
    post_change(request, WISH_RESUME, CHANGE_RESUME);
}

void
admin_post_refuse(struct admin_request *request)
{
    post_change(request, WISH_REFUSE, CHANGE_REFUSE);
}

void
admin_post_accept(struct admin_request *request)
{
    post_change(request, WISH_ACCEPT, CHANGE_ACCEPT);
}

/* ---- as an operation ----------------------------------------------------- */

/* The words of a command; those that are made are freed by command_fini. */
struct command_line {
    char *argv[WORDS_MAX + 1];
    size_t len;
};

static void
add_word(struct command_line *line, char *word)
{
    assert(line->len < WORDS_MAX);
    line->argv[line->len++] = word;
}

/* --name value, if there is a value. */
static void
add_option(struct command_line *line, const char *name, const char *value)
{
    if (value == NULL)
        return;
    add_word(line, mem_strdup(name));
    add_word(line, mem_strdup(value));
}

static void
add_flag(struct command_line *line, const char *name, bool is_set)
{
    if (is_set)
        add_word(line, mem_strdup(name));
}

static void
add_number(struct command_line *line, const char *name, uint64_t number)
{
    if (number == 0)
        return;
    add_word(line, mem_strdup(name));
    add_word(line, mem_printf("%llu", (unsigned long long)number));
}

static void
command_fini(struct command_line *line)
{
    while (line->len > 0)
        free(line->argv[--line->len]);
}

static struct command_line
command_init(const struct asked_change *asked)
{
    struct command_line line = {0};

    add_word(&line, mem_strdup("cloakroom"));
    add_word(&line, mem_strdup(wish_word(asked->wish.kind)));
    add_option(&line, "--config", asked->request->ingress->settings->path);
    add_number(&line, "--up", (uint64_t)getpid());
    add_option(&line, "--by", asked->by);
    add_option(&line, "--reason", asked->wish.reason);
    add_option(&line, "--timeout", asked->wish.timeout);
    add_flag(&line, "--kill", asked->wish.kill);
    return line;
}

static void
refuse_busy(struct admin_request *request)
{
    admin_refuse(request, 503, "busy",
                 "%d operations run already; wait for one to end",
                 OPERATIONS_AT_ONCE);
}

/* Starts it and answers, also where it cannot be started. Takes the words. */
static void
start_operation(const struct asked_change *asked, struct command_line *line,
                uint64_t epoch)
{
    struct admin_request *request = asked->request;
    struct operation what = {.epoch = epoch};
    char id[OPERATION_ID_SIZE];
    struct error err;

    snprintf(what.command, sizeof(what.command), "%s",
             wish_word(asked->wish.kind));
    snprintf(what.queue, sizeof(what.queue), "%s", request->name);
    add_word(line, mem_strdup(request->name));
    int r = operations_start(request->ingress->operations, &what, line->argv,
                             id, &err);
    command_fini(line);
    if (r == 0)
        admin_answer_started(request, id);
    else if (r == -EAGAIN)
        refuse_busy(request);
    else
        admin_refuse_result(request, r, &err);
}

/* ---- pause --------------------------------------------------------------- */

/* 0: it is paused, by us or by somebody before us. */
static int
pause_queue(const struct asked_change *asked, struct control *after, bool *made,
            struct error *err)
{
    const struct change change = {
        .kind = CHANGE_PAUSE,
        .expected = asked->expected,
        .by = asked->by,
        .why = asked->wish.reason,
    };

    for (int i = 0; i < TRIES; i++) {
        int r = change_queue(asked, &change, after, made, err);
        if (r < 0 || after->state != CONTROL_OPEN)
            return r;
    }
    return error_set(err, -ECANCELED, "queue %s was resumed meanwhile",
                     asked->request->name);
}

static void
pause_at_once(const struct asked_change *asked)
{
    struct broker *broker = asked->request->ingress->broker;
    struct control after;
    struct error err;
    bool made;
    int r = pause_queue(asked, &after, &made, &err);

    if (r == 0 && asked->wish.kill)
        r = broker_kill(broker, asked->queue, after.paused_epoch, &err);
    if (r < 0)
        admin_refuse_result(asked->request, r, &err);
    else
        admin_answer_queue(asked->request, asked->queue, &after);
}

/* The pause is made here, so that If-Match is checked with it and a refusal is
 * the answer; the command finds it made, and waits for it and no later one. */
static void
pause_and_wait(const struct asked_change *asked)
{
    struct command_line line;
    struct control after;
    struct error err;
    bool made;

    /* Only we start any, so that there is room afterwards, too. */
    if (!operations_have_room(asked->request->ingress->operations)) {
        refuse_busy(asked->request);
        return;
    }
    int r = pause_queue(asked, &after, &made, &err);
    if (r < 0) {
        admin_refuse_result(asked->request, r, &err);
        return;
    }
    line = command_init(asked);
    add_flag(&line, "--wait", true);
    add_option(&line, "--on-timeout", asked->wish.on_timeout);
    add_number(&line, "--paused", after.paused_epoch);
    add_flag(&line, "--made", made); /* ours to undo, if on-timeout says so */
    start_operation(asked, &line, after.paused_epoch);
}

void
admin_post_pause(struct admin_request *request)
{
    struct asked_change asked;

    if (!asked_init(&asked, request, WISH_PAUSE))
        return;
    if (asked.wish.wait)
        pause_and_wait(&asked);
    else
        pause_at_once(&asked);
    asked_fini(&asked);
}

/* ---- upgrade ------------------------------------------------------------- */

/* False after a refusal. */
static bool
may_upgrade(const struct asked_change *asked)
{
    struct admin_request *request = asked->request;
    const struct ingress *ingress = request->ingress;
    struct control control;
    struct error err;

    /* Who reaches this listener would otherwise run programs as its user. */
    if (wish_has_commands(&asked->wish) && !ingress->settings->admin_commands) {
        admin_refuse(request, 403, "forbidden",
                     "commands are run for the admin API only with the setting "
                     "ingress.admin_commands: true");
        return false;
    }
    int r = broker_control(ingress->broker, asked->queue, &control, &err);
    if (r == 0 && control.upgrade.pid != 0)
        r = error_set(&err, -EBUSY,
                      "an upgrade of queue %s from release %s to %s runs (%s)",
                      request->name, control.upgrade.from, control.upgrade.to,
                      upgrade_step_word(control.upgrade.step));
    if (r < 0)
        admin_refuse_result(request, r, &err);
    return r == 0;
}

void
admin_post_upgrade(struct admin_request *request)
{
    struct asked_change asked;

    if (!asked_init(&asked, request, WISH_UPGRADE))
        return;
    if (may_upgrade(&asked)) {
        struct command_line line = command_init(&asked);
        add_option(&line, "--to", asked.wish.to);
        add_option(&line, "--migrate", asked.wish.migrate);
        add_option(&line, "--verify", asked.wish.verify);
        add_option(&line, "--rollback", asked.wish.rollback);
        add_option(&line, "--ramp", asked.wish.ramp);
        add_number(&line, "--expect", asked.expected);
        start_operation(&asked, &line, 0);
    }
    asked_fini(&asked);
}
