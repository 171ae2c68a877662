/* ending.c - what becomes of a request: its one response, or another attempt.
 */
#include "broker/embedded/ending.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "broker/embedded/embedded_priv.h"
#include "broker/embedded/record.h"
#include "broker/embedded/schema.h"
#include "common/log.h"
#include "common/problem.h"

#define FAILURE_CAP 4096

/* ---- requests ----------------------------------------------------------- */

static bool
read_row(sqlite3_stmt *stmt, struct request *request)
{
    request->seq = sqlite3_column_int64(stmt, 0);
    bool good = db_ticket(stmt, 1, &request->ticket);
    request->submitted = sqlite3_column_int64(stmt, 2);
    request->clock = sqlite3_column_int64(stmt, 3);
    request->format = sqlite3_column_int(stmt, 4);
    request->flags = (unsigned)sqlite3_column_int(stmt, 5);
    request->sum = sqlite3_column_int64(stmt, 6);
    request->has_replays = db_ticket(stmt, 7, &request->replays);
    return good;
}

bool
request_read(sqlite3_stmt *stmt, struct request *request)
{
    bool good = read_row(stmt, request);

    request->origin = db_slice(stmt, 8);
    request->message = db_slice(stmt, 9);
    return good;
}

bool
request_is_intact(const struct request *request)
{
    return record_sum(&request->ticket, request->origin, request->message) ==
           request->sum;
}

bool
request_is_repeatable(unsigned flags, const struct queue_settings *settings)
{
    return outcome_is_repeatable(
        (flags & (REQUEST_IDEMPOTENT | REQUEST_KEYED)) != 0,
        settings->redeliver);
}

int
request_tell(struct txn *txn, struct lane *lane, int64_t seq,
             struct tried *tried)
{
    struct request request;
    sqlite3_stmt *stmt =
        db_start_lane(txn->db, lane->id, LANE_REQUEST_TELL, ARGS(ARG(seq)));
    int r = db_step(txn->db, stmt);

    if (r == 1) {
        read_row(stmt, &request);
        tried->ticket = request.ticket;
        tried->seq = seq;
        tried->flags = request.flags;
        tried->submitted = request.submitted;
        tried->size = sqlite3_column_int64(stmt, 8);
        tried->has_replays = request.has_replays;
        tried->replays = request.replays;
    }
    db_done(stmt);
    return r;
}

int
request_unqueue(struct txn *txn, struct lane *lane, int64_t seq,
                struct tried *tried, char release[65])
{
    const int64_t place = PLACE(lane->id, seq);

    memset(tried, 0, sizeof(*tried));
    release[0] = '\0';
    sqlite3_stmt *stmt = db_start(txn->db, SQL_AGAIN_FIND, ARGS(ARG(place)));
    int r = db_step(txn->db, stmt);
    const bool is_again = r == 1;
    const bool is_due = is_again && sqlite3_column_int64(stmt, 0) == 0;
    if (is_again) {
        tried->attempts = (unsigned)sqlite3_column_int(stmt, 1);
        tried->put_backs = (unsigned)sqlite3_column_int(stmt, 2);
        tried->started = sqlite3_column_int64(stmt, 3);
        db_text(stmt, 4, release, 65);
    }
    db_done(stmt);
    if (is_again)
        r = db_run(txn->db, SQL_AGAIN_DROP, ARGS(ARG(place)));
    if (r == 0)
        r = request_tell(txn, lane, seq, tried);
    if (r != 1)
        return r;
    tried->release = release;
    lane->n.returned -= is_due;
    lane->n.queued -= is_due || !is_again;
    lane->n.delayed -= is_again && !is_due;
    return 1;
}

/* ---- endings ------------------------------------------------------------ */

static int
store_response(struct txn *txn, struct lane *lane, const struct tried *tried,
               enum ticket_state state, const char *reason,
               struct slice message, size_t bytes)
{
    const struct ticket *replays = tried->has_replays ? &tried->replays : NULL;

    return db_run_lane(
        txn->db, lane->id, LANE_RESPONSE_ADD,
        ARGS(ARG(lane->n.last_end), ARG_TICKET(&tried->ticket), ARG(tried->seq),
             ARG(state), ARG(tried->attempts), ARG(tried->submitted),
             ARG(tried->started), ARG(txn->now), ARG(RECORD_FORMAT),
             ARG(record_sum(&tried->ticket, slice_of(""), message)),
             ARG_BYTES(replays, TICKET_BYTES), ARG(bytes),
             ARG_STRING(tried->release), ARG_STRING(reason),
             ARG_SLICE(message)));
}

/* How much the request of a dead letter takes up. */
static int
request_size(struct txn *txn, struct lane *lane, int64_t seq, size_t *size)
{
    sqlite3_stmt *stmt =
        db_start_lane(txn->db, lane->id, LANE_REQUEST_TELL, ARGS(ARG(seq)));
    int r = db_step(txn->db, stmt);

    *size = r == 1 ? (size_t)sqlite3_column_int64(stmt, 8) : 0;
    db_done(stmt);
    return r < 0 ? r : 0;
}

static void
count_ending(struct lane *lane, enum ticket_state state, size_t bytes,
             bool dead)
{
    lane->n.retained += (int64_t)bytes;
    lane->n.dead += dead;
    if (state == TICKET_DONE) {
        lane->n.done++;
        lane->new_done++;
    } else {
        lane->n.failed++;
        lane->new_failed++;
    }
}

