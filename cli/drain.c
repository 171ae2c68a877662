/* drain.c - waits until queues are drained, and shows what for.
 *
 * It waits on the broker's word that something has changed, and looks by itself
 * now and then: to see a worker's lease run out, for who waits sweeps.
 */
#include "cli/drain.h"

#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "broker/receipt.h"
#include "cli/live.h"
#include "cli/show.h"
#include "cli/tell.h"
#include "common/mem.h"
#include "common/own.h"

#define LOOK_EVERY    500 /* ms */
#define LOOK_GAP      50  /* ms: many changes at once cost one look */
#define HEED_EVERY    100 /* ms: how soon stop_fd is seen */
#define SHOW_AFTER    300 /* ms: what is over sooner is not shown at all */
#define RUNS_MAX      1000
#define RECORDS_MAX   1000 /* of the history that are looked at */
#define RUNS_SHOWN    5    /* of each worker */
#define MEMBERS_SHOWN 8    /* of each queue */
#define TEXT_MAX      65536

/* A queue as it was seen last. */
struct sight {
    struct control control;
    struct barrier barrier;
    struct running *running;
    size_t running_len;
};

struct watch {
    const struct drain *drain;
    struct sight *sights; /* in the order of drain->queues */
    struct worker_info *workers;
    size_t workers_len;
    struct live live;
    mono_ms start;
    mono_ms look_at; /* not before that */
};

static const char *
queue_name(const struct watch *watch, size_t i)
{
    return watch->drain->settings->queues[watch->drain->queues->list[i]].name;
}

/* ---- looking ------------------------------------------------------------- */

static void
sight_fini(struct sight *sight)
{
    barrier_fini(&sight->barrier);
    free(TAKE(sight->running));
    sight->running_len = 0;
}

static void
watch_fini(struct watch *watch, int r)
{
    for (size_t i = 0; i < watch->drain->queues->len; i++)
        sight_fini(&watch->sights[i]);
    free(watch->sights);
    free(watch->workers);
    live_fini(&watch->live, r == 0);
}

/* Who opened the queue after the pause that is meant, and was it drained? */
static int
tell_overtaken(const struct watch *watch, size_t i, struct error *err)
{
    const unsigned queue = watch->drain->queues->list[i];
    const uint64_t epoch = watch->drain->pauses[i];
    const struct history *record = NULL;
    char when[TELL_TIME_SIZE], by[TELL_SIZE];
    struct history *list;
    bool drained = false;
    size_t len;
    int r = broker_history(watch->drain->broker, (int)queue, RECORDS_MAX, &list,
                           &len, err);

    if (r < 0)
        return r;
    for (size_t n = 0; n < len && record == NULL; n++) {
        if (list[n].epoch >= epoch && strcmp(list[n].change, "drained") == 0)
            drained = true;
        if (list[n].epoch > epoch && strcmp(list[n].change, "resume") == 0)
            record = &list[n];
    }
    if (record == NULL)
        r = error_set(err, -ECANCELED,
                      "queue %s: its pause at epoch %" PRIu64 " is over",
                      queue_name(watch, i), epoch);
    else
        r = error_set(
            err, -ECANCELED,
            "queue %s: %s resumed it at %s (epoch %" PRIu64 ", release %s), %s",
            record->queue, tell_clean(record->by, by),
            tell_time(record->at, when), record->epoch, record->release,
            drained ? "after it was drained: it is open now"
                    : "before it was drained");
    history_free(list, len);
    return r;
}

/* 1: all are drained. 0: not yet. */
static int
look_states(struct watch *watch, struct error *err)
{
    const struct drain *drain = watch->drain;
    bool drained = true;

    for (size_t i = 0; i < drain->queues->len; i++) {
        struct control *control = &watch->sights[i].control;
        int r =
            broker_control(drain->broker, drain->queues->list[i], control, err);
        if (r < 0)
            return r;
        if (control->paused_epoch != drain->pauses[i])
            return tell_overtaken(watch, i, err);
        drained = drained && control->state == CONTROL_DRAINED;
    }
    return drained ? 1 : 0;
}

