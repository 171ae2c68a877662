/* change.c - control states: changed by operators, looked at, waited for. */
#include <stdlib.h>
#include <string.h>

#include "broker/embedded/control_row.h"
#include "broker/embedded/lease.h"
#include "broker/embedded/look.h"
#include "common/mem.h"

/* ---- changing ------------------------------------------------------------ */

struct changing {
    const unsigned *queues;
    size_t len;
    const struct change *change;
    struct control *next; /* len of them */
};

static int
load(struct txn *txn, unsigned queue, struct lane **lane)
{
    int r = txn_lane(txn, txn->store->lane_ids[queue], lane);

    return r < 0 ? r : control_row_read(txn->store, txn->db, *lane);
}

/* May this process act for the upgrade that holds the queue? */
static int
check_owner(const struct lane *lane, const struct change *change,
            struct error *err)
{
    const struct upgrade *upgrade = &lane->control.upgrade;

    if (change->upgrade == NULL || strcmp(change->upgrade, upgrade->id) != 0 ||
        upgrade->pid == 0 || lane->owns_upgrade)
        return 0;
    return error_set(
        err, -EBUSY, "its upgrade to release %s is run by process %d (%s)",
        upgrade->to, upgrade->pid, upgrade_step_word(upgrade->step));
}

/* What each queue would become. The call is refused where one refuses. */
static int
plan(struct txn *txn, struct call *call)
{
    struct changing *changing = call->arg;

    for (size_t i = 0; i < changing->len; i++) {
        struct lane *lane;
        int r = load(txn, changing->queues[i], &lane);
        if (r < 0)
            return r;
        changing->next[i] = lane->control;
        call->r = check_owner(lane, changing->change, &call->err);
        if (call->r == 0)
            call->r = control_change(&changing->next[i], changing->change,
                                     txn->now, &call->err);
        if (call->r < 0) {
            error_wrap(&call->err, call->r, "queue %s", lane->name);
            return 0;
        }
    }
    return 0;
}

/* What goes with the change of one queue. */
static int
follow_up(struct txn *txn, struct lane *lane, const struct control *was,
          const struct change *change)
{
    const struct control *control = &lane->control;
    int r = 0;

    if (was->state == CONTROL_OPEN && control->state == CONTROL_PAUSED)
        r = barrier_row_all(txn, lane);
    if (control->state == CONTROL_OPEN && was->state != CONTROL_OPEN)
        r = barrier_row_drop(txn, lane);
    if (r == 0 && control->upgrade.id[0] != '\0' && change->upgrade != NULL)
        r = control_row_own(txn, lane);
    return r < 0 ? r : barrier_row_settle(txn, lane);
}

static int
apply(struct txn *txn, unsigned queue, const struct control *next,
      const struct change *change)
{
    struct lane *lane;
    int r = txn_lane(txn, txn->store->lane_ids[queue], &lane);

    if (r < 0)
        return r;
    const struct control was = lane->control;
    if (was.state != CONTROL_OPEN && next->state == CONTROL_OPEN)
        lane->paused_ms += txn->now - was.since;
    lane->control = *next;
    r = control_row_write(txn, lane,
                          change->kind == CHANGE_STEP
                              ? upgrade_step_word(next->upgrade.step)
                              : change_word(change->kind),
                          next->release, change->by, change->why, NULL);
    return r < 0 ? r : follow_up(txn, lane, &was, change);
}

static int
run_change(struct txn *txn, struct call *call)
{
    struct changing *changing = call->arg;
    int r = lease_sweep_all(txn);

    if (r == 0)
        r = plan(txn, call);
    for (size_t i = 0; i < changing->len && r == 0 && call->r == 0; i++)
        r = apply(txn, changing->queues[i], &changing->next[i],
                  changing->change);
    return r;
}

int
operator_change(struct broker *broker, const unsigned *queues, size_t len,
                const struct change *change, struct control *after,
                struct error *err)
{
    struct changing changing = {
        .queues = queues,
        .len = len,
        .change = change,
        .next = mem_zalloc(len * sizeof(struct control)),
    };
    struct call call = {.run = run_change, .arg = &changing};
    int r = embedded_call(embedded_of(broker), &call, err);

    if (r == 0 && after != NULL)
        memcpy(after, changing.next, len * sizeof(*after));
    free(changing.next);
    return r;
}

/* ---- killing ------------------------------------------------------------- */

struct killing {
    unsigned queue;
    uint64_t paused_epoch;
};

/* Has the workers of the queue look for attempts that are to end. */
static int
ring_workers(struct txn *txn, const struct lane *lane)
{
    struct shared *shared = txn->store->shared;
    sqlite3_stmt *stmt =
        db_start(txn->db, SQL_SESSION_SEATS, ARGS(ARG(lane->id)));
    int r;

    while ((r = db_step(txn->db, stmt)) == 1) {
        const int64_t seat = sqlite3_column_int64(stmt, 0);
        if (seat < 0 || seat >= SEATS)
            continue;
        atomic_store(&shared->seats[seat].cancels, true);
        bell_ring(&shared->seats[seat].writer);
    }
    db_done(stmt);
    return r;
}

