/* follow.c - the thread that folds `tickets` into the view. */
#include "broker/kafka/follow.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "broker/kafka/client.h"
#include "broker/kafka/follow_priv.h"
#include "broker/kafka/upkeep.h"
#include "common/lock.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/own.h"

#define AT_ONCE   1000  /* records between two looks at the box */
#define TICK      100   /* ms; the longest sleep */
#define AGAIN     1000  /* ms until a view that failed is tried again */
#define ASK_LIMIT 10000 /* ms for a question to Kafka at the start */

/* ---- helpers ------------------------------------------------------------- */

static void
wake_helper(void *opaque)
{
    struct helper *helper = opaque;

    sem_post(&helper->bell);
}

static void *
help(void *opaque)
{
    struct helper *helper = opaque;
    bool closing;

    do {
        while (sem_wait(&helper->bell) < 0)
            ; /* EINTR */
        closing = atomic_load(&helper->closing);
        struct mail *mail = mailbox_take(&helper->box);
        while (mail != NULL) {
            struct job *job = CONTAINER_OF(mail, struct job, mail);
            mail = mail->next;
            job->run(helper->follow, job);
        }
    } while (!closing);
    return NULL;
}

static int
helper_start(struct helper *helper, struct follow *follow, struct error *err)
{
    helper->follow = follow;
    mailbox_init(&helper->box, wake_helper, helper);
    sem_init(&helper->bell, 0, 0);
    int r = pthread_create(&helper->thread, NULL, help, helper);
    helper->started = r == 0;
    return r == 0 ? 0 : error_system(err, -r, "a thread");
}

/* Runs what is there, and ends. */
static void
helper_stop(struct helper *helper)
{
    if (!helper->started)
        return;
    atomic_store(&helper->closing, true);
    sem_post(&helper->bell);
    pthread_join(helper->thread, NULL);
    mailbox_fini(&helper->box);
    sem_destroy(&helper->bell);
    helper->started = false;
}

void
helper_post(struct helper *helper, struct job *job)
{
    mailbox_post(&helper->box, &job->mail);
}

/* ---- facts --------------------------------------------------------------- */

int
follow_queue(const struct follow *follow, const struct view_row *row)
{
    return kafka_queue(follow->kafka,
                       slice_of(view_queue_at(follow->view, row->queue)->name));
}

int
follow_fails(struct follow *follow, int r)
{
    char quoted[600];

    if (follow->failing == 0)
        log_event(EVENT_STORE_BROKEN, "text=%s",
                  log_quote(slice_of(view_error(follow->view)), quoted,
                            sizeof(quoted)));
    follow->failing = clock_mono() + AGAIN;
    atomic_store(&follow->is_broken, true);
    return r == -ENOSPC ? -ENOSPC : -EIO;
}

/* Records that are none of ours, or newer than we are, change nothing. */
static void
skip(struct follow *follow, const rd_kafka_message_t *message,
     const struct error *err)
{
    char quoted[400];

    log_event(EVENT_STORE_CORRUPT,
              "partition=%d offset=%lld text=\"a fact was left out\" why=%s",
              (int)message->partition, (long long)message->offset,
              log_quote(slice_of(err->text), quoted, sizeof(quoted)));
    view_move(follow->view, message->partition, message->offset + 1);
}

static void
fold(struct follow *follow, const rd_kafka_message_t *message)
{
    const struct broker_options *options = &follow->kafka->options;
    const struct view_row *row;
    struct fact fact;
    struct error err;

    if (message->partition >= follow->kafka->partitions ||
        message->offset < view_next(follow->view, message->partition))
        return; /* of before a rewind */
    if (fact_read(message, &fact, &err) < 0) {
        skip(follow, message, &err);
        return;
    }
    int r = view_fact(follow->view, message->partition, message->offset, &fact,
                      &row);
    if (r < 0)
        follow_fails(follow, r);
    else if (r == 1 && row != NULL && ticket_state_is_final(row->fold.state) &&
             fact.kind != FACT_ACCEPTED && fact.kind != FACT_DROPPED &&
             fact.kind != FACT_REPLAYED && options->wanted != NULL &&
             options->wanted(options->opaque, &row->ticket))
        follow_tell(follow, row);
}

/* ---- where it reads ------------------------------------------------------ */

