/* look.c - what the store says about a ticket, a queue, its workers. */
#include "broker/embedded/look.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/embedded/control_row.h"
#include "broker/embedded/ending.h"
#include "broker/embedded/record.h"
#include "broker/embedded/schema.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/problem.h"

#define TROUBLE_SHOWN 60000 /* ms; older trouble is over */

/* Columns of RESPONSE_FIND. */
enum {
    R_SEQ,
    R_STATE,
    R_ATTEMPTS,
    R_SUBMITTED,
    R_STARTED,
    R_ENDED,
    R_REPLAYS,
    R_REPLAYED_BY,
    R_RELEASE,
    R_REASON,
    R_TICKET,
};

static enum ticket_state
final_state(int number)
{
    return number >= 0 && number < TICKET_STATES ? (enum ticket_state)number
                                                 : TICKET_FAILED;
}

struct stored *
look_stored(const struct ticket *ticket, int state, int format, int64_t sum,
            struct slice message, bool *damaged)
{
    struct stored *stored = mem_new(struct stored);

    *damaged = format != RECORD_FORMAT ||
               record_sum(ticket, slice_of(""), message) != sum;
    stored->state = *damaged ? TICKET_FAILED : final_state(state);
    buf_init(&stored->bytes, message.len + 4096);
    if (!*damaged) {
        if (buf_add_slice(&stored->bytes, message) < 0)
            abort(); /* of memory */
        return stored;
    }
    log_ticket(EVENT_STORE_CORRUPT, ticket, NULL, 0,
               "format=%d text=\"the stored response cannot be read\"", format);
    problem_message(&stored->bytes, 500, "store-corrupt",
                    "the stored response is damaged", ticket);
    return stored;
}

/* ---- tickets ------------------------------------------------------------ */

static int
look_message(struct embedded *store, struct lookup *lookup, unsigned lane,
             int64_t end)
{
    struct db *db = &store->reader.db;
    bool damaged = false;
    sqlite3_stmt *stmt =
        db_start_lane(db, lane, LANE_RESPONSE_MESSAGE, ARGS(ARG(end)));
    int r = db_step(db, stmt);

    if (r == 1)
        lookup->stored = look_stored(
            &lookup->ticket, lookup->status.state, sqlite3_column_int(stmt, 0),
            sqlite3_column_int64(stmt, 1), db_slice(stmt, 2), &damaged);
    db_done(stmt);
    if (!damaged)
        return r;
    stored_free(TAKE(lookup->stored));
    return -EIO;
}

static int
look_ended(struct embedded *store, struct lookup *lookup, unsigned lane,
           int64_t end)
{
    struct db *db = &store->reader.db;
    struct ticket_status *status = &lookup->status;
    sqlite3_stmt *stmt =
        db_start_lane(db, lane, LANE_RESPONSE_FIND, ARGS(ARG(end)));
    int r = db_step(db, stmt);

    if (r == 1) {
        status->state = final_state(sqlite3_column_int(stmt, R_STATE));
        status->attempts = (unsigned)sqlite3_column_int(stmt, R_ATTEMPTS);
        status->submitted = sqlite3_column_int64(stmt, R_SUBMITTED);
        status->started = sqlite3_column_int64(stmt, R_STARTED);
        status->ended = sqlite3_column_int64(stmt, R_ENDED);
        status->has_replays = db_ticket(stmt, R_REPLAYS, &status->replays);
        status->has_replayed_by =
            db_ticket(stmt, R_REPLAYED_BY, &status->replayed_by);
        db_text(stmt, R_RELEASE, status->release, sizeof(status->release));
        db_text(stmt, R_REASON, status->reason, sizeof(status->reason));
    }
    db_done(stmt);
    return r == 1 && lookup->with_response
               ? look_message(store, lookup, lane, end)
               : r;
}

