/* upgrade_run.c - takes an upgrade through its steps, forward or back. */
#include "cli/upgrade_run.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "cli/show.h"
#include "cli/upgrade_priv.h"
#include "common/mem.h"

#define LIST_CAP ((size_t)256 * 1024)

/* ---- in words ------------------------------------------------------------ */

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
                 upgrade_name(run, i), run->controls[i].release);
    char *copy = mem_strndup(text.at, text.len);
    buf_fini(&text);
    return copy;
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
    int r = upgrade_change(run, wished, wish->timeout, err);
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
                             upgrade_name(run, i), run->options->wish->to);
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
        return r < 0 ? r : upgrade_drain(run, err);
    case STEP_MIGRATING:
        return upgrade_run_command(run, run->options->wish->migrate, err);
    case STEP_STARTING:
        return upgrade_start(run, err);
    case STEP_VERIFYING: /* who goes on from here may find none any more */
        r = upgrade_await_workers(run, err);
        return r < 0
                   ? r
                   : upgrade_run_command(run, run->options->wish->verify, err);
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
    return upgrade_change(run, wished, NO_LIMIT, err);
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
    int r = upgrade_heed(run, err);
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
    upgrade_tell_stopped(run, at, why, now);
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

    upgrade_tell_stopped(run, at, why, now);
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
            r = upgrade_run_command(run, wish->rollback, err);
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
    upgrade_tell_stopped(run, at, why->text, now);
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

    upgrade_say(run, "%s, after a pause of %s", state,
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
