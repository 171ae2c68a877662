/* control_change.c - control states changed by operators, looked at, waited
 * for. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/kafka/control_priv.h"
#include "common/mem.h"

#define TRIES 50 /* while others change the same queues */

static struct control_log *
log_of(struct broker *broker)
{
    return kafka_of(broker)->control;
}

static const char *
name_of(const struct control_log *log, unsigned queue)
{
    return log->kafka->settings->queues[queue].name;
}

/* In the ledger; with the lock. */
static const struct ledger_queue *
find(const struct control_log *log, unsigned queue)
{
    const int index = ledger_find(&log->ledger, name_of(log, queue));

    assert(index >= 0); /* since the log was opened */
    return &log->ledger.queues[index];
}

/* ---- changing ------------------------------------------------------------ */

/* As of now: what is refused is not even written. */
static int
plan(struct control_log *log, struct entry *entry, bool is_any,
     struct control *next, struct error *err)
{
    LOCKED(&log->lock);
    for (size_t i = 0; is_any && i < entry->queues_len; i++) {
        const int index = ledger_find(&log->ledger, entry->queues[i].name);
        if (index >= 0)
            entry->queues[i].expected = log->ledger.queues[index].control.epoch;
    }
    entry->at = clock_wall();
    return ledger_plan(&log->ledger, entry, next, err);
}

int
control_make(struct control_log *log, struct entry *entry, bool is_any,
             struct control *after, struct error *err)
{
    int r;

    for (int i = 0; i < TRIES; i++) {
        r = control_catch_up(log, err);
        if (r == 0)
            r = plan(log, entry, is_any, after, err);
        if (r == 0)
            r = control_write(log, entry, after, NULL, NULL, err);
        if (r != -ESTALE || !is_any)
            break;
    }
    for (size_t i = 0; r == 0 && i < entry->queues_len; i++)
        control_settle(log, entry->queues[i].name);
    return r;
}

static void
set(char *to, size_t size, const char *text)
{
    snprintf(to, size, "%s", text == NULL ? "" : text);
}

static struct entry
entry_of(const struct control_log *log, const unsigned *queues, size_t len,
         const struct change *change)
{
    struct entry entry = {
        .kind = ENTRY_CHANGE,
        .queues = mem_zalloc(len * sizeof(struct entry_queue)),
        .queues_len = len,
        .change = change->kind,
        .ramp = change->ramp,
        .force = change->force,
        .step = change->step,
    };

    for (size_t i = 0; i < len; i++) {
        set(entry.queues[i].name, sizeof(entry.queues[i].name),
            name_of(log, queues[i]));
        entry.queues[i].expected = change->expected;
    }
    set(entry.by, sizeof(entry.by), change->by);
    set(entry.why, sizeof(entry.why), change->why);
    set(entry.release, sizeof(entry.release), change->release);
    set(entry.upgrade, sizeof(entry.upgrade), change->upgrade);
    set(entry.to, sizeof(entry.to), change->to);
    return entry;
}

int
kafka_change(struct broker *broker, const unsigned *queues, size_t len,
             const struct change *change, struct control *after,
             struct error *err)
{
    struct control_log *log = log_of(broker);
    struct entry entry = entry_of(log, queues, len, change);
    struct control *next = mem_zalloc(len * sizeof(*next));
    int r = 0;

    do { /* again if the lease of this process as an upgrade's was just over */
        if (change->upgrade != NULL)
            r = member_own(log, &entry.owner, err);
        if (r == 0)
            r = control_make(log, &entry, change->expected == 0, next, err);
    } while (r == -ENOLINK);
    if (r == 0 && after != NULL)
        memcpy(after, next, len * sizeof(*after));
    free(next);
    entry_fini(&entry);
    return r;
}

int
kafka_kill(struct broker *broker, unsigned queue, uint64_t paused_epoch,
           struct error *err)
{
    struct control_log *log = log_of(broker);
    struct entry entry = {.kind = ENTRY_KILL, .epoch = paused_epoch};

    entry_set_queue(&entry, name_of(log, queue));
    int r = control_write(log, &entry, NULL, NULL, NULL, err);
    entry_fini(&entry);
    return r;
}

/* ---- looking ------------------------------------------------------------- */

int
kafka_control(struct broker *broker, unsigned queue, struct control *control,
              struct error *err)
{
    struct control_log *log = log_of(broker);
    int r = control_catch_up(log, err);

