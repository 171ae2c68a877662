/* ledger.c - what the records of `control` come to. */
#include "broker/kafka/ledger.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/receipt.h"
#include "common/mem.h"
#include "common/own.h"

void
ledger_init(struct ledger *ledger)
{
    memset(ledger, 0, sizeof(*ledger));
}

void
ledger_fini(struct ledger *ledger)
{
    for (size_t i = 0; i < ledger->queues_len; i++) {
        barrier_fini(&ledger->queues[i].barrier);
        free(ledger->queues[i].pauses);
    }
    history_free(ledger->history, ledger->history_len);
    free(ledger->queues);
    free(ledger->sessions);
    ledger_init(ledger);
}

/* ---- finding ------------------------------------------------------------- */

int
ledger_find(const struct ledger *ledger, const char *name)
{
    for (size_t i = 0; i < ledger->queues_len; i++) {
        if (strcmp(ledger->queues[i].name, name) == 0)
            return (int)i;
    }
    return -1;
}

const struct ledger_session *
ledger_session(const struct ledger *ledger, uint64_t id)
{
    for (size_t i = 0; i < ledger->sessions_len; i++) {
        if (ledger->sessions[i].id == id)
            return &ledger->sessions[i];
    }
    return NULL;
}

static const struct ledger_session *
find_owner(const struct ledger *ledger, const struct ledger_queue *queue)
{
    return queue->control.upgrade.id[0] == '\0'
               ? NULL
               : ledger_session(ledger, queue->owner);
}

struct control
ledger_control(const struct ledger *ledger, unsigned queue)
{
    assert(queue < ledger->queues_len);
    struct control control = ledger->queues[queue].control;
    const struct ledger_session *owner =
        find_owner(ledger, &ledger->queues[queue]);

    control.upgrade.pid = owner == NULL ? 0 : owner->pid;
    return control;
}

/* ---- the barrier --------------------------------------------------------- */

static bool
has_barrier(const struct ledger_queue *queue)
{
    return queue->control.state == CONTROL_PAUSED ||
           queue->control.state == CONTROL_PROBING;
}

bool
ledger_is_passed(const struct ledger_queue *queue)
{
    return has_barrier(queue) &&
           barrier_is_passed(queue->barrier.members, queue->barrier.len);
}

static void
add_member(struct barrier *barrier, const struct ledger_session *session)
{
    barrier->members =
        mem_grow(barrier->members, barrier->len + 1, sizeof(struct member));
    struct member *member = &barrier->members[barrier->len++];
    *member = (struct member){.session = session->id};
    snprintf(member->name, sizeof(member->name), "%s", session->name);
    snprintf(member->release, sizeof(member->release), "%s", session->release);
}

static void
drop_members(struct barrier *barrier)
{
    free(barrier->members);
    barrier->members = NULL;
    barrier->len = 0;
}

/* Of all sessions of a queue. */
static void
begin_pause(const struct ledger *ledger, struct ledger_queue *queue)
{
    const int index = (int)(queue - ledger->queues);

    barrier_fini(&queue->barrier);
    queue->barrier = (struct barrier){0};
    queue->barrier_epoch = queue->control.epoch;
    for (size_t i = 0; i < ledger->sessions_len; i++) {
        if (ledger->sessions[i].queue == index)
            add_member(&queue->barrier, &ledger->sessions[i]);
    }
}

/* What was counted is the pause's, and stays. */
static void
begin_probe(struct ledger_queue *queue, const struct ledger_session *session)
{
    drop_members(&queue->barrier);
    add_member(&queue->barrier, session);
    queue->barrier_epoch = queue->control.epoch;
}

static void
end_pause(struct ledger_queue *queue, wall_ms from, wall_ms to)
{
    drop_members(&queue->barrier);
    queue->barrier_epoch = 0;
    queue->pauses = mem_grow(queue->pauses, queue->pauses_len + 1,
                             sizeof(struct ledger_pause));
    queue->pauses[queue->pauses_len++] = (struct ledger_pause){from, to};
}

/* True: it was expected. counts: NULL, they are of another barrier. */
static bool
account(struct ledger_queue *queue, uint64_t session, enum member_state state,
        const struct barrier_counts *counts)
{
    struct barrier *barrier = &queue->barrier;
    size_t i = 0;

    if (!has_barrier(queue))
        return false;
    while (i < barrier->len && barrier->members[i].session != session)
        i++;
    if (i == barrier->len || !member_account(&barrier->members[i], state))
        return false;
    if (queue->control.state == CONTROL_PAUSED && counts != NULL) {
        barrier->ended += counts->ended;
        barrier->killed += counts->killed;
        barrier->put_back += counts->put_back;
        barrier->waited_out += counts->waited_out;
    }
    return true;
}

