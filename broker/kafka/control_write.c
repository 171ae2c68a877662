/* control_write.c - records for the control log, and what became of them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "broker/kafka/control_priv.h"
#include "common/mem.h"

#define SETTLES ((span_ms)3000) /* others record `drained` within 2 s */

/* ---- waiting ------------------------------------------------------------- */

bool
control_wait_until(struct control_log *log, mono_ms until)
{
    const struct timespec at = {until / 1000, until % 1000 * 1000000};

    if (clock_mono() >= until)
        return false;
    pthread_cond_clockwait(&log->moved, &log->lock, CLOCK_MONOTONIC, &at);
    return true;
}

void
control_ring(struct control_log *log)
{
    const uint64_t one = 1;

    /* A full counter wakes as well. */
    if (write(log->bell, &one, sizeof(one)) < 0)
        return;
}

span_ms
control_patience(const struct control_log *log)
{
    return log->kafka->settings->kafka.timeout + 1000;
}

/* ---- sending ------------------------------------------------------------- */

void
control_stamp(struct control_log *log, struct entry *entry)
{
    LOCKED(&log->lock);
    snprintf(entry->id, sizeof(entry->id), "%s.%llu", log->process,
             (unsigned long long)++log->records);
    if (entry->at == 0)
        entry->at = clock_wall();
}

void
control_send_to(struct control_log *log, const char *topic, const char *text,
                struct delivery *delivery)
{
    producer_send(log->kafka->keeper, topic, 0, NULL, slice_of(text), NULL,
                  delivery);
}

void
control_send(struct control_log *log, struct entry *entry,
             struct delivery *delivery)
{
    if (entry->id[0] == '\0')
        control_stamp(log, entry);
    char *text = entry_write(entry);
    control_send_to(log, log->control_topic, text, delivery);
    free(text);
}

/* ---- and reading back ---------------------------------------------------- */

/* With the lock. */
static void
waiter_unref(struct waiter *waiter)
{
    if (--waiter->refs == 0)
        free(waiter);
}

static void
on_delivered(struct delivery *delivery)
{
    struct waiter *waiter = CONTAINER_OF(delivery, struct waiter, delivery);
    struct control_log *log = waiter->log;

    LOCKED(&log->lock);
    waiter->delivered = true;
    waiter_unref(waiter);
    log->flying--;
    pthread_cond_broadcast(&log->moved);
}

static void
unlist(struct control_log *log, const struct waiter *waiter)
{
    struct waiter **at = &log->waiters;

    while (*at != NULL && *at != waiter)
        at = &(*at)->next;
    if (*at != NULL)
        *at = waiter->next;
}

static int
await(struct control_log *log, struct waiter *waiter, struct error *err)
{
    const mono_ms until = clock_mono() + control_patience(log);

    while (!waiter->decided) {
        const int r = waiter->delivered ? waiter->delivery.r : 0;
        if (r == -ENOTCONN || r == -ESHUTDOWN || r == -EMSGSIZE)
            return error_set(err, r,
                             "Kafka did not take a record of the control log");
        if (!control_wait_until(log, until))
            return error_set(err, -ECOMM,
                             "Kafka did not answer in time: it is not known "
                             "whether the control log has it");
    }
    if (waiter->r < 0 && err != NULL)
        *err = waiter->err;
    return waiter->r;
}

int
control_write(struct control_log *log, struct entry *entry,
              struct control *after, struct log_member *member, int64_t *offset,
              struct error *err)
{
    struct waiter *waiter = mem_new(struct waiter);

    control_stamp(log, entry);
    *waiter = (struct waiter){
        .delivery.on_delivered = on_delivered,
        .log = log,
        .refs = 2,
        .after = after,
        .member = member,
    };
    snprintf(waiter->id, sizeof(waiter->id), "%s", entry->id);
    pthread_mutex_lock(&log->lock);
    waiter->next = log->waiters;
    log->waiters = waiter;
    log->flying++;
    pthread_mutex_unlock(&log->lock);

    control_send(log, entry, &waiter->delivery);

    LOCKED(&log->lock);
    int r = await(log, waiter, err);
    if (r == 0 && offset != NULL)
        *offset = waiter->offset;
    unlist(log, waiter);
    waiter_unref(waiter);
    return r;
}

/* ---- catching up --------------------------------------------------------- */

static bool
is_counting_out(const struct control_log *log)
{
    for (size_t i = 0; i < log->watches_len; i++) {
        if (log->watches[i].phase != WATCH_ALIVE)
            return true;
    }
    return false;
}

int
control_catch_up(struct control_log *log, struct error *err)
{
    const mono_ms until = clock_mono() + control_patience(log);
    const mono_ms swept = clock_mono() + SETTLES;

    LOCKED(&log->lock);
    const uint64_t mine = log->round_begun + 1;
    if (log->round_wanted < mine)
        log->round_wanted = mine;
    pthread_cond_broadcast(&log->moved);
    while (log->round_done < mine) {
        if (!control_wait_until(log, until))
            return error_set(err, -ENOTCONN, "Kafka did not answer in time%s%s",
                             log->round_r < 0 ? ": " : "",
                             log->round_r < 0 ? log->round_err.text : "");
    }
    if (log->round_r < 0) {
        if (err != NULL)
            *err = log->round_err;
        return log->round_r;
    }
    while (is_counting_out(log) && control_wait_until(log, swept))
        continue;
    return 0;
}

void
control_settle(struct control_log *log, const char *queue)
{
    const mono_ms until = clock_mono() + SETTLES;

    LOCKED(&log->lock);
    const int index = ledger_find(&log->ledger, queue);
    while (index >= 0 && ledger_is_passed(&log->ledger.queues[index]) &&
           control_wait_until(log, until))
        continue;
}
