/* control_row.c - a queue's control state in the store, its barrier, its
 * history. */
#include "broker/embedded/control_row.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "broker/receipt.h"
#include "common/log.h"
#include "common/mem.h"

/* ---- the state ----------------------------------------------------------- */

/* Who runs the upgrade: pid, and owns_upgrade. */
static void
read_owner(struct embedded *store, sqlite3_stmt *stmt, struct lane *lane)
{
    const unsigned seat = (unsigned)sqlite3_column_int(stmt, 6);
    const uint32_t turn = (uint32_t)sqlite3_column_int64(stmt, 7);
    const bool is_alive =
        lane->control.upgrade.id[0] != '\0' &&
        slice_is(db_slice(stmt, 8), clock_boot_id()) &&
        shared_is_alive(store->shared, store->lock_fd, store->seat, seat, turn);

    lane->control.upgrade.pid = is_alive ? sqlite3_column_int(stmt, 9) : 0;
    lane->owns_upgrade = is_alive && seat == store->seat;
}

static int
read_row(struct embedded *store, struct db *db, sqlite3_stmt *stmt,
         struct lane *lane)
{
    struct control *control = &lane->control;
    struct upgrade *upgrade = &control->upgrade;
    char step[16];

    db_text(stmt, 0, control->by, sizeof(control->by));
    db_text(stmt, 1, control->why, sizeof(control->why));
    db_text(stmt, 2, upgrade->id, sizeof(upgrade->id));
    db_text(stmt, 3, step, sizeof(step));
    db_text(stmt, 4, upgrade->from, sizeof(upgrade->from));
    db_text(stmt, 5, upgrade->to, sizeof(upgrade->to));
    read_owner(store, stmt, lane);
    if (!upgrade_step_parse(step, &upgrade->step))
        return error_set(&db->err, -EUCLEAN, "queue %s is in step %s",
                         lane->name, step);
    if (!control_is_sound(control))
        return error_set(&db->err, -EUCLEAN,
                         "the control state of queue %s contradicts itself",
                         lane->name);
    return 0;
}

int
control_row_read(struct embedded *store, struct db *db, struct lane *lane)
{
    sqlite3_stmt *stmt = db_start(db, SQL_CONTROL_LOAD, ARGS(ARG(lane->id)));
    int r = db_step(db, stmt);

    if (r == 1)
        r = read_row(store, db, stmt, lane);
    else if (r == 0)
        r = error_set(&db->err, -EUCLEAN, "queue %s has no control state",
                      lane->name);
    db_done(stmt);
    return r < 0 ? r : 0;
}

int
control_row_write(struct txn *txn, struct lane *lane, const char *change,
                  const char *release, const char *by, const char *why,
                  const char *receipt)
{
    const struct control *control = &lane->control;
    const struct upgrade *upgrade = &control->upgrade;
    int r = db_run(txn->db, SQL_QUEUE_CONTROL,
                   ARGS(ARG(lane->id), ARG(control->epoch),
                        ARG_STRING(control_state_word(control->state)),
                        ARG_STRING(control->release), ARG(control->accepting),
                        ARG(control->since), ARG(control->paused_epoch),
                        ARG(control->ramp_since), ARG(control->ramp),
                        ARG(lane->paused_ms)));

    if (r == 0)
        r = db_run(txn->db, SQL_CONTROL_SAVE,
                   ARGS(ARG(lane->id), ARG_STRING(control->by),
                        ARG_STRING(control->why), ARG_STRING(upgrade->id),
                        ARG_STRING(upgrade_step_word(upgrade->step)),
                        ARG_STRING(upgrade->from), ARG_STRING(upgrade->to)));
    if (r == 0)
        r = db_run(txn->db, SQL_HISTORY_ADD,
                   ARGS(ARG(lane->id), ARG(control->epoch), ARG(txn->now),
                        ARG_STRING(change), ARG_STRING(release), ARG_STRING(by),
                        ARG_STRING(why == NULL ? "" : why),
                        ARG_STRING(receipt)));
    txn->lazy = false;
    lane->moved = true;
    log_event(EVENT_CONTROL,
              "queue=%s epoch=%llu change=%s state=%s release=%s", lane->name,
              (unsigned long long)control->epoch, change,
              control_state_word(control->state), release);
    return r;
}

int
control_row_own(struct txn *txn, const struct lane *lane)
{
    const struct embedded *store = txn->store;

    return db_run(txn->db, SQL_CONTROL_OWN,
                  ARGS(ARG(lane->id), ARG(store->seat),
                       ARG(atomic_load(&store->own->turn)),
                       ARG_STRING(clock_boot_id()), ARG(getpid())));
}

/* ---- the barrier --------------------------------------------------------- */

int
barrier_row_drop(struct txn *txn, const struct lane *lane)
{
    return db_run(txn->db, SQL_BARRIER_DROP, ARGS(ARG(lane->id)));
}

int
barrier_row_all(struct txn *txn, const struct lane *lane)
{
    int r = barrier_row_drop(txn, lane);

    if (r == 0)
        r = db_run(txn->db, SQL_BARRIER_ALL, ARGS(ARG(lane->id)));
    if (r == 0)
        r = db_run(txn->db, SQL_BARRIER_RESET, ARGS(ARG(lane->id)));
    return r;
}

