/* control_log.c - the `control` topic read in order, and `workers` beside it.
 */
#include <jansson.h>
#include <poll.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "broker/kafka/control_priv.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/thread.h"

#define HEARD_BACK ((span_ms)60000) /* of heartbeats, at the start */
#define REPAIR     1000             /* ms */

span_ms
control_bound(const struct control_log *log, const char *queue)
{
    const int index = settings_queue(log->kafka->settings, queue);

    return index < 0 ? 0 : log->kafka->settings->queues[index].lease;
}

span_ms
control_repair(void)
{
    return REPAIR + randombytes_uniform(REPAIR);
}

static bool
is_ours(const struct control_log *log, const struct entry *entry)
{
    const size_t len = strlen(log->process);

    return strncmp(entry->id, log->process, len) == 0 && entry->id[len] == '.';
}

/* ---- a record of `control` ----------------------------------------------- */

/* The queues that it is about, in the ledger and in our settings. */
static void
tell_queues(struct control_log *log, const struct entry *entry, unsigned tell)
{
    for (size_t i = 0; i < entry->queues_len; i++)
        member_tell(log,
                    settings_queue(log->kafka->settings, entry->queues[i].name),
                    tell);
}

static void
decide(struct control_log *log, const struct entry *entry, int64_t offset,
       int r, const struct error *err)
{
    struct waiter *waiter = log->waiters;

    while (waiter != NULL && strcmp(waiter->id, entry->id) != 0)
        waiter = waiter->next;
    if (waiter == NULL)
        return;
    waiter->decided = true;
    waiter->offset = offset;
    waiter->r = r;
    waiter->err = *err;
    if (r == 0 && waiter->member != NULL) {
        waiter->member->id = (uint64_t)offset + 1;
        waiter->member->tell |= TELL_LEASE;
    }
    for (size_t i = 0; r == 0 && waiter->after != NULL && i < entry->queues_len;
         i++) {
        const int queue = ledger_find(&log->ledger, entry->queues[i].name);
        waiter->after[i] = ledger_control(&log->ledger, (unsigned)queue);
    }
}

static void
end_session(struct control_log *log, uint64_t session)
{
    watch_drop(log, session);
    for (struct log_member *member = log->members; member != NULL;
         member = member->next) {
        if (member->id == session && !member->leaves)
            member_lose(member);
    }
}

static void
log_control(const struct control_log *log, const struct entry *entry)
{
    for (size_t i = 0; i < entry->queues_len; i++) {
        const int index = ledger_find(&log->ledger, entry->queues[i].name);
        const struct ledger_queue *queue = &log->ledger.queues[index];
        const struct control *control = &queue->control;
        log_event(EVENT_CONTROL,
                  "queue=%s epoch=%llu change=%s state=%s release=%s",
                  queue->name, (unsigned long long)control->epoch,
                  entry->kind == ENTRY_DRAINED ? "drained"
                  : entry->change == CHANGE_STEP
                      ? upgrade_step_word(control->upgrade.step)
                      : change_word(entry->change),
                  control_state_word(control->state), control->release);
    }
}

static bool
is_paused(const struct control_log *log, const struct entry *entry)
{
    const int queue = ledger_find(&log->ledger, entry->queues[0].name);

    return log->ledger.queues[queue].control.state == CONTROL_PAUSED;
}

/* What goes with a record that counts. After a pause somebody may soon want to
 * know what each member ran. */
static void
follow_up(struct control_log *log, const struct entry *entry, int64_t offset)
{
    switch (entry->kind) {
    case ENTRY_CHANGE:
    case ENTRY_DRAINED:
        tell_queues(log, entry,
                    is_paused(log, entry) ? TELL_CONTROL | TELL_BEAT
                                          : TELL_CONTROL);
        if (is_ours(log, entry))
            log_control(log, entry);
        break;
    case ENTRY_HELLO:
        watch_add(log, (uint64_t)offset + 1);
        break;
    case ENTRY_GOODBYE:
    case ENTRY_LAPSED:
        end_session(log, entry->session);
        break;
    case ENTRY_KILL: /* a probe is not what is meant */
        if (is_paused(log, entry))
            tell_queues(log, entry, TELL_KILL);
        break;
    case ENTRY_QUEUE:
    case ENTRY_ACKNOWLEDGE:
    case ENTRY_SECRET:
    case ENTRIES:
        break;
    }
}

