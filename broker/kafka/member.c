/* member.c - sessions of this process: hello, callbacks, acknowledgement,
 * goodbye. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "broker/kafka/control_priv.h"
#include "common/log.h"
#include "common/mem.h"

#define OWNER_LEASE ((span_ms)10000)
#define SAY_AGAIN   ((span_ms)200)

uint64_t
log_member_id(const struct log_member *member)
{
    return member->id;
}

unsigned
member_running(const struct log_member *member)
{
    return member->options.running == NULL
               ? 0
               : member->options.running(member->options.opaque);
}

static const char *
queue_name(const struct log_member *member)
{
    return member->log->kafka->settings->queues[member->queue].name;
}

/* ---- what the reader does for them --------------------------------------- */

void
member_tell(struct control_log *log, int queue, unsigned tell)
{
    for (struct log_member *member = log->members; member != NULL;
         member = member->next) {
        if (member->queue == queue && member->id != 0 && !member->lost)
            member->tell |= tell;
    }
}

void
member_lose(struct log_member *member)
{
    if (member->lost)
        return;
    member->lost = true;
    member->tell = TELL_LOST;
}

static void
call(const struct log_member *member, unsigned tell, boot_ms until)
{
    const struct member_options *options = &member->options;

    if (options->on_lost == NULL)
        return;
    if (tell & TELL_LOST)
        options->on_lost(options->opaque);
    if (tell & TELL_LEASE)
        options->on_lease(options->opaque, until);
    if (tell & TELL_CONTROL)
        options->on_control(options->opaque);
    if (tell & TELL_KILL)
        options->on_kill(options->opaque);
}

struct said {
    struct delivery delivery;
    struct control_log *log;
    uint64_t session, epoch;
};

/* What did not arrive is said again. */
static void
on_said(struct delivery *delivery)
{
    struct said *said = CONTAINER_OF(delivery, struct said, delivery);
    struct control_log *log = said->log;

    LOCKED(&log->lock);
    for (struct log_member *member = log->members; member != NULL;
         member = member->next) {
        if (delivery->r == 0 || member->id != said->session ||
            member->acknowledge.epoch != said->epoch)
            continue;
        member->acknowledge.due = true;
        member->acknowledge.at = clock_boot() + SAY_AGAIN;
        control_ring(log);
    }
    free(said);
    log->flying--;
    pthread_cond_broadcast(&log->moved);
}

/* Without the lock: on_said may come at once. */
static void
say(struct control_log *log, uint64_t session, uint64_t epoch,
    struct barrier_counts counts)
{
    struct said *said = mem_new(struct said);
    struct entry entry = {.kind = ENTRY_ACKNOWLEDGE,
                          .session = session,
                          .epoch = epoch,
                          .counts = counts};

    *said = (struct said){{.on_delivered = on_said}, log, session, epoch};
    control_send(log, &entry, &said->delivery);
}

/* Does one thing that is due for a member. False: there was none. The lock is
 * let go meanwhile. */
static bool
serve(struct control_log *log, struct log_member *member)
{
    const boot_ms now = clock_boot();

    if (member->id != 0 && now >= member->until)
        member_lose(member);
    const bool speaks = member->acknowledge.due && !member->lost &&
                        now >= member->acknowledge.at;
    const unsigned tell = member->tell;
    if (!speaks && tell == 0)
        return false;
    const boot_ms until = member->until;
    const int64_t control = log->control_next;
    const uint64_t epoch = member->acknowledge.epoch;
    const struct barrier_counts counts = member->acknowledge.counts;
    member->tell = 0;
    member->calls++;
    if (speaks) {
        member->acknowledge.due = false;
        log->flying++;
    }
    pthread_mutex_unlock(&log->lock);
    if (speaks)
        say(log, member->id, epoch, counts);
    if (tell & TELL_BEAT)
        pulse_beat(log, member->id, member_running(member), 0, control);
    call(member, tell, until);
    pthread_mutex_lock(&log->lock);
    member->calls--;
    pthread_cond_broadcast(&log->moved);
    return true;
}

boot_ms
member_calls(struct control_log *log)
{
    boot_ms next = INT64_MAX;

    LOCKED(&log->lock);
    struct log_member *member = log->members;
    while (member != NULL) {
        /* The list may be another one now. */
        member = serve(log, member) ? log->members : member->next;
    }
    for (member = log->members; member != NULL; member = member->next) {
        if (member->id == 0 || member->lost)
            continue;
        if (member->until < next)
            next = member->until;
        if (member->acknowledge.due && member->acknowledge.at < next)
            next = member->acknowledge.at;
    }
    return next;
}

/* ---- hello --------------------------------------------------------------- */

static void
list(struct log_member *member)
{
    struct control_log *log = member->log;

    LOCKED(&log->lock);
    member->next = log->members;
    log->members = member;
}

/* Frees it, when nobody calls it any more. */
static void
drop(struct log_member *member)
{
    struct control_log *log = member->log;
    struct log_member **at = &log->members;

    LOCKED(&log->lock);
    while (*at != member)
        at = &(*at)->next;
    *at = member->next;
    while (member->calls > 0)
        pthread_cond_wait(&log->moved, &log->lock);
    free(member);
}

static struct log_member *
member_new(struct control_log *log, int queue, span_ms lease)
{
    struct log_member *member = mem_new(struct log_member);

    member->log = log;
    member->queue = queue;
    member->lease = lease;
    return member;
}

