/* upgrade_wait.c - what an upgrade waits for: the drain, workers of the next
 * release. */
#include "cli/upgrade_priv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/drain.h"
#include "cli/live.h"
#include "cli/show.h"
#include "cli/tell.h"
#include "common/mem.h"

#define SHOW_AFTER 300 /* ms without a worker */
#define HINT_AFTER 2000
#define LOOK_EVERY 100 /* ms: how soon a signal is seen */

/* ---- pausing ------------------------------------------------------------- */

/* What an operator paused is opened at the end all the same: that is told. */
static void
tell_paused(const struct upgrading *run)
{
    char sign[TELL_SIGN_SIZE];

    for (size_t i = 0; i < run->queues->len; i++) {
        const struct control *control = &run->controls[i];
        if (control->paused_epoch != control->epoch)
            upgrade_say(
                run,
                "%s was paused already, %s; it stays so, and is opened at the "
                "end of the upgrade",
                upgrade_name(run, i), tell_sign(control, sign));
    }
}

int
upgrade_drain(struct upgrading *run, struct error *err)
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
        return upgrade_heed(run, err);
    if (r == 0)
        upgrade_say(run, "drained after %s",
                    show_span(clock_mono() - start, span));
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
        if (strcmp(workers[n].queue, upgrade_name(run, i)) == 0 &&
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
        int r = upgrade_check_hold(run, err);
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
        r = upgrade_heed(run, err);
        if (r < 0)
            return r;
        broker_control_wait(broker, seen, LOOK_EVERY);
    }
}

int
upgrade_await_workers(struct upgrading *run, struct error *err)
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

int
upgrade_start(struct upgrading *run, struct error *err)
{
    const mono_ms start = clock_mono();
    char span[SHOW_SPAN_SIZE];
    int r = upgrade_await_workers(run, err);

    if (r == 0)
        upgrade_say(run, "workers of release %s are there after %s",
                    run->options->wish->to,
                    show_span(clock_mono() - start, span));
    return r;
}
