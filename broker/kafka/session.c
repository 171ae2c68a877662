/* session.c - a worker's session: its thread, its beginning and its end. */
#include "broker/kafka/session.h"

#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "common/log.h"
#include "common/mem.h"
#include "common/thread.h"

#define CLOSE_LIMIT 10000 /* ms; for endings to be acknowledged */
#define JOIN_AGAIN  1000  /* ms; where the group could not be joined */

void
session_ring(void *opaque)
{
    const struct kafka_session *session = opaque;

    eventfd_write(session->bell, 1);
}

/* ---- what the control log says ---------------------------------------------
 */

static void
on_control(void *opaque)
{
    struct kafka_session *session = opaque;

    atomic_store(&session->moved, true);
    session_ring(session);
}

static void
on_lease(void *opaque, boot_ms until)
{
    struct kafka_session *session = opaque;

    atomic_store(&session->lease, until);
    session->options.on_lease(session->options.opaque, until);
}

static void
on_lost(void *opaque)
{
    struct kafka_session *session = opaque;

    atomic_store(&session->lease, 0);
    atomic_store(&session->lost, true);
    session_ring(session);
}

static void
on_kill(void *opaque)
{
    struct kafka_session *session = opaque;

    atomic_store(&session->kill, true);
    session_ring(session);
}

static unsigned
count_running(void *opaque)
{
    struct kafka_session *session = opaque;

    return atomic_load(&session->running);
}

/* ---- the thread
 * -------------------------------------------------------------- */

static bool
is_idle(const struct kafka_session *session)
{
    return session->out == 0 && session->asked == 0 && session->ending == 0 &&
           session->notes == 0;
}

static void
lose(struct kafka_session *session)
{
    session->is_lost = true;
    run_void(session);
    session->options.on_lost(session->options.opaque);
    shares_leave(session); /* may take its time */
}

static void
look_at_control(struct kafka_session *session)
{
    if (atomic_exchange(&session->lost, false) && !session->is_lost)
        lose(session);
    if (!atomic_exchange(&session->moved, false))
        return;
    const uint64_t before = session->control.paused_epoch;
    control_log_state(session->kafka->control, session->options.queue,
                      &session->control);
    if (session->control.paused_epoch != before)
        session->counts = (struct barrier_counts){0};
}

static void
look_for_kill(struct kafka_session *session)
{
    if (atomic_exchange(&session->kill, false))
        run_kill(session);
}

/* It saw the pause, and nothing runs any more: I say so. */
static void
acknowledge(struct kafka_session *session)
{
    const struct control *control = &session->control;

    if (control->state != CONTROL_PAUSED || session->is_lost ||
        atomic_load(&session->closing) ||
        session->acknowledged == control->paused_epoch || !is_idle(session))
        return;
    session->acknowledged = control->paused_epoch;
    control_log_acknowledge(session->member, control->paused_epoch,
                            &session->counts);
}

static void
take_finishes(struct kafka_session *session)
{
    struct mail *mail = mailbox_take(&session->finishes);

    while (mail != NULL) {
        struct attempt *attempt = CONTAINER_OF(mail, struct attempt, mail);
        mail = mail->next;
        run_finish(session, attempt);
    }
}

static void
tell_drained(struct kafka_session *session)
{
    if (!is_idle(session) && !session->is_lost)
        return;
    void (*on_drained)(void *) = atomic_exchange(&session->on_drained, NULL);
    if (on_drained != NULL)
        on_drained(session->options.opaque);
}

static bool
is_of_the_release(const struct kafka_session *session)
{
    return strcmp(session->control.release, session->release) == 0;
}

/* Who may start nothing stays out of the group: its partitions would have
 * nobody. It has nothing out then, as the release changes in a drained queue.
 */
static void
take_part(struct kafka_session *session, mono_ms now)
{
    struct error err;

    if (session->is_probe || session->is_lost || atomic_load(&session->closing))
        return;
    if (atomic_load(&session->stopping)) {
        if (session->group != NULL && session->asked == 0 &&
            shares_may_leave(session))
            shares_leave(session); /* others go on; what is out stays ours */
    } else if (session->group != NULL) {
        if (!is_of_the_release(session) && is_idle(session) &&
            shares_may_leave(session))
            shares_leave(session);
    } else if (is_of_the_release(session) && now >= session->join_at &&
               shares_open(session, &err) < 0) {
        log_event(EVENT_FAILED, "queue=%s text=\"%s\"", session->settings->name,
                  err.text);
        session->join_at = now + JOIN_AGAIN;
    }
}

/* One round; how long there is nothing to do but for what rings. */
static span_ms
work(struct kafka_session *session)
{
    look_at_control(session);
    take_finishes(session);
    run_delivered(session);
    run_loaded(session);
    shares_poll(session);
    look_for_kill(session);
    const wall_ms due = run_take(session);
    acknowledge(session);
    tell_drained(session);

    const mono_ms now = clock_mono();
    run_tell(session, NULL, now);
    take_part(session, now);
    const mono_ms again = run_send_again(session, now);
    shares_tick(session, now);
    span_ms wait = shares_next(session) - now;
    if (again != 0 && again - now < wait)
        wait = again - now;
    if (due != 0 && due - clock_wall() < wait)
        wait = due - clock_wall();
    if (session->untold > 0 && wait > 1)
        wait = 1;
    return wait < 0 ? 0 : wait;
}

static void
close_down(struct kafka_session *session)
{
    const mono_ms until = clock_mono() + CLOSE_LIMIT;
    struct pollfd fd = {.fd = session->bell, .events = POLLIN};
    eventfd_t rings;

    /* What is lost now counts for the pause that goes on, if one does. */
    atomic_store(&session->moved, true);
    look_at_control(session);
    take_finishes(session);
    run_give_up(session);
    while (!session->is_lost && clock_mono() < until &&
           (!is_idle(session) || !shares_may_leave(session))) {
        span_ms wait = work(session);
        poll(&fd, 1, (int)(wait > 100 ? 100 : wait));
        eventfd_read(session->bell, &rings);
    }
    shares_leave(session);
}

