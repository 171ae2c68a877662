/* upgrade_run.c - takes an upgrade through its steps, forward or back. */
#include "cli/upgrade_run.h"

#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "cli/drain.h"
#include "cli/live.h"
#include "cli/show.h"
#include "cli/tell.h"
#include "common/asked.h"
#include "common/fault.h"
#include "common/mem.h"
#include "common/own.h"
#include "workers/shell.h"

#define HEED_EVERY 100 /* ms: how soon a signal is seen where we wait */
#define SHOW_AFTER 300 /* ms without a worker */
#define HINT_AFTER 2000
#define NO_LIMIT   (-1)
#define LIST_CAP   ((size_t)256 * 1024)

struct upgrading {
    const struct upgrade_run_options *options;
    const struct queues *queues;
    char id[UPGRADE_SIZE];
    char by[BY_SIZE];
    char why[WHY_SIZE];
    char *names;
    struct control *controls; /* by our last change, in the order of queues */
    bool holds;               /* a change of ours was recorded */
    wall_ms since;            /* the longest pause of them */
    const char *at;           /* what is being done, in a word */
    struct asked asked;       /* by signals, to stop */
    int signal;               /* the first */
    bool undoing;             /* it stops anyway */
    struct error lost;        /* who opened a queue meanwhile */
};

/* ---- telling ------------------------------------------------------------- */