/* Which queues wait for `drained`; by our record: it is ours to write, which
 * the caller does when it has let go of the lock. */
static void
note_passed(struct control_log *log, bool ours)
{
    const boot_ms now = clock_boot();

    while (log->passed_len < log->ledger.queues_len) {
        log->passed =
            mem_grow(log->passed, log->passed_len + 1, sizeof(*log->passed));
        log->passed[log->passed_len++] = 0;
    }
    for (size_t i = 0; i < log->passed_len; i++) {
        if (!ledger_is_passed(&log->ledger.queues[i]))
            log->passed[i] = 0;
        else if (log->passed[i] == 0)
            log->passed[i] = ours ? now : now + control_repair();
    }
}

static void
on_control(struct control_log *log, const rd_kafka_message_t *message)
{
    const struct slice text = {message->payload, message->len};
    struct entry entry = {0};
    struct error err = {0};
    char quoted[300];

    int r = entry_read(text, &entry, &err);
    if (r < 0)
        log_event(EVENT_NOTE, "control=%lld text=%s",
                  (long long)message->offset,
                  log_quote(slice_of(err.text), quoted, sizeof(quoted)));
    LOCKED(&log->lock);
    if (r == 0) {
        r = ledger_apply(&log->ledger, message->offset, &entry, &err);
        if (r == 0)
            follow_up(log, &entry, message->offset);
        note_passed(log, is_ours(log, &entry));
        decide(log, &entry, message->offset, r, &err);
    }
    log->control_next = message->offset + 1;
    log->seen++;
    entry_fini(&entry);
    pthread_cond_broadcast(&log->moved);
}

/* ---- a record of `workers` ----------------------------------------------- */

static void
on_heartbeat(struct control_log *log, const rd_kafka_message_t *message)
{
    json_t *beat = json_loadb(message->payload, message->len, 0, NULL);
    const uint64_t session =
        (uint64_t)json_integer_value(json_object_get(beat, "session"));
    const json_int_t running =
        json_integer_value(json_object_get(beat, "running"));

    json_decref(beat);
    LOCKED(&log->lock);
    struct watch *watch = watch_find(log, session);
    if (watch != NULL) {
        watch->heard = clock_boot();
        watch->running =
            running < 0 || running > INT32_MAX ? 0 : (unsigned)running;
    }
    log->workers_next = message->offset + 1;
    pthread_cond_broadcast(&log->moved);
}

/* ---- the reader ---------------------------------------------------------- */

static int
assign(struct control_log *log, int64_t control, int64_t workers,
       struct error *err)
{
    rd_kafka_topic_partition_list_t *list =
        rd_kafka_topic_partition_list_new(2);

    rd_kafka_topic_partition_list_add(list, log->control_topic, 0)->offset =
        control;
    rd_kafka_topic_partition_list_add(list, log->workers_topic, 0)->offset =
        workers;
    const rd_kafka_resp_err_t error = rd_kafka_assign(log->consumer, list);
    rd_kafka_topic_partition_list_destroy(list);
    return error == RD_KAFKA_RESP_ERR_NO_ERROR
               ? 0
               : client_fails(err, error, "the control log");
}

static void
on_trouble(struct control_log *log, const rd_kafka_message_t *message)
{
    char quoted[300];
    const bool is_gone = message->err == RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET;

    log_event(EVENT_KAFKA_ERROR, "text=%s",
              log_quote(slice_of(rd_kafka_message_errstr(message)), quoted,
                        sizeof(quoted)));
    /* Heartbeats are not kept for long; who slept that long begins anew. */
    if (is_gone && message->rkt != NULL &&
        strcmp(rd_kafka_topic_name(message->rkt), log->workers_topic) == 0)
        assign(log, log->control_next, RD_KAFKA_OFFSET_BEGINNING, NULL);
}

