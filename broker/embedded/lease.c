/* lease.c - sessions in the store: hello, renewal, the end of a lease. */
#include "broker/embedded/lease.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "broker/embedded/control_row.h"
#include "broker/embedded/probe.h"
#include "common/log.h"

int
lease_begin(struct txn *txn, struct worker_session *session)
{
    struct embedded *store = txn->store;
    const unsigned queue = session->options.queue;
    const span_ms lease = store->settings->queues[queue].lease;
    struct lane *lane;
    int r = txn_lane(txn, store->lane_ids[queue], &lane);

    if (r < 0)
        return r;
    session->lane = lane->id;
    session->span = lease;
    session->lease = txn->boot + lease;
    session->renew_at = txn->boot + lease / 3;
    r = db_run(txn->db, SQL_SESSION_ADD,
               ARGS(ARG(session->lane), ARG_STRING(session->name),
                    ARG_STRING(session->release),
                    ARG(session->options.concurrency), ARG(getpid()),
                    ARG(store->seat), ARG(atomic_load(&store->own->turn)),
                    ARG_STRING(clock_boot_id()), ARG(session->lease),
                    ARG(txn->now)));
    session->id = sqlite3_last_insert_rowid(txn->db->sqlite);
    lane->moved = true; /* some wait for workers of a release */
    return r;
}

int
lease_hold(struct txn *txn, struct worker_session *session, boot_ms *renewed)
{
    int64_t until = 0;
    int r =
        db_number(txn->db, SQL_SESSION_LEASE, ARGS(ARG(session->id)), &until);

    *renewed = 0;
    if (r <= 0)
        return r;
    if (shared_lease(txn->store->shared, session->id, until) <= txn->boot)
        return 0;
    if (txn->boot < session->renew_at)
        return 1;
    *renewed = txn->boot + session->span;
    if (shared_renew(txn->store->shared, session->id, txn->boot, *renewed))
        return 1;
    r = db_run(txn->db, SQL_SESSION_RENEW,
               ARGS(ARG(session->id), ARG(*renewed)));
    return r < 0 ? r : 1;
}

/* ---- the end ------------------------------------------------------------ */

struct lost {
    int64_t place;
    int64_t attempt;
    unsigned number;
    unsigned put_backs;
    wall_ms started;
    bool is_cancelled;
    enum held_kind probe;
};

#define LOST_AT_ONCE 64

static int
list_running(struct txn *txn, int64_t session, struct lost *lost, unsigned max,
             unsigned *len)
{
    sqlite3_stmt *stmt =
        db_start(txn->db, SQL_RUNNING_OF, ARGS(ARG(session), ARG(max)));
    int r;

    *len = 0;
    while ((r = db_step(txn->db, stmt)) == 1) {
        lost[(*len)++] = (struct lost){
            .place = sqlite3_column_int64(stmt, 0),
            .attempt = sqlite3_column_int64(stmt, 1),
            .number = (unsigned)sqlite3_column_int(stmt, 2),
            .put_backs = (unsigned)sqlite3_column_int(stmt, 3),
            .started = sqlite3_column_int64(stmt, 4),
            .is_cancelled = sqlite3_column_int(stmt, 5) != 0,
            .probe = (enum held_kind)sqlite3_column_int(stmt, 6),
        };
    }
    db_done(stmt);
    return r;
}

static int
lose(struct txn *txn, struct lane *lane, int64_t session, const char *release,
     const char *reason, const struct lost *lost)
{
    struct tried tried = {0};
    int r = request_tell(txn, lane, PLACE_SEQ(lost->place), &tried);

    if (r == 1)
        r = db_run(txn->db, SQL_RUNNING_DROP,
                   ARGS(ARG(lost->place), ARG(session), ARG(lost->attempt)));
    else if (r == 0)
        r = error_set(&txn->db->err, -EUCLEAN, "a running request is missing");
    if (r < 0)
        return r;
    tried.attempts = lost->number;
    tried.put_backs = lost->put_backs;
    tried.started = lost->started;
    tried.release = release;
    lane->n.running--;
    if (lost->probe != HELD_TAKEN)
        return probe_end(txn, lane, &tried, lost->probe == HELD_PROBE_KEEP,
                         OUTCOME_LOST, reason, SLICE(""), lost->is_cancelled);
    r = barrier_row_count(txn, lane, BARRIER_WAITED_OUT);
    return r < 0 ? r
                 : attempt_end(txn, lane, &tried, OUTCOME_LOST, reason,
                               SLICE(""), lost->is_cancelled);
}

