/* batch.c - what one transaction of the writer does, and whom it tells. */
#include "broker/embedded/batch.h"

#include <string.h>

#include "broker/embedded/control_row.h"
#include "broker/embedded/lease.h"
#include "broker/embedded/submit.h"
#include "broker/embedded/sweep.h"
#include "broker/embedded/take.h"
#include "common/log.h"

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
                          MEMBER_LAPSED,
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
    const bool is_full =
        atomic_load(&store->shared->full) || store->writer.endless;
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

/* Sessions that see a pause and run nothing say so. */
static int
do_acknowledge(struct txn *txn)
{
    int r = 0;

    for (struct worker_session *session = txn->store->writer.sessions;
         session != NULL && r == 0; session = session->next) {
        struct lane *lane;
        if (!session->holds || session->out > session->finished)
            continue;
        r = txn_lane(txn, session->lane, &lane);
        if (r < 0 || lane->control.state != CONTROL_PAUSED ||
            session->acknowledged == lane->control.paused_epoch)
            continue;
        session->acknowledged = lane->control.paused_epoch;
        r = barrier_row_account(txn, lane, session->id, MEMBER_ACKNOWLEDGED);
    }
    return r;
}

static int
next_retry(struct txn *txn, struct worker_session *session, struct lane *lane)
{
    int64_t due = 0;
    int r = 0;

    if (lane->n.delayed > 0)
        r = db_number(txn->db, SQL_AGAIN_NEXT_DUE, ARGS(ARG(lane->id)), &due);
    if (due > 0)
        session->retry_at = txn->boot + (due > txn->now ? due - txn->now : 0);
    return r < 0 ? r : 0;
}

/* Of the slots that are free, how many a ramp lets it use now; when that grows
 * it is to look again. */
static unsigned
ramp(const struct txn *txn, struct worker_session *session,
     const struct lane *lane, unsigned want)
{
    const unsigned out = session->out - session->finished;
    span_ms grows;
    const unsigned slots = control_slots(
        &lane->control, session->options.concurrency, txn->now, &grows);
    const unsigned room = slots > out ? slots - out : 0;

    if (grows > 0 && txn->boot + grows < session->look_at)
        session->look_at = txn->boot + grows;
    return room < want ? room : want;
}

static void
hand_probe(struct worker_session *session, struct batch *batch)
{
    if (session->probed == NULL)
        return;
    *batch->taken_last = &TAKE(session->probed)->attempt.mail;
    batch->taken_last = &(*batch->taken_last)->next;
    session->taken = 1;
}

static int
take(struct txn *txn, struct worker_session *session, unsigned want,
     struct batch *batch)
{
    struct seat *own = txn->store->own;
    struct lane *lane;
    int r = txn_lane(txn, session->lane, &lane);

    if (r < 0)
        return r;
    session->retry_at = 0;
    session->is_shut = !control_admits(&lane->control, session->release);
    if (session->is_shut)
        return 0;
    const unsigned room = ramp(txn, session, lane, want);
    if (room > 0)
        r = attempt_take(txn, session, room, &batch->taken_last,
                         &session->taken);
    if (r < 0 || session->taken == want)
        return r;
    /* Under the write lock: who stores work later sees the wish. */
    atomic_fetch_or(&own->wants, UINT64_C(1) << session->lane % 64);
    return session->taken < room ? next_retry(txn, session, lane) : 0;
}

static int
do_takes(struct txn *txn, struct batch *batch)
{
    int r = 0;

    for (struct worker_session *session = txn->store->writer.sessions;
         session != NULL && r == 0; session = session->next) {
        const unsigned want = atomic_load(&session->want) + session->freed;
        if (!session->holds || want == 0 || atomic_load(&session->stopping))
            continue;
        session->try_take = false;
        session->look_at = txn->boot + IDLE_LOOK;
        if (session->options.probe != NULL)
            hand_probe(session, batch);
        else
            r = take(txn, session, want, batch);
    }
    return r;
}

/* Running attempts of ours that clients or operators wish to end. */
static int
find_interrupted(struct txn *txn, struct worker_session *session,
                 struct batch *batch)
{
    int64_t places[CANCELS_AT_ONCE];
    const unsigned first = batch->interrupted_len;
    unsigned len = first;
    int r;

