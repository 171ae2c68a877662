/* operators.c - what operators ask for: numbers, lists, dead letters. */
#include <stdlib.h>
#include <string.h>

#include "broker/embedded/embedded_priv.h"
#include "broker/embedded/look.h"
#include "broker/embedded/record.h"
#include "broker/embedded/schema.h"
#include "broker/embedded/submit.h"

/* ---- looking ------------------------------------------------------------ */

struct asked {
    unsigned queue;
    size_t max;
    struct queue_stats *stats;
    struct worker_info **workers;
    struct dead_letter **dead;
    size_t *len;
    int64_t after;
    waiting_fn *on_waiting;
    void *opaque;
};

static int
read_stats(struct embedded *store, struct call *call)
{
    const struct asked *asked = call->arg;

    return look_queue(store, asked->queue, asked->stats);
}

int
operator_queue_stats(struct broker *broker, unsigned queue,
                     struct queue_stats *stats, struct error *err)
{
    struct asked asked = {.queue = queue, .stats = stats};
    struct call call = {.read = read_stats, .arg = &asked};

    return embedded_call(embedded_of(broker), &call, err);
}

static int
read_workers(struct embedded *store, struct call *call)
{
    const struct asked *asked = call->arg;

    return look_workers(store, asked->workers, asked->len);
}

int
operator_workers(struct broker *broker, struct worker_info **out, size_t *len,
                 struct error *err)
{
    struct asked asked = {.workers = out, .len = len};
    struct call call = {.read = read_workers, .arg = &asked};

    return embedded_call(embedded_of(broker), &call, err);
}

static int
read_dead(struct embedded *store, struct call *call)
{
    const struct asked *asked = call->arg;

    return look_dead(store, asked->queue, asked->max, asked->dead, asked->len);
}

int
operator_dead_list(struct broker *broker, unsigned queue, size_t max,
                   struct dead_letter **out, size_t *len, struct error *err)
{
    struct asked asked = {.queue = queue, .max = max, .dead = out, .len = len};
    struct call call = {.read = read_dead, .arg = &asked};

    return embedded_call(embedded_of(broker), &call, err);
}

static int
read_waiting(struct embedded *store, struct call *call)
{
    const struct asked *asked = call->arg;

    return look_waiting(store, asked->queue, asked->after, asked->on_waiting,
                        asked->opaque);
}

int
operator_waiting(struct broker *broker, unsigned queue, int64_t after,
                 waiting_fn *on_waiting, void *opaque, struct error *err)
{
    struct asked asked = {.queue = queue,
                          .after = after,
                          .on_waiting = on_waiting,
                          .opaque = opaque};
    struct call call = {.read = read_waiting, .arg = &asked};

    return embedded_call(embedded_of(broker), &call, err);
}

/* ---- dead letters ------------------------------------------------------- */

struct letter {
    const struct ticket *ticket;
    struct ticket *made;
    unsigned lane;
    int64_t seq;
    int64_t end;
};

/* 1: it is a dead letter, and where. 0: the call was refused. */
static int
find_letter(struct txn *txn, struct call *call)
{
    struct letter *letter = call->arg;
    sqlite3_stmt *stmt =
        db_start(txn->db, SQL_TICKET_FIND, ARGS(ARG_TICKET(letter->ticket)));
    int64_t one = 0;
    int r = db_step(txn->db, stmt);

    if (r == 1) {
        letter->lane = PLACE_LANE(sqlite3_column_int64(stmt, 0));
        letter->seq = PLACE_SEQ(sqlite3_column_int64(stmt, 0));
        letter->end = sqlite3_column_int64(stmt, 1);
    }
    db_done(stmt);
    if (r == 1)
        r = db_number(txn->db, SQL_DEAD_FIND,
                      ARGS(ARG(letter->lane), ARG(letter->end)), &one);
    if (r == 0)
        call->r = error_set(&call->err, -ENOENT, "no such dead letter");
    return r;
}

static int
find_queue(const struct embedded *store, unsigned lane, unsigned *queue)
{
    for (unsigned i = 0; i < store->settings->queues_len; i++) {
        if (store->lane_ids[i] == lane) {
            *queue = i;
            return 0;
        }
    }
    return -ENOENT;
}

