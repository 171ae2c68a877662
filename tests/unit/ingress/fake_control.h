/* fake_control.h - the control half of the fake broker: queue 0 alone, by the
 * real rules of control.h.
 *
 * A pause drains at once, but for one whose words have "busy" in them. What is
 * set before the ingress is started is seen by it.
 *
 * Threads: one, that of the admin listener.
 */
#ifndef TESTS_UNIT_INGRESS_FAKE_CONTROL_H
#define TESTS_UNIT_INGRESS_FAKE_CONTROL_H

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/broker.h"
#include "common/mem.h"

static const char *fake_worker; /* release of the one there is; or NULL */
static struct upgrade
    fake_upgrade; /* holds the queue as soon as it is paused */
static struct control fake_state;
static struct history *fake_records;
static size_t fake_records_len;

static struct control *
fake_control(void)
{
    if (fake_state.epoch == 0)
        fake_state = control_initial("1");
    return &fake_state;
}

static void
fake_record(const char *what, const struct change *change, const char *receipt)
{
    fake_records =
        mem_grow(fake_records, fake_records_len + 1, sizeof(*fake_records));
    struct history *record = &fake_records[fake_records_len++];

    *record = (struct history){.epoch = fake_state.epoch, .at = clock_wall()};
    strcpy(record->queue, "q");
    snprintf(record->change, sizeof(record->change), "%s", what);
    strcpy(record->release, fake_state.release);
    snprintf(record->by, sizeof(record->by), "%s", change->by);
    snprintf(record->why, sizeof(record->why), "%s",
             change->why == NULL ? "" : change->why);
    record->receipt = mem_strdup(receipt);
}

int
broker_control(struct broker *broker, unsigned queue, struct control *control,
               struct error *err)
{
    (void)broker;
    (void)queue;
    (void)err;
    *control = *fake_control();
    return 0;
}

int
broker_change(struct broker *broker, const unsigned *queues, size_t len,
              const struct change *change, struct control *after,
              struct error *err)
{
    (void)broker;
    (void)queues;
    (void)len;
    int r = control_change(fake_control(), change, clock_wall(), err);
    if (r < 0)
        return r;
    fake_record(change_word(change->kind), change, NULL);
    if (change->kind == CHANGE_PAUSE && fake_upgrade.id[0] != '\0')
        fake_state.upgrade = fake_upgrade;
    if (change->kind == CHANGE_PAUSE &&
        (change->why == NULL || strstr(change->why, "busy") == NULL)) {
        control_drain(&fake_state);
        fake_record("drained", change, "{\"bound_ms\":7}");
    }
    *after = fake_state;
    return 0;
}

int
broker_kill(struct broker *broker, unsigned queue, uint64_t paused_epoch,
            struct error *err)
{
    const struct change change = {.by = "broker_kill"};

    (void)broker;
    (void)queue;
    if (fake_state.paused_epoch != paused_epoch)
        return error_set(err, -ECANCELED, "that pause is over");
    fake_record("killed", &change, NULL);
    return 0;
}

void
barrier_fini(struct barrier *barrier)
{
    free(barrier->members);
    *barrier = (struct barrier){0};
}

int
broker_barrier(struct broker *broker, unsigned queue, struct barrier *out,
               struct error *err)
{
    (void)broker;
    (void)queue;
    (void)err;
    *out = (struct barrier){.ended = 3, .bound = 10000, .len = 1};
    out->members = mem_new(struct member);
    out->members->session = 5;
    strcpy(out->members->name, "host:17");
    strcpy(out->members->release, "1");
    return 0;
}

int
broker_running(struct broker *broker, unsigned queue, size_t max,
               struct running **out, size_t *len, struct error *err)
{
    (void)broker;
    (void)queue;
    (void)err;
    ck_assert_uint_gt(max, 0);
    *out = mem_new(struct running);
    strcpy((*out)->worker, "host:17");
    (*out)->started = clock_wall();
    *len = fake_state.state == CONTROL_PAUSED;
    return 0;
}

int
broker_history(struct broker *broker, int queue, size_t max,
               struct history **out, size_t *len, struct error *err)
{
    (void)broker;
    (void)queue;
    (void)max;
    (void)err;
    *len = fake_records_len;
    *out = mem_zalloc((*len + 1) * sizeof(**out));
    for (size_t i = 0; i < *len; i++) {
        (*out)[i] = fake_records[i];
        (*out)[i].receipt = mem_strdup(fake_records[i].receipt);
    }
    return 0;
}

void
history_free(struct history *list, size_t len)
{
    for (size_t i = 0; i < len; i++)
        free(list[i].receipt);
    free(list);
}

int
broker_queue_stats(struct broker *broker, unsigned queue,
                   struct queue_stats *stats, struct error *err)
{
    (void)broker;
    (void)queue;
    (void)err;
    *stats = (struct queue_stats){
        .control = *fake_control(), .queued = 4, .running = 1, .oldest = 1500};
    /* Words that were cut in the midst of a letter. */
    strcpy(stats->trouble, "cut: \xc3");
    return 0;
}

int
broker_workers(struct broker *broker, struct worker_info **out, size_t *len,
               struct error *err)
{
    (void)broker;
    (void)err;
    *out = mem_new(struct worker_info);
    *len = fake_worker != NULL;
    if (fake_worker == NULL)
        return 0;
    strcpy((*out)->name, "host:17");
    strcpy((*out)->queue, "q");
    strcpy((*out)->release, fake_worker);
    (*out)->concurrency = 4;
    (*out)->lease_left = 5000;
    return 0;
}

#endif