static int
assign(struct follow *follow, struct error *err)
{
    const struct kafka *kafka = follow->kafka;
    rd_kafka_topic_partition_list_t *list =
        rd_kafka_topic_partition_list_new(kafka->partitions);

    for (int32_t i = 0; i < kafka->partitions; i++)
        rd_kafka_topic_partition_list_add(list, kafka->tickets_topic, i)
            ->offset = view_next(follow->view, i);
    const rd_kafka_resp_err_t error = rd_kafka_assign(follow->consumer, list);
    rd_kafka_topic_partition_list_destroy(list);
    return error == RD_KAFKA_RESP_ERR_NO_ERROR
               ? 0
               : client_fails(err, error, "reading %s", kafka->tickets_topic);
}

static int
ask_offsets(struct follow *follow, enum client_where where, int64_t *offsets,
            struct error *err)
{
    const struct kafka *kafka = follow->kafka;
    rd_kafka_topic_partition_list_t *list =
        rd_kafka_topic_partition_list_new(kafka->partitions);

    rd_kafka_topic_partition_list_add_range(list, kafka->tickets_topic, 0,
                                            kafka->partitions - 1);
    int r = client_offsets(kafka->asker, list, where, ASK_LIMIT, err);
    for (int i = 0; r == 0 && i < list->cnt; i++)
        offsets[list->elems[i].partition] = list->elems[i].offset;
    rd_kafka_topic_partition_list_destroy(list);
    return r;
}

/* Finds where the log begins and ends; a view that does not fit is emptied. */
static int
find_place(struct follow *follow, struct error *err)
{
    const int32_t len = follow->kafka->partitions;
    int64_t *lows = mem_zalloc((size_t)len * sizeof(*lows));
    uint64_t total = 0;
    bool fits = true, is_new = true;
    int r = ask_offsets(follow, CLIENT_OLDEST, lows, err);

    if (r == 0)
        r = ask_offsets(follow, CLIENT_END, follow->goals, err);
    for (int32_t i = 0; i < len && r == 0; i++) {
        const int64_t next = view_next(follow->view, i);
        fits &= next >= lows[i] && next <= follow->goals[i];
        is_new &= next == 0;
    }
    if (r == 0 && !fits) {
        if (!is_new)
            log_event(EVENT_NOTE,
                      "text=\"the view does not fit the log: it is rebuilt\"");
        r = view_remake(follow->view);
        if (r < 0)
            error_set(err, r, "%s", view_error(follow->view));
        for (int32_t i = 0; i < len && r == 0; i++)
            view_move(follow->view, i, lows[i]);
    }
    free(lows);
    if (r < 0)
        return r;
    for (int32_t i = 0; i < len; i++) {
        total += (uint64_t)(follow->goals[i] - view_next(follow->view, i));
        if (follow->goals[i] > 0) /* no look tells what is long past */
            follow_expect(follow, i, follow->goals[i] - 1);
    }
    atomic_store(&follow->total, total);
    atomic_store(&follow->is_behind, total > 0);
    return assign(follow, err);
}

/* Queues of the settings, in the view. */
static void
find_lanes(struct follow *follow)
{
    const struct settings *settings = follow->kafka->settings;

    for (size_t i = 0; i < settings->queues_len; i++)
        follow->lanes[i] =
            view_queue(follow->view, slice_of(settings->queues[i].name));
}

/* After a failure: from what was committed last, or anew. */
static void
recover(struct follow *follow)
{
    struct error err;
    int r = view_rewind(follow->view);

    if (r == -EUCLEAN)
        r = view_remake(follow->view);
    if (r == 0)
        r = find_place(follow, &err);
    follow->failing = r == 0 ? 0 : clock_mono() + AGAIN;
    if (r < 0)
        return;
    find_lanes(follow);
    atomic_store(&follow->is_broken, false);
    log_event(EVENT_NOTE, "text=\"the view goes on\"");
}

/* ---- the thread ---------------------------------------------------------- */

/* What others see. Depth goes first: see take_room in submit.c. */
static void
publish(struct follow *follow)
{
    const struct settings *settings = follow->kafka->settings;
    uint64_t left = 0;

    for (size_t i = 0; i < settings->queues_len; i++) {
        const struct view_queue *queue =
            view_queue_at(follow->view, follow->lanes[i]);
        atomic_store(&follow->depth[i], queue->queued + queue->delayed);
    }
    for (int32_t i = 0; i < follow->kafka->partitions; i++) {
        const int64_t next = view_next(follow->view, i);
        atomic_store(&follow->next[i], next);
        if (next < follow->goals[i])
            left += (uint64_t)(follow->goals[i] - next);
    }
    if (!atomic_load(&follow->is_behind))
        return;
    atomic_store(&follow->left, left);
    if (left == 0) {
        atomic_store(&follow->is_behind, false);
        if (follow->upkeep != NULL)
            log_event(EVENT_NOTE,
                      "text=\"the view is up to date\" records=%llu",
                      (unsigned long long)atomic_load(&follow->total));
    }
}

