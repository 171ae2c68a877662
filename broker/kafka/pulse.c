/* pulse.c - heartbeats, and who is silent or gone.
 *
 * A round: t0 is now; where does `control` end, and, if somebody seems to be
 * silent or gone, `workers`? When the reader is there, the leases of this
 * process may be renewed from t0 on: their members know of every change before
 * t0. And every session is over whose last heartbeat was read longer than its
 * lease and the margin before t0.
 */
#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/kafka/control_priv.h"
#include "common/log.h"
#include "common/mem.h"

#define TICK_LEAST ((span_ms)50)
#define TICK_MOST  ((span_ms)500)
#define ASK_MOST   ((span_ms)2000)
#define ASK_LEAST  ((span_ms)100)

/* ---- watches ------------------------------------------------------------- */

struct watch *
watch_find(struct control_log *log, uint64_t session)
{
    for (size_t i = 0; i < log->watches_len; i++) {
        if (log->watches[i].session == session)
            return &log->watches[i];
    }
    return NULL;
}

static span_ms
margin_of(span_ms lease)
{
    return lease / 4 > MARGIN_LEAST ? lease / 4 : MARGIN_LEAST;
}

void
watch_add(struct control_log *log, uint64_t session)
{
    const struct ledger_session *of = ledger_session(&log->ledger, session);
    const span_ms spread = margin_of(of->lease) / 2;

    log->watches =
        mem_grow(log->watches, log->watches_len + 1, sizeof(struct watch));
    log->watches[log->watches_len++] = (struct watch){
        .session = session,
        .heard = clock_boot(),
        .jitter = randombytes_uniform((uint32_t)spread + 1),
    };
}

void
watch_drop(struct control_log *log, uint64_t session)
{
    struct watch *watch = watch_find(log, session);

    if (watch != NULL)
        *watch = log->watches[--log->watches_len];
}

static span_ms
patience_with(const struct watch *watch, const struct ledger_session *session)
{
    return session->lease + margin_of(session->lease) + watch->jitter;
}

/* ---- heartbeats ---------------------------------------------------------- */

struct beat {
    struct delivery delivery;
    struct control_log *log;
    uint64_t session;
    boot_ms t0;
};

static void
renew(struct control_log *log, const struct beat *beat)
{
    struct log_member *member = log->members;

    while (member != NULL && member->id != beat->session)
        member = member->next;
    /* An answer that comes after the lease's end is too late: who watches has
     * the right to have counted it out. */
    if (member == NULL || member->lost || clock_boot() >= member->until ||
        beat->t0 + member->lease <= member->until)
        return;
    member->until = beat->t0 + member->lease;
    member->tell |= TELL_LEASE;
    control_ring(log);
}

static void
on_beat(struct delivery *delivery)
{
    struct beat *beat = CONTAINER_OF(delivery, struct beat, delivery);
    struct control_log *log = beat->log;

    LOCKED(&log->lock);
    if (delivery->r == 0 && beat->t0 != 0)
        renew(log, beat);
    free(beat);
    log->flying--;
    pthread_cond_broadcast(&log->moved);
}

void
pulse_beat(struct control_log *log, uint64_t session, unsigned running,
           boot_ms t0, int64_t control)
{
    struct beat *beat = mem_new(struct beat);
    char text[160];

    *beat = (struct beat){{.on_delivered = on_beat}, log, session, t0};
    snprintf(text, sizeof(text),
             "{\"v\":1,\"session\":%" PRIu64
             ",\"running\":%u,\"control\":%" PRId64 "}",
             session, running, control);
    pthread_mutex_lock(&log->lock);
    log->flying++;
    pthread_mutex_unlock(&log->lock);
    control_send_to(log, log->workers_topic, text, &beat->delivery);
}

/* A member that is to be asked for, and is not asked again at once; with the
 * lock. NULL: none is due. */