/* 1: it runs. */
static int
look_running(struct embedded *store, struct ticket_status *status,
             int64_t place)
{
    struct db *db = &store->reader.db;
    sqlite3_stmt *stmt = db_start(db, SQL_RUNNING_FIND, ARGS(ARG(place)));
    int64_t session = 0;
    int r = db_step(db, stmt);

    if (r == 1) {
        session = sqlite3_column_int64(stmt, 0);
        status->state = TICKET_RUNNING;
        status->attempts = (unsigned)sqlite3_column_int(stmt, 2);
        status->started = sqlite3_column_int64(stmt, 4);
        if (sqlite3_column_int(stmt, 5) != 0)
            snprintf(status->reason, sizeof(status->reason), "being cancelled");
    }
    db_done(stmt);
    if (r != 1)
        return r;
    stmt = db_start(db, SQL_SESSION_RELEASE, ARGS(ARG(session)));
    r = db_step(db, stmt);
    if (r == 1)
        db_text(stmt, 0, status->release, sizeof(status->release));
    db_done(stmt);
    return r < 0 ? r : 1;
}

/* How many stand before it; counts up to 10,000 returned ones, so that a look
 * costs little however long the queue is. */
static int
look_position(struct embedded *store, struct ticket_status *status,
              const struct lane *lane, int64_t place, bool is_again)
{
    struct db *db = &store->reader.db;
    int64_t ahead = 0;
    int r = 1;

    if (is_again)
        r = db_number(db, SQL_AGAIN_AHEAD, ARGS(ARG(lane->id), ARG(place)),
                      &ahead);
    else
        ahead = lane->n.returned + PLACE_SEQ(place) - lane->n.head - 1;
    /* Cancelled ones leave gaps; it is still not behind the last. */
    if (ahead > lane->n.queued - 1 && !is_again)
        ahead = lane->n.queued - 1;
    status->position = ahead;
    return r < 0 ? r : 0;
}

static int
look_again(struct embedded *store, struct ticket_status *status, int64_t place)
{
    struct db *db = &store->reader.db;
    sqlite3_stmt *stmt = db_start(db, SQL_AGAIN_FIND, ARGS(ARG(place)));
    int r = db_step(db, stmt);

    if (r == 1) {
        status->attempts = (unsigned)sqlite3_column_int(stmt, 1);
        status->started = sqlite3_column_int64(stmt, 3);
        db_text(stmt, 4, status->release, sizeof(status->release));
        db_text(stmt, 5, status->reason, sizeof(status->reason));
    }
    db_done(stmt);
    return r;
}

/* Why it waits, if its queue is paused. */
static int
look_pause(struct embedded *store, struct ticket_status *status,
           struct lane *lane)
{
    if (lane->control.state == CONTROL_OPEN)
        return 0;
    int r = control_row_read(store, &store->reader.db, lane);
    if (r < 0)
        return r;
    snprintf(status->reason, sizeof(status->reason), "paused");
    status->paused_since = lane->control.since;
    snprintf(status->paused_why, sizeof(status->paused_why), "%s",
             lane->control.why);
    return 0;
}

static int
look_queued(struct embedded *store, struct ticket_status *status,
            struct lane *lane, int64_t place)
{
    struct db *db = &store->reader.db;
    sqlite3_stmt *stmt = db_start_lane(db, lane->id, LANE_REQUEST_TELL,
                                       ARGS(ARG(PLACE_SEQ(place))));
    int r = db_step(db, stmt);

    if (r == 1) {
        status->submitted = sqlite3_column_int64(stmt, 2);
        status->has_replays = db_ticket(stmt, 7, &status->replays);
    }
    db_done(stmt);
    if (r <= 0)
        return r;
    r = look_running(store, status, place);
    if (r != 0)
        return r;
    status->state = TICKET_QUEUED;
    r = look_again(store, status, place);
    if (r >= 0)
        r = look_position(store, status, lane, place, r == 1);
    if (r >= 0)
        r = look_pause(store, status, lane);
    return r < 0 ? r : 1;
}

