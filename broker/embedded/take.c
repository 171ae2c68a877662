/* take.c - takes requests for a session, and takes back what became of them. */
#include "broker/embedded/take.h"

#include <stdlib.h>
#include <string.h>

#include "broker/embedded/control_row.h"
#include "broker/embedded/lease.h"
#include "broker/embedded/probe.h"
#include "broker/embedded/record.h"
#include "broker/embedded/schema.h"
#include "common/log.h"
#include "common/mem.h"

#define NEWER_FORMAT_WAIT                                                      \
    60000 /* ms; until somebody else may have taken it                         \
           */
#define RETURNED_AT_ONCE 64
#define PROMOTED_AT_ONCE 1024

/* What is being taken. */
struct taking {
    struct txn *txn;
    struct worker_session *session;
    struct lane *lane;
    struct mail ***last;
    unsigned want;
    unsigned taken;
};

/* ---- one request -------------------------------------------------------- */

static struct slice
keep(struct buf *buf, struct slice bytes)
{
    const size_t at = buf->len;

    /* Room was reserved for it all: buf->at does not move. */
    buf_add_slice(buf, bytes);
    return (struct slice){buf->at + at, bytes.len};
}

struct held_attempt *
attempt_new(struct txn *txn, struct worker_session *session, struct lane *lane,
            const struct request *request, unsigned attempts,
            unsigned put_backs)
{
    const struct probe *probe = session->options.probe;
    struct held_attempt *held = mem_new(struct held_attempt);
    struct attempt *attempt = &held->attempt;
    const size_t size = request->origin.len + request->message.len;

    attempt->ticket = request->ticket;
    attempt->queue = session->options.queue;
    attempt->number = attempts + 1;
    attempt->repeatable = request_is_repeatable(request->flags, lane->settings);
    attempt->epoch = lane->control.epoch;
    attempt->id = (uint64_t)++lane->n.last_attempt;
    held->session = session;
    held->seq = request->seq;
    held->flags = request->flags;
    held->put_backs = put_backs;
    held->submitted = request->submitted;
    held->started = txn->now;
    held->has_replays = request->has_replays;
    held->replays = request->replays;
    if (probe != NULL)
        held->probe = probe->end == PROBE_KEEP ? HELD_PROBE_KEEP : HELD_PROBE;

    buf_init(&attempt->response, lane->settings->max_response);
    buf_init(&attempt->store, size + 1);
    if (buf_reserve(&attempt->store, size + 1) == NULL)
        abort(); /* of memory; the lease ends, another worker takes it */
    attempt->message = keep(&attempt->store, request->message);
    record_parse_origin(keep(&attempt->store, request->origin),
                        &attempt->origin);
    return held;
}

static int
start(struct taking *taking, const struct request *request, unsigned attempts,
      unsigned put_backs)
{
    struct txn *txn = taking->txn;
    struct lane *lane = taking->lane;
    struct held_attempt *held =
        attempt_new(txn, taking->session, lane, request, attempts, put_backs);
    struct attempt *attempt = &held->attempt;
    int r;

    **taking->last = &attempt->mail;
    *taking->last = &attempt->mail.next;
    taking->taken++;
    txn->lazy &= attempt->repeatable;
    lane->n.queued--;
    lane->n.running++;
    r = db_run(txn->db, SQL_RUNNING_ADD,
               ARGS(ARG(PLACE(lane->id, request->seq)),
                    ARG(taking->session->id), ARG(attempt->id),
                    ARG(attempt->number), ARG(put_backs), ARG(txn->now),
                    ARG(held->probe)));
    log_ticket(EVENT_TAKEN, &attempt->ticket, lane->name, attempt->number,
               "session=%lld", (long long)taking->session->id);
    return r;
}

static struct tried
untried(const struct request *request, unsigned attempts, unsigned put_backs)
{
    return (struct tried){.ticket = request->ticket,
                          .seq = request->seq,
                          .flags = request->flags,
                          .attempts = attempts,
                          .put_backs = put_backs,
                          .submitted = request->submitted,
                          .release = "",
                          .has_replays = request->has_replays,
                          .replays = request->replays};
}