static struct log_member *
due_member(struct control_log *log, boot_ms now)
{
    for (struct log_member *member = log->members; member != NULL;
         member = member->next) {
        if (member->id != 0 && !member->lost && !member->leaves &&
            now >= member->renew_at)
            return member;
    }
    return NULL;
}

static void
beat_all(struct control_log *log, boot_ms t0)
{
    struct log_member *member;

    pthread_mutex_lock(&log->lock);
    while ((member = due_member(log, clock_boot())) != NULL) {
        const uint64_t id = member->id;
        const int64_t control = log->control_next;
        member->renew_at = clock_boot() + member->lease / BEAT_SPREAD;
        member->calls++;
        pthread_mutex_unlock(&log->lock);
        const unsigned running = member_running(member);
        pulse_beat(log, id, running, t0, control);
        pthread_mutex_lock(&log->lock);
        member->calls--;
        pthread_cond_broadcast(&log->moved);
    }
    pthread_mutex_unlock(&log->lock);
}

/* ---- counting out -------------------------------------------------------- */

/* `over` for each partition. */
struct fence {
    struct control_log *log;
    uint64_t session;
    unsigned left;
    bool failed;
    struct fence_part {
        struct delivery delivery;
        struct fence *fence;
    } parts[];
};

static void
on_fenced(struct delivery *delivery)
{
    struct fence *fence =
        CONTAINER_OF(delivery, struct fence_part, delivery)->fence;
    struct control_log *log = fence->log;

    LOCKED(&log->lock);
    fence->failed = fence->failed || delivery->r < 0;
    log->flying--;
    pthread_cond_broadcast(&log->moved);
    if (--fence->left > 0)
        return;
    struct watch *watch = watch_find(log, fence->session);
    if (watch != NULL && watch->phase == WATCH_FENCING)
        watch->phase = fence->failed ? WATCH_ALIVE : WATCH_FENCED;
    free(fence);
    control_ring(log);
}

static void
put_fence(struct control_log *log, uint64_t session)
{
    struct kafka *kafka = log->kafka;
    const unsigned len = (unsigned)kafka->partitions;
    const struct fact fact = {
        .kind = FACT_OVER, .at = clock_wall(), .session = session};
    struct fence *fence =
        mem_zalloc(sizeof(*fence) + len * sizeof(fence->parts[0]));

    *fence = (struct fence){.log = log, .session = session, .left = len};
    for (unsigned i = 0; i < len; i++)
        fence->parts[i] =
            (struct fence_part){{.on_delivered = on_fenced}, fence};
    pthread_mutex_lock(&log->lock);
    log->flying += len;
    pthread_mutex_unlock(&log->lock);
    for (unsigned i = 0; i < len; i++)
        kafka_send_fact(kafka, kafka->keeper, (int32_t)i, &fact,
                        &fence->parts[i].delivery);
}

struct lapse {
    struct delivery delivery;
    struct control_log *log;
    uint64_t session;
};

/* If it is not to be had, again from the start; else it will be read. */
static void
on_lapse(struct delivery *delivery)
{
    struct lapse *lapse = CONTAINER_OF(delivery, struct lapse, delivery);
    struct control_log *log = lapse->log;

    LOCKED(&log->lock);
    struct watch *watch = watch_find(log, lapse->session);
    if (delivery->r < 0 && watch != NULL && watch->phase == WATCH_LAPSING)
        watch->phase = WATCH_ALIVE;
    free(lapse);
    log->flying--;
    pthread_cond_broadcast(&log->moved);
}

static bool
take_fenced(struct control_log *log, struct entry *entry)
{
    LOCKED(&log->lock);
    for (size_t i = 0; i < log->watches_len; i++) {
        struct watch *watch = &log->watches[i];
        if (watch->phase != WATCH_FENCED)
            continue;
        watch->phase = WATCH_LAPSING;
        log->flying++;
        *entry = (struct entry){
            .kind = ENTRY_LAPSED,
            .session = watch->session,
            .state = watch->state,
            .counts.waited_out = watch->running,
        };
        return true;
    }
    return false;
}

