/* txn.c - one write transaction and the queues that it touches. */
#include "broker/embedded/txn.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "broker/embedded/directory.h"
#include "broker/embedded/embedded_priv.h"
#include "broker/embedded/vfs.h"
#include "common/fault.h"
#include "common/log.h"
#include "common/mem.h"

/* ---- the write lock ----------------------------------------------------- */

/* What is stored in files without a name is gone with the last process: no
 * more tickets may be shown for it (P1). */
static void
check_deleted(struct embedded *store)
{
    struct stat st;

    if (fstat(store->lock_fd, &st) == 0 && st.st_nlink == 0)
        embedded_break(store, "the data directory was deleted");
}

void
txn_lock(struct embedded *store)
{
    atomic_store(&store->writer.waiting_since, clock_mono());
    int r = directory_lock(store->lock_fd);
    atomic_store(&store->writer.waiting_since, 0);
    if (r < 0)
        embedded_break(store, "the write lock cannot be taken");
    shared_hold(store->shared, store->seat);
    store->writer.holds++;
    embedded_check_broken(store);
    check_deleted(store);
}

void
txn_unlock(struct embedded *store)
{
    directory_unlock(store->lock_fd);
    shared_let_go(store->shared, store->seat);
}

/* ---- queues ------------------------------------------------------------- */

/* 1, or negative. */
static int
read_control(struct db *db, sqlite3_stmt *stmt, struct lane *lane)
{
    struct control *control = &lane->control;
    char state[16];

    control->epoch = (uint64_t)sqlite3_column_int64(stmt, 1);
    db_text(stmt, 2, state, sizeof(state));
    db_text(stmt, 3, control->release, sizeof(control->release));
    control->accepting = sqlite3_column_int(stmt, 20) != 0;
    control->since = sqlite3_column_int64(stmt, 21);
    control->paused_epoch = (uint64_t)sqlite3_column_int64(stmt, 22);
    control->ramp_since = sqlite3_column_int64(stmt, 23);
    control->ramp = sqlite3_column_int64(stmt, 24);
    if (control_state_parse(state, &control->state))
        return 1;
    return error_set(&db->err, -EUCLEAN, "queue %s is in state %s", lane->name,
                     state);
}

int
lane_load(struct db *db, unsigned id, struct lane *lane)
{
    sqlite3_stmt *stmt = db_start(db, SQL_QUEUE_LOAD, ARGS(ARG(id)));
    int r = db_step(db, stmt);

    if (r == 1) {
        int64_t *const numbers[] = {
            &lane->n.head,         &lane->n.tail,    &lane->n.last_end,
            &lane->n.last_attempt, &lane->n.queued,  &lane->n.returned,
            &lane->n.delayed,      &lane->n.running, &lane->n.dead,
            &lane->n.accepted,     &lane->n.done,    &lane->n.failed,
            &lane->n.retained,
        };
        lane->id = id;
        db_text(stmt, 0, lane->name, sizeof(lane->name));
        r = read_control(db, stmt, lane);
        lane->paused_ms = sqlite3_column_int64(stmt, 4);
        for (int i = 0; i < (int)ARRAY_LEN(numbers); i++)
            *numbers[i] = sqlite3_column_int64(stmt, 5 + i);
        db_text(stmt, 18, lane->n.trouble, sizeof(lane->n.trouble));
        lane->n.trouble_at = sqlite3_column_int64(stmt, 19);
    }
    db_done(stmt);
    return r;
}

int
txn_lane(struct txn *txn, unsigned id, struct lane **out)
{
    struct writer *writer = &txn->store->writer;

    if (id == 0 || id >= LANES)
        return error_set(&txn->db->err, -EUCLEAN, "cloakroom.db names queue %u",
                         id);
    if (writer->lanes[id] == NULL) {
        writer->lanes[id] = mem_new(struct lane);
        writer->lanes[id]->settings = embedded_lane_settings(txn->store, id);
    }
    struct lane *lane = *out = writer->lanes[id];
    if (lane->loaded)
        return 0;
    int r = lane_load(txn->db, id, lane);
    if (r == 0)
        r = error_set(&txn->db->err, -EUCLEAN, "cloakroom.db lost queue %u",
                      id);
    if (r < 0)
        return r;
    lane->was = lane->n;
    lane->loaded = true;
    lane->got_work = lane->moved = false;
    lane->new_done = lane->new_failed = 0;
    lane->next = txn->lanes;
    txn->lanes = lane;
    return 0;
}

wall_ms
lane_clock_at(const struct lane *lane, wall_ms now)
{
    const span_ms paused =
        lane->control.state == CONTROL_OPEN ? 0 : now - lane->control.since;

    return now - lane->paused_ms - paused;
}

