/* probe.c - one request of a drained queue, run to see what a release makes of
 * it. */
#include "broker/embedded/probe.h"

#include <string.h>

#include "broker/embedded/control_row.h"
#include "broker/embedded/lease.h"
#include "broker/embedded/schema.h"
#include "broker/embedded/take.h"

/* ---- which request ------------------------------------------------------- */

/* The one that a worker would take first: a returned one, then the oldest. 1, 0
 * or negative. */
static int
find_next(struct txn *txn, const struct lane *lane, int64_t *seq)
{
    int64_t place = 0;
    int r = 0;

    if (lane->n.returned > 0)
        r = db_number(txn->db, SQL_AGAIN_READY, ARGS(ARG(lane->id), ARG(1)),
                      &place);
    *seq = PLACE_SEQ(place);
    if (r != 0)
        return r;
    sqlite3_stmt *stmt = db_start_lane(txn->db, lane->id, LANE_REQUEST_OLDEST,
                                       ARGS(ARG(lane->n.head)));
    r = db_step(txn->db, stmt);
    if (r == 1)
        *seq = sqlite3_column_int64(stmt, 0);
    db_done(stmt);
    return r;
}

static int
find_ticket(struct txn *txn, const struct lane *lane,
            const struct ticket *ticket, int64_t *seq)
{
    sqlite3_stmt *stmt =
        db_start(txn->db, SQL_TICKET_FIND, ARGS(ARG_TICKET(ticket)));
    int r = db_step(txn->db, stmt);
    const int64_t place = r == 1 ? sqlite3_column_int64(stmt, 0) : 0;
    const bool waits = r == 1 && sqlite3_column_int64(stmt, 1) == 0 &&
                       PLACE_LANE(place) == lane->id;

    db_done(stmt);
    *seq = PLACE_SEQ(place);
    return r < 0 ? r : waits;
}

static int
read_tries(struct txn *txn, const struct lane *lane, int64_t seq,
           unsigned *attempts, unsigned *put_backs)
{
    sqlite3_stmt *stmt =
        db_start(txn->db, SQL_AGAIN_FIND, ARGS(ARG(PLACE(lane->id, seq))));
    int r = db_step(txn->db, stmt);

    *attempts = r == 1 ? (unsigned)sqlite3_column_int(stmt, 1) : 0;
    *put_backs = r == 1 ? (unsigned)sqlite3_column_int(stmt, 2) : 0;
    db_done(stmt);
    return r < 0 ? r : 0;
}

/* ---- the beginning ------------------------------------------------------- */

static int
refuse(struct call *call, int r, const char *why)
{
    call->r = error_set(&call->err, r, "%s", why);
    return 0;
}

/* Puts the request into running, and its attempt into session->probed. */
static int
start(struct txn *txn, struct call *call, struct worker_session *session,
      struct lane *lane, int64_t seq)
{
    const enum probe_end end = session->options.probe->end;
    struct request request;
    unsigned attempts, put_backs;
    int r = read_tries(txn, lane, seq, &attempts, &put_backs);

    if (r < 0)
        return r;
    sqlite3_stmt *stmt =
        db_start_lane(txn->db, lane->id, LANE_REQUEST_FIND, ARGS(ARG(seq)));
    r = db_step(txn->db, stmt);
    if (r == 1 &&
        (!request_read(stmt, &request) || request.format != RECORD_FORMAT ||
         !request_is_intact(&request)))
        r = refuse(call, -EIO,
                   "the stored request is damaged, or of a newer "
                   "format");
    else if (r == 1 && end == PROBE_CAREFUL &&
             !request_is_repeatable(request.flags, lane->settings))
        r = refuse(call, -EPERM,
                   "the request may not be repeated: either what the probe "
                   "answers is kept (--keep), or its handler will run twice "
                   "(--discard)");
    else if (r == 1)
        session->probed =
            attempt_new(txn, session, lane, &request, attempts, put_backs);
    else if (r == 0)
        r = error_set(&txn->db->err, -EUCLEAN, "a queued request is missing");
    db_done(stmt);
    return r < 0 ? r : 0;
}

static int
find(struct txn *txn, struct call *call, const struct worker_session *session,
     const struct lane *lane, int64_t *seq)
{
    const struct ticket *ticket = session->options.probe->ticket;
    int r = ticket == NULL ? find_next(txn, lane, seq)
                           : find_ticket(txn, lane, ticket, seq);

    if (r == 0)
        refuse(call, -ENOENT,
               ticket == NULL ? "no request waits in it"
                              : "the ticket does not wait in it");
    return r < 0 ? r : 0;
}

/* The session, its barrier, its attempt. */
static int
settle_in(struct txn *txn, struct lane *lane, struct worker_session *session)
{
    struct held_attempt *held = session->probed;
    int r = lease_begin(txn, session);

    if (r == 0)
        r = barrier_row_one(txn, lane, session->id);
    if (r == 0)
        r = db_run(txn->db, SQL_RUNNING_ADD,
                   ARGS(ARG(PLACE(lane->id, held->seq)), ARG(session->id),
                        ARG(held->attempt.id), ARG(held->attempt.number),
                        ARG(held->put_backs), ARG(txn->now), ARG(held->probe)));
    lane->n.running++;
    return r;
}

int
probe_begin(struct txn *txn, struct call *call, struct worker_session *session)
{
    const struct change change = {.kind = CHANGE_PROBE};
    struct lane *lane;
    int64_t seq = 0;
    int r = txn_lane(txn, txn->store->lane_ids[session->options.queue], &lane);

    if (r == 0)
        r = control_row_read(txn->store, txn->db, lane);
    if (r < 0)
        return r;
    struct control next = lane->control;
    call->r = control_change(&next, &change, txn->now, &call->err);
    if (call->r == 0)
        r = find(txn, call, session, lane, &seq);
    if (r == 0 && call->r == 0)
        r = start(txn, call, session, lane, seq);
    if (r == 0 && call->r == 0) {
        lane->control = next;
        session->probed->attempt.epoch = next.epoch;
        r = control_row_write(txn, lane, change_word(CHANGE_PROBE),
                              session->release, session->name, "", NULL);
        if (r == 0)
            r = settle_in(txn, lane, session);
    }
    return r;
}

/* ---- the end ------------------------------------------------------------- */

/* Of a kept one: it did not start, or the prober was told to end. */
static bool
leaves_no_trace(const struct lane *lane, const struct tried *tried,
                enum outcome outcome)
{
    const struct verdict verdict = outcome_decide(
        outcome, request_is_repeatable(tried->flags, lane->settings),
        tried->attempts, lane->settings);

    return verdict.action == ACTION_PUT_BACK || verdict.action == ACTION_RETURN;
}

int
probe_end(struct txn *txn, struct lane *lane, const struct tried *tried,
          bool kept, enum outcome outcome, const char *reason,
          struct slice response, bool is_cancelled)
{
    struct tried found;
    char release[65];

    if ((!kept || leaves_no_trace(lane, tried, outcome)) && !is_cancelled)
        return 0; /* I1 */
    int r = request_unqueue(txn, lane, tried->seq, &found, release);
    if (r == 0)
        r = error_set(&txn->db->err, -EUCLEAN, "a probed request is missing");
    /* A dead letter, or one to be run again, keeps its row. */
    if (r == 1)
        r = db_run_lane(txn->db, lane->id, LANE_REQUEST_PULL,
                        ARGS(ARG(tried->seq)));
    if (r < 0)
        return r;
    return attempt_end(txn, lane, tried, outcome, reason, response,
                       is_cancelled);
}
