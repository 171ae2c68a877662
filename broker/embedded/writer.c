/* writer.c - the thread that owns every write transaction. */
#include "broker/embedded/writer.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "broker/embedded/lease.h"
#include "broker/embedded/reserve.h"
#include "broker/embedded/submit.h"
#include "broker/embedded/sweep.h"
#include "broker/embedded/take.h"
#include "broker/embedded/upkeep.h"
#include "common/log.h"

#define BATCH_REQUESTS  512       /* submissions in one transaction */
#define BATCH_BYTES     (8 << 20) /* of their messages */
#define IDLE_LOOK       1000      /* ms; looks even if no bell was rung */
#define FULL_RETRY      200       /* ms; finishes that found no room */
#define WAL_PAGES_MAX   65536     /* a log that cannot be emptied: like full */
#define CANCELS_AT_ONCE 32

/* What one transaction does. */
struct batch {
    struct mail *submissions;
    struct mail *cancellations;
    struct mail *finishes;
    struct mail *calls;
    struct mail *taken;
    struct mail **taken_last;
    bool sweep;
    bool sweep_more;
    struct cancelled {
        struct worker_session *session;
        struct ticket ticket;
        uint64_t attempt;
    } cancelled[CANCELS_AT_ONCE];
    unsigned cancelled_len;
};

static struct submission *
submission_of(struct mail *mail)
{
    return CONTAINER_OF(mail, struct submission, mail);
}

static struct cancellation *
cancellation_of(struct mail *mail)
{
    return CONTAINER_OF(mail, struct cancellation, mail);
}

static struct call *
call_of(struct mail *mail)
{
    return CONTAINER_OF(mail, struct call, mail);
}

static struct held_attempt *
held_of(struct mail *mail)
{
    return (struct held_attempt *)CONTAINER_OF(mail, struct attempt, mail);
}

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
    if (atomic_load(&session->want) == 0 || atomic_load(&session->stopping))
        return false;
    return session->try_take || now >= session->look_at ||
           (session->retry_at != 0 && now >= session->retry_at) ||
           (atomic_load(&store->own->wants) & bit) == 0;
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
    if (writer->unfinished != NULL && writer->retry_at < until)
        until = writer->retry_at;
    for (struct worker_session *session = writer->sessions; session != NULL;
         session = session->next) {
        if (session->lost)
            continue;
        if (session->renew_at < until)
            until = session->renew_at;
        if (session->retry_at != 0 && session->retry_at < until &&
            atomic_load(&session->want) > 0)
            until = session->retry_at;
    }
    return until - now;
}

/* ---- within the transaction --------------------------------------------- */

static int
hold_sessions(struct txn *txn)
{
    int r = 0;

    for (struct worker_session *session = txn->store->writer.sessions;
         session != NULL && r >= 0; session = session->next) {
        session->freed = session->finished = session->taken = 0;
        session->renewed = 0;
        session->holds = false;
        if (session->lost)
            continue;
        r = lease_hold(txn, session, &session->renewed);
        session->holds = r == 1;
        if (r == 0) /* ends what it ran, if nobody has */
            r = lease_end(txn, session->lane, session->id, session->release,
                          "its worker was silent for longer than its lease",
                          UINT32_MAX);
    }
    return r < 0 ? r : 0;
}

static int
do_finishes(struct txn *txn, struct batch *batch)
{
    int r = 0;

    for (struct mail *mail = batch->finishes; mail != NULL && r == 0;
         mail = mail->next) {
        struct held_attempt *held = held_of(mail);
        struct worker_session *session = held->session;
        held->fenced = true;
        if (session->holds)
            r = attempt_finish(txn, held, &held->fenced);
        session->finished++;
        session->freed += held->attempt.again;
    }
    return r;
}

static int
do_submissions(struct txn *txn, struct batch *batch)
{
    struct embedded *store = txn->store;
    const bool is_full = atomic_load(&store->shared->full) ||
                         store->writer.wal_pages > WAL_PAGES_MAX;
    int r = 0;

    for (struct mail *mail = batch->submissions; mail != NULL && r == 0;
         mail = mail->next) {
        if (is_full)
            submission_of(mail)->r = -ENOSPC;
        else
            r = request_submit(txn, submission_of(mail));
        txn->lazy &= submission_of(mail)->r < 0;
    }
    return r;
}

static int
do_cancellations(struct txn *txn, struct batch *batch)
{
    int r = 0;

    for (struct mail *mail = batch->cancellations; mail != NULL && r == 0;
         mail = mail->next) {
        r = request_cancel(txn, cancellation_of(mail));
        txn->lazy = false;
    }
    return r;
}

static int
do_calls(struct txn *txn, struct batch *batch)
{
    int r = 0;

    for (struct mail *mail = batch->calls; mail != NULL && r == 0;
         mail = mail->next) {
        r = call_of(mail)->run(txn, call_of(mail));
        txn->lazy = false;
    }
    return r;
}

