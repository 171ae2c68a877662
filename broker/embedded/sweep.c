/* sweep.c - what somebody must see to: ends that time brings, and the files. */
#include "broker/embedded/sweep.h"

#include "broker/embedded/lease.h"
#include "common/log.h"

#define SWEEP_EVERY 1000 /* ms */
#define PIECE       256  /* rows of a kind in one transaction */
#define PIECE_BYTES                                                            \
    (8 << 20)      /* of them: to delete one is to read its pages              \
                    */
#define FRESH 2000 /* ms; what ended so lately stays, for its readers */

/* ---- when --------------------------------------------------------------- */

bool
sweep_is_due(struct embedded *store, boot_ms now)
{
    int64_t last = atomic_load(&store->shared->swept);

    if (store->options.role == BROKER_VISITOR)
        return false;
    if (store->writer.sweep_more)
        return true;
    /* A last sweep in the future is one before the clock was set up. */
    if (now - last < SWEEP_EVERY && now >= last)
        return false;
    return atomic_compare_exchange_strong(&store->shared->swept, &last, now);
}

boot_ms
sweep_next(const struct embedded *store, boot_ms until)
{
    const boot_ms next = atomic_load(&store->shared->swept) + SWEEP_EVERY;

    if (store->writer.sweep_more)
        return 0;
    return next < until ? next : until;
}

/* ---- ttl ---------------------------------------------------------------- */

/* The oldest request that waits, by its seq. 1, 0: none, negative. */
static int
find_oldest(struct txn *txn, struct lane *lane, bool again, int64_t *seq)
{
    int64_t place = 0;
    int r;

    if (!again) {
        sqlite3_stmt *stmt = db_start_lane(
            txn->db, lane->id, LANE_REQUEST_OLDEST, ARGS(ARG(lane->n.head)));
        r = db_step(txn->db, stmt);
        if (r == 1)
            *seq = sqlite3_column_int64(stmt, 0);
        db_done(stmt);
        return r;
    }
    r = db_number(txn->db, SQL_AGAIN_FIRST,
                  ARGS(ARG(PLACE(lane->id, 0)), ARG(PLACE(lane->id + 1, 0))),
                  &place);
    *seq = PLACE_SEQ(place);
    return r;
}

static int
is_expired(struct txn *txn, struct lane *lane, int64_t seq)
{
    sqlite3_stmt *stmt =
        db_start_lane(txn->db, lane->id, LANE_REQUEST_CLOCK, ARGS(ARG(seq)));
    int r = db_step(txn->db, stmt);

    if (r == 1)
        r = lane_clock(txn, lane) - sqlite3_column_int64(stmt, 0) >
            lane->settings->ttl;
    db_done(stmt);
    return r;
}

/* Both lists are in the order of seq, so the first that is young enough ends
 * the search. 1: there may be more. */
static int
expire(struct txn *txn, struct lane *lane, bool again)
{
    struct tried tried;
    char release[65];
    int64_t seq = 0;
    int64_t bytes = 0;
    int n = 0;
    int r = 0;

    for (; n < PIECE && bytes < PIECE_BYTES; n++) {
        r = find_oldest(txn, lane, again, &seq);
        if (r == 1)
            r = is_expired(txn, lane, seq);
        if (r == 1)
            r = request_unqueue(txn, lane, seq, &tried, release);
        if (r == 1)
            r = request_fail(txn, lane, &tried, OUTCOME_EXPIRED, 504,
                             "waited in the queue for longer than its ttl",
                             false);
        else
            break;
        if (r < 0)
            break;
        bytes += tried.size;
    }
    if (n > 0)
        log_event(EVENT_EXPIRED, "queue=%s count=%d", lane->name, n);
    return r < 0 ? r : n == PIECE || bytes >= PIECE_BYTES;
}

/* ---- retention ---------------------------------------------------------- */

struct ended {
    int64_t end;
    int64_t seq;
    int64_t bytes;
    struct ticket ticket;
};