struct barrier
ledger_barrier(const struct ledger_queue *queue)
{
    struct barrier copy = queue->barrier;

    copy.members = NULL;
    if (copy.len > 0) {
        copy.members = mem_zalloc(copy.len * sizeof(*copy.members));
        memcpy(copy.members, queue->barrier.members,
               copy.len * sizeof(*copy.members));
    }
    return copy;
}

/* ---- history ------------------------------------------------------------- */

static void
record(struct ledger *ledger, const struct ledger_queue *queue, wall_ms at,
       const char *change, const char *release, const char *by, const char *why,
       char *receipt)
{
    ledger->history = mem_grow(ledger->history, ledger->history_len + 1,
                               sizeof(struct history));
    struct history *history = &ledger->history[ledger->history_len++];
    *history = (struct history){
        .epoch = queue->control.epoch, .at = at, .receipt = receipt};
    snprintf(history->queue, sizeof(history->queue), "%s", queue->name);
    snprintf(history->change, sizeof(history->change), "%s", change);
    snprintf(history->release, sizeof(history->release), "%s", release);
    snprintf(history->by, sizeof(history->by), "%s", by);
    snprintf(history->why, sizeof(history->why), "%s", why);
}

void
ledger_history(const struct ledger *ledger, const char *name, size_t max,
               struct history **out, size_t *len)
{
    size_t first = ledger->history_len, count = 0;

    while (first > 0 && count < max) {
        first--;
        count +=
            name == NULL || strcmp(ledger->history[first].queue, name) == 0;
    }
    *out = count == 0 ? NULL : mem_zalloc(count * sizeof(**out));
    *len = count;
    for (size_t i = first, to = 0; to < count; i++) {
        if (name != NULL && strcmp(ledger->history[i].queue, name) != 0)
            continue;
        (*out)[to] = ledger->history[i];
        (*out)[to++].receipt = mem_strdup(ledger->history[i].receipt);
    }
}

/* ---- changes ------------------------------------------------------------- */

static const char *
or_null(const char *text)
{
    return text[0] == '\0' ? NULL : text;
}

static struct change
change_of(const struct entry *entry, uint64_t expected)
{
    return (struct change){
        .kind = entry->change,
        .expected = expected,
        .by = entry->by,
        .why = or_null(entry->why),
        .release = or_null(entry->release),
        .ramp = entry->ramp,
        .force = entry->force,
        .upgrade = or_null(entry->upgrade),
        .step = entry->step,
        .to = or_null(entry->to),
    };
}

/* May its writer act for the upgrade that holds the queue? */
static int
check_owner(const struct ledger *ledger, const struct ledger_queue *queue,
            const struct entry *entry, struct error *err)
{
    const struct upgrade *upgrade = &queue->control.upgrade;
    const struct ledger_session *owner = find_owner(ledger, queue);

    if (entry->upgrade[0] == '\0' || owner == NULL ||
        owner->id == entry->owner || strcmp(entry->upgrade, upgrade->id) != 0)
        return 0;
    return error_set(err, -EBUSY,
                     "its upgrade to release %s is run by process %d (%s)",
                     upgrade->to, owner->pid, upgrade_step_word(upgrade->step));
}

static int
check_prober(const struct ledger *ledger, int queue, const struct entry *entry,
             struct error *err)
{
    const struct ledger_session *session =
        ledger_session(ledger, entry->session);

    if (session != NULL && session->queue == queue)
        return 0;
    return error_set(err, -ENOLINK, "the session of the probe is over");
}

static int
plan_one(const struct ledger *ledger, const struct entry *entry, size_t i,
         struct control *next, struct error *err)
{
    const struct entry_queue *named = &entry->queues[i];
    const struct change change = change_of(entry, named->expected);
    const int index = ledger_find(ledger, named->name);

    if (index < 0)
        return error_set(err, -ENOENT, "the control log does not know it");
    const struct ledger_queue *queue = &ledger->queues[index];
    *next = queue->control;
    int r = check_owner(ledger, queue, entry, err);
    if (r == 0)
        r = control_change(next, &change, entry->at, err);
    if (r == 0 && change.kind == CHANGE_PROBE)
        r = check_prober(ledger, index, entry, err);
    return r;
}

int
ledger_plan(const struct ledger *ledger, const struct entry *entry,
            struct control *next, struct error *err)
{
    assert(entry->kind == ENTRY_CHANGE);
    if (entry->upgrade[0] != '\0' &&
        ledger_session(ledger, entry->owner) == NULL)
        return error_set(err, -ENOLINK,
                         "the lease of the upgrade's process is over");
    for (size_t i = 0; i < entry->queues_len; i++) {
        int r = plan_one(ledger, entry, i, &next[i], err);
        if (r < 0)
            return error_wrap(err, r, "queue %s", entry->queues[i].name);
    }
    return 0;
}