int
barrier_row_one(struct txn *txn, const struct lane *lane, int64_t session)
{
    int r = barrier_row_drop(txn, lane);

    if (r == 0)
        r = db_run(txn->db, SQL_BARRIER_ONE, ARGS(ARG(session)));
    return r;
}

static void
read_member(sqlite3_stmt *stmt, struct member *member)
{
    member->session = (uint64_t)sqlite3_column_int64(stmt, 0);
    db_text(stmt, 1, member->name, sizeof(member->name));
    db_text(stmt, 2, member->release, sizeof(member->release));
    const int state = sqlite3_column_int(stmt, 3);
    member->state = state >= 0 && state < MEMBER_STATES
                        ? (enum member_state)state
                        : MEMBER_EXPECTED;
}

static int
read_counts(struct db *db, const struct lane *lane, struct barrier *barrier)
{
    sqlite3_stmt *stmt = db_start(db, SQL_BARRIER_COUNTS, ARGS(ARG(lane->id)));
    int r = db_step(db, stmt);

    if (r == 1) {
        barrier->ended = (unsigned)sqlite3_column_int(stmt, 0);
        barrier->killed = (unsigned)sqlite3_column_int(stmt, 1);
        barrier->put_back = (unsigned)sqlite3_column_int(stmt, 2);
        barrier->waited_out = (unsigned)sqlite3_column_int(stmt, 3);
    }
    db_done(stmt);
    return r < 0 ? r : 0;
}

int
barrier_row_read(struct embedded *store, struct db *db, const struct lane *lane,
                 struct barrier *barrier)
{
    const struct queue_settings *settings =
        embedded_lane_settings(store, lane->id);
    struct barrier read = {.bound = settings == NULL ? 0 : settings->lease};
    sqlite3_stmt *stmt = db_start(db, SQL_BARRIER_LIST, ARGS(ARG(lane->id)));
    int r;

    while ((r = db_step(db, stmt)) == 1) {
        read.members =
            mem_grow(read.members, read.len + 1, sizeof(*read.members));
        read_member(stmt, &read.members[read.len++]);
    }
    db_done(stmt);
    if (r == 0)
        r = read_counts(db, lane, &read);
    if (r < 0)
        barrier_fini(&read);
    else
        *barrier = read;
    return r;
}

/* Nobody did it, so it is nobody's in the history. The receipt is of a pause,
 * not of a probe. */
static int
drain(struct txn *txn, struct lane *lane, const struct barrier *barrier)
{
    const bool was_paused = lane->control.state == CONTROL_PAUSED;
    char *receipt = NULL;
    int r = control_row_read(txn->store, txn->db, lane);

    if (r < 0)
        return r;
    if (lane->n.running != 0) /* P5 */
        return error_set(&txn->db->err, -EUCLEAN,
                         "queue %s counts %lld attempts, and everyone who "
                         "could run one is accounted for",
                         lane->name, (long long)lane->n.running);
    control_drain(&lane->control);
    if (was_paused)
        receipt = receipt_write(lane->name, &lane->control, barrier, txn->now);
    r = control_row_write(txn, lane, "drained", lane->control.release, "", "",
                          receipt);
    free(receipt);
    return r;
}

int
barrier_row_settle(struct txn *txn, struct lane *lane)
{
    struct barrier barrier;

    if (lane->control.state != CONTROL_PAUSED &&
        lane->control.state != CONTROL_PROBING)
        return 0;
    int r = barrier_row_read(txn->store, txn->db, lane, &barrier);
    if (r < 0)
        return r;
    if (barrier_is_passed(barrier.members, barrier.len))
        r = drain(txn, lane, &barrier);
    barrier_fini(&barrier);
    return r;
}

int
barrier_row_account(struct txn *txn, struct lane *lane, int64_t session,
                    enum member_state state)
{
    struct member member;

    if (lane->control.state != CONTROL_PAUSED &&
        lane->control.state != CONTROL_PROBING)
        return 0;
    sqlite3_stmt *stmt =
        db_start(txn->db, SQL_BARRIER_FIND, ARGS(ARG(lane->id), ARG(session)));
    int r = db_step(txn->db, stmt);
    if (r == 1)
        read_member(stmt, &member);
    db_done(stmt);
    if (r <= 0 || !member_account(&member, state))
        return r < 0 ? r : 0;
    txn->lazy = false;
    lane->moved = true;
    r = db_run(txn->db, SQL_BARRIER_SET,
               ARGS(ARG(lane->id), ARG(session), ARG(member.state)));
    return r < 0 ? r : barrier_row_settle(txn, lane);
}

int
barrier_row_count(struct txn *txn, struct lane *lane, enum barrier_count what)
{
    if (lane->control.state != CONTROL_PAUSED)
        return 0;
    lane->moved = true;
    return db_run(txn->db, SQL_BARRIER_COUNT,
                  ARGS(ARG(lane->id), ARG(what == BARRIER_ENDED),
                       ARG(what == BARRIER_KILLED || what == BARRIER_PUT_BACK),
                       ARG(what == BARRIER_PUT_BACK),
                       ARG(what == BARRIER_WAITED_OUT)));
}