int
lease_end(struct txn *txn, unsigned lane_id, int64_t session,
          const char *release, enum member_state state, const char *reason,
          unsigned most)
{
    struct lost lost[LOST_AT_ONCE];
    struct lane *lane;
    unsigned len = 0;
    int r = txn_lane(txn, lane_id, &lane);

    while (r == 0 && most > 0) {
        const unsigned max = most < LOST_AT_ONCE ? most : LOST_AT_ONCE;
        r = list_running(txn, session, lost, max, &len);
        for (unsigned i = 0; i < len && r == 0; i++)
            r = lose(txn, lane, session, release, reason, &lost[i]);
        if (r == 0 && len < max) {
            r = db_run(txn->db, SQL_SESSION_DROP, ARGS(ARG(session)));
            if (r == 0)
                r = barrier_row_account(txn, lane, session, state);
            lane->moved = true;
            return r < 0 ? r : 1;
        }
        most -= len;
    }
    return r;
}

/* ---- the sweep ---------------------------------------------------------- */

struct found {
    int64_t id;
    unsigned lane;
    char name[128];
    char release[65];
    const char *why; /* its lease is over; NULL: it is not */
    enum member_state state;
};

static const char *
why_over(const struct txn *txn, sqlite3_stmt *stmt, enum member_state *state)
{
    struct embedded *store = txn->store;

    *state = MEMBER_DIED;
    if (!slice_is(db_slice(stmt, 8), clock_boot_id()))
        return "the machine was restarted while it ran";
    if (shared_lease(store->shared, sqlite3_column_int64(stmt, 0),
                     sqlite3_column_int64(stmt, 9)) <= txn->boot) {
        *state = MEMBER_LAPSED;
        return "its worker was silent for longer than its lease";
    }
    if (!shared_is_alive(store->shared, store->lock_fd, store->seat,
                         (unsigned)sqlite3_column_int(stmt, 6),
                         (uint32_t)sqlite3_column_int64(stmt, 7)))
        return "its worker process died";
    return NULL;
}

/* The first session whose lease is over, of a queue in our settings. 1, 0. */
static int
find_over(struct txn *txn, struct found *found)
{
    sqlite3_stmt *stmt = db_start(txn->db, SQL_SESSION_LIST, NO_ARGS);
    int r;

    while ((r = db_step(txn->db, stmt)) == 1) {
        found->id = sqlite3_column_int64(stmt, 0);
        found->lane = (unsigned)sqlite3_column_int(stmt, 1);
        found->why = why_over(txn, stmt, &found->state);
        if (found->why == NULL ||
            embedded_lane_settings(txn->store, found->lane) == NULL)
            continue;
        db_text(stmt, 2, found->name, sizeof(found->name));
        db_text(stmt, 3, found->release, sizeof(found->release));
        break;
    }
    db_done(stmt);
    return r;
}

int
lease_sweep(struct txn *txn, unsigned most)
{
    struct found found = {0};
    struct lane *lane;
    char quoted[300];
    int r = find_over(txn, &found);

    if (r <= 0)
        return r;
    r = txn_lane(txn, found.lane, &lane);
    if (r < 0)
        return r;
    r = lease_end(txn, found.lane, found.id, found.release, found.state,
                  found.why, most);
    if (r == 1)
        log_event(EVENT_LEASE_LOST, "queue=%s session=%lld worker=%s text=%s",
                  lane->name, (long long)found.id,
                  log_quote(slice_of(found.name), quoted, 140),
                  log_quote(slice_of(found.why), quoted + 140, 160));
    return r < 0 ? r : 1;
}

int
lease_sweep_all(struct txn *txn)
{
    int r;

    while ((r = lease_sweep(txn, UINT32_MAX)) == 1)
        continue;
    return r;
}