static int
next_retry(struct txn *txn, struct worker_session *session)
{
    const struct lane *lane = txn_lane(txn, session->lane);
    int64_t due = 0;
    int r = 0;

    session->retry_at = 0;
    if (lane == NULL)
        return txn->db->err.code;
    if (lane->n.delayed > 0)
        r = db_number(txn->db, SQL_AGAIN_NEXT_DUE, ARGS(ARG(lane->id)), &due);
    if (due > 0)
        session->retry_at = txn->boot + (due > txn->now ? due - txn->now : 0);
    return r < 0 ? r : 0;
}

static int
do_takes(struct txn *txn, struct batch *batch)
{
    struct seat *own = txn->store->own;
    int r = 0;

    for (struct worker_session *session = txn->store->writer.sessions;
         session != NULL && r == 0; session = session->next) {
        const unsigned want = atomic_load(&session->want) + session->freed;
        if (!session->holds || want == 0 || atomic_load(&session->stopping))
            continue;
        r = attempt_take(txn, session, want, &batch->taken_last,
                         &session->taken);
        session->try_take = false;
        session->look_at = txn->boot + IDLE_LOOK;
        if (r < 0 || session->taken == want)
            continue;
        /* Under the write lock: who stores work later sees the wish. */
        atomic_fetch_or(&own->wants, UINT64_C(1) << session->lane % 64);
        r = next_retry(txn, session);
    }
    return r;
}

/* Running attempts of ours that clients wish to end. */
static int
find_cancelled(struct txn *txn, struct worker_session *session,
               struct batch *batch)
{
    int64_t places[CANCELS_AT_ONCE];
    const unsigned first = batch->cancelled_len;
    unsigned len = first;
    int r;

    sqlite3_stmt *stmt =
        db_start(txn->db, SQL_RUNNING_CANCELLED,
                 ARGS(ARG(session->id), ARG(CANCELS_AT_ONCE - first)));
    while ((r = db_step(txn->db, stmt)) == 1) {
        places[len] = sqlite3_column_int64(stmt, 0);
        batch->cancelled[len].attempt = (uint64_t)sqlite3_column_int64(stmt, 1);
        batch->cancelled[len].session = session;
        len++;
    }
    db_done(stmt);
    for (unsigned i = first; i < len && r >= 0; i++) {
        struct lane *lane = txn_lane(txn, session->lane);
        struct tried tried = {0};
        r = lane == NULL
                ? txn->db->err.code
                : request_tell(txn, lane, PLACE_SEQ(places[i]), &tried);
        batch->cancelled[i].ticket = tried.ticket;
        if (r >= 0)
            r = db_run(txn->db, SQL_RUNNING_TOLD, ARGS(ARG(places[i])));
    }
    batch->cancelled_len = len;
    return r < 0 ? r : 0;
}

static int
do_cancelled(struct txn *txn, struct batch *batch)
{
    int r = 0;

    if (!atomic_exchange(&txn->store->own->cancels, false))
        return 0;
    for (struct worker_session *session = txn->store->writer.sessions;
         session != NULL && r == 0; session = session->next) {
        if (session->holds)
            r = find_cancelled(txn, session, batch);
    }
    if (r < 0 || batch->cancelled_len == CANCELS_AT_ONCE)
        atomic_store(&txn->store->own->cancels, true);
    return r;
}

static int
fill(struct txn *txn, struct batch *batch)
{
    int r = hold_sessions(txn);

    txn->lazy = true; /* until something says otherwise */
    if (r == 0)
        r = do_finishes(txn, batch);
    if (r == 0)
        r = do_submissions(txn, batch);
    if (r == 0)
        r = do_cancellations(txn, batch);
    if (r == 0)
        r = do_calls(txn, batch);
    if (r == 0)
        r = do_takes(txn, batch);
    if (r == 0)
        r = do_cancelled(txn, batch);
    if (r == 0 && batch->sweep) {
        r = sweep_piece(txn);
        batch->sweep_more = r == 1;
    }
    return r < 0 ? r : 0;
}

/* ---- after it ----------------------------------------------------------- */

static void
answer_submissions(struct batch *batch)
{
    struct mail *mail = TAKE(batch->submissions);

    while (mail != NULL) {
        struct submission *submission = submission_of(mail);
        mail = mail->next; /* the callback may free it */
        submission->on_submitted(submission);
    }
}

static void
answer_cancellations(struct batch *batch)
{
    struct mail *mail = TAKE(batch->cancellations);

    while (mail != NULL) {
        struct cancellation *cancellation = cancellation_of(mail);
        mail = mail->next;
        cancellation->on_cancelled(cancellation);
    }
}