/* What a queue waits for. One that was opened meanwhile waits for nothing; the
 * next look at its state tells. */
static int
look_closely(struct watch *watch, size_t i, struct error *err)
{
    const struct drain *drain = watch->drain;
    const unsigned queue = drain->queues->list[i];
    struct sight *sight = &watch->sights[i];
    int r = 0;

    sight_fini(sight);
    if (sight->control.state == CONTROL_DRAINED)
        return 0;
    if (drain->kill)
        r = broker_kill(drain->broker, queue, drain->pauses[i], err);
    if (r == 0)
        r = broker_barrier(drain->broker, queue, &sight->barrier, err);
    if (r == 0)
        r = broker_running(drain->broker, queue, RUNS_MAX, &sight->running,
                           &sight->running_len, err);
    return r == -ECANCELED ? 0 : r;
}

static int
look(struct watch *watch, struct error *err)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < watch->drain->queues->len; i++)
        r = look_closely(watch, i, err);
    free(TAKE(watch->workers));
    watch->workers_len = 0;
    if (r == 0)
        r = broker_workers(watch->drain->broker, &watch->workers,
                           &watch->workers_len, err);
    watch->look_at = clock_mono() + LOOK_GAP;
    return r;
}

/* ---- showing ------------------------------------------------------------- */

static size_t
runs_of(const struct sight *sight, const char *worker)
{
    size_t runs = 0;

    for (size_t i = 0; i < sight->running_len; i++)
        runs += strcmp(sight->running[i].worker, worker) == 0;
    return runs;
}

static size_t
expected(const struct sight *sight)
{
    size_t n = 0;

    for (size_t i = 0; i < sight->barrier.len; i++)
        n += sight->barrier.members[i].state == MEMBER_EXPECTED;
    return n;
}

static const char *
plural(size_t n)
{
    return n == 1 ? "" : "s";
}

static void
add_runs(struct buf *text, const struct sight *sight, const char *worker)
{
    const wall_ms now = clock_wall();
    char ticket[TICKET_TEXT + 1], span[SHOW_SPAN_SIZE];
    size_t shown = 0, runs = 0;

    for (size_t i = 0; i < sight->running_len; i++) {
        const struct running *run = &sight->running[i];
        if (strcmp(run->worker, worker) != 0 || ++runs > RUNS_SHOWN)
            continue;
        ticket_format(&run->ticket, ticket);
        buf_addf(text, "    %s  for %s\n", ticket,
                 show_span(now - run->started, span));
        shown++;
    }
    if (runs > shown)
        buf_addf(text, "    and %zu more\n", runs - shown);
}

static const struct worker_info *
worker_of(const struct watch *watch, uint64_t session)
{
    for (size_t i = 0; i < watch->workers_len; i++) {
        if (watch->workers[i].session == session)
            return &watch->workers[i];
    }
    return NULL;
}

/* How it stands with a worker that is not accounted for. */
static void
add_standing(struct buf *text, const struct watch *watch,
             const struct sight *sight, const struct member *member)
{
    const struct worker_info *worker = worker_of(watch, member->session);
    const size_t runs = runs_of(sight, member->name);
    char span[SHOW_SPAN_SIZE];

    if (runs > 0)
        buf_addf(text, "%zu attempt%s %s", runs, plural(runs),
                 watch->drain->kill ? "being ended"
                 : runs == 1        ? "runs"
                                    : "run");
    else
        buf_add_text(text, "has not acknowledged yet");
    if (worker == NULL || worker->lease_left < 0)
        buf_add_text(text, "; its lease is over, its handlers are being ended");
    else
        buf_addf(text, "; lease %s", show_span(worker->lease_left, span));
}