static int
leave_newer(struct taking *taking, const struct request *request,
            unsigned attempts, unsigned put_backs)
{
    struct lane *lane = taking->lane;

    log_ticket(EVENT_STORE_CORRUPT, &request->ticket, lane->name, attempts,
               "format=%d text=\"stored by a newer program: left alone\"",
               request->format);
    lane->n.queued--;
    lane->n.delayed++;
    return db_run(taking->txn->db, SQL_AGAIN_ADD,
                  ARGS(ARG(PLACE(lane->id, request->seq)), ARG(lane->id),
                       ARG(taking->txn->now + NEWER_FORMAT_WAIT), ARG(attempts),
                       ARG(put_backs), ARG(0), ARG_STRING(""),
                       ARG_STRING("stored in a newer format")));
}

static int
refuse(struct taking *taking, const struct request *request, unsigned attempts,
       unsigned put_backs, bool is_damaged)
{
    const struct tried tried = untried(request, attempts, put_backs);
    struct lane *lane = taking->lane;

    lane->n.queued--;
    if (!is_damaged)
        return request_fail(taking->txn, lane, &tried, OUTCOME_EXPIRED, 504,
                            "waited in the queue for longer than its ttl",
                            false);
    log_ticket(EVENT_STORE_CORRUPT, &tried.ticket, lane->name, attempts,
               "text=\"checksum of the request does not match\"");
    return request_fail(taking->txn, lane, &tried, OUTCOME_LOST, 500,
                        "the stored request is damaged: it was not run", true);
}

/* It was taken out of its list; queued still counts it. */
static int
take_one(struct taking *taking, const struct request *request, bool good,
         unsigned attempts, unsigned put_backs)
{
    const wall_ms clock = lane_clock(taking->txn, taking->lane);

    if (request->format > RECORD_FORMAT)
        return leave_newer(taking, request, attempts, put_backs);
    if (!good || !request_is_intact(request))
        return refuse(taking, request, attempts, put_backs, true);
    if (clock - request->clock > taking->lane->settings->ttl)
        return refuse(taking, request, attempts, put_backs, false);
    return start(taking, request, attempts, put_backs);
}

/* ---- returned ones, which come first ------------------------------------ */

static int
promote(struct txn *txn, struct lane *lane)
{
    int r;

    if (lane->n.delayed == 0)
        return 0;
    r = db_run(txn->db, SQL_AGAIN_PROMOTE,
               ARGS(ARG(lane->id), ARG(txn->now), ARG(PROMOTED_AT_ONCE)));
    const int64_t due = r == 0 ? sqlite3_changes(txn->db->sqlite) : 0;
    lane->n.delayed -= due;
    lane->n.returned += due;
    lane->n.queued += due;
    return r;
}

struct returned {
    int64_t place;
    unsigned attempts, put_backs;
};

static int
take_again(struct taking *taking, const struct returned *returned)
{
    struct db *db = taking->txn->db;
    struct request request;
    int r = db_run(db, SQL_AGAIN_DROP, ARGS(ARG(returned->place)));

    if (r < 0)
        return r;
    taking->lane->n.returned--;
    sqlite3_stmt *stmt = db_start_lane(db, taking->lane->id, LANE_REQUEST_FIND,
                                       ARGS(ARG(PLACE_SEQ(returned->place))));
    r = db_step(db, stmt);
    if (r == 1) {
        const bool good = request_read(stmt, &request);
        r = take_one(taking, &request, good, returned->attempts,
                     returned->put_backs);
    } else if (r == 0) {
        r = error_set(&db->err, -EUCLEAN, "a returned request is missing");
    }
    db_done(stmt);
    return r;
}

static int
take_returned(struct taking *taking)
{
    struct db *db = taking->txn->db;
    struct returned returned[RETURNED_AT_ONCE];
    unsigned len = 0;
    int r;

    const unsigned left = taking->want - taking->taken;
    sqlite3_stmt *stmt =
        db_start(db, SQL_AGAIN_READY,
                 ARGS(ARG(taking->lane->id),
                      ARG(left < RETURNED_AT_ONCE ? left : RETURNED_AT_ONCE)));
    while ((r = db_step(db, stmt)) == 1)
        returned[len++] = (struct returned){
            .place = sqlite3_column_int64(stmt, 0),
            .attempts = (unsigned)sqlite3_column_int(stmt, 1),
            .put_backs = (unsigned)sqlite3_column_int(stmt, 2)};
    db_done(stmt);
    for (unsigned i = 0; i < len && r == 0; i++)
        r = take_again(taking, &returned[i]);
    return r;
}