    if (r == 0)
        control_log_state(log, queue, control);
    return r;
}

int
kafka_barrier(struct broker *broker, unsigned queue, struct barrier *out,
              struct error *err)
{
    struct control_log *log = log_of(broker);
    int r = control_catch_up(log, err);

    if (r < 0)
        return r;
    control_settle(log, name_of(log, queue));
    LOCKED(&log->lock);
    const struct ledger_queue *found = find(log, queue);
    if (found->control.state == CONTROL_OPEN)
        return error_set(err, -ECANCELED, "queue %s is open", found->name);
    *out = ledger_barrier(found);
    out->bound = control_bound(log, found->name);
    return 0;
}

int
kafka_history(struct broker *broker, int queue, size_t max,
              struct history **out, size_t *len, struct error *err)
{
    struct control_log *log = log_of(broker);
    int r = control_catch_up(log, err);

    if (r < 0)
        return r;
    LOCKED(&log->lock);
    ledger_history(&log->ledger,
                   queue < 0 ? NULL : name_of(log, (unsigned)queue), max, out,
                   len);
    return 0;
}

static struct worker_info
describe(struct control_log *log, const struct ledger_session *session)
{
    const struct watch *watch = watch_find(log, session->id);
    struct worker_info info = {
        .session = session->id,
        .pid = session->pid,
        .concurrency = session->concurrency,
        .running = watch->running,
        .since = session->since,
        .lease_left = watch->heard + session->lease - clock_boot(),
    };

    set(info.name, sizeof(info.name), session->name);
    set(info.queue, sizeof(info.queue),
        log->ledger.queues[session->queue].name);
    set(info.release, sizeof(info.release), session->release);
    return info;
}

/* Of ours more is known than the last heartbeat says. The lock is let go while
 * they are asked. */
static void
ask_own(struct control_log *log, struct worker_info *list, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        struct log_member *member = log->members;
        while (member != NULL && member->id != list[i].session)
            member = member->next;
        if (member == NULL)
            continue;
        list[i].lease_left = member->until - clock_boot();
        member->calls++;
        pthread_mutex_unlock(&log->lock);
        list[i].running = member_running(member);
        pthread_mutex_lock(&log->lock);
        member->calls--;
        pthread_cond_broadcast(&log->moved);
    }
}

int
kafka_workers(struct broker *broker, struct worker_info **out, size_t *len,
              struct error *err)
{
    struct control_log *log = log_of(broker);
    struct worker_info *list = NULL;
    size_t n = 0;
    int r = control_catch_up(log, err);

    if (r < 0)
        return r;
    LOCKED(&log->lock);
    for (size_t i = 0; i < log->ledger.sessions_len; i++) {
        const struct ledger_session *session = &log->ledger.sessions[i];
        if (session->queue < 0)
            continue;
        list = mem_grow(list, n + 1, sizeof(*list));
        list[n++] = describe(log, session);
    }
    ask_own(log, list, n);
    *out = list;
    *len = n;
    return 0;
}

/* ---- waiting ------------------------------------------------------------- */

uint64_t
kafka_control_seen(struct broker *broker)
{
    struct control_log *log = log_of(broker);

    LOCKED(&log->lock);
    return log->seen;
}

void
kafka_control_wait(struct broker *broker, uint64_t seen, span_ms limit)
{
    struct control_log *log = log_of(broker);
    const mono_ms until = clock_mono() + limit;

    LOCKED(&log->lock);
    while (log->seen == seen && control_wait_until(log, until))
        continue;
}

/* ---- the secret ---------------------------------------------------------- */

int
control_log_check_secret(struct control_log *log, const char *fingerprint,
                         struct error *err)
{
    struct entry entry = {.kind = ENTRY_SECRET};
    int r = 0;

    set(entry.fingerprint, sizeof(entry.fingerprint), fingerprint);
    pthread_mutex_lock(&log->lock);
    const bool is_known = log->ledger.fingerprint[0] != '\0';
    if (is_known && strcmp(log->ledger.fingerprint, fingerprint) != 0)
        r = -EEXIST;
    pthread_mutex_unlock(&log->lock);
    if (!is_known)
        r = control_write(log, &entry, NULL, NULL, NULL, err);
    if (r == -EEXIST)
        r = error_set(err, -EINVAL,
                      "is not the secret that this installation began with; "
                      "all its processes need the same file");
    return r;
}