static void
add_members(struct buf *text, const struct watch *watch,
            const struct sight *sight)
{
    size_t shown = 0, waiting = expected(sight);

    for (size_t i = 0; i < sight->barrier.len && shown < MEMBERS_SHOWN; i++) {
        const struct member *member = &sight->barrier.members[i];
        if (member->state != MEMBER_EXPECTED)
            continue;
        buf_addf(text, "  %s (release %s): ", member->name, member->release);
        add_standing(text, watch, sight, member);
        buf_add_text(text, "\n");
        add_runs(text, sight, member->name);
        shown++;
    }
    if (waiting > shown)
        buf_addf(text, "  and %zu more workers\n", waiting - shown);
}

/* For a terminal. */
static void
add_lines(struct buf *text, const struct watch *watch)
{
    for (size_t i = 0; i < watch->drain->queues->len; i++) {
        const struct sight *sight = &watch->sights[i];
        const struct control *control = &sight->control;
        char span[SHOW_SPAN_SIZE];

        show_span(clock_wall() - control->since, span);
        if (control->state == CONTROL_DRAINED)
            buf_addf(text, "%s: drained\n", queue_name(watch, i));
        else
            buf_addf(text,
                     "%s: paused for %s%s, waits for %zu of %zu worker%s\n",
                     queue_name(watch, i), span,
                     control->state == CONTROL_PROBING ? ", a probe runs" : "",
                     expected(sight), sight->barrier.len,
                     plural(sight->barrier.len));
        add_members(text, watch, sight);
    }
}

/* In a line, which is the same as long as what it waits for is. */
static void
add_line(struct buf *text, const struct watch *watch)
{
    const char *comma = "";

    for (size_t i = 0; i < watch->drain->queues->len; i++) {
        const struct sight *sight = &watch->sights[i];
        size_t shown = 0;

        if (sight->control.state == CONTROL_DRAINED)
            continue;
        buf_addf(text, "%squeue %s waits for", comma, queue_name(watch, i));
        comma = "; ";
        if (sight->control.state == CONTROL_PROBING)
            buf_add_text(text, " a probe by");
        for (size_t n = 0; n < sight->barrier.len; n++) {
            const struct member *member = &sight->barrier.members[n];
            const size_t runs = runs_of(sight, member->name);
            if (member->state != MEMBER_EXPECTED || ++shown > MEMBERS_SHOWN)
                continue;
            buf_addf(text, "%s %s", shown > 1 ? "," : "", member->name);
            if (runs > 0)
                buf_addf(text, " (%zu attempt%s)", runs, plural(runs));
        }
        if (shown > MEMBERS_SHOWN)
            buf_addf(text, " and %zu more workers", shown - MEMBERS_SHOWN);
        else if (shown == 0) /* it was drained between two looks */
            buf_add_text(text, " nobody any more");
    }
}

/* As a string, also where it was cut at the cap. */
static const char *
as_string(struct buf *text)
{
    if (buf_add(text, "", 1) < 0)
        text->at[text->len - 1] = '\0';
    return text->at;
}

static void
show(struct watch *watch)
{
    struct buf line, lines;

    if (clock_mono() - watch->start < SHOW_AFTER)
        return;
    buf_init(&line, TEXT_MAX);
    buf_init(&lines, TEXT_MAX);
    add_line(&line, watch);
    add_lines(&lines, watch);
    live_show(&watch->live, as_string(&line), as_string(&lines));
    buf_fini(&line);
    buf_fini(&lines);
}

/* Which attempt has run longest, of those that are waited for. */
static const struct running *
longest(const struct watch *watch)
{
    const struct running *found = NULL;

    for (size_t i = 0; i < watch->drain->queues->len; i++) {
        const struct sight *sight = &watch->sights[i];
        if (sight->running_len > 0 &&
            (found == NULL || sight->running[0].started < found->started))
            found = &sight->running[0];
    }
    return found;
}