void
look_ticket(struct embedded *store, struct lookup *lookup)
{
    struct db *db = &store->reader.db;
    struct lane lane = {0};

    memset(&lookup->status, 0, sizeof(lookup->status));
    lookup->status.position = -1;
    lookup->stored = NULL;
    sqlite3_stmt *stmt =
        db_start(db, SQL_TICKET_FIND, ARGS(ARG_TICKET(&lookup->ticket)));
    int r = db_step(db, stmt);
    const int64_t place = r == 1 ? sqlite3_column_int64(stmt, 0) : 0;
    const int64_t end = r == 1 ? sqlite3_column_int64(stmt, 1) : 0;
    db_done(stmt);

    if (r == 1)
        r = lane_load(db, PLACE_LANE(place), &lane);
    if (r == 1) {
        snprintf(lookup->status.queue, sizeof(lookup->status.queue), "%s",
                 lane.name);
        r = end != 0 ? look_ended(store, lookup, lane.id, end)
                     : look_queued(store, &lookup->status, &lane, place);
    }
    lookup->r = r == 1 ? 0 : r == 0 ? -ENOENT : -EIO;
}

/* ---- operators ---------------------------------------------------------- */

/* When the oldest request that waits was submitted; 0: none waits. */
static int
look_oldest(struct db *db, const struct lane *lane, wall_ms *submitted)
{
    int64_t seqs[2] = {0, 0};
    int64_t place = 0;
    int r = db_number(
        db, SQL_AGAIN_FIRST,
        ARGS(ARG(PLACE(lane->id, 0)), ARG(PLACE(lane->id + 1, 0))), &place);

    seqs[0] = r == 1 ? PLACE_SEQ(place) : 0;
    sqlite3_stmt *stmt = db_start_lane(db, lane->id, LANE_REQUEST_OLDEST,
                                       ARGS(ARG(lane->n.head)));
    if (r >= 0)
        r = db_step(db, stmt);
    seqs[1] = r == 1 ? sqlite3_column_int64(stmt, 0) : 0;
    db_done(stmt);
    *submitted = 0;
    for (int i = 0; i < 2 && r >= 0; i++) {
        if (seqs[i] == 0)
            continue;
        stmt =
            db_start_lane(db, lane->id, LANE_REQUEST_CLOCK, ARGS(ARG(seqs[i])));
        r = db_step(db, stmt);
        const wall_ms at = r == 1 ? sqlite3_column_int64(stmt, 1) : 0;
        if (at != 0 && (*submitted == 0 || at < *submitted))
            *submitted = at;
        db_done(stmt);
    }
    return r;
}

/* A worker of another release than its queue's waits: say for what. */
static int
look_idle(struct db *db, const struct lane *lane, char *trouble, size_t room)
{
    char name[128];
    char release[65];
    sqlite3_stmt *stmt =
        db_start(db, SQL_SESSION_IDLE,
                 ARGS(ARG(lane->id), ARG_STRING(lane->control.release)));
    int r = db_step(db, stmt);

    if (r == 1) {
        db_text(stmt, 0, name, sizeof(name));
        db_text(stmt, 1, release, sizeof(release));
        snprintf(trouble, room,
                 "worker %.50s is of release %.30s and waits: the queue is of "
                 "release %.30s",
                 name, release, lane->control.release);
    }
    db_done(stmt);
    return r;
}