void
pulse_lapse(struct control_log *log)
{
    struct entry entry;

    while (take_fenced(log, &entry)) {
        struct lapse *lapse = mem_new(struct lapse);
        *lapse = (struct lapse){{.on_delivered = on_lapse}, log, entry.session};
        control_send(log, &entry, &lapse->delivery);
    }
}

/* ---- the sweep ----------------------------------------------------------- */

static const struct log_member *
own_member(const struct control_log *log, uint64_t session)
{
    const struct log_member *member = log->members;

    while (member != NULL && member->id != session)
        member = member->next;
    return member;
}

/* Is it over, as far as is known at t0? */
static bool
is_over(const struct control_log *log, const struct watch *watch,
        const struct ledger_session *session, boot_ms t0,
        enum member_state *state)
{
    const struct log_member *member = own_member(log, watch->session);

    if (watch->phase != WATCH_ALIVE || (member != NULL && !member->lost))
        return false;
    *state = MEMBER_DIED;
    if (guard_is_gone(&session->place, &log->place))
        return true;
    *state = MEMBER_LAPSED;
    return watch->heard + patience_with(watch, session) < t0;
}

/* Somebody seems to be over. With the lock. */
static bool
is_suspicious(struct control_log *log, boot_ms now)
{
    enum member_state state;

    for (size_t i = 0; i < log->watches_len; i++) {
        const struct watch *watch = &log->watches[i];
        if (is_over(log, watch, ledger_session(&log->ledger, watch->session),
                    now, &state))
            return true;
    }
    return false;
}

/* 1: *session is over, and to be fenced. */
static bool
find_over(struct control_log *log, boot_ms t0, uint64_t *fenced)
{
    LOCKED(&log->lock);
    for (size_t i = 0; i < log->watches_len; i++) {
        struct watch *watch = &log->watches[i];
        const struct ledger_session *session =
            ledger_session(&log->ledger, watch->session);
        if (!is_over(log, watch, session, t0, &watch->state))
            continue;
        log_event(EVENT_LEASE_LOST, "queue=%s session=%llu text=\"%s\"",
                  session->queue < 0 ? ""
                                     : log->ledger.queues[session->queue].name,
                  (unsigned long long)session->id,
                  watch->state == MEMBER_DIED
                      ? "its worker process died"
                      : "its worker was silent for longer than its lease");
        /* What runs upgrades runs no requests. */
        watch->phase = session->queue < 0 ? WATCH_FENCED : WATCH_FENCING;
        *fenced = session->queue < 0 ? 0 : session->id;
        return true;
    }
    return false;
}

static void
sweep(struct control_log *log, boot_ms t0)
{
    uint64_t fenced;

    while (find_over(log, t0, &fenced)) {
        if (fenced != 0)
            put_fence(log, fenced);
    }
    pulse_lapse(log);
}

static bool
take_passed(struct control_log *log, struct entry *entry)
{
    const boot_ms now = clock_boot();

    LOCKED(&log->lock);
    for (size_t i = 0; i < log->passed_len; i++) {
        const struct ledger_queue *queue = &log->ledger.queues[i];
        if (log->passed[i] == 0 || now < log->passed[i])
            continue;
        log->passed[i] = now + control_repair();
        *entry = (struct entry){
            .kind = ENTRY_DRAINED,
            .epoch = queue->barrier_epoch,
            .bound = control_bound(log, queue->name),
        };
        entry_set_queue(entry, queue->name);
        return true;
    }
    return false;
}

void
pulse_drain(struct control_log *log)
{
    struct entry entry;

    while (take_passed(log, &entry)) {
        control_send(log, &entry, NULL);
        entry_fini(&entry);
    }
}

/* ---- rounds -------------------------------------------------------------- */

/* So long one may take before leases of ours are in danger; with the lock. */
static span_ms
ask_limit(struct control_log *log)
{
    span_ms limit = ASK_MOST;

    for (struct log_member *member = log->members; member != NULL;
         member = member->next) {
        if (member->lease / 4 < limit)
            limit = member->lease / 4;
    }
    return limit < ASK_LEAST ? ASK_LEAST : limit;
}