static int
tell_late(struct watch *watch, struct error *err)
{
    const struct running *run = longest(watch);
    char ticket[TICKET_TEXT + 1], span[SHOW_SPAN_SIZE];
    struct buf text;

    buf_init(&text, sizeof(err->text) - 200);
    add_line(&text, watch);
    error_set(err, -ETIMEDOUT, "not drained within %s: %s",
              show_span(watch->drain->limit, span), as_string(&text));
    buf_fini(&text);
    if (run == NULL)
        return -ETIMEDOUT;
    ticket_format(&run->ticket, ticket);
    const size_t len = strlen(err->text);
    snprintf(err->text + len, sizeof(err->text) - len,
             "; ticket %s has run longest, for %s", ticket,
             show_span(clock_wall() - run->started, span));
    return -ETIMEDOUT;
}

/* ---- waiting ------------------------------------------------------------- */

static bool
is_stopped(const struct drain *drain)
{
    struct pollfd poll_fd = {.fd = drain->stop_fd, .events = POLLIN};

    return drain->stop_fd >= 0 && poll(&poll_fd, 1, 0) == 1;
}

static span_ms
time_left(const struct watch *watch)
{
    const span_ms gone = clock_mono() - watch->start;

    if (watch->drain->limit < 0)
        return LOOK_EVERY;
    return watch->drain->limit > gone ? watch->drain->limit - gone : 0;
}

/* Until something has changed, or it is time to look. 0, or -EINTR. */
static int
wait_news(const struct watch *watch, uint64_t seen)
{
    const struct drain *drain = watch->drain;
    const mono_ms now = clock_mono(), first_shown = watch->start + SHOW_AFTER;
    const span_ms left = time_left(watch);
    mono_ms until = now + (left < LOOK_EVERY ? left : LOOK_EVERY);

    if (now < first_shown && first_shown < until)
        until = first_shown;

    for (;;) {
        const span_ms rest = until - clock_mono();
        if (is_stopped(drain))
            return -EINTR;
        if (rest <= 0 || broker_control_seen(drain->broker) != seen)
            return 0;
        broker_control_wait(drain->broker, seen,
                            rest < HEED_EVERY ? rest : HEED_EVERY);
    }
}

static int
await(struct watch *watch, struct error *err)
{
    for (;;) {
        const uint64_t seen = broker_control_seen(watch->drain->broker);
        int r = look_states(watch, err);

        if (r != 0)
            return r < 0 ? r : 0;
        if (clock_mono() >= watch->look_at || time_left(watch) == 0)
            r = look(watch, err);
        if (r < 0)
            return r;
        if (time_left(watch) == 0) {
            r = look_states(watch, err); /* drained at the last moment? */
            return r == 0 ? tell_late(watch, err) : r < 0 ? r : 0;
        }
        show(watch);
        if (wait_news(watch, seen) < 0)
            return error_set(err, -EINTR, "interrupted");
    }
}

int
drain_await(const struct drain *drain, struct error *err)
{
    struct watch watch = {
        .drain = drain,
        .sights = mem_zalloc(drain->queues->len * sizeof(struct sight)),
        .start = clock_mono(),
    };
    struct error unused;
    int r;

    live_init(&watch.live, drain->progress);
    r = await(&watch, err != NULL ? err : &unused);
    watch_fini(&watch, r);
    return r;
}

/* ---- the receipt --------------------------------------------------------- */

static uint64_t
pause_of(const struct drain *drain, unsigned queue)
{
    for (size_t i = 0; i < drain->queues->len; i++) {
        if (drain->queues->list[i] == queue)
            return drain->pauses[i];
    }
    return 0;
}

int
drain_print_receipt(const struct drain *drain, unsigned queue, bool json,
                    struct error *err)
{
    const struct history *record;
    struct history *list;
    size_t len;
    int r = broker_history(drain->broker, (int)queue, RECORDS_MAX, &list, &len,
                           err);

    if (r < 0)
        return r;
    record = receipt_find(list, len, pause_of(drain, queue));
    if (record == NULL)
        r = error_set(err, -ENOENT, "queue %s: there is no receipt",
                      drain->settings->queues[queue].name);
    else if (json)
        tell_receipt_json(record);
    else
        tell_receipt(record);
    history_free(list, len);
    return r;
}