static int
run_kill(struct txn *txn, struct call *call)
{
    const struct killing *killing = call->arg;
    struct lane *lane;
    int r = txn_lane(txn, txn->store->lane_ids[killing->queue], &lane);

    if (r < 0)
        return r;
    if (lane->control.paused_epoch != killing->paused_epoch) {
        call->r = error_set(&call->err, -ECANCELED,
                            "the pause of queue %s is over", lane->name);
        return 0;
    }
    if (lane->control.state != CONTROL_PAUSED)
        return 0; /* a probe is not what was meant */
    r = db_run(txn->db, SQL_RUNNING_KILL, ARGS(ARG(lane->id)));
    return r < 0 ? r : ring_workers(txn, lane);
}

int
operator_kill(struct broker *broker, unsigned queue, uint64_t paused_epoch,
              struct error *err)
{
    struct killing killing = {queue, paused_epoch};
    struct call call = {.run = run_kill, .arg = &killing};

    return embedded_call(embedded_of(broker), &call, err);
}

/* ---- looking ------------------------------------------------------------- */

struct looking {
    int queue;
    size_t max;
    struct control *control;
    struct barrier *barrier;
    struct running **running;
    struct history **history;
    size_t *len;
};

static int
read_control(struct embedded *store, struct call *call)
{
    const struct looking *looking = call->arg;
    struct db *db = &store->reader.db;
    struct lane lane = {0};
    int r = lane_load(db, store->lane_ids[looking->queue], &lane);

    if (r == 1)
        r = control_row_read(store, db, &lane);
    if (r == 0)
        *looking->control = lane.control;
    return r;
}

int
operator_control(struct broker *broker, unsigned queue, struct control *control,
                 struct error *err)
{
    struct looking looking = {.queue = (int)queue, .control = control};
    struct call call = {.read = read_control, .arg = &looking};

    return embedded_call(embedded_of(broker), &call, err);
}

/* In a transaction, for who waits sweeps: where no other process lives nobody
 * else would find that a worker is gone. */
static int
run_barrier(struct txn *txn, struct call *call)
{
    const struct looking *looking = call->arg;
    struct lane *lane;
    int r = lease_sweep_all(txn);

    if (r == 0)
        r = txn_lane(txn, txn->store->lane_ids[looking->queue], &lane);
    if (r != 0)
        return r;
    if (lane->control.state == CONTROL_OPEN) {
        call->r =
            error_set(&call->err, -ECANCELED, "queue %s is open", lane->name);
        return 0;
    }
    barrier_fini(looking->barrier); /* of a try that was rolled back */
    return barrier_row_read(txn->store, txn->db, lane, looking->barrier);
}

int
operator_barrier(struct broker *broker, unsigned queue, struct barrier *out,
                 struct error *err)
{
    struct barrier barrier = {0};
    struct looking looking = {.queue = (int)queue, .barrier = &barrier};
    struct call call = {.run = run_barrier, .arg = &looking};
    int r = embedded_call(embedded_of(broker), &call, err);

    if (r < 0)
        barrier_fini(&barrier);
    else
        *out = barrier;
    return r;
}

static int
read_running(struct embedded *store, struct call *call)
{
    const struct looking *looking = call->arg;

    return look_runs(store, (unsigned)looking->queue, looking->max,
                     looking->running, looking->len);
}

int
operator_running(struct broker *broker, unsigned queue, size_t max,
                 struct running **out, size_t *len, struct error *err)
{
    struct looking looking = {
        .queue = (int)queue, .max = max, .running = out, .len = len};
    struct call call = {.read = read_running, .arg = &looking};

    return embedded_call(embedded_of(broker), &call, err);
}

static int
read_history(struct embedded *store, struct call *call)
{
    const struct looking *looking = call->arg;

    return look_history(store, looking->queue, looking->max, looking->history,
                        looking->len);
}

int
operator_history(struct broker *broker, int queue, size_t max,
                 struct history **out, size_t *len, struct error *err)
{
    struct looking looking = {
        .queue = queue, .max = max, .history = out, .len = len};
    struct call call = {.read = read_history, .arg = &looking};

    return embedded_call(embedded_of(broker), &call, err);
}

/* ---- waiting ------------------------------------------------------------- */

uint64_t
operator_control_seen(struct broker *broker)
{
    return bell_seen(&embedded_of(broker)->shared->control);
}

void
operator_control_wait(struct broker *broker, uint64_t seen, span_ms limit)
{
    bell_wait(&embedded_of(broker)->shared->control, (uint32_t)seen, limit);
}