wall_ms
lane_clock(const struct txn *txn, const struct lane *lane)
{
    return lane_clock_at(lane, txn->now);
}

static int
save_lane(struct txn *txn, const struct lane *lane)
{
    if (memcmp(&lane->n, &lane->was, sizeof(lane->n)) == 0)
        return 0;
    return db_run(
        txn->db, SQL_QUEUE_SAVE,
        ARGS(ARG(lane->id), ARG(lane->n.head), ARG(lane->n.tail),
             ARG(lane->n.last_end), ARG(lane->n.last_attempt),
             ARG(lane->n.queued), ARG(lane->n.returned), ARG(lane->n.delayed),
             ARG(lane->n.running), ARG(lane->n.dead), ARG(lane->n.accepted),
             ARG(lane->n.done), ARG(lane->n.failed), ARG(lane->n.retained),
             ARG_STRING(lane->n.trouble), ARG(lane->n.trouble_at)));
}

/* ---- transactions ------------------------------------------------------- */

int
txn_sort_failure(struct embedded *store, int r)
{
    if (r == -ENOSPC || r == -ENOTCONN)
        return r;
    if (r == -EUCLEAN)
        log_event(EVENT_STORE_CORRUPT, "directory=%s", store->directory);
    embedded_break(store, store->writer.db.err.text);
}

static void
forget_lanes(struct txn *txn)
{
    for (struct lane *lane = txn->lanes; lane != NULL; lane = lane->next)
        lane->loaded = false;
    txn->lanes = NULL;
}

int
txn_begin(struct txn *txn, struct embedded *store)
{
    memset(txn, 0, sizeof(*txn));
    txn->store = store;
    txn->db = &store->writer.db;
    txn_lock(store);
    txn->now = shared_now(store->shared);
    txn->boot = clock_boot();
    int r = FAULT("store.begin") ? db_failed(txn->db, SQLITE_FULL)
                                 : db_run(txn->db, SQL_BEGIN, NO_ARGS);
    if (r < 0) {
        r = txn_sort_failure(txn->store, r);
        txn_unlock(store);
    }
    return r;
}

/* Under the write lock still. */
static void
publish(struct txn *txn)
{
    struct shared *shared = txn->store->shared;

    for (struct lane *lane = txn->lanes; lane != NULL; lane = lane->next) {
        if (lane->new_done + lane->new_failed == 0)
            continue;
        atomic_store(&shared->ended[lane->id], lane->n.last_end);
        rate_add(&shared->rates[lane->id], txn->now, lane->new_done,
                 lane->new_failed);
    }
}

/* Without the lock, so that who is woken need not wait for it. */
static void
ring_others(struct txn *txn)
{
    bool responses = false;
    bool moved = false;

    for (struct lane *lane = txn->lanes; lane != NULL; lane = lane->next) {
        responses |= lane->new_done + lane->new_failed > 0;
        moved |= lane->moved;
        if (lane->got_work)
            shared_ring_work(txn->store->shared, lane->id);
    }
    if (responses)
        shared_ring_responses(txn->store->shared);
    if (moved)
        shared_ring_control(txn->store->shared);
}

int
txn_fail(struct txn *txn, int r)
{
    r = txn_sort_failure(txn->store, r);
    /* SQLite may have rolled back by itself. */
    if (!sqlite3_get_autocommit(txn->db->sqlite) &&
        db_run(txn->db, SQL_ROLLBACK, NO_ARGS) < 0)
        embedded_break(txn->store, txn->db->err.text);
    forget_lanes(txn);
    txn_unlock(txn->store);
    return r;
}

int
txn_commit(struct txn *txn)
{
    int r = 0;

    for (struct lane *lane = txn->lanes; lane != NULL && r == 0;
         lane = lane->next)
        r = save_lane(txn, lane);
    if (r == 0 && FAULT("store.stop"))
        raise(SIGSTOP); /* this thread at once: it has the lock now */
    if (r == 0 && FAULT("store.commit"))
        kill(getpid(), SIGKILL);
    vfs_set_lazy(txn->db->sqlite, txn->lazy);
    if (r == 0)
        r = db_run(txn->db, SQL_COMMIT, NO_ARGS);
    vfs_set_lazy(txn->db->sqlite, false);
    if (r < 0)
        return txn_fail(txn, r);
    if (FAULT("store.committed"))
        kill(getpid(), SIGKILL);
    publish(txn);
    txn_unlock(txn->store);
    ring_others(txn);
    forget_lanes(txn);
    return 0;
}
