/* submit.c - puts requests on their queues, and takes them off on a cancel. */
#include "broker/embedded/submit.h"

#include <string.h>

#include "broker/embedded/embedded_priv.h"
#include "broker/embedded/record.h"
#include "broker/embedded/schema.h"
#include "common/log.h"

/* ---- keys --------------------------------------------------------------- */

/* 1: the key joins this submission to an earlier one, or refuses it; its
 * outputs are set. 0: the key is new. */
static int
find_key(struct txn *txn, struct submission *submission)
{
    const struct request_key *key = submission->key;
    sqlite3_stmt *stmt =
        db_start(txn->db, SQL_KEY_FIND, ARGS(ARG_BYTES(key->scope, KEY_BYTES)));
    int r = db_step(txn->db, stmt);

    if (r == 1 && sqlite3_column_int64(stmt, 2) <= txn->now)
        r = 0; /* forgotten, though not swept yet */
    if (r == 1) {
        const struct slice fingerprint = db_slice(stmt, 0);
        const struct slice own = {(const char *)key->fingerprint, KEY_BYTES};
        submission->joined = slice_eq(fingerprint, own) &&
                             db_ticket(stmt, 1, &submission->ticket);
        submission->r = submission->joined ? 0 : -EEXIST;
        submission->submitted = txn->now;
    }
    db_done(stmt);
    return r;
}

static int
set_key(struct txn *txn, const struct submission *submission,
        const struct lane *lane)
{
    const struct request_key *key = submission->key;

    return db_run(txn->db, SQL_KEY_SET,
                  ARGS(ARG_BYTES(key->scope, KEY_BYTES),
                       ARG_BYTES(key->fingerprint, KEY_BYTES),
                       ARG_TICKET(&submission->ticket),
                       ARG(txn->now + lane->settings->keys)));
}

/* ---- submitting --------------------------------------------------------- */

static int
store_request(struct txn *txn, const struct submission *submission,
              struct lane *lane, struct slice origin)
{
    const int64_t seq = lane->n.tail + 1;
    const unsigned flags = (submission->idempotent ? REQUEST_IDEMPOTENT : 0) |
                           (submission->key != NULL ? REQUEST_KEYED : 0);
    const struct ticket *replays = submission->replays;
    const int64_t sum =
        record_sum(&submission->ticket, origin, submission->message);
    int r = db_run_lane(
        txn->db, lane->id, LANE_REQUEST_ADD,
        ARGS(ARG(seq), ARG_TICKET(&submission->ticket), ARG(txn->now),
             ARG(lane_clock(txn, lane)), ARG(RECORD_FORMAT), ARG(flags),
             ARG(sum), ARG_BYTES(replays, TICKET_BYTES), ARG_SLICE(origin),
             ARG_SLICE(submission->message)));

    if (r == 0)
        r = db_run(
            txn->db, SQL_TICKET_ADD,
            ARGS(ARG_TICKET(&submission->ticket), ARG(PLACE(lane->id, seq))));
    if (r == 0 && submission->key != NULL)
        r = set_key(txn, submission, lane);
    if (r == 0) {
        lane->n.tail = seq;
        lane->n.queued++;
        lane->n.accepted++;
        lane->got_work = true;
    }
    return r;
}

int
request_submit(struct txn *txn, struct submission *submission)
{
    const unsigned id = txn->store->lane_ids[submission->queue];
    struct lane *lane;
    struct buf origin;
    int r = txn_lane(txn, id, &lane);

    submission->joined = false;
    if (r < 0)
        return r;
    if (submission->key != NULL) {
        r = find_key(txn, submission);
        if (r != 0)
            return r < 0 ? r : 0;
    }
    if (!lane->control.accepting) {
        submission->r = -ECONNREFUSED;
        return 0;
    }
    if ((uint64_t)(lane->n.queued + lane->n.delayed) >=
        lane->settings->max_depth) {
        submission->r = -ENOBUFS;
        return 0;
    }

    buf_init(&origin, ORIGIN_CAP);
    r = record_add_origin(&origin, &submission->origin);
    if (r < 0) {
        submission->r = r;
        r = 0;
    } else {
        r = store_request(txn, submission, lane, buf_slice(&origin));
        submission->r = 0;
        submission->submitted = txn->now;
        submission->paused_since =
            lane->control.state == CONTROL_OPEN ? 0 : lane->control.since;
    }
    buf_fini(&origin);
    return r;
}

/* ---- cancelling --------------------------------------------------------- */

/* 1: it runs, and its worker was told to kill it. 0: it does not run. */
static int
cancel_running(struct txn *txn, int64_t place)
{
    int64_t session = 0;
    int64_t seat = 0;
    int r = db_number(txn->db, SQL_RUNNING_FIND, ARGS(ARG(place)), &session);

    if (r <= 0)
        return r;
    r = db_run(txn->db, SQL_RUNNING_CANCEL, ARGS(ARG(place)));
    if (r == 0)
        r = db_number(txn->db, SQL_SESSION_SEAT, ARGS(ARG(session)), &seat);
    if (r == 1 && seat >= 0 && seat < SEATS) {
        atomic_store(&txn->store->shared->seats[seat].cancels, true);
        bell_ring(&txn->store->shared->seats[seat].writer);
    }
    return r < 0 ? r : 1;
}

int
request_cancel(struct txn *txn, struct cancellation *cancellation)
{
    sqlite3_stmt *stmt = db_start(txn->db, SQL_TICKET_FIND,
                                  ARGS(ARG_TICKET(&cancellation->ticket)));
    int r = db_step(txn->db, stmt);
    const int64_t place = r == 1 ? sqlite3_column_int64(stmt, 0) : 0;
    const int64_t end = r == 1 ? sqlite3_column_int64(stmt, 1) : 0;

    db_done(stmt);
    if (r <= 0 || end != 0) {
        cancellation->r = r == 0 ? -ENOENT : -EALREADY;
        return r < 0 ? r : 0;
    }
    r = cancel_running(txn, place);
    if (r != 0) {
        cancellation->r = -EAGAIN;
        return r < 0 ? r : 0;
    }

    struct tried tried;
    struct lane *lane;
    char release[65];
    r = txn_lane(txn, PLACE_LANE(place), &lane);
    if (r == 0)
        r = request_unqueue(txn, lane, PLACE_SEQ(place), &tried, release);
    if (r == 1) {
        cancellation->r = 0;
        log_ticket(EVENT_CANCELLED, &tried.ticket, lane->name, 0, "state=%s",
                   "queued");
        r = request_fail(txn, lane, &tried, OUTCOME_CANCELLED, 410,
                         "cancelled by the client before it ran", false);
    } else if (r == 0) {
        r = error_set(&txn->db->err, -EUCLEAN, "a queued request is missing");
    }
    return r;
}