/* Makes one, and what goes with it. */
static void
make(struct ledger *ledger, struct ledger_queue *queue,
     const struct entry *entry, const struct control *next)
{
    const struct control was = queue->control;
    const struct ledger_session *prober =
        entry->change == CHANGE_PROBE ? ledger_session(ledger, entry->session)
                                      : NULL;

    queue->control = *next;
    record(ledger, queue, entry->at,
           entry->change == CHANGE_STEP ? upgrade_step_word(next->upgrade.step)
                                        : change_word(entry->change),
           prober == NULL ? next->release : prober->release, entry->by,
           entry->why, NULL);
    if (was.state == CONTROL_OPEN && next->state == CONTROL_PAUSED)
        begin_pause(ledger, queue);
    if (was.state != CONTROL_OPEN && next->state == CONTROL_OPEN)
        end_pause(queue, was.since, entry->at);
    if (prober != NULL)
        begin_probe(queue, prober);
    if (next->upgrade.id[0] == '\0')
        queue->owner = 0;
    else if (entry->upgrade[0] != '\0')
        queue->owner = entry->owner; /* L5 */
}

static int
apply_change(struct ledger *ledger, const struct entry *entry,
             struct error *err)
{
    struct control *next = mem_zalloc(entry->queues_len * sizeof(*next));
    int r = ledger_plan(ledger, entry, next, err);

    for (size_t i = 0; i < entry->queues_len && r == 0; i++) {
        const int index = ledger_find(ledger, entry->queues[i].name);
        make(ledger, &ledger->queues[index], entry, &next[i]);
    }
    free(next);
    return r;
}

/* ---- other records ------------------------------------------------------- */

static int
apply_queue(struct ledger *ledger, const struct entry *entry, struct error *err)
{
    const char *name = entry->queues[0].name;

    if (ledger_find(ledger, name) >= 0)
        return error_set(err, -EALREADY, "queue %s is there already", name);
    ledger->queues = mem_grow(ledger->queues, ledger->queues_len + 1,
                              sizeof(struct ledger_queue));
    struct ledger_queue *queue = &ledger->queues[ledger->queues_len++];
    *queue = (struct ledger_queue){.control = control_initial(entry->release)};
    snprintf(queue->name, sizeof(queue->name), "%s", name);
    return 0;
}

static int
apply_hello(struct ledger *ledger, int64_t offset, const struct entry *entry,
            struct error *err)
{
    const int queue = entry->queues_len == 0
                          ? -1
                          : ledger_find(ledger, entry->queues[0].name);

    if (entry->queues_len > 0 && queue < 0)
        return error_set(err, -ENOENT, "the control log does not know queue %s",
                         entry->queues[0].name);
    ledger->sessions = mem_grow(ledger->sessions, ledger->sessions_len + 1,
                                sizeof(struct ledger_session));
    struct ledger_session *session = &ledger->sessions[ledger->sessions_len++];
    *session = (struct ledger_session){
        .id = (uint64_t)offset + 1,
        .queue = queue,
        .pid = entry->pid,
        .concurrency = entry->concurrency,
        .lease = entry->lease,
        .since = entry->at,
        .place = entry->place,
    };
    snprintf(session->name, sizeof(session->name), "%s", entry->name);
    snprintf(session->release, sizeof(session->release), "%s", entry->release);
    return 0;
}

/* A session of a record; NULL: it is over. */
static struct ledger_session *
find_session(struct ledger *ledger, const struct entry *entry,
             struct error *err)
{
    for (size_t i = 0; i < ledger->sessions_len; i++) {
        if (ledger->sessions[i].id == entry->session)
            return &ledger->sessions[i];
    }
    error_set(err, -ENOENT, "session %llu is over",
              (unsigned long long)entry->session);
    return NULL;
}

static int
apply_acknowledge(struct ledger *ledger, const struct entry *entry,
                  struct error *err)
{
    const struct ledger_session *session = find_session(ledger, entry, err);

    if (session == NULL)
        return -ENOENT;
    if (session->queue < 0)
        return error_set(err, -ENOENT, "it is of no queue");
    struct ledger_queue *queue = &ledger->queues[session->queue];
    if (queue->control.state != CONTROL_PAUSED ||
        queue->barrier_epoch != entry->epoch) /* L3 */
        return error_set(err, -ESTALE, "it is not of the pause of queue %s",
                         queue->name);
    if (!account(queue, session->id, MEMBER_ACKNOWLEDGED, &entry->counts))
        return error_set(err, -EALREADY, "it is not expected");
    return 0;
}