static void *
run(void *opaque)
{
    struct kafka_session *session = opaque;
    struct pollfd fd = {.fd = session->bell, .events = POLLIN};
    eventfd_t rings;

    while (!atomic_load(&session->closing)) {
        const span_ms wait = work(session);
        if (poll(&fd, 1, (int)wait) > 0)
            eventfd_read(session->bell, &rings);
    }
    close_down(session);
    return NULL;
}

/* ---- the beginning
 * ----------------------------------------------------------- */

static void
session_free(struct kafka_session *session)
{
    shares_fini(session);
    mailbox_fini(&session->finishes);
    mailbox_fini(&session->delivered);
    mailbox_fini(&session->loaded);
    close(session->bell);
    free(session->name);
    free(session->release);
    free(session);
}

static struct kafka_session *
session_new(struct kafka *kafka, const struct session_options *options)
{
    struct kafka_session *session = mem_new(struct kafka_session);

    session->base.backend = kafka->base.backend;
    session->kafka = kafka;
    session->options = *options;
    session->settings = &kafka->settings->queues[options->queue];
    session->name = mem_strdup(options->name);
    session->release = mem_strdup(options->release);
    session->options.name = session->name;
    session->options.release = session->release;
    session->is_probe = options->probe != NULL;
    session->is_kept =
        options->probe != NULL && options->probe->end == PROBE_KEEP;
    session->bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (session->bell < 0)
        abort(); /* of descriptors */
    mailbox_init(&session->finishes, session_ring, session);
    mailbox_init(&session->delivered, session_ring, session);
    mailbox_init(&session->loaded, session_ring, session);
    session->shares =
        mem_zalloc((size_t)kafka->partitions * sizeof(*session->shares));
    for (int32_t i = 0; i < kafka->partitions; i++) {
        partition_init(&session->shares[i].partition, i);
        session->shares[i].claim = -1;
    }
    atomic_store(&session->moved, true);
    return session;
}

int
kafka_session_open(struct broker *broker, const struct session_options *options,
                   struct session **out, struct error *err)
{
    struct kafka *kafka = kafka_of(broker);
    struct kafka_session *session = session_new(kafka, options);
    const struct member_options member = {.session = &session->options,
                                          .on_control = on_control,
                                          .on_lease = on_lease,
                                          .on_lost = on_lost,
                                          .on_kill = on_kill,
                                          .running = count_running,
                                          .opaque = session};
    struct ticket ticket;
    int64_t offset = -1;
    int r = 0;

    if (session->is_probe)
        r = probe_find(kafka, options, &ticket, &offset, err);
    if (r == 0)
        r = control_log_hello(kafka->control, &member, &session->probe_epoch,
                              &session->member, err);
    if (r < 0) {
        session_free(session);
        return r;
    }
    session->id = log_member_id(session->member);
    control_log_state(kafka->control, options->queue, &session->control);
    if (session->is_probe)
        r = shares_open_one(session, &ticket, offset, err);
    else if (is_of_the_release(session))
        r = shares_open(session, err);
    if (r < 0) {
        control_log_goodbye(session->member, &session->counts);
        shares_leave(session);
        session_free(session);
        return r;
    }
    thread_start(&session->thread, run, session);
    *out = &session->base;
    return 0;
}

/* ---- in between
 * ---------------------------------------------------------------- */

void
kafka_session_want(struct session *base, unsigned slots)
{
    struct kafka_session *session = kafka_session_of(base);

    atomic_fetch_add(&session->want, slots);
    session_ring(session);
}

void
kafka_session_stop(struct session *base, void (*on_drained)(void *opaque))
{
    struct kafka_session *session = kafka_session_of(base);

    atomic_store(&session->stopping, true);
    atomic_store(&session->on_drained, on_drained);
    session_ring(session);
}

void
kafka_session_finish(struct session *base, struct attempt **attempt)
{
    struct kafka_session *session = kafka_session_of(base);
    struct attempt *taken = TAKE(*attempt);

    mailbox_post(&session->finishes, &taken->mail);
}

/* ---- the end
 * -------------------------------------------------------------------- */

/* Whatever still comes back is only freed. */
static void
drain_mail(struct kafka_session *session)
{
    struct held *held, *tmp;
    unsigned flying;

    session->is_lost = true;
    run_void(session); /* nobody reads on: what waits to be read back too */
    for (;;) {
        run_delivered(session);
        run_loaded(session);
        run_send_again(session, clock_mono());
        flying = 0;
        for (int32_t i = 0; i < session->kafka->partitions; i++)
            flying += session->shares[i].helds;
        DL_FOREACH_SAFE(session->helds, held, tmp)
        flying -= held->is_out;
        if (flying == 0)
            return;
        struct pollfd fd = {.fd = session->bell, .events = POLLIN};
        eventfd_t rings;
        if (poll(&fd, 1, 100) > 0)
            eventfd_read(session->bell, &rings);
    }
}

void
kafka_session_close(struct session *base)
{
    struct kafka_session *session = kafka_session_of(base);

    atomic_store(&session->closing, true);
    session_ring(session);
    pthread_join(session->thread, NULL);
    /* After a goodbye nobody would write `over`, and what of it stands in the
     * log and was not ended would never end. */
    if (session->is_lost || (is_idle(session) && !session->is_owing))
        control_log_goodbye(session->member, &session->counts);
    else
        control_log_abandon(session->member);
    load_stop(session);
    drain_mail(session);
    session_free(session);
}
