/* writer.c - the thread that owns every write transaction. */
#include "broker/embedded/writer.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "broker/embedded/batch.h"
#include "broker/embedded/reserve.h"
#include "broker/embedded/sweep.h"
#include "broker/embedded/upkeep.h"
#include "common/log.h"
#include "common/thread.h"

#define BATCH_REQUESTS 512       /* submissions in one transaction */
#define BATCH_BYTES    (8 << 20) /* of their messages */
#define FULL_RETRY     200       /* ms; finishes that found no room */

/* ---- what there is to do ------------------------------------------------ */

static void
append(struct mail ***last, struct mail *list)
{
    **last = list;
    while (**last != NULL)
        *last = &(**last)->next;
}

/* Cuts as many submissions off the backlog as one transaction should hold. */
static struct mail *
cut_backlog(struct writer *writer)
{
    struct mail *first = writer->backlog;
    struct mail **at = &writer->backlog;
    size_t bytes = 0;

    for (unsigned n = 0;
         *at != NULL && n < BATCH_REQUESTS && bytes < BATCH_BYTES; n++) {
        bytes += submission_of(*at)->message.len;
        at = &(*at)->next;
    }
    if (at == &writer->backlog)
        return NULL;
    writer->backlog = *at;
    *at = NULL;
    if (writer->backlog == NULL)
        writer->backlog_last = &writer->backlog;
    return first;
}

/* A session has something for a transaction to do. */
static bool
session_is_due(const struct embedded *store, struct worker_session *session,
               boot_ms now)
{
    const uint64_t bit = UINT64_C(1) << session->lane % 64;

    if (session->lost)
        return false;
    if (now >= session->renew_at)
        return true;
    if (session->out == 0 && atomic_load(&session->on_drained) != NULL)
        return true;
    if (atomic_load(&session->want) == 0 || atomic_load(&session->stopping) ||
        now < store->writer.retry_at)
        return false;
    return session->try_take || now >= session->look_at ||
           (session->retry_at != 0 && now >= session->retry_at) ||
           (!session->is_shut && (atomic_load(&store->own->wants) & bit) == 0);
}

static bool
collect(struct embedded *store, struct batch *batch)
{
    struct writer *writer = &store->writer;
    const boot_ms now = clock_boot();
    bool due = false;

    memset(batch, 0, sizeof(*batch));
    batch->taken_last = &batch->taken;
    /* Calls first: what was posted before a call (a finish before a goodbye)
     * is then in the same transaction. */
    batch->calls = mailbox_take(&writer->calls);
    batch->cancellations = mailbox_take(&writer->cancellations);
    append(&writer->backlog_last, mailbox_take(&writer->submissions));
    batch->submissions = cut_backlog(writer);
    if (writer->unfinished == NULL || now >= writer->retry_at) {
        struct mail **last = &batch->finishes;
        append(&last, TAKE(writer->unfinished));
        append(&last, mailbox_take(&writer->finishes));
    }
    batch->sweep = sweep_is_due(store, now);
    const uint32_t control = bell_seen(&store->shared->control);
    if (control != writer->control_seen) {
        for (struct worker_session *session = writer->sessions; session != NULL;
             session = session->next) {
            session->try_take = true;
            due = true;
        }
    }
    writer->control_seen = control;
    for (struct worker_session *session = writer->sessions; session != NULL;
         session = session->next)
        due |= session_is_due(store, session, now);
    return due || batch->sweep || batch->calls != NULL ||
           batch->cancellations != NULL || batch->submissions != NULL ||
           batch->finishes != NULL || atomic_load(&store->own->cancels);
}

/* How long the writer may sleep if nobody rings. */
static span_ms
sleep_limit(struct embedded *store)
{
    struct writer *writer = &store->writer;
    const boot_ms now = clock_boot();
    boot_ms until = now + IDLE_LOOK;

    if (store->options.role != BROKER_VISITOR)
        until = sweep_next(store, until);
    const bool found_no_room = now < writer->retry_at;
    if ((found_no_room || writer->unfinished != NULL) &&
        writer->retry_at < until)
        until = writer->retry_at;
    for (struct worker_session *session = writer->sessions; session != NULL;
         session = session->next) {
        if (session->lost)
            continue;
        if (session->renew_at < until)
            until = session->renew_at;
        if (atomic_load(&session->want) == 0 ||
            atomic_load(&session->stopping) || found_no_room)
            continue;
        if (session->retry_at != 0 && session->retry_at < until)
            until = session->retry_at;
        if (session->look_at < until)
            until = session->look_at;
    }
    return until - now;
}

/* ---- one round ---------------------------------------------------------- */