/* On failure it is freed. */
static int
introduce(struct log_member *member, struct entry *entry, struct error *err)
{
    struct control_log *log = member->log;

    entry->kind = ENTRY_HELLO;
    entry->pid = getpid();
    entry->lease = member->lease;
    entry->place = log->place;
    list(member);
    member->until = clock_boot() + member->lease;
    member->renew_at = clock_boot() + member->lease / BEAT_SPREAD;
    int r = control_write(log, entry, NULL, member, NULL, err);
    if (r < 0)
        drop(member);
    return r;
}

static int
probe(struct log_member *member, const struct session_options *options,
      uint64_t *epoch, struct error *err)
{
    struct control after;
    struct entry entry = {
        .kind = ENTRY_CHANGE, .change = CHANGE_PROBE, .session = member->id};

    snprintf(entry.by, sizeof(entry.by), "%s", options->name);
    entry_set_queue(&entry, queue_name(member));
    int r = control_make(member->log, &entry, true, &after, err);
    entry_fini(&entry);
    if (r == 0)
        *epoch = after.epoch;
    return r == -ENOLINK ? -ENOTCONN : r;
}

int
control_log_hello(struct control_log *log, const struct member_options *options,
                  uint64_t *epoch, struct log_member **out, struct error *err)
{
    const struct session_options *session = options->session;
    const struct queue_settings *queue =
        &log->kafka->settings->queues[session->queue];
    struct log_member *member =
        member_new(log, (int)session->queue, queue->lease);
    struct entry entry = {.concurrency = session->concurrency};

    member->options = *options;
    snprintf(entry.name, sizeof(entry.name), "%s", session->name);
    snprintf(entry.release, sizeof(entry.release), "%s", session->release);
    entry_set_queue(&entry, queue->name);
    int r = introduce(member, &entry, err);
    entry_fini(&entry);
    if (r < 0)
        return r;
    if (session->probe != NULL)
        r = probe(member, session, epoch, err);
    if (r < 0) {
        control_log_goodbye(member, &(struct barrier_counts){0});
        return r;
    }
    log_event(EVENT_HELLO, "queue=%s session=%llu release=%s", queue->name,
              (unsigned long long)member->id, session->release);
    *out = member;
    return 0;
}

/* ---- acknowledging, leaving ---------------------------------------------- */

void
control_log_acknowledge(struct log_member *member, uint64_t paused_epoch,
                        const struct barrier_counts *counts)
{
    LOCKED(&member->log->lock);
    member->acknowledge.due = true;
    member->acknowledge.at = 0;
    member->acknowledge.epoch = paused_epoch;
    member->acknowledge.counts = *counts;
    control_ring(member->log);
}

/* False: it is lost. The counts are of the barrier that goes on. */
static bool
leave(struct log_member *member, struct entry *entry)
{
    struct control_log *log = member->log;

    LOCKED(&log->lock);
    member->leaves = true;
    member->acknowledge.due = false;
    entry->session = member->id;
    if (member->queue >= 0) {
        const int index = ledger_find(&log->ledger, queue_name(member));
        entry->epoch = log->ledger.queues[index].barrier_epoch;
    }
    return !member->lost;
}

void
control_log_goodbye(struct log_member *member,
                    const struct barrier_counts *counts)
{
    struct entry entry = {.kind = ENTRY_GOODBYE, .counts = *counts};
    struct error err = {0};
    const uint64_t id = member->id;

    if (leave(member, &entry)) {
        int r = control_write(member->log, &entry, NULL, NULL, NULL, &err);
        /* On failure nobody says goodbye and the lease runs out by itself. */
        if (r < 0 && r != -ENOENT)
            log_event(EVENT_NOTE, "session=%llu text=\"goodbye: %s\"",
                      (unsigned long long)id, err.text);
        else
            log_event(EVENT_GOODBYE, "session=%llu", (unsigned long long)id);
        if (r == 0 && member->queue >= 0)
            control_settle(member->log, queue_name(member));
    }
    drop(member);
}

void
control_log_abandon(struct log_member *member)
{
    const uint64_t id = member->id;

    pthread_mutex_lock(&member->log->lock);
    member->lost = member->leaves = true;
    member->tell = 0;
    member->acknowledge.due = false;
    pthread_mutex_unlock(&member->log->lock);
    log_event(EVENT_NOTE,
              "session=%llu text=\"not all that it wrote was "
              "acknowledged: its lease runs out\"",
              (unsigned long long)id);
    drop(member);
}

/* ---- the session of a process that runs upgrades ------------------------- */

/* 1: *session is alive. 0: the caller is to make one. */
static int
owner_begin(struct control_log *log, uint64_t *session, struct log_member **old)
{
    LOCKED(&log->lock);
    while (log->owning)
        pthread_cond_wait(&log->moved, &log->lock);
    if (log->owner != NULL && !log->owner->lost) {
        *session = log->owner->id;
        return 1;
    }
    log->owning = true;
    *old = TAKE(log->owner);
    return 0;
}

int
member_own(struct control_log *log, uint64_t *session, struct error *err)
{
    struct log_member *old = NULL;
    struct entry entry = {0};

    if (owner_begin(log, session, &old) == 1)
        return 0;
    if (old != NULL)
        control_log_goodbye(old, &(struct barrier_counts){0});
    struct log_member *member = member_new(log, -1, OWNER_LEASE);
    snprintf(entry.name, sizeof(entry.name), "upgrade:%d", getpid());
    int r = introduce(member, &entry, err);
    LOCKED(&log->lock);
    log->owning = false;
    if (r == 0) {
        log->owner = member;
        *session = member->id;
    }
    pthread_cond_broadcast(&log->moved);
    return r;
}

void
member_disown(struct control_log *log)
{
    if (log->owner != NULL)
        control_log_goodbye(TAKE(log->owner), &(struct barrier_counts){0});
}