int
request_end(struct txn *txn, struct lane *lane, const struct tried *tried,
            enum ticket_state state, const char *reason, struct slice message,
            bool dead)
{
    size_t kept = 0; /* of a dead letter's request */
    int r = 0;

    txn->lazy = false; /* who sees the response may rely on it (P2) */
    lane->n.last_end++;
    if (dead) {
        r = request_size(txn, lane, tried->seq, &kept);
        if (r == 0)
            r = db_run(txn->db, SQL_DEAD_ADD,
                       ARGS(ARG(lane->id), ARG(lane->n.last_end)));
    } else {
        r = db_run_lane(txn->db, lane->id, LANE_REQUEST_DROP,
                        ARGS(ARG(tried->seq)));
    }
    if (r == 0)
        r = store_response(txn, lane, tried, state, reason, message,
                           message.len + kept);
    if (r == 0)
        r = db_run(txn->db, SQL_TICKET_END,
                   ARGS(ARG_TICKET(&tried->ticket), ARG(lane->n.last_end)));
    if (r == 0)
        count_ending(lane, state, message.len + kept, dead);
    return r;
}

static enum ticket_state
state_of(enum outcome outcome)
{
    if (outcome == OUTCOME_CANCELLED)
        return TICKET_CANCELLED;
    return outcome == OUTCOME_EXPIRED ? TICKET_EXPIRED : TICKET_FAILED;
}

int
request_fail(struct txn *txn, struct lane *lane, const struct tried *tried,
             enum outcome outcome, int status, const char *reason, bool dead)
{
    struct buf message;
    int r;

    buf_init(&message, FAILURE_CAP);
    r = problem_message(&message, status, outcome_word(outcome), reason,
                        &tried->ticket);
    if (r == 0)
        r = request_end(txn, lane, tried, state_of(outcome), reason,
                        buf_slice(&message), dead);
    else
        error_set(&txn->db->err, r, "a failure's text is too long");
    buf_fini(&message);
    return r;
}

/* ---- another attempt ---------------------------------------------------- */

static void
count_again(struct txn *txn, struct lane *lane, enum action action,
            const char *reason)
{
    if (action == ACTION_RETURN) {
        lane->n.returned++;
        lane->n.queued++;
        lane->got_work = true;
        return;
    }
    lane->n.delayed++;
    if (action == ACTION_PUT_BACK && lane->control.state == CONTROL_OPEN) {
        snprintf(lane->n.trouble, sizeof(lane->n.trouble), "%s", reason);
        lane->n.trouble_at = txn->now;
    }
}

static int
again(struct txn *txn, struct lane *lane, const struct tried *tried,
      enum action action, const char *reason)
{
    const struct queue_settings *settings = lane->settings;
    const bool counted = action == ACTION_RETRY;
    const bool at_once = action == ACTION_RETURN;
    const unsigned put_backs = tried->put_backs + (action == ACTION_PUT_BACK);
    const unsigned attempts = tried->attempts - !counted;
    span_ms wait = 0;
    char quoted[400];

    if (!at_once)
        wait = outcome_backoff(settings->backoff_first, settings->backoff_max,
                               counted ? attempts : put_backs,
                               randombytes_random());
    count_again(txn, lane, action, reason);
    log_ticket(counted ? EVENT_RETRY : EVENT_PUT_BACK, &tried->ticket,
               lane->name, tried->attempts, "wait_ms=%lld text=%s",
               (long long)wait,
               log_quote(slice_of(reason), quoted, sizeof(quoted)));
    return db_run(txn->db, SQL_AGAIN_ADD,
                  ARGS(ARG(PLACE(lane->id, tried->seq)), ARG(lane->id),
                       ARG(at_once ? 0 : txn->now + wait), ARG(attempts),
                       ARG(put_backs), ARG(tried->started),
                       ARG_STRING(tried->release), ARG_STRING(reason)));
}

int
attempt_end(struct txn *txn, struct lane *lane, const struct tried *tried,
            enum outcome outcome, const char *reason, struct slice response,
            bool is_cancelled)
{
    char quoted[400];

    if (is_cancelled && outcome != OUTCOME_ANSWERED) {
        outcome = OUTCOME_CANCELLED;
        reason = "cancelled by the client while it ran";
    }
    if (outcome != OUTCOME_NOT_STARTED)
        lane->n.trouble[0] = '\0'; /* handlers start again */

    const struct verdict verdict = outcome_decide(
        outcome, request_is_repeatable(tried->flags, lane->settings),
        tried->attempts, lane->settings);
    switch (verdict.action) {
    case ACTION_DONE:
        return request_end(txn, lane, tried, TICKET_DONE, "", response, false);
    case ACTION_RETRY:
    case ACTION_PUT_BACK:
    case ACTION_RETURN:
        return again(txn, lane, tried, verdict.action, reason);
    case ACTION_FAIL:
        if (verdict.dead_letter)
            log_ticket(EVENT_DEAD, &tried->ticket, lane->name, tried->attempts,
                       "text=%s",
                       log_quote(slice_of(reason), quoted, sizeof(quoted)));
        return request_fail(txn, lane, tried, outcome, verdict.status, reason,
                            verdict.dead_letter);
    case ACTIONS:
        break;
    }
    assert(!"an action");
    return -EIO;
}