/* GOODBYE, LAPSED. */
static int
apply_end(struct ledger *ledger, const struct entry *entry, struct error *err)
{
    struct ledger_session *session = find_session(ledger, entry, err);
    const bool lapsed = entry->kind == ENTRY_LAPSED;

    if (session == NULL)
        return -ENOENT;
    const uint64_t id = session->id;
    const int index = session->queue;
    const size_t behind =
        ledger->sessions_len - (size_t)(session - ledger->sessions) - 1;
    memmove(session, session + 1, behind * sizeof(*session));
    ledger->sessions_len--;
    if (index < 0)
        return 0;
    struct ledger_queue *queue = &ledger->queues[index];
    const bool counts = lapsed || entry->epoch == queue->barrier_epoch;
    account(queue, id, lapsed ? entry->state : MEMBER_LEFT,
            counts ? &entry->counts : NULL);
    return 0;
}

/* Nobody did it, so it is nobody's in the history. The receipt is of a pause,
 * not of a probe. */
static int
apply_drained(struct ledger *ledger, const struct entry *entry,
              struct error *err)
{
    const int index = ledger_find(ledger, entry->queues[0].name);

    if (index < 0)
        return error_set(err, -ENOENT, "the control log does not know it");
    struct ledger_queue *queue = &ledger->queues[index];
    if (queue->barrier_epoch != entry->epoch || !ledger_is_passed(queue))
        return error_set(err, -ESTALE, "it is not of the barrier of queue %s",
                         queue->name); /* L3 */
    const bool was_paused = queue->control.state == CONTROL_PAUSED;
    struct barrier barrier = queue->barrier;
    barrier.bound = entry->bound;
    control_drain(&queue->control);
    record(ledger, queue, entry->at, "drained", queue->control.release, "", "",
           was_paused ? receipt_write(queue->name, &queue->control, &barrier,
                                      entry->at)
                      : NULL);
    return 0;
}

static int
apply_kill(const struct ledger *ledger, const struct entry *entry,
           struct error *err)
{
    const char *name = entry->queues[0].name;
    const int index = ledger_find(ledger, name);

    if (index >= 0 &&
        ledger->queues[index].control.paused_epoch == entry->epoch &&
        entry->epoch != 0)
        return 0;
    return error_set(err, -ECANCELED, "the pause of queue %s is over", name);
}

static int
apply_secret(struct ledger *ledger, const struct entry *entry,
             struct error *err)
{
    if (ledger->fingerprint[0] == '\0')
        snprintf(ledger->fingerprint, sizeof(ledger->fingerprint), "%s",
                 entry->fingerprint);
    if (strcmp(ledger->fingerprint, entry->fingerprint) == 0)
        return 0;
    return error_set(err, -EEXIST, "another secret is recorded");
}

int
ledger_apply(struct ledger *ledger, int64_t offset, const struct entry *entry,
             struct error *err)
{
    switch (entry->kind) {
    case ENTRY_QUEUE:
        return apply_queue(ledger, entry, err);
    case ENTRY_CHANGE:
        return apply_change(ledger, entry, err);
    case ENTRY_HELLO:
        return apply_hello(ledger, offset, entry, err);
    case ENTRY_ACKNOWLEDGE:
        return apply_acknowledge(ledger, entry, err);
    case ENTRY_GOODBYE:
    case ENTRY_LAPSED:
        return apply_end(ledger, entry, err);
    case ENTRY_DRAINED:
        return apply_drained(ledger, entry, err);
    case ENTRY_KILL:
        return apply_kill(ledger, entry, err);
    case ENTRY_SECRET:
        return apply_secret(ledger, entry, err);
    case ENTRIES:
        break;
    }
    assert(!"a kind of entry");
    return -EINVAL;
}

/* ---- time ---------------------------------------------------------------- */

/* What of FROM..TO lies in SINCE..NOW. */
static span_ms
overlap(wall_ms from, wall_ms to, wall_ms since, wall_ms now)
{
    const wall_ms first = from > since ? from : since;
    const wall_ms last = to < now ? to : now;

    return last > first ? last - first : 0;
}

span_ms
ledger_open_for(const struct ledger_queue *queue, wall_ms since, wall_ms now)
{
    const struct control *control = &queue->control;
    span_ms paused = control->state == CONTROL_OPEN
                         ? 0
                         : overlap(control->since, now, since, now);

    for (size_t i = 0; i < queue->pauses_len; i++)
        paused +=
            overlap(queue->pauses[i].from, queue->pauses[i].to, since, now);
    /* Clocks that were set may make them overlap. */
    return now - since > paused ? now - since - paused : 0;
}