static void
answer_calls(struct embedded *store, struct batch *batch)
{
    struct mail *mail = TAKE(batch->calls);

    while (mail != NULL) {
        struct call *call = call_of(mail);
        mail = mail->next;
        if (call->after != NULL)
            call->after(store, call);
        sem_post(&call->done);
    }
}

static void
free_finished(struct embedded *store, struct batch *batch)
{
    struct mail *mail = TAKE(batch->finishes);

    while (mail != NULL) {
        struct held_attempt *held = held_of(mail);
        mail = mail->next;
        if (held->fenced)
            log_ticket(EVENT_FENCED, &held->attempt.ticket,
                       store->settings->queues[held->attempt.queue].name,
                       held->attempt.number, "outcome=%s",
                       outcome_word(held->attempt.outcome));
        attempt_free(&held->attempt);
    }
}

static void
hand_out(struct batch *batch)
{
    struct mail *mail = TAKE(batch->taken);

    while (mail != NULL) {
        struct held_attempt *held = held_of(mail);
        struct attempt *attempt = &held->attempt;
        struct worker_session *session = held->session;
        mail = mail->next;
        session->options.on_take(session->options.opaque, &attempt);
    }
}

static void
update_session(struct worker_session *session)
{
    const struct session_options *options = &session->options;

    session->out += session->taken;
    session->out -= session->finished;
    if (session->freed > session->taken)
        atomic_fetch_add(&session->want, session->freed - session->taken);
    else
        atomic_fetch_sub(&session->want, session->taken - session->freed);
    if (session->renewed != 0) {
        session->lease = session->renewed;
        session->renew_at = session->lease - session->span / 3 * 2;
        options->on_lease(options->opaque, session->lease);
    }
    if (!session->holds && !session->lost) {
        session->lost = true;
        options->on_lost(options->opaque);
    }
    if (session->out == 0 && atomic_load(&session->stopping)) {
        void (*on_drained)(void *) =
            atomic_exchange(&session->on_drained, NULL);
        if (on_drained != NULL)
            on_drained(options->opaque);
    }
}

static void
call_back(struct embedded *store, struct batch *batch)
{
    answer_submissions(batch);
    for (struct worker_session *session = store->writer.sessions;
         session != NULL; session = session->next)
        update_session(session);
    hand_out(batch);
    for (unsigned i = 0; i < batch->cancelled_len; i++) {
        const struct cancelled *cancelled = &batch->cancelled[i];
        const struct session_options *options = &cancelled->session->options;
        options->on_cancel(options->opaque, &cancelled->ticket,
                           cancelled->attempt);
    }
    free_finished(store, batch);
    answer_cancellations(batch);
    answer_calls(store, batch);
}

/* ---- one round ---------------------------------------------------------- */

static void
drop_taken(struct batch *batch)
{
    struct mail *mail = TAKE(batch->taken);

    batch->taken_last = &batch->taken;
    while (mail != NULL) {
        struct held_attempt *held = held_of(mail);
        mail = mail->next;
        attempt_free(&held->attempt);
    }
    batch->cancelled_len = 0;
}

static int
try_batch(struct embedded *store, struct batch *batch)
{
    struct txn txn;
    int r = txn_begin(&txn, store);

    if (r < 0)
        return r;
    r = fill(&txn, batch);
    if (r < 0)
        r = txn_fail(&txn, r);
    else
        r = txn_commit(&txn);
    if (r < 0)
        drop_taken(batch);
    return r;
}

/* Nothing can be stored now: answers who can be told so, keeps the finishes. */
static void
postpone(struct embedded *store, struct batch *batch, int r)
{
    struct writer *writer = &store->writer;

    for (struct mail *mail = batch->submissions; mail != NULL;
         mail = mail->next)
        submission_of(mail)->r = r;
    for (struct mail *mail = batch->cancellations; mail != NULL;
         mail = mail->next)
        cancellation_of(mail)->r = r;
    for (struct mail *mail = batch->calls; mail != NULL; mail = mail->next)
        call_of(mail)->r =
            error_set(&call_of(mail)->err, r, "%s", writer->db.err.text);
    answer_submissions(batch);
    answer_cancellations(batch);
    answer_calls(store, batch);
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
        postpone(store, batch, r);
    } else {
        store->writer.sweep_more = batch->sweep_more;
        call_back(store, batch);
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
        if (stop && writer->unfinished != NULL)
            break;
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
    embedded_start_thread(&store->writer.thread, writer_main, store);
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

    atomic_store(&writer->stop, true);
    writer_ring(store);
    pthread_join(writer->thread, NULL);
    while (writer->unfinished != NULL) {
        struct held_attempt *held = held_of(writer->unfinished);
        writer->unfinished = writer->unfinished->next;
        attempt_free(&held->attempt);
    }
}