/* 1: there may be more. */
static int
list_old(struct txn *txn, struct lane *lane, struct ended *ended, int *len)
{
    const struct queue_settings *settings = lane->settings;
    int64_t over = lane->n.retained - (int64_t)settings->retention_bytes;
    sqlite3_stmt *stmt = db_start_lane(txn->db, lane->id, LANE_RESPONSE_OLDEST,
                                       ARGS(ARG(PIECE)));
    int64_t bytes = 0;
    int r = 1;

    *len = 0;
    while (bytes < PIECE_BYTES && (r = db_step(txn->db, stmt)) == 1) {
        const span_ms age = txn->now - sqlite3_column_int64(stmt, 3);
        struct ended *one = &ended[*len];
        if (age <= settings->retention_age && (over <= 0 || age <= FRESH)) {
            r = 0;
            break;
        }
        one->end = sqlite3_column_int64(stmt, 0);
        db_ticket(stmt, 1, &one->ticket);
        one->seq = sqlite3_column_int64(stmt, 2);
        one->bytes = sqlite3_column_int64(stmt, 4);
        over -= one->bytes;
        bytes += one->bytes;
        (*len)++;
    }
    db_done(stmt);
    return r < 0 ? r : *len == PIECE || bytes >= PIECE_BYTES;
}

static int
drop_dead(struct txn *txn, struct lane *lane, const struct ended *ended)
{
    int r;

    if (lane->n.dead == 0)
        return 0;
    r = db_run(txn->db, SQL_DEAD_DROP, ARGS(ARG(lane->id), ARG(ended->end)));
    if (r < 0 || sqlite3_changes(txn->db->sqlite) == 0)
        return r;
    lane->n.dead--;
    return db_run_lane(txn->db, lane->id, LANE_REQUEST_DROP,
                       ARGS(ARG(ended->seq)));
}

static int
drop_old(struct txn *txn, struct lane *lane)
{
    struct ended ended[PIECE];
    int len = 0;
    int r = list_old(txn, lane, ended, &len);
    const bool more = r == 1;

    for (int i = 0; i < len && r >= 0; i++) {
        r = db_run_lane(txn->db, lane->id, LANE_RESPONSE_DROP,
                        ARGS(ARG(ended[i].end)));
        if (r == 0)
            r = db_run(txn->db, SQL_TICKET_DROP,
                       ARGS(ARG_TICKET(&ended[i].ticket)));
        if (r == 0)
            r = drop_dead(txn, lane, &ended[i]);
        lane->n.retained -= ended[i].bytes;
    }
    if (len > 0)
        log_event(EVENT_SWEPT, "queue=%s responses=%d", lane->name, len);
    return r < 0 ? r : more;
}

static int
drop_keys(struct txn *txn)
{
    int r = db_run(txn->db, SQL_KEY_SWEEP, ARGS(ARG(txn->now), ARG(PIECE)));

    return r < 0 ? r : sqlite3_changes(txn->db->sqlite) == PIECE;
}

/* ---- all of it ---------------------------------------------------------- */

static int
sweep_lane(struct txn *txn, unsigned id)
{
    struct lane *lane;
    int r = txn_lane(txn, id, &lane);

    if (r < 0)
        return r;
    /* While it is paused no ttl runs, and one request may be probed. */
    const bool is_open = lane->control.state == CONTROL_OPEN;
    if (is_open)
        r = expire(txn, lane, false);
    bool more = r == 1;
    if (r >= 0 && is_open && lane->n.delayed + lane->n.returned > 0) {
        r = expire(txn, lane, true);
        more |= r == 1;
    }
    if (r >= 0) {
        r = drop_old(txn, lane);
        more |= r == 1;
    }
    return r < 0 ? r : more;
}

int
sweep_piece(struct txn *txn)
{
    struct embedded *store = txn->store;
    span_ms jump = 0;
    bool more;
    int r;

    if (shared_follow_clock(store->shared, &jump))
        log_event(
            EVENT_CLOCK_STEP,
            "step_ms=%lld text=\"ignored until all processes were ended\"",
            (long long)jump);
    r = lease_sweep(txn, PIECE);
    more = r == 1;
    for (size_t i = 0; i < store->settings->queues_len && r >= 0; i++) {
        r = sweep_lane(txn, store->lane_ids[i]);
        more |= r == 1;
    }
    if (r >= 0) {
        r = drop_keys(txn);
        more |= r == 1;
    }
    return r < 0 ? r : more;
}