int
look_queue(struct embedded *store, unsigned queue, struct queue_stats *stats)
{
    struct db *db = &store->reader.db;
    struct lane lane = {0};
    wall_ms oldest = 0;
    const wall_ms now = shared_now(store->shared);
    int r = lane_load(db, store->lane_ids[queue], &lane);

    if (r == 1)
        r = control_row_read(store, db, &lane);
    if (r == 0)
        r = look_oldest(db, &lane, &oldest);
    if (r < 0)
        return r;
    *stats = (struct queue_stats){
        .control = lane.control,
        .queued = (uint64_t)lane.n.queued,
        .delayed = (uint64_t)lane.n.delayed,
        .running = (uint64_t)lane.n.running,
        .dead = (uint64_t)lane.n.dead,
        .accepted = (uint64_t)lane.n.accepted,
        .done = (uint64_t)lane.n.done,
        .failed = (uint64_t)lane.n.failed,
        .oldest = oldest != 0 && now > oldest ? now - oldest : 0,
        .retained_bytes = (uint64_t)lane.n.retained,
    };
    if (now - lane.n.trouble_at < TROUBLE_SHOWN)
        snprintf(stats->trouble, sizeof(stats->trouble), "%s", lane.n.trouble);
    rate_minute(&store->shared->rates[lane.id], now, &stats->done_minute,
                &stats->failed_minute);
    r = stats->trouble[0] == '\0'
            ? look_idle(db, &lane, stats->trouble, sizeof(stats->trouble))
            : 0;
    return r < 0 ? r : 0;
}

static int
look_worker(struct embedded *store, sqlite3_stmt *stmt,
            struct worker_info *worker)
{
    struct db *db = &store->reader.db;
    struct lane lane = {0};
    int64_t running = 0;

    memset(worker, 0, sizeof(*worker));
    worker->session = (uint64_t)sqlite3_column_int64(stmt, 0);
    db_text(stmt, 2, worker->name, sizeof(worker->name));
    db_text(stmt, 3, worker->release, sizeof(worker->release));
    worker->concurrency = (unsigned)sqlite3_column_int(stmt, 4);
    worker->pid = sqlite3_column_int(stmt, 5);
    worker->lease_left =
        shared_lease(store->shared, sqlite3_column_int64(stmt, 0),
                     sqlite3_column_int64(stmt, 9)) -
        clock_boot();
    worker->since = sqlite3_column_int64(stmt, 10);
    int r = lane_load(db, (unsigned)sqlite3_column_int(stmt, 1), &lane);
    snprintf(worker->queue, sizeof(worker->queue), "%s", lane.name);
    if (r >= 0)
        r = db_number(db, SQL_RUNNING_COUNT, ARGS(ARG(worker->session)),
                      &running);
    worker->running = (unsigned)running;
    return r < 0 ? r : 0;
}

int
look_workers(struct embedded *store, struct worker_info **out, size_t *len)
{
    struct db *db = &store->reader.db;
    sqlite3_stmt *stmt = db_start(db, SQL_SESSION_LIST, NO_ARGS);
    struct worker_info *list = NULL;
    size_t n = 0;
    int r;

    while ((r = db_step(db, stmt)) == 1) {
        /* A session of another boot is over and not swept yet. */
        if (!slice_is(db_slice(stmt, 8), clock_boot_id()))
            continue;
        list = mem_grow(list, n + 1, sizeof(*list));
        r = look_worker(store, stmt, &list[n++]);
        if (r < 0)
            break;
    }
    db_done(stmt);
    if (r < 0) {
        free(list);
        return r;
    }
    *out = list;
    *len = n;
    return 0;
}

static int
look_run(struct db *db, sqlite3_stmt *stmt, unsigned lane,
         struct running *running)
{
    const int64_t place = sqlite3_column_int64(stmt, 0);

    memset(running, 0, sizeof(*running));
    db_text(stmt, 1, running->worker, sizeof(running->worker));
    db_text(stmt, 2, running->release, sizeof(running->release));
    running->attempt = (unsigned)sqlite3_column_int(stmt, 3);
    running->started = sqlite3_column_int64(stmt, 4);
    sqlite3_stmt *told =
        db_start_lane(db, lane, LANE_REQUEST_TELL, ARGS(ARG(PLACE_SEQ(place))));
    int r = db_step(db, told);
    if (r == 1)
        db_ticket(told, 1, &running->ticket);
    db_done(told);
    return r;
}