static int
ask_end(struct control_log *log, const char *topic, int64_t *end, span_ms limit,
        struct error *err)
{
    int r =
        client_watermarks(log->kafka->asker, topic, 0, NULL, end, limit, err);

    if (r == -ETIMEDOUT)
        r = error_wrap(err, -ENOTCONN, "Kafka is out of reach");
    return r;
}

/* As long as it comes nearer. */
static int
read_up_to(struct control_log *log, int64_t control, int64_t workers,
           span_ms limit, struct error *err)
{
    LOCKED(&log->lock);
    int64_t at = log->control_next + log->workers_next;
    mono_ms until = clock_mono() + limit;

    while (!log->closing &&
           (log->control_next < control || log->workers_next < workers)) {
        if (!control_wait_until(log, until))
            return error_set(err, -ENOTCONN,
                             "Kafka does not send the control log");
        if (log->control_next + log->workers_next > at) {
            at = log->control_next + log->workers_next;
            until = clock_mono() + limit;
        }
    }
    return log->closing ? error_set(err, -ESHUTDOWN, "closing") : 0;
}

static int
round_run(struct control_log *log, bool sweeps, span_ms limit,
          struct error *err)
{
    const boot_ms t0 = clock_boot();
    int64_t control, workers = 0;
    int r = ask_end(log, log->control_topic, &control, limit, err);

    if (r == 0 && sweeps)
        r = ask_end(log, log->workers_topic, &workers, limit, err);
    if (r == 0)
        r = read_up_to(log, control, workers, limit, err);
    if (r < 0)
        return r;
    beat_all(log, t0);
    if (sweeps)
        sweep(log, t0);
    return 0;
}

/* When to look again; with the lock. */
static mono_ms
next_tick(struct control_log *log)
{
    const boot_ms now = clock_boot();
    span_ms tick = TICK_MOST;

    for (size_t i = 0; i < log->watches_len; i++) {
        const span_ms part =
            ledger_session(&log->ledger, log->watches[i].session)->lease / 8;
        if (part < tick)
            tick = part;
    }
    if (tick < TICK_LEAST)
        tick = TICK_LEAST;
    for (struct log_member *member = log->members; member != NULL;
         member = member->next) {
        if (member->id != 0 && !member->lost && member->renew_at - now < tick)
            tick = member->renew_at > now ? member->renew_at - now : 1;
    }
    return clock_mono() + tick;
}

static void
rest(struct control_log *log)
{
    mono_ms until = next_tick(log);

    while (!log->closing && log->round_wanted <= log->round_done &&
           control_wait_until(log, until)) {
        const mono_ms next = next_tick(log); /* of somebody new */
        if (next < until)
            until = next;
    }
}

/* After a failure: not at once again, unless somebody waits for it. */
static void
recover(struct control_log *log)
{
    const mono_ms until = clock_mono() + ASK_LEAST;

    while (!log->closing && control_wait_until(log, until))
        continue;
}

void *
pulse_run(void *opaque)
{
    struct control_log *log = opaque;
    struct error err = {0};

    pthread_mutex_lock(&log->lock);
    while (!log->closing) {
        rest(log);
        const boot_ms now = clock_boot();
        const bool sweeps = is_suspicious(log, now);
        if (log->closing || (log->round_wanted <= log->round_done && !sweeps &&
                             due_member(log, now) == NULL))
            continue;
        const uint64_t mine = ++log->round_begun;
        const span_ms limit = ask_limit(log);
        pthread_mutex_unlock(&log->lock);
        int r = round_run(log, sweeps, limit, &err);
        pthread_mutex_lock(&log->lock);
        log->round_done = mine;
        log->round_r = r;
        if (r < 0)
            log->round_err = err;
        pthread_cond_broadcast(&log->moved);
        if (r < 0)
            recover(log);
    }
    pthread_mutex_unlock(&log->lock);
    return NULL;
}