static void
on_message(struct control_log *log, const rd_kafka_message_t *message)
{
    if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR)
        on_trouble(log, message);
    else if (strcmp(rd_kafka_topic_name(message->rkt), log->control_topic) == 0)
        on_control(log, message);
    else
        on_heartbeat(log, message);
}

static void
read_all(struct control_log *log)
{
    rd_kafka_message_t *message;

    while ((message = rd_kafka_consumer_poll(log->consumer, 0)) != NULL) {
        on_message(log, message);
        rd_kafka_message_destroy(message);
    }
}

static void
sleep_until(struct control_log *log, boot_ms until)
{
    struct pollfd bell = {.fd = log->bell, .events = POLLIN};
    const boot_ms now = clock_boot();
    const span_ms limit = until - now < 1000 ? until - now : 1000;
    uint64_t rung;

    if (poll(&bell, 1, limit < 0 ? 0 : (int)limit) == 1 &&
        read(log->bell, &rung, sizeof(rung)) < 0)
        return;
}

static void *
reader_run(void *opaque)
{
    struct control_log *log = opaque;

    for (;;) {
        read_all(log);
        pulse_drain(log);
        pulse_lapse(log);
        const boot_ms next = member_calls(log);
        pthread_mutex_lock(&log->lock);
        const bool closing = log->closing;
        pthread_mutex_unlock(&log->lock);
        if (closing)
            return NULL;
        sleep_until(log, next);
    }
}

/* ---- opening and closing ------------------------------------------------- */

static int
open_consumer(struct control_log *log, struct error *err)
{
    const struct settings *settings = log->kafka->settings;
    const wall_ms since =
        clock_wall() - HEARD_BACK - 2 * kafka_longest_lease(settings);
    const char *const topics[] = {log->control_topic, log->workers_topic};
    const uint64_t one = 1;
    int64_t workers = 0;
    int r = client_consumer(settings, 0, &log->consumer, err);

    if (r == 0)
        r = client_offset_at(log->kafka->asker, log->workers_topic, 0, since,
                             &workers, control_patience(log), err);
    if (r < 0)
        return r == -ETIMEDOUT
                   ? error_wrap(err, -ENOTCONN, "Kafka is out of reach")
                   : r;
    client_know(log->consumer, topics, ARRAY_LEN(topics),
                control_patience(log));
    log->workers_next = workers;
    log->queue = rd_kafka_queue_get_consumer(log->consumer);
    rd_kafka_queue_io_event_enable(log->queue, log->bell, &one, sizeof(one));
    return assign(log, 0, workers, err);
}

/* Reads all that is there, however long it takes. */
static int
read_first(struct control_log *log, struct error *err)
{
    int64_t before, after = -1;
    int r;

    do {
        before = after;
        r = control_catch_up(log, err);
        pthread_mutex_lock(&log->lock);
        after = log->control_next;
        pthread_mutex_unlock(&log->lock);
    } while (r < 0 && after > before);
    return r;
}

/* The first one that has it in its settings says with which release it begins.
 */
static int
name_queues(struct control_log *log, struct error *err)
{
    const struct settings *settings = log->kafka->settings;
    int r = 0;

    for (size_t i = 0; i < settings->queues_len && r == 0; i++) {
        const struct queue_settings *queue = &settings->queues[i];
        struct entry entry = {.kind = ENTRY_QUEUE};
        pthread_mutex_lock(&log->lock);
        const bool is_known = ledger_find(&log->ledger, queue->name) >= 0;
        pthread_mutex_unlock(&log->lock);
        if (is_known)
            continue;
        entry_set_queue(&entry, queue->name);
        snprintf(entry.release, sizeof(entry.release), "%s", queue->release);
        r = control_write(log, &entry, NULL, NULL, NULL, err);
        entry_fini(&entry);
        if (r == -EALREADY)
            r = 0;
    }
    return r;
}