/* ---- untaken ones ------------------------------------------------------- */

static int
take_untaken(struct taking *taking)
{
    struct db *db = taking->txn->db;
    struct lane *lane = taking->lane;
    struct request request;
    sqlite3_stmt *stmt = db_start_lane(
        db, lane->id, LANE_REQUEST_NEXT,
        ARGS(ARG(lane->n.head), ARG(taking->want - taking->taken)));
    int r;

    /* Ending one deletes its row behind the statement's cursor, not before it:
     * SQLite goes on with the next. */
    while ((r = db_step(db, stmt)) == 1) {
        const bool good = request_read(stmt, &request);
        lane->n.head = request.seq;
        r = take_one(taking, &request, good, 0, 0);
        if (r < 0)
            break;
    }
    db_done(stmt);
    return r;
}

int
attempt_take(struct txn *txn, struct worker_session *session, unsigned want,
             struct mail ***last, unsigned *taken)
{
    struct taking taking = {
        .txn = txn, .session = session, .last = last, .want = want};
    int r = txn_lane(txn, session->lane, &taking.lane);
    struct lane *lane = taking.lane;

    *taken = 0;
    if (r < 0 || !control_admits(&lane->control, session->release))
        return r;
    r = promote(txn, lane);
    while (r == 0 && taking.taken < want && lane->n.returned > 0)
        r = take_returned(&taking);
    while (r == 0 && taking.taken < want && lane->n.queued > lane->n.returned) {
        const int64_t before = lane->n.head;
        r = take_untaken(&taking);
        if (r == 0 && lane->n.head == before)
            r = error_set(&txn->db->err, -EUCLEAN,
                          "untaken requests of queue "
                          "%s are missing",
                          lane->name);
    }
    *taken = taking.taken;
    return r;
}

/* ---- the end of an attempt ---------------------------------------------- */

/* The client may have cancelled it; only then the row is looked at. */
static int
read_cancel(struct txn *txn, int64_t place, bool *is_cancelled)
{
    sqlite3_stmt *stmt = db_start(txn->db, SQL_RUNNING_FIND, ARGS(ARG(place)));
    int r = db_step(txn->db, stmt);

    *is_cancelled = r == 1 && sqlite3_column_int(stmt, 5) != 0;
    db_done(stmt);
    return r < 0 ? r : 0;
}

static enum barrier_count
count_of(const struct attempt *attempt)
{
    if (attempt->outcome != OUTCOME_KILLED)
        return BARRIER_ENDED;
    return attempt->repeatable ? BARRIER_PUT_BACK : BARRIER_KILLED;
}

int
attempt_finish(struct txn *txn, struct held_attempt *held, bool *fenced)
{
    struct attempt *attempt = &held->attempt;
    struct worker_session *session = held->session;
    const int64_t place = PLACE(session->lane, held->seq);
    bool is_cancelled = false;
    struct lane *lane;
    int r = txn_lane(txn, session->lane, &lane);

    *fenced = false;
    if (r == 0 && attempt->outcome != OUTCOME_ANSWERED)
        r = read_cancel(txn, place, &is_cancelled);
    if (r == 0)
        r = db_run(txn->db, SQL_RUNNING_DROP,
                   ARGS(ARG(place), ARG(session->id), ARG(attempt->id)));
    if (r < 0)
        return r;
    if (sqlite3_changes(txn->db->sqlite) == 0) {
        *fenced = true;
        return 0;
    }
    lane->n.running--;

    const struct tried tried = {.ticket = attempt->ticket,
                                .seq = held->seq,
                                .flags = held->flags,
                                .attempts = attempt->number,
                                .put_backs = held->put_backs,
                                .submitted = held->submitted,
                                .started = held->started,
                                .release = session->release,
                                .has_replays = held->has_replays,
                                .replays = held->replays};
    const struct slice response = buf_slice(&attempt->response);
    txn->lazy = false;
    if (held->probe != HELD_TAKEN)
        return probe_end(txn, lane, &tried, held->probe == HELD_PROBE_KEEP,
                         attempt->outcome, attempt->reason, response,
                         is_cancelled);
    r = barrier_row_count(txn, lane, count_of(attempt));
    return r < 0 ? r
                 : attempt_end(txn, lane, &tried, attempt->outcome,
                               attempt->reason, response, is_cancelled);
}