static int
try_batch(struct embedded *store, struct batch *batch)
{
    struct txn txn;
    int r = txn_begin(&txn, store);

    if (r < 0)
        return r;
    r = batch_fill(&txn, batch);
    if (r < 0)
        r = txn_fail(&txn, r);
    else
        r = txn_commit(&txn);
    if (r < 0)
        batch_undo(store, batch);
    return r;
}

/* Nothing can be stored now: answers who can be told so, keeps the finishes. */
static void
postpone(struct embedded *store, struct batch *batch, int r, const char *why)
{
    struct writer *writer = &store->writer;

    for (struct mail *mail = batch->submissions; mail != NULL;
         mail = mail->next)
        submission_of(mail)->r = r;
    for (struct mail *mail = batch->cancellations; mail != NULL;
         mail = mail->next)
        cancellation_of(mail)->r = r;
    for (struct mail *mail = batch->calls; mail != NULL; mail = mail->next)
        call_of(mail)->r = error_set(&call_of(mail)->err, r, "%s", why);
    batch_tell_leases(store);
    batch_answer_submissions(batch);
    batch_answer_cancellations(batch);
    batch_answer_calls(store, batch);
    if (batch->finishes != NULL) /* else older ones may stand there */
        writer->unfinished = TAKE(batch->finishes);
    writer->retry_at = clock_boot() + FULL_RETRY;
    for (struct worker_session *session = writer->sessions; session != NULL;
         session = session->next)
        session->try_take = true;
}

static void
run_batch(struct embedded *store, struct batch *batch)
{
    int r = try_batch(store, batch);

    store->writer.batches += !batch->sweep;
    if (r == -ENOSPC) {
        reserve_give_out(store); /* submissions are refused from here on */
        r = try_batch(store, batch);
    }
    if (r < 0) {
        postpone(store, batch, r, store->writer.db.err.text);
    } else {
        store->writer.sweep_more = batch->sweep_more;
        batch_call_back(store, batch);
    }
    upkeep(store, batch->sweep);
}

static void *
writer_main(void *opaque)
{
    struct embedded *store = opaque;
    struct writer *writer = &store->writer;
    struct batch batch;

    atomic_store(&store->own->tid, gettid());
    for (;;) {
        const uint32_t seen = bell_seen(&store->own->writer);
        const bool stop = atomic_load(&writer->stop);
        embedded_check_broken(store);
        if (collect(store, &batch))
            run_batch(store, &batch);
        else if (stop)
            break;
        else
            bell_wait(&store->own->writer, seen, sleep_limit(store));
    }
    return NULL;
}

void
writer_ring(struct embedded *store)
{
    bell_ring(&store->own->writer);
}

static void
on_mail(void *opaque)
{
    writer_ring(opaque);
}

void
writer_init(struct embedded *store)
{
    struct writer *writer = &store->writer;

    mailbox_init(&writer->submissions, on_mail, store);
    mailbox_init(&writer->cancellations, on_mail, store);
    mailbox_init(&writer->finishes, on_mail, store);
    mailbox_init(&writer->calls, on_mail, store);
    writer->backlog_last = &writer->backlog;
}

void
writer_start(struct embedded *store)
{
    thread_start(&store->writer.thread, writer_main, store);
}

void
writer_drop_session(struct embedded *store, struct worker_session *session)
{
    struct writer *writer = &store->writer;
    struct mail **at = &writer->unfinished;
    struct worker_session **link = &writer->sessions;

    while (*link != NULL && *link != session)
        link = &(*link)->next;
    if (*link != NULL)
        *link = session->next;
    while (*at != NULL) {
        struct held_attempt *held = held_of(*at);
        if (held->session != session) {
            at = &(*at)->next;
            continue;
        }
        *at = (*at)->next;
        attempt_free(&held->attempt);
    }
}

void
writer_stop(struct embedded *store)
{
    struct writer *writer = &store->writer;
    struct batch batch;

    atomic_store(&writer->stop, true);
    writer_ring(store);
    pthread_join(writer->thread, NULL);
    /* What was posted beside the closing, and what found no room to the end. */
    collect(store, &batch);
    postpone(store, &batch, -ESHUTDOWN, "the broker is closed");
    while (writer->unfinished != NULL) {
        struct held_attempt *held = held_of(writer->unfinished);
        writer->unfinished = writer->unfinished->next;
        attempt_free(&held->attempt);
    }
    mailbox_fini(&writer->submissions);
    mailbox_fini(&writer->cancellations);
    mailbox_fini(&writer->finishes);
    mailbox_fini(&writer->calls);
}