static void
on_trouble(struct follow *follow, const rd_kafka_message_t *message)
{
    struct error err;

    if (message->err != RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET &&
        message->err != RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE) {
        if (message->err != RD_KAFKA_RESP_ERR__PARTITION_EOF)
            log_event(EVENT_KAFKA_DEBUG, "text=\"%s\"",
                      rd_kafka_err2name(message->err));
        return;
    }
    if (find_place(follow, &err) < 0)
        follow->failing = clock_mono() + AGAIN;
    else
        find_lanes(follow);
}

/* True: there may be more. */
static bool
read_some(struct follow *follow)
{
    for (int i = 0; i < AT_ONCE && follow->failing == 0; i++) {
        rd_kafka_message_t *message =
            rd_kafka_consumer_poll(follow->consumer, 0);
        if (message == NULL)
            return false;
        if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR)
            on_trouble(follow, message);
        else
            fold(follow, message);
        rd_kafka_message_destroy(message);
    }
    return follow->failing == 0;
}

static void
take_queries(struct follow *follow)
{
    struct mail *mail = mailbox_take(&follow->box);

    while (mail != NULL) {
        struct query *query = CONTAINER_OF(mail, struct query, mail);
        mail = mail->next;
        query->step(follow, query);
    }
}

/* What time brings. */
static void
tick(struct follow *follow, mono_ms now)
{
    int r = view_promote(follow->view, clock_wall());

    if (r == 0 && follow->upkeep != NULL && now >= upkeep_next(follow) &&
        !atomic_load(&follow->is_behind))
        r = upkeep_run(follow, now);
    if (r == 0 && view_is_due(follow->view, now))
        r = view_commit(follow->view);
    if (r < 0)
        follow_fails(follow, r);
}

static void
sleep_for(struct follow *follow, span_ms span)
{
    struct pollfd bell = {.fd = follow->bell, .events = POLLIN};
    uint64_t count;

    if (poll(&bell, 1, (int)span) > 0 &&
        read(follow->bell, &count, sizeof(count)) < 0)
        return; /* another one read it */
}

static void *
run(void *opaque)
{
    struct follow *follow = opaque;
    bool more = true;

    while (!atomic_load(&follow->closing)) {
        const mono_ms now = clock_mono();
        const mono_ms until = query_next(follow, now + TICK);
        sleep_for(follow, more ? 0 : until > now ? until - now : 0);
        if (follow->failing != 0 && clock_mono() >= follow->failing)
            recover(follow);
        more = follow->failing == 0 && read_some(follow);
        take_queries(follow);
        if (follow->failing == 0)
            tick(follow, clock_mono());
        if (follow->failing == 0)
            publish(follow);
        atomic_store(&follow->has_waits, true);
        query_wake(follow, clock_mono());
        atomic_store(&follow->has_waits, follow->waits != NULL);
    }
    return NULL;
}

/* ---- opening ------------------------------------------------------------- */

static void
ring(void *opaque)
{
    struct follow *follow = opaque;
    const uint64_t one = 1;

    while (write(follow->bell, &one, sizeof(one)) < 0 && errno == EINTR)
        ;
}

static int
open_consumer(struct follow *follow, struct error *err)
{
    static const uint64_t one = 1;
    int r = client_consumer(follow->kafka->settings, 0, &follow->consumer, err);

    if (r < 0)
        return r;
    client_know(follow->consumer,
                (const char *const[]){follow->kafka->tickets_topic}, 1,
                ASK_LIMIT);
    follow->queue = rd_kafka_queue_get_consumer(follow->consumer);
    rd_kafka_queue_io_event_enable(follow->queue, follow->bell, &one,
                                   sizeof(one));
    return 0;
}

static int
open_view(struct follow *follow, struct error *err)
{
    const struct kafka *kafka = follow->kafka;
    char fingerprint[TICKET_FINGERPRINT + 1];

    ticket_secret_fingerprint(kafka->secret, fingerprint);
    char *installation =
        mem_printf("%s %s", kafka->settings->kafka.prefix, fingerprint);
    int r = view_open(kafka->settings->kafka.view, installation,
                      kafka->partitions, &follow->view, err);
    free(installation);
    return r < 0 ? error_wrap(err, r, "broker.kafka.view") : 0;
}