int
look_runs(struct embedded *store, unsigned queue, size_t max,
          struct running **out, size_t *len)
{
    struct db *db = &store->reader.db;
    const unsigned id = store->lane_ids[queue];
    struct running *list = NULL;
    size_t n = 0;
    int r;

    sqlite3_stmt *stmt =
        db_start(db, SQL_RUNNING_LIST, ARGS(ARG(id), ARG(max)));
    while ((r = db_step(db, stmt)) == 1) {
        list = mem_grow(list, n + 1, sizeof(*list));
        r = look_run(db, stmt, id, &list[n]);
        if (r < 0)
            break;
        n += r == 1;
    }
    db_done(stmt);
    if (r < 0) {
        free(list);
        return r;
    }
    *out = list;
    *len = n;
    return 0;
}

/* ---- what waits ---------------------------------------------------------- */

static int
look_key(struct db *db, wall_ms now, struct waiting *waiting)
{
    const unsigned slot = ticket_slot(&waiting->ticket);
    uint8_t first[2] = {(uint8_t)(slot >> 8), (uint8_t)slot};
    uint8_t last[KEY_BYTES];

    memset(last, 0xff, sizeof(last));
    memcpy(last, first, sizeof(first));
    sqlite3_stmt *stmt = db_start(db, SQL_KEY_OF,
                                  ARGS(ARG_BYTES(first, sizeof(first)),
                                       ARG_BYTES(last, sizeof(last)),
                                       ARG_TICKET(&waiting->ticket), ARG(now)));
    int r = db_step(db, stmt);
    const struct slice scope = db_slice(stmt, 0);
    const struct slice fingerprint = db_slice(stmt, 1);
    if (r == 1 && scope.len == KEY_BYTES && fingerprint.len == KEY_BYTES) {
        waiting->has_key = true;
        waiting->key_until = sqlite3_column_int64(stmt, 2);
        memcpy(waiting->key.scope, scope.at, KEY_BYTES);
        memcpy(waiting->key.fingerprint, fingerprint.at, KEY_BYTES);
    }
    db_done(stmt);
    return r;
}

static int
look_wait(struct db *db, sqlite3_stmt *stmt, const struct lane *lane,
          wall_ms now, struct waiting *waiting)
{
    struct request request;
    const bool good = request_read(stmt, &request);

    *waiting = (struct waiting){
        .place = request.seq,
        .ticket = request.ticket,
        .is_damaged = !good || request.format != RECORD_FORMAT ||
                      !request_is_intact(&request),
        .idempotent =
            (request.flags & (REQUEST_IDEMPOTENT | REQUEST_KEYED)) != 0,
        .attempts = (unsigned)sqlite3_column_int(stmt, 10),
        .age = lane_clock_at(lane, now) - request.clock,
        .message = request.message,
        .has_replays = request.has_replays,
        .replays = request.replays,
    };
    if (waiting->is_damaged)
        return 0;
    if (record_parse_origin(request.origin, &waiting->origin) < 0)
        waiting->is_damaged = true;
    return (request.flags & REQUEST_KEYED) != 0 ? look_key(db, now, waiting)
                                                : 0;
}

int
look_waiting(struct embedded *store, unsigned queue, int64_t after,
             waiting_fn *on_waiting, void *opaque)
{
    struct db *db = &store->reader.db;
    const wall_ms now = shared_now(store->shared);
    struct waiting waiting;
    struct lane lane = {0};
    bool more = true;
    int r = lane_load(db, store->lane_ids[queue], &lane);

    if (r < 0)
        return r;
    sqlite3_stmt *stmt = db_start_lane(
        db, lane.id, LANE_REQUEST_WAITING,
        ARGS(ARG(after), ARG(lane.n.head), ARG(PLACE(lane.id, 0))));
    while (more && (r = db_step(db, stmt)) == 1) {
        r = look_wait(db, stmt, &lane, now, &waiting);
        if (r < 0)
            break;
        more = on_waiting(&waiting, opaque);
    }
    db_done(stmt);
    return r < 0 ? r : 0;
}