static void say(const struct upgrading *run, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void
say(const struct upgrading *run, const char *format, ...)
{
    va_list arguments;

    printf("%s: ", run->at);
    va_start(arguments, format);
    vprintf(format, arguments);
    va_end(arguments);
    putchar('\n');
    fflush(stdout);
}

static const char *
name_of(const struct upgrading *run, size_t i)
{
    return run->options->settings->queues[run->queues->list[i]].name;
}

/* "hits and orders are open on release v1", by the states as they were last
 * seen: the caller's. */
static char *
open_text(const struct upgrading *run)
{
    const char *release = run->controls[0].release;
    struct buf text;
    bool same = true;

    for (size_t i = 1; i < run->queues->len; i++)
        same = same && strcmp(run->controls[i].release, release) == 0;
    if (same)
        return mem_printf("%s %s open on release %s", run->names,
                          run->queues->len == 1 ? "is" : "are", release);
    buf_init(&text, LIST_CAP);
    for (size_t i = 0; i < run->queues->len; i++)
        buf_addf(&text, "%s%s is open on release %s", i == 0 ? "" : ", ",
                 name_of(run, i), run->controls[i].release);
    char *copy = mem_strndup(text.at, text.len);
    buf_fini(&text);
    return copy;
}

/* "upgrade of hits to v2 stopped in verify: why; and now", on stderr. */
static int
tell_stopped(const struct upgrading *run, const char *at, const char *why,
             const char *now)
{
    return command_fails(run->options->command, END_FAILED,
                         "upgrade of %s to %s stopped in %s: %s; %s",
                         run->names, run->options->wish->to, at, why, now);
}

/* ---- signals ------------------------------------------------------------- */

/* The hold stays for the next run; our commands die with us. */
static void
leave_at_once(const struct upgrading *run)
{
    tell_stopped(run, run->at, "told twice to stop",
                 "its queues stay as they are, and the same upgrade goes on");
    fflush(stdout);
    _exit(END_FAILED);
}

/* 0, or -EINTR: it is to stop, and does not yet. */
static int
heed(struct upgrading *run, struct error *err)
{
    struct signalfd_siginfo info;

    while (read(run->options->signals, &info, sizeof(info)) == sizeof(info)) {
        switch (asked_now(&run->asked)) {
        case ASKED_FIRST:
            run->signal = (int)info.ssi_signo;
            if (run->undoing)
                say(run, "ends what was begun first; a second signal leaves it "
                         "as it is");
            break;
        case ASKED_ECHO:
            break;
        case ASKED_AGAIN:
            leave_at_once(run);
        }
    }
    if (run->asked.first == 0 || run->undoing)
        return 0;
    return error_set(err, -EINTR, "interrupted by SIG%s",
                     sigabbrev_np(run->signal));
}

/* ---- the hold ------------------------------------------------------------ */

/* Are all queues held by us still? -ECANCELED: one was opened by force. */
static int
check_hold(struct upgrading *run, struct error *err)
{
    struct control control;
    char by[TELL_SIZE];

    for (size_t i = 0; i < run->queues->len; i++) {
        int r = broker_control(run->options->broker, run->queues->list[i],
                               &control, err);
        if (r < 0)
            return r;
        if (strcmp(control.upgrade.id, run->id) != 0)
            return error_set(err, -ECANCELED, "%s was resumed by force (by %s)",
                             name_of(run, i), tell_clean(control.by, by));
    }
    return 0;
}

/* Tests kill us at each of these. */
static void
pass_point(void)
{
    if (FAULT("upgrade.point"))
        raise(SIGKILL);
}

/* Waits while a probe runs, up to the limit. */
static int
change(struct upgrading *run, struct change wish, span_ms limit,
       struct error *err)
{
    struct broker *broker = run->options->broker;
    const mono_ms start = clock_mono();
    bool told = false;

    wish.by = run->by;
    wish.upgrade = run->id;
    pass_point();
    for (;;) {
        const uint64_t seen = broker_control_seen(broker);
        int r = broker_change(broker, run->queues->list, run->queues->len,
                              &wish, run->controls, err);
        if (r == -ECANCELED)
            check_hold(run, err); /* which says who */
        if (r == 0)
            pass_point();
        if (r != -EINPROGRESS)
            return r;
        if (limit >= 0 && clock_mono() - start >= limit)
            return r;
        if (!told)
            say(run, "waits for its end: %s", err->text);
        told = true;
        r = heed(run, err);
        if (r < 0)
            return r;
        broker_control_wait(broker, seen, HEED_EVERY);
    }
}

/* ---- commands ------------------------------------------------------------ */

static enum shell_wish
on_ask(void *opaque)
{
    struct upgrading *run = opaque;

    if (heed(run, NULL) < 0)
        return SHELL_END;
    return check_hold(run, &run->lost) == -ECANCELED ? SHELL_KILL : SHELL_GO_ON;
}

enum { ENV_CONFIG, ENV_QUEUES, ENV_FROM, ENV_TO, ENV_EPOCH, ENVS };

/* Adds a word to a variable that lists them. */
static void
add_word(char **variable, const char *word)
{
    const size_t len = strlen(*variable);
    char *longer = mem_printf("%s%s%s", *variable,
                              (*variable)[len - 1] == '=' ? "" : " ", word);

    free(*variable);
    *variable = longer;
}

static void
make_environment(const struct upgrading *run, char *added[ENVS + 1])
{
    char *config = realpath(run->options->settings->path, NULL);
    const struct control *controls = run->controls;
    bool same = true;

    added[ENV_CONFIG] =
        mem_printf("CLOAKROOM_CONFIG=%s",
                   config != NULL ? config : run->options->settings->path);
    added[ENV_TO] = mem_printf("CLOAKROOM_TO=%s", run->options->wish->to);
    added[ENV_QUEUES] = mem_strdup("CLOAKROOM_QUEUES=");
    added[ENV_FROM] = mem_strdup("CLOAKROOM_FROM=");
    added[ENV_EPOCH] = mem_strdup("CLOAKROOM_EPOCH=");
    added[ENVS] = NULL;
    for (size_t i = 1; i < run->queues->len; i++)
        same = same &&
               strcmp(controls[i].upgrade.from, controls[0].upgrade.from) == 0;
    for (size_t i = 0; i < run->queues->len; i++) {
        char epoch[24];
        snprintf(epoch, sizeof(epoch), "%" PRIu64, controls[i].paused_epoch);
        add_word(&added[ENV_QUEUES], name_of(run, i));
        add_word(&added[ENV_EPOCH], epoch);
        if (i == 0 || !same)
            add_word(&added[ENV_FROM], controls[i].upgrade.from);
    }
    free(config);
}

static int
judge_command(struct upgrading *run, const char *line,
              const struct shell_end *end, struct error *err)
{
    if (run->lost.code == -ECANCELED)
        return error_set(err, -ECANCELED, "%s", run->lost.text);
    if (end->by_wish)
        return heed(run, err);
    if (end->status > 0)
        return error_set(err, -EPROTO, "`%s` exited with %d", line,
                         end->status);
    if (end->status < 0)
        return error_set(err, -EPROTO, "`%s` was killed by SIG%s", line,
                         sigabbrev_np(end->signal));
    return heed(run, err);
}

/* 0: it exited with 0, and nothing told us to stop meanwhile. */
static int
run_command(struct upgrading *run, const char *line, struct error *err)
{
    const mono_ms start = clock_mono();
    char *added[ENVS + 1], span[SHOW_SPAN_SIZE];
    const struct shell_options options = {
        .line = line,
        .added = added,
        .guard = broker_guard(run->options->broker),
        .ask = on_ask,
        .wake_fd = run->options->signals,
        .opaque = run,
    };
    struct shell_end end;

    if (isatty(STDOUT_FILENO))
        say(run, "`%s` runs", line);
    run->lost.code = 0;
    make_environment(run, added);
    int r = shell_run(&options, &end, err);
    for (size_t i = 0; i < ENVS; i++)
        free(added[i]);
    if (r < 0)
        return error_wrap(err, r, "`%s`", line);
    r = judge_command(run, line, &end, err);
    if (r == 0)
        say(run, "`%s` was done after %s", line,
            show_span(clock_mono() - start, span));
    return r;
}

/* ---- pausing ------------------------------------------------------------- */

/* What an operator paused is opened at the end all the same: that is told. */
static void
tell_paused(const struct upgrading *run)
{
    char sign[TELL_SIGN_SIZE];

    for (size_t i = 0; i < run->queues->len; i++) {
        const struct control *control = &run->controls[i];
        if (control->paused_epoch != control->epoch)
            say(run,
                "%s was paused already, %s; it stays so, and is opened at the "
                "end of the upgrade",
                name_of(run, i), tell_sign(control, sign));
    }
}

static int
do_pausing(struct upgrading *run, struct error *err)
{
    const struct upgrade_run_options *options = run->options;
    const mono_ms start = clock_mono();
    uint64_t *pauses = mem_zalloc(run->queues->len * sizeof(*pauses));
    const struct drain drain = {
        .settings = options->settings,
        .broker = options->broker,
        .queues = run->queues,
        .pauses = pauses,
        .limit = options->wish->timeout,
        .kill = options->wish->kill,
        .stop_fd = options->signals,
        .progress = stdout,
    };
    char span[SHOW_SPAN_SIZE];

    if (options->plan->found == UPGRADE_BEGINS)
        tell_paused(run);
    for (size_t i = 0; i < run->queues->len; i++)
        pauses[i] = run->controls[i].paused_epoch;
    int r = drain_await(&drain, err);
    free(pauses);
    if (r == -EINTR)
        return heed(run, err);
    if (r == 0)
        say(run, "drained after %s", show_span(clock_mono() - start, span));
    return r;
}

/* ---- workers of the next release ----------------------------------------- */

/* In a queue that is being probed one may be the prober's. */
static bool
has_worker(const struct upgrading *run, size_t i,
           const struct worker_info *workers, size_t len)
{
    struct control control;

    if (broker_control(run->options->broker, run->queues->list[i], &control,
                       NULL) < 0 ||
        control.state == CONTROL_PROBING)
        return false;
    for (size_t n = 0; n < len; n++) {
        if (strcmp(workers[n].queue, name_of(run, i)) == 0 &&
            strcmp(workers[n].release, run->options->wish->to) == 0 &&
            workers[n].lease_left > 0)
            return true;
    }
    return false;
}

/* Those queues without a worker of the next release. */
static int
find_missing(const struct upgrading *run, struct queues *missing,
             struct error *err)
{
    struct worker_info *workers;
    size_t len;
    int r = broker_workers(run->options->broker, &workers, &len, err);

    if (r < 0)
        return r;
    missing->len = 0;
    for (size_t i = 0; i < run->queues->len; i++) {
        if (!has_worker(run, i, workers, len))
            missing->list[missing->len++] = run->queues->list[i];
    }
    free(workers);
    return 0;
}

static void
show_missing(const struct upgrading *run, const struct queues *missing,
             struct live *live, span_ms gone)
{
    const struct settings *settings = run->options->settings;
    const char *to = run->options->wish->to;
    char *names = upgrade_names(settings, missing);
    char *hint = mem_strdup("");

    if (gone >= HINT_AFTER) {
        free(hint);
        hint = mem_printf(" (`cloakroom up` starts them; by hand: `cloakroom "
                          "worker -c %s --queue %s --release %s`)",
                          settings->path,
                          settings->queues[missing->list[0]].name, to);
    }
    char *lines = mem_printf("%s: waits for a worker of release %s for %s%s\n",
                             run->at, to, names, hint);
    char *line = mem_strndup(lines, strlen(lines) - 1);
    live_show(live, line, lines);
    free(line);
    free(lines);
    free(hint);
    free(names);
}

static int
await_each(struct upgrading *run, struct queues *missing, struct live *live,
           struct error *err)
{
    const struct upgrade_wish *wish = run->options->wish;
    struct broker *broker = run->options->broker;
    const mono_ms start = clock_mono();

    for (;;) {
        const uint64_t seen = broker_control_seen(broker);
        const span_ms gone = clock_mono() - start;
        int r = check_hold(run, err);
        if (r == 0)
            r = find_missing(run, missing, err);
        if (r < 0 || missing->len == 0)
            return r;
        if (gone >= wish->timeout) {
            char *names = upgrade_names(run->options->settings, missing);
            char span[SHOW_SPAN_SIZE];
            error_set(err, -ETIMEDOUT,
                      "no worker of release %s came for %s within %s", wish->to,
                      names, show_span(wish->timeout, span));
            free(names);
            return -ETIMEDOUT;
        }
        if (gone >= SHOW_AFTER)
            show_missing(run, missing, live, gone);
        r = heed(run, err);
        if (r < 0)
            return r;
        broker_control_wait(broker, seen, HEED_EVERY);
    }
}

static int
await_workers(struct upgrading *run, struct error *err)
{
    struct queues missing = {
        .list = mem_zalloc(run->queues->len * sizeof(unsigned))};
    struct live live;

    live_init(&live, stdout);
    int r = await_each(run, &missing, &live, err);
    live_fini(&live, true);
    queues_fini(&missing);
    return r;
}

static int
do_starting(struct upgrading *run, struct error *err)
{
    const mono_ms start = clock_mono();
    char span[SHOW_SPAN_SIZE];
    int r = await_workers(run, err);

    if (r == 0)
        say(run, "workers of release %s are there after %s",
            run->options->wish->to, show_span(clock_mono() - start, span));
    return r;
}

/* ---- forward ------------------------------------------------------------- */

static const char *const words[STEPS] = {
    [STEP_PAUSING] = "pause",         [STEP_MIGRATING] = "migrate",
    [STEP_STARTING] = "start",        [STEP_VERIFYING] = "verify",
    [STEP_ROLLING_BACK] = "rollback",
};

static int
record(struct upgrading *run, enum upgrade_step step, struct error *err)
{
    const struct upgrade_wish *wish = run->options->wish;
    const bool begins = run->options->plan->found == UPGRADE_BEGINS;
    struct change wished = {
        .kind = CHANGE_STEP,
        .step = step,
        .expected = run->holds ? 0 : wish->expected, /* of the first change */
    };

    run->at = words[step];
    if (begins && step == STEP_PAUSING) {
        wished.kind = CHANGE_PAUSE;
        wished.to = wish->to;
        wished.why = run->why;
    }
    int r = change(run, wished, wish->timeout, err);
    if (r < 0)
        return r;
    run->holds = true;
    run->since = run->controls[0].since;
    for (size_t i = 1; i < run->queues->len; i++) {
        if (run->controls[i].since < run->since)
            run->since = run->controls[i].since;
    }
    return 0;
}

/* A queue that has become of that release since we looked: another upgrade was
 * faster. */
static int
check_origin(const struct upgrading *run, struct error *err)
{
    for (size_t i = 0; i < run->queues->len; i++) {
        if (strcmp(run->controls[i].release, run->options->wish->to) == 0)
            return error_set(err, -EALREADY,
                             "%s has become of release %s meanwhile",
                             name_of(run, i), run->options->wish->to);
    }
    return 0;
}

static int
act(struct upgrading *run, enum upgrade_step step, struct error *err)
{
    int r;

    switch (step) {
    case STEP_PAUSING:
        r = check_origin(run, err);
        return r < 0 ? r : do_pausing(run, err);
    case STEP_MIGRATING:
        return run_command(run, run->options->wish->migrate, err);
    case STEP_STARTING:
        return do_starting(run, err);
    case STEP_VERIFYING: /* who goes on from here may find none any more */
        r = await_workers(run, err);
        return r < 0 ? r : run_command(run, run->options->wish->verify, err);
    case STEP_NONE:
    case STEP_ROLLING_BACK:
    case STEPS:
        break;
    }
    assert(!"a step forward");
    return -EIO;
}

static bool
has_to_do(const struct upgrade_wish *wish, enum upgrade_step step)
{
    if (step == STEP_MIGRATING)
        return wish->migrate != NULL;
    if (step == STEP_VERIFYING)
        return wish->verify != NULL;
    return true;
}

static int
open_queues(struct upgrading *run, const char *release, struct error *err)
{
    struct change wished = {.kind = CHANGE_RESUME,
                            .release = release,
                            .why = run->options->wish->reason};

    if (release != NULL)
        wished.ramp = run->options->wish->ramp;
    return change(run, wished, NO_LIMIT, err);
}

/* They were there when it began; our commands may have moved them. */
static int
check_files(const struct upgrading *run, struct error *err)
{
    const char *to = run->options->wish->to;

    for (size_t i = 0; i < run->queues->len; i++) {
        if (settings_check_program(run->options->settings, run->queues->list[i],
                                   to, stderr) < 0)
            return error_set(err, -ENOENT,
                             "the files of release %s are not all there any "
                             "more",
                             to);
    }
    return 0;
}

/* *step: the one that was recorded last. */
static int
go_forward(struct upgrading *run, enum upgrade_step *step, struct error *err)
{
    const struct upgrade_wish *wish = run->options->wish;

    for (enum upgrade_step next = *step; next < STEP_ROLLING_BACK; next++) {
        if (!has_to_do(wish, next))
            continue;
        int r = record(run, next, err);
        if (r < 0)
            return r;
        *step = next;
        r = act(run, next, err);
        if (r < 0)
            return r;
    }
    int r = heed(run, err);
    if (r < 0)
        return r;
    run->at = "resume";
    r = check_files(run, err);
    return r < 0 ? r : open_queues(run, wish->to, err);
}

/* ---- back ---------------------------------------------------------------- */

/* Somebody opened a queue by force: what that left. */
static int
tell_lost(struct upgrading *run, const char *at, const char *why)
{
    const struct settings *settings = run->options->settings;
    struct queues held = {.list =
                              mem_zalloc(run->queues->len * sizeof(unsigned))};
    char *now;

    for (size_t i = 0; i < run->queues->len; i++) {
        struct control control = {0};
        broker_control(run->options->broker, run->queues->list[i], &control,
                       NULL);
        if (strcmp(control.upgrade.id, run->id) == 0)
            held.list[held.len++] = run->queues->list[i];
    }
    if (held.len > 0) {
        char *names = upgrade_names(settings, &held);
        char *list = upgrade_words(settings, &held);
        now = mem_printf("nothing more is done; %s stay%s paused and held: "
                         "`cloakroom upgrade %s --to %s ...` goes on with "
                         "that, `cloakroom resume --force %s` opens it as it "
                         "is",
                         names, held.len == 1 ? "s" : "", list,
                         run->options->wish->to, list);
        free(names);
        free(list);
    } else {
        now = mem_strdup("nothing more is done");
    }
    tell_stopped(run, at, why, now);
    free(now);
    queues_fini(&held);
    return END_FAILED;
}

/* Going back failed: what is to be done. */
static int
tell_stuck(struct upgrading *run, const char *at, const char *why,
           const struct error *err)
{
    const enum upgrade_step step = run->controls[0].upgrade.step;
    char *list = upgrade_words(run->options->settings, run->queues);
    char *now = mem_printf(
        "going back failed: %s; %s stay%s paused and held (%s): mend it and "
        "run the same upgrade again, which %s, or open %s as it is by "
        "`cloakroom resume --force %s`",
        err->text, run->names, run->queues->len == 1 ? "s" : "",
        upgrade_step_word(step),
        step == STEP_ROLLING_BACK ? "ends the undoing" : "goes on",
        run->queues->len == 1 ? "it" : "each", list);

    tell_stopped(run, at, why, now);
    free(now);
    free(list);
    return END_FAILED;
}

/* Back to the old release, from the recorded step. */
static int
go_back(struct upgrading *run, enum upgrade_step step, struct error *err)
{
    const struct upgrade_wish *wish = run->options->wish;
    int r = 0;

    run->undoing = true;
    if (step > STEP_PAUSING && wish->rollback != NULL) {
        if (step != STEP_ROLLING_BACK)
            r = record(run, STEP_ROLLING_BACK, err);
        if (r == 0)
            r = run_command(run, wish->rollback, err);
    }
    return r < 0 ? r : open_queues(run, NULL, err);
}

static const char *
undone_text(const struct upgrade_wish *wish, enum upgrade_step step)
{
    if (step == STEP_PAUSING)
        return "nothing was changed";
    return wish->rollback != NULL ? "rolled back"
                                  : "there was no --rollback to run";
}

static int
stop(struct upgrading *run, enum upgrade_step step, int r,
     const struct error *why)
{
    const char *at = run->at;
    struct error err = {0};

    if (!run->holds)
        return command_fails(run->options->command, END_FAILED,
                             "%s; nothing was done", why->text);
    if (r != -ECANCELED)
        r = go_back(run, step, &err);
    else
        err = *why;
    if (r == -ECANCELED)
        return tell_lost(run, run->at, err.text);
    if (r < 0)
        return tell_stuck(run, at, why->text, &err);
    char *state = open_text(run);
    char *now =
        mem_printf("%s: %s", undone_text(run->options->wish, step), state);
    tell_stopped(run, at, why->text, now);
    free(now);
    free(state);
    return END_FAILED;
}

/* ---- all of it ----------------------------------------------------------- */

static void
make_id(char id[UPGRADE_SIZE])
{
    unsigned char bytes[(UPGRADE_SIZE - 1) / 2];

    if (getrandom(bytes, sizeof(bytes), 0) != sizeof(bytes))
        abort();
    for (size_t i = 0; i < sizeof(bytes); i++)
        snprintf(id + 2 * i, 3, "%02x", bytes[i]);
}

static void
tell_begin(const struct upgrading *run)
{
    const struct upgrade_plan *plan = run->options->plan;
    const char *to = run->options->wish->to;

    if (plan->found == UPGRADE_BEGINS)
        printf("upgrade of %s to release %s\n", run->names, to);
    else
        printf(
            "upgrade of %s to release %s: goes on where an earlier run ended "
            "(%s)\n",
            run->names, to, upgrade_step_word(plan->step));
    fflush(stdout);
}

static void
tell_done(const struct upgrading *run)
{
    char *state = open_text(run);
    char span[SHOW_SPAN_SIZE];

    say(run, "%s, after a pause of %s", state,
        show_span(clock_wall() - run->since, span));
    free(state);
}

static int
go(struct upgrading *run)
{
    enum upgrade_step step = run->options->plan->step;
    struct error err = {0};
    int r;

    run->at = words[step];
    if (step == STEP_ROLLING_BACK) {
        r = record(run, step, &err);
        if (r == 0)
            r = error_set(&err, -EINTR, "it failed in an earlier run");
    } else {
        r = go_forward(run, &step, &err);
    }
    if (r < 0)
        return stop(run, step, r, &err);
    tell_done(run);
    return END_OK;
}

int
upgrade_run(const struct upgrade_run_options *options)
{
    struct upgrading run = {
        .options = options,
        .queues = &options->plan->queues,
        .names = upgrade_names(options->settings, &options->plan->queues),
        .controls =
            mem_zalloc(options->plan->queues.len * sizeof(struct control)),
    };

    if (options->plan->found == UPGRADE_BEGINS)
        make_id(run.id);
    else
        memcpy(run.id, options->plan->id, sizeof(run.id));
    queues_operator(options->wish->by, run.by);
    if (options->wish->reason != NULL)
        snprintf(run.why, sizeof(run.why), "%s", options->wish->reason);
    else
        snprintf(run.why, sizeof(run.why), "upgrade to release %s",
                 options->wish->to);
    tell_begin(&run);
    const int end = go(&run);
    free(run.controls);
    free(run.names);
    return end;
}