    sqlite3_stmt *stmt =
        db_start(txn->db, SQL_RUNNING_INTERRUPTED,
                 ARGS(ARG(session->id), ARG(CANCELS_AT_ONCE - first)));
    while ((r = db_step(txn->db, stmt)) == 1) {
        places[len] = sqlite3_column_int64(stmt, 0);
        batch->interrupted[len].attempt =
            (uint64_t)sqlite3_column_int64(stmt, 1);
        batch->interrupted[len].session = session;
        batch->interrupted[len].why = sqlite3_column_int(stmt, 2) != 0
                                          ? OUTCOME_CANCELLED
                                          : OUTCOME_KILLED;
        len++;
    }
    db_done(stmt);
    for (unsigned i = first; i < len && r >= 0; i++) {
        struct lane *lane;
        struct tried tried = {0};
        r = txn_lane(txn, session->lane, &lane);
        if (r == 0)
            r = request_tell(txn, lane, PLACE_SEQ(places[i]), &tried);
        batch->interrupted[i].ticket = tried.ticket;
        if (r >= 0)
            r = db_run(txn->db, SQL_RUNNING_TOLD, ARGS(ARG(places[i])));
    }
    batch->interrupted_len = len;
    return r < 0 ? r : 0;
}

static int
do_interrupted(struct txn *txn, struct batch *batch)
{
    int r = 0;

    if (!atomic_exchange(&txn->store->own->cancels, false))
        return 0;
    for (struct worker_session *session = txn->store->writer.sessions;
         session != NULL && r == 0; session = session->next) {
        if (session->holds)
            r = find_interrupted(txn, session, batch);
    }
    if (r < 0 || batch->interrupted_len == CANCELS_AT_ONCE)
        atomic_store(&txn->store->own->cancels, true);
    return r;
}

int
batch_fill(struct txn *txn, struct batch *batch)
{
    int r;

    txn->lazy = true; /* until something says otherwise */
    r = hold_sessions(txn);
    if (r == 0)
        r = do_finishes(txn, batch);
    if (r == 0)
        r = do_submissions(txn, batch);
    if (r == 0)
        r = do_cancellations(txn, batch);
    if (r == 0)
        r = do_calls(txn, batch);
    if (r == 0)
        r = do_acknowledge(txn);
    if (r == 0)
        r = do_takes(txn, batch);
    if (r == 0)
        r = do_interrupted(txn, batch);
    if (r == 0 && batch->sweep) {
        r = sweep_piece(txn);
        batch->sweep_more = r == 1;
    }
    return r < 0 ? r : 0;
}

/* ---- after it ----------------------------------------------------------- */

void
batch_answer_submissions(struct batch *batch)
{
    struct mail *mail = TAKE(batch->submissions);

    while (mail != NULL) {
        struct submission *submission = submission_of(mail);
        mail = mail->next; /* the callback may free it */
        submission->on_submitted(submission);
    }
}

void
batch_answer_cancellations(struct batch *batch)
{
    struct mail *mail = TAKE(batch->cancellations);

    while (mail != NULL) {
        struct cancellation *cancellation = cancellation_of(mail);
        mail = mail->next;
        cancellation->on_cancelled(cancellation);
    }
}

void
batch_answer_calls(struct embedded *store, struct batch *batch)
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
tell_lease(struct worker_session *session)
{
    if (session->renewed == 0)
        return;
    session->lease = session->renewed;
    session->renew_at = session->lease - session->span / 3 * 2;
    session->renewed = 0;
    session->options.on_lease(session->options.opaque, session->lease);
}

void
batch_tell_leases(struct embedded *store)
{
    for (struct worker_session *session = store->writer.sessions;
         session != NULL; session = session->next) {
        if (session->renewed == shared_lease(store->shared, session->id, 0))
            tell_lease(session);
        session->renewed = 0;
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
    tell_lease(session);
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

void
batch_call_back(struct embedded *store, struct batch *batch)
{
    batch_answer_submissions(batch);
    for (struct worker_session *session = store->writer.sessions;
         session != NULL; session = session->next)
        update_session(session);
    hand_out(batch);
    for (unsigned i = 0; i < batch->interrupted_len; i++) {
        const struct interrupted *interrupted = &batch->interrupted[i];
        const struct session_options *options = &interrupted->session->options;
        options->on_cancel(options->opaque, &interrupted->ticket,
                           interrupted->attempt, interrupted->why);
    }
    free_finished(store, batch);
    batch_answer_cancellations(batch);
    batch_answer_calls(store, batch);
}

void
batch_undo(struct embedded *store, struct batch *batch)
{
    struct mail *mail = TAKE(batch->taken);

    batch->taken_last = &batch->taken;
    while (mail != NULL) {
        struct held_attempt *held = held_of(mail);
        mail = mail->next;
        held->attempt.mail.next = NULL;
        if (held->probe != HELD_TAKEN) /* taken in an earlier transaction */
            held->session->probed = held;
        else
            attempt_free(&held->attempt);
    }
    for (struct worker_session *session = store->writer.sessions;
         session != NULL; session = session->next)
        session->acknowledged = 0;
    if (batch->interrupted_len > 0)
        atomic_store(&store->own->cancels, true);
    batch->interrupted_len = 0;
}