/* ---- history ------------------------------------------------------------- */

static void
read_record(sqlite3_stmt *stmt, const struct lane *lane, struct history *record)
{
    *record = (struct history){
        .epoch = (uint64_t)sqlite3_column_int64(stmt, 1),
        .at = sqlite3_column_int64(stmt, 2),
    };
    snprintf(record->queue, sizeof(record->queue), "%s", lane->name);
    db_text(stmt, 3, record->change, sizeof(record->change));
    db_text(stmt, 4, record->release, sizeof(record->release));
    db_text(stmt, 5, record->by, sizeof(record->by));
    db_text(stmt, 6, record->why, sizeof(record->why));
    const struct slice receipt = db_slice(stmt, 7);
    if (receipt.len > 0)
        record->receipt = mem_strndup(receipt.at, receipt.len);
}

static void
reverse(struct history *list, size_t len)
{
    for (size_t i = 0; i < len / 2; i++) {
        const struct history other = list[i];
        list[i] = list[len - 1 - i];
        list[len - 1 - i] = other;
    }
}

/* The newest are read first, and told last. */
int
look_history(struct embedded *store, int queue, size_t max,
             struct history **out, size_t *len)
{
    struct db *db = &store->reader.db;
    const unsigned id = queue < 0 ? 0 : store->lane_ids[queue];
    struct history *list = NULL;
    size_t n = 0;
    int r;

    sqlite3_stmt *stmt =
        db_start(db, SQL_HISTORY_LIST, ARGS(ARG(id), ARG(max)));
    while ((r = db_step(db, stmt)) == 1) {
        struct lane lane = {0};
        r = lane_load(db, (unsigned)sqlite3_column_int(stmt, 0), &lane);
        if (r < 0)
            break;
        list = mem_grow(list, n + 1, sizeof(*list));
        read_record(stmt, &lane, &list[n++]);
    }
    db_done(stmt);
    if (r < 0) {
        history_free(list, n);
        return r;
    }
    reverse(list, n);
    *out = list;
    *len = n;
    return 0;
}

static int
look_dead_letter(struct db *db, const struct lane *lane, int64_t end,
                 struct dead_letter *letter)
{
    sqlite3_stmt *stmt =
        db_start_lane(db, lane->id, LANE_RESPONSE_FIND, ARGS(ARG(end)));
    int r = db_step(db, stmt);

    memset(letter, 0, sizeof(*letter));
    if (r == 1) {
        db_ticket(stmt, R_TICKET, &letter->ticket);
        letter->ended = sqlite3_column_int64(stmt, R_ENDED);
        letter->attempts = (unsigned)sqlite3_column_int(stmt, R_ATTEMPTS);
        db_text(stmt, R_REASON, letter->reason, sizeof(letter->reason));
        snprintf(letter->queue, sizeof(letter->queue), "%s", lane->name);
    }
    db_done(stmt);
    return r;
}

int
look_dead(struct embedded *store, unsigned queue, size_t max,
          struct dead_letter **out, size_t *len)
{
    struct db *db = &store->reader.db;
    struct lane lane = {0};
    struct dead_letter *list = NULL;
    size_t n = 0;
    int r = lane_load(db, store->lane_ids[queue], &lane);

    if (r < 0)
        return r;
    sqlite3_stmt *stmt = db_start(
        db, SQL_DEAD_LIST,
        ARGS(ARG(lane.id), ARG(0), ARG(max < INT64_MAX ? max : INT64_MAX)));
    while ((r = db_step(db, stmt)) == 1) {
        list = mem_grow(list, n + 1, sizeof(*list));
        r = look_dead_letter(db, &lane, sqlite3_column_int64(stmt, 0),
                             &list[n]);
        if (r < 0)
            break;
        n += r == 1;
    }
    db_done(stmt);
    if (r < 0) {
        free(list);
        return r;
    }
    *out = list;
    *len = n;
    return 0;
}