static void
name_process(struct control_log *log)
{
    uint8_t random[16];

    randombytes_buf(random, sizeof(random));
    sodium_bin2hex(log->process, sizeof(log->process), random, sizeof(random));
}

static void
know_topics(struct control_log *log)
{
    const char *const topics[] = {log->control_topic, log->workers_topic,
                                  log->kafka->tickets_topic};

    producer_know(log->kafka->keeper, topics, ARRAY_LEN(topics),
                  control_patience(log));
}

int
control_log_open(struct kafka *kafka, struct control_log **out,
                 struct error *err)
{
    struct control_log *log = mem_new(struct control_log);
    const char *prefix = kafka->settings->kafka.prefix;

    log->kafka = kafka;
    log->control_topic = mem_printf("%s.control", prefix);
    log->workers_topic = mem_printf("%s.workers", prefix);
    log->bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    log->guard = guard_open(&log->place);
    name_process(log);
    pthread_mutex_init(&log->lock, NULL);
    pthread_cond_init(&log->moved, NULL);
    ledger_init(&log->ledger);
    int r = open_consumer(log, err);
    if (r == 0) {
        thread_start(&log->reader, reader_run, log);
        thread_start(&log->pulse, pulse_run, log);
        log->has_threads = true;
        r = read_first(log, err);
    }
    if (r == 0) {
        know_topics(log);
        r = name_queues(log, err);
    }
    if (r < 0)
        control_log_close(log);
    else
        *out = log;
    return r;
}

static void
stop(struct control_log *log)
{
    pthread_mutex_lock(&log->lock);
    log->closing = true;
    pthread_cond_broadcast(&log->moved);
    pthread_mutex_unlock(&log->lock);
    control_ring(log);
    pthread_join(log->pulse, NULL);
    pthread_join(log->reader, NULL);
    /* The keeper answers for each one. */
    pthread_mutex_lock(&log->lock);
    while (log->flying > 0)
        pthread_cond_wait(&log->moved, &log->lock);
    pthread_mutex_unlock(&log->lock);
}

void
control_log_close(struct control_log *log)
{
    if (log == NULL)
        return;
    if (log->has_threads) {
        member_disown(log);
        stop(log);
    }
    assert(log->members == NULL && log->waiters == NULL);
    if (log->queue != NULL)
        rd_kafka_queue_destroy(log->queue);
    if (log->consumer != NULL)
        rd_kafka_destroy(log->consumer);
    close(log->bell);
    if (log->guard >= 0)
        close(log->guard);
    ledger_fini(&log->ledger);
    free(log->watches);
    free(log->passed);
    free(log->control_topic);
    free(log->workers_topic);
    pthread_cond_destroy(&log->moved);
    pthread_mutex_destroy(&log->lock);
    free(log);
}

int
control_log_guard(const struct control_log *log)
{
    const struct broker_options *options = &log->kafka->options;

    return options->role == BROKER_WORKER || options->guarded ? log->guard : -1;
}

/* ---- states -------------------------------------------------------------- */

/* As to be looked at in the ledger; with the lock. */
static unsigned
index_of(const struct control_log *log, unsigned queue)
{
    const int index =
        ledger_find(&log->ledger, log->kafka->settings->queues[queue].name);

    assert(index >= 0); /* since name_queues */
    return (unsigned)index;
}

void
control_log_state(struct control_log *log, unsigned queue,
                  struct control *control)
{
    LOCKED(&log->lock);
    *control = ledger_control(&log->ledger, index_of(log, queue));
}

span_ms
control_log_open_for(struct control_log *log, unsigned queue, wall_ms since,
                     wall_ms now)
{
    LOCKED(&log->lock);
    return ledger_open_for(&log->ledger.queues[index_of(log, queue)], since,
                           now);
}