/* Submits a dead letter's request again. Its slices are lent by a statement. */
static int
submit_again(struct txn *txn, struct call *call, const struct request *request)
{
    struct letter *letter = call->arg;
    struct submission submission = {
        /* A key was good for one ticket. */
        .idempotent =
            (request->flags & (REQUEST_IDEMPOTENT | REQUEST_KEYED)) != 0,
        .message = request->message,
        .replays = letter->ticket,
        .ticket = ticket_make(txn->store->secret, txn->now,
                              (int)ticket_slot(letter->ticket)),
    };

    call->r = 0;
    if (request->format != RECORD_FORMAT || !request_is_intact(request) ||
        record_parse_origin(request->origin, &submission.origin) < 0)
        call->r = error_set(&call->err, -EIO,
                            "the dead letter's request is damaged or of a "
                            "newer format: it cannot be repeated");
    else if (find_queue(txn->store, letter->lane, &submission.queue) < 0)
        call->r = error_set(&call->err, -ENOENT,
                            "the dead letter's queue is not in the settings");
    if (call->r < 0)
        return 0;
    int r = request_submit(txn, &submission);
    if (r == 0 && submission.r < 0)
        call->r = error_set(&call->err, submission.r, "the queue is full");
    if (r < 0 || call->r < 0)
        return r;
    *letter->made = submission.ticket;
    return db_run_lane(txn->db, letter->lane, LANE_RESPONSE_LINK,
                       ARGS(ARG(letter->end), ARG_TICKET(&submission.ticket)));
}

static int
run_replay(struct txn *txn, struct call *call)
{
    const struct letter *letter = call->arg;
    struct request request;
    int r = find_letter(txn, call);

    if (r != 1)
        return r;
    sqlite3_stmt *stmt = db_start_lane(txn->db, letter->lane, LANE_REQUEST_FIND,
                                       ARGS(ARG(letter->seq)));
    r = db_step(txn->db, stmt);
    if (r == 1) {
        request_read(stmt, &request);
        r = submit_again(txn, call, &request);
    } else if (r == 0) {
        r = error_set(&txn->db->err, -EUCLEAN, "a dead letter is missing");
    }
    db_done(stmt);
    return r;
}

int
operator_dead_replay(struct broker *broker, const struct ticket *dead,
                     struct ticket *made, struct error *err)
{
    struct letter letter = {.ticket = dead, .made = made};
    struct call call = {.run = run_replay, .arg = &letter};

    return embedded_call(embedded_of(broker), &call, err);
}

static int
run_drop(struct txn *txn, struct call *call)
{
    const struct letter *letter = call->arg;
    struct lane *lane;
    int64_t size = 0;
    int r = find_letter(txn, call);

    if (r != 1)
        return r;
    call->r = 0;
    r = txn_lane(txn, letter->lane, &lane);
    if (r < 0)
        return r;
    sqlite3_stmt *stmt = db_start_lane(txn->db, letter->lane, LANE_REQUEST_TELL,
                                       ARGS(ARG(letter->seq)));
    r = db_step(txn->db, stmt);
    if (r == 1)
        size = sqlite3_column_int64(stmt, 8);
    db_done(stmt);
    if (r >= 0)
        r = db_run(txn->db, SQL_DEAD_DROP,
                   ARGS(ARG(letter->lane), ARG(letter->end)));
    if (r >= 0)
        r = db_run_lane(txn->db, letter->lane, LANE_REQUEST_DROP,
                        ARGS(ARG(letter->seq)));
    if (r >= 0)
        r = db_run_lane(txn->db, letter->lane, LANE_RESPONSE_SHRINK,
                        ARGS(ARG(letter->end), ARG(size)));
    if (r >= 0) {
        lane->n.dead--;
        lane->n.retained -= size;
    }
    return r;
}

int
operator_dead_drop(struct broker *broker, const struct ticket *dead,
                   struct error *err)
{
    struct letter letter = {.ticket = dead};
    struct call call = {.run = run_drop, .arg = &letter};

    return embedded_call(embedded_of(broker), &call, err);
}