static int
open_all(struct follow *follow, struct error *err)
{
    follow->bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (follow->bell < 0)
        return error_system(err, -errno, "an eventfd");
    int r = open_view(follow, err);
    if (r == 0)
        r = open_consumer(follow, err);
    if (r == 0)
        r = find_place(follow, err);
    if (r < 0)
        return r;
    find_lanes(follow);
    if (follow->kafka->options.role == BROKER_INGRESS)
        follow->upkeep = upkeep_new();
    r = helper_start(&follow->asker, follow, err);
    if (r == 0)
        r = helper_start(&follow->clerk, follow, err);
    if (r < 0)
        return r;
    r = -pthread_create(&follow->thread, NULL, run, follow);
    follow->started = r == 0;
    return r < 0 ? error_system(err, r, "a thread") : 0;
}

int
follow_open(struct kafka *kafka, struct follow **out, struct error *err)
{
    struct follow *follow = mem_new(struct follow);
    const size_t partitions = (size_t)kafka->partitions;
    const size_t queues = kafka->settings->queues_len + 1;

    follow->kafka = kafka;
    follow->bell = -1;
    follow->next = mem_zalloc(partitions * sizeof(*follow->next));
    follow->expected = mem_zalloc(partitions * sizeof(*follow->expected));
    follow->goals = mem_zalloc(partitions * sizeof(*follow->goals));
    follow->depth = mem_zalloc(queues * sizeof(*follow->depth));
    follow->lanes = mem_zalloc(queues * sizeof(*follow->lanes));
    mailbox_init(&follow->box, ring, follow);
    pthread_mutex_init(&follow->lock, NULL);
    pthread_cond_init(&follow->back, NULL);
    int r = open_all(follow, err);
    if (r < 0)
        follow_close(follow);
    else
        *out = follow;
    return r;
}

static void
wait_for_others(struct follow *follow)
{
    LOCKED(&follow->lock);
    while (follow->out > 0)
        pthread_cond_wait(&follow->back, &follow->lock);
}

void
follow_close(struct follow *follow)
{
    if (follow == NULL)
        return;
    atomic_store(&follow->closing, true);
    if (follow->started) {
        ring(follow);
        pthread_join(follow->thread, NULL);
    }
    wait_for_others(follow);
    helper_stop(&follow->asker);
    helper_stop(&follow->clerk);
    query_end_all(follow);
    upkeep_free(follow->upkeep);
    view_close(follow->view);
    if (follow->queue != NULL)
        rd_kafka_queue_destroy(follow->queue);
    if (follow->consumer != NULL) {
        rd_kafka_consumer_close(follow->consumer);
        rd_kafka_destroy(follow->consumer);
    }
    if (follow->bell >= 0)
        close(follow->bell);
    mailbox_fini(&follow->box);
    free(follow->next);
    free(follow->expected);
    free(follow->goals);
    free(follow->depth);
    free(follow->lanes);
    free(follow);
}

/* ---- what others ask without waiting ------------------------------------- */

int
follow_ready(struct follow *follow, struct error *err)
{
    if (atomic_load(&follow->is_broken))
        return error_set(err, -EIO, "the view cannot be written: see the log");
    if (!atomic_load(&follow->is_behind))
        return 0;
    const uint64_t total = atomic_load(&follow->total);
    const uint64_t left = atomic_load(&follow->left);
    return error_set(
        err, -EAGAIN, "the view is being rebuilt: %llu of %llu records",
        (unsigned long long)(total - left), (unsigned long long)total);
}

uint64_t
follow_depth(struct follow *follow, unsigned queue)
{
    return atomic_load(&follow->depth[queue]);
}

int64_t
follow_next(struct follow *follow, int32_t partition)
{
    return atomic_load(&follow->next[partition]);
}

void
follow_wake(struct follow *follow)
{
    if (atomic_load(&follow->has_waits))
        ring(follow);
}

void
follow_expect(struct follow *follow, int32_t partition, int64_t offset)
{
    _Atomic int64_t *expected = &follow->expected[partition];
    int64_t known = atomic_load(expected);

    while (known < offset + 1 &&
           !atomic_compare_exchange_weak(expected, &known, offset + 1))
        ;
}
