/* producer.c - produces records, and tells what became of each. */
#include "broker/kafka/producer.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <uthash.h>
#include <utlist.h>

#include "broker/kafka/client.h"
#include "broker/kafka/record.h"
#include "common/lock.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/own.h"
#include "common/thread.h"

#define POLL_MS  100
#define PROBE_MS 200  /* for an answer */
#define QUIET_MS 2000 /* without any acknowledgement, then one is asked for */
#define WINDOW   10   /* ms */
#define MANY     50   /* records in one: then they go in bulk */
#define PATIENCE 50   /* ms; for what takes longer nobody waits */

/* Two clients of librdkafka, one of which lingers: it has one linger.ms for
 * all. */
enum pace { QUICK, BULK, PACES };

/* A record on its way, or one that waits for its turn. */
struct record {
    struct road *road;
    struct delivery *delivery;
    rd_kafka_headers_t *headers;
    char key[RECORD_KEY_MAX];
    bool has_key;
    struct slice value;
    int flags; /* librdkafka's: whose the value is */
    struct record *prev, *next;
};

/* A partition that is produced to. Its pace changes only when nothing of it is
 * on its way, so that its records keep their order. */
struct road {
    const struct topic *topic;
    int32_t partition;
    enum pace pace;
    unsigned out;             /* records on their way */
    mono_ms since;            /* when one of those went or arrived, last */
    bool is_going;            /* what waited is being given to librdkafka */
    struct record *waiting;   /* for those on their way, to go in bulk */
    struct road *prev, *next; /* in roads of the producer, if some wait */
};

struct topic {
    char *name;
    struct road **roads; /* by partition; NULL: none so far */
    int32_t len;
    UT_hash_handle hh;
};

struct producer {
    const struct settings *settings;
    span_ms timeout;
    pthread_rwlock_t lock; /* guards rk against being replaced */
    rd_kafka_t *rk[PACES];
    pthread_t thread;
    int bell; /* rung by librdkafka */
    _Atomic bool closing;
    _Atomic bool is_down;    /* no broker answered of late */
    mono_ms heard;           /* the last answer; the thread's own */
    pthread_mutex_t traffic; /* guards all below, and the roads */
    struct topic *topics;
    struct road *roads; /* on which records wait */
    unsigned flying;    /* records on their way, of all roads */
    mono_ms window;     /* when it began */
    unsigned records;   /* in it */
    bool is_loaded;     /* many were in the last one */
};

/* ---- what became of records ---------------------------------------------- */

static int
result_of(const rd_kafka_message_t *message)
{
    switch (message->err) {
    case RD_KAFKA_RESP_ERR_NO_ERROR:
        /* Stored, but the broker forgot where: of no use to who asks. */
        return message->offset < 0 ? -ECOMM : 0;
    case RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE:
        return -EMSGSIZE;
    default:
        return rd_kafka_message_status(message) ==
                       RD_KAFKA_MSG_STATUS_NOT_PERSISTED
                   ? -ENOTCONN
                   : -ECOMM;
    }
}

static void
deliver(struct delivery *delivery, int r)
{
    if (delivery == NULL)
        return;
    delivery->r = r;
    delivery->on_delivered(delivery);
}

/* ---- roads --------------------------------------------------------------- */

/* The traffic lock is held for all of these. */

static struct road *
road_of(struct producer *producer, const char *name, int32_t partition)
{
    struct topic *topic;

    HASH_FIND_STR(producer->topics, name, topic);
    if (topic == NULL) {
        topic = mem_new(struct topic);
        topic->name = mem_strdup(name);
        HASH_ADD_KEYPTR(hh, producer->topics, topic->name, strlen(name), topic);
    }
    while (topic->len <= partition) {
        topic->roads = mem_grow(topic->roads, (size_t)topic->len + 1,
                                sizeof(*topic->roads));
        topic->roads[topic->len++] = NULL;
    }
    if (topic->roads[partition] == NULL) {
        struct road *road = topic->roads[partition] = mem_new(struct road);
        road->topic = topic;
        road->partition = partition;
    }
    return topic->roads[partition];
}

static void
roads_free(struct producer *producer)
{
    struct topic *topic = producer->topics, *next;

    HASH_CLEAR(hh, producer->topics);
    for (; topic != NULL; topic = next) {
        next = topic->hh.next;
        for (int32_t i = 0; i < topic->len; i++)
            free(topic->roads[i]);
        free(topic->roads);
        free(topic->name);
        free(topic);
    }
}

static void
note_load(struct producer *producer)
{
    const mono_ms now = clock_mono();

    if (now - producer->window >= WINDOW) {
        producer->is_loaded =
            producer->records >= MANY && now - producer->window < 2 * WINDOW;
        producer->window = now;
        producer->records = 0;
    }
    producer->records++;
}

static void
set_out(struct producer *producer, struct road *road, unsigned more)
{
    if (road->out == 0)
        road->since = clock_mono();
    road->out += more;
    producer->flying += more;
}

/* None of its records has arrived for so long that it is no matter of load:
 * they are not waited for any more. */
static bool
is_stuck(const struct road *road)
{
    return road->out > 0 && clock_mono() - road->since >= PATIENCE;
}

/* May its next record go, now? */
static bool
may_go(const struct producer *producer, struct road *road)
{
    const enum pace wanted = producer->is_loaded ? BULK : QUICK;

    if (road->is_going)
        return false;
    if (road->out == 0)
        road->pace = wanted;
    return road->pace >= wanted || is_stuck(road);
}

/* The next road on which what waits may go; NULL: none. Its records are the
 * caller's, who says when they are given to librdkafka. */
static struct road *
next_road(struct producer *producer, bool at_once, struct record **records)
{
    struct road *road;
    struct record *record;
    unsigned len;

    DL_FOREACH(producer->roads, road)
    {
        if (at_once ? !road->is_going : may_go(producer, road))
            break;
    }
    if (road == NULL)
        return NULL;
    DL_DELETE(producer->roads, road);
    *records = TAKE(road->waiting);
    DL_COUNT(*records, record, len);
    set_out(producer, road, len);
    road->is_going = true;
    return road;
}

/* ---- records ------------------------------------------------------------- */

static int
result_of_refusal(rd_kafka_error_t *error)
{
    const rd_kafka_resp_err_t code = rd_kafka_error_code(error);

    rd_kafka_error_destroy(error);
    return code == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE ? -EMSGSIZE : -ENOTCONN;
}

/* One is not on its way any more. True: others wait. */
static bool
arrive(struct producer *producer, struct road *road)
{
    LOCKED(&producer->traffic);
    road->since = clock_mono();
    road->out--;
    producer->flying--;
    return producer->roads != NULL;
}

/* It was not sent, and never is. */
static void
refuse(struct record *record, int r)
{
    if (record->headers != NULL)
        rd_kafka_headers_destroy(record->headers);
    if (record->flags == RD_KAFKA_MSG_F_FREE)
        free((void *)(uintptr_t)record->value.at);
    deliver(record->delivery, r);
    free(record);
}

/* Gives it to librdkafka; it is gone after this. */
static void
produce(struct producer *producer, struct record *record)
{
    struct road *road = record->road;
    const rd_kafka_vu_t parts[] = {
        {.vtype = RD_KAFKA_VTYPE_TOPIC, .u.cstr = road->topic->name},
        {.vtype = RD_KAFKA_VTYPE_PARTITION, .u.i32 = road->partition},
        {.vtype = RD_KAFKA_VTYPE_MSGFLAGS, .u.i = record->flags},
        {.vtype = RD_KAFKA_VTYPE_KEY,
         .u.mem = {record->has_key ? record->key : NULL,
                   record->has_key ? strlen(record->key) : 0}},
        {.vtype = RD_KAFKA_VTYPE_VALUE,
         .u.mem = {(void *)(uintptr_t)record->value.at, record->value.len}},
        {.vtype = RD_KAFKA_VTYPE_OPAQUE, .u.ptr = record},
        {.vtype = RD_KAFKA_VTYPE_HEADERS, .u.headers = record->headers},
    };

    pthread_rwlock_rdlock(&producer->lock);
    rd_kafka_error_t *error =
        rd_kafka_produceva(producer->rk[road->pace], parts,
                           ARRAY_LEN(parts) - (record->headers == NULL));
    pthread_rwlock_unlock(&producer->lock);
    if (error == NULL)
        return;
    arrive(producer, road);
    refuse(record, result_of_refusal(error));
}

/* Sends what has waited for its turn; at_once: whatever waits. On the thread.
 */
static void
send_waiting(struct producer *producer, bool at_once)
{
    struct record *records, *record, *next;
    struct road *road;

    pthread_mutex_lock(&producer->traffic);
    while ((road = next_road(producer, at_once, &records)) != NULL) {
        pthread_mutex_unlock(&producer->traffic);
        DL_FOREACH_SAFE(records, record, next)
        produce(producer, record);
        pthread_mutex_lock(&producer->traffic);
        road->is_going = false;
    }
    pthread_mutex_unlock(&producer->traffic);
}

static void
on_delivered(rd_kafka_t *rk, const rd_kafka_message_t *message, void *opaque)
{
    struct producer *producer = opaque;
    struct record *record = message->_private;
    struct delivery *delivery = record->delivery;
    const int r = result_of(message);
    (void)rk;

    if (r == 0)
        producer->heard = clock_mono();
    const bool some_wait = arrive(producer, record->road);
    free(record);
    if (delivery != NULL) {
        delivery->partition = message->partition;
        delivery->offset = message->offset;
    }
    deliver(delivery, r);
    if (some_wait)
        send_waiting(producer, false);
}

/* ---- one of librdkafka's ------------------------------------------------- */

static int
make(struct producer *producer, enum pace pace, struct error *err)
{
    static const uint64_t one = 1;
    rd_kafka_t *rk;
    int r = client_producer(producer->settings, pace == BULK, producer->timeout,
                            on_delivered, producer, &rk, err);

    if (r < 0)
        return r;
    rd_kafka_queue_t *queue = rd_kafka_queue_get_main(rk);
    rd_kafka_queue_io_event_enable(queue, producer->bell, &one, sizeof(one));
    rd_kafka_queue_destroy(queue);
    producer->rk[pace] = rk;
    return 0;
}

/* Everything that is still in rk is to be delivered, as what it may be. */
static void
purge(rd_kafka_t *rk)
{
    rd_kafka_purge(rk, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
}

static void
destroy(rd_kafka_t *rk)
{
    purge(rk);
    while (rd_kafka_outq_len(rk) > 0)
        rd_kafka_poll(rk, 20);
    rd_kafka_destroy(rk);
}

/* ---- the thread ---------------------------------------------------------- */

/* A fatal error ended one: another takes its place. */
static void
replace(struct producer *producer, enum pace pace)
{
    struct error err;

    pthread_rwlock_wrlock(&producer->lock);
    rd_kafka_t *old = producer->rk[pace];
    int r = make(producer, pace, &err);
    pthread_rwlock_unlock(&producer->lock);
    if (r < 0)
        log_event(EVENT_FAILED, "text=\"%s\"", err.text);
    else
        destroy(old);
}

/* Where nothing was produced lately: does anybody answer? */
static void
probe(struct producer *producer)
{
    const struct rd_kafka_metadata *metadata;
    const bool answers =
        rd_kafka_metadata(producer->rk[QUICK], 0, NULL, &metadata, PROBE_MS) ==
        RD_KAFKA_RESP_ERR_NO_ERROR;

    if (answers) {
        rd_kafka_metadata_destroy(metadata);
        producer->heard = clock_mono();
    }
    atomic_store(&producer->is_down, !answers);
}

/* Takes what was delivered, once something was, or the time is over. */
static void
poll_all(struct producer *producer, int limit)
{
    struct pollfd bell = {.fd = producer->bell, .events = POLLIN};
    eventfd_t rings;

    if (poll(&bell, 1, limit) > 0)
        eventfd_read(producer->bell, &rings);
    for (int i = 0; i < PACES; i++)
        rd_kafka_poll(producer->rk[i], 0);
}

static bool
is_flying(struct producer *producer)
{
    LOCKED(&producer->traffic);
    return producer->flying > 0;
}

/* Those that are being given to librdkafka are waited for too. */
static void
finish(struct producer *producer)
{
    const mono_ms until = clock_mono() + producer->timeout;

    while (is_flying(producer)) {
        for (int i = 0; i < PACES; i++)
            if (clock_mono() >= until ||
                client_fatal(producer->rk[i], NULL) < 0)
                purge(producer->rk[i]);
        poll_all(producer, 20);
    }
    for (int i = 0; i < PACES; i++)
        rd_kafka_destroy(producer->rk[i]);
}

static void *
run(void *opaque)
{
    struct producer *producer = opaque;

    while (!atomic_load(&producer->closing)) {
        poll_all(producer, POLL_MS);
        send_waiting(producer, false);
        for (int i = 0; i < PACES; i++)
            if (client_fatal(producer->rk[i], NULL) < 0)
                replace(producer, (enum pace)i);
        if (clock_mono() - producer->heard > QUIET_MS)
            probe(producer);
        else
            atomic_store(&producer->is_down, false);
    }
    send_waiting(producer, true);
    finish(producer);
    return NULL;
}

/* ---- the interface ------------------------------------------------------- */

int
producer_open(const struct settings *settings, span_ms timeout,
              struct producer **out, struct error *err)
{
    struct producer *producer = mem_new(struct producer);
    int r;

    producer->settings = settings;
    producer->timeout = timeout;
    producer->heard = clock_mono();
    pthread_rwlock_init(&producer->lock, NULL);
    pthread_mutex_init(&producer->traffic, NULL);
    producer->bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    r = producer->bell < 0 ? error_system(err, -errno, "an eventfd") : 0;
    for (int i = 0; i < PACES && r == 0; i++)
        r = make(producer, (enum pace)i, err);
    if (r < 0) {
        for (int i = 0; i < PACES; i++)
            if (producer->rk[i] != NULL)
                rd_kafka_destroy(producer->rk[i]);
        if (producer->bell >= 0)
            close(producer->bell);
        free(producer);
        return r;
    }
    thread_start(&producer->thread, run, producer);
    *out = producer;
    return 0;
}

void
producer_close(struct producer *producer)
{
    if (producer == NULL)
        return;
    pthread_mutex_lock(&producer->traffic);
    atomic_store(&producer->closing, true);
    pthread_mutex_unlock(&producer->traffic);
    eventfd_write(producer->bell, 1);
    pthread_join(producer->thread, NULL);
    pthread_rwlock_destroy(&producer->lock);
    close(producer->bell);
    roads_free(producer);
    free(producer);
}

static struct record *
record_new(const char *key, struct slice value, rd_kafka_headers_t *headers,
           struct delivery *delivery, int flags)
{
    struct record *record = mem_new(struct record);

    record->delivery = delivery;
    record->headers = headers;
    record->has_key = key != NULL;
    snprintf(record->key, sizeof(record->key), "%s", key == NULL ? "" : key);
    record->value = value;
    record->flags = flags;
    return record;
}

static void
wait_for_turn(struct producer *producer, struct road *road,
              struct record *record)
{
    if (record->flags == RD_KAFKA_MSG_F_COPY && record->value.len > 0) {
        char *copy = mem_zalloc(record->value.len);
        memcpy(copy, record->value.at, record->value.len);
        record->value.at = copy;
        record->flags = RD_KAFKA_MSG_F_FREE;
    }
    if (road->waiting == NULL)
        DL_APPEND(producer->roads, road);
    DL_APPEND(road->waiting, record);
}

static void
dispatch(struct producer *producer, const char *topic, int32_t partition,
         struct record *record)
{
    bool is_closing, goes = false;

    pthread_mutex_lock(&producer->traffic);
    is_closing = atomic_load(&producer->closing);
    if (!is_closing) {
        struct road *road = record->road = road_of(producer, topic, partition);
        note_load(producer);
        goes = road->waiting == NULL && may_go(producer, road);
        if (goes)
            set_out(producer, road, 1);
        else
            wait_for_turn(producer, road, record);
    }
    pthread_mutex_unlock(&producer->traffic);
    if (is_closing)
        refuse(record, -ESHUTDOWN);
    else if (goes)
        produce(producer, record);
}

void
producer_send(struct producer *producer, const char *topic, int32_t partition,
              const char *key, struct slice value, rd_kafka_headers_t *headers,
              struct delivery *delivery)
{
    dispatch(producer, topic, partition,
             record_new(key, value, headers, delivery, RD_KAFKA_MSG_F_COPY));
}

void
producer_lend(struct producer *producer, const char *topic, int32_t partition,
              const char *key, struct slice value, rd_kafka_headers_t *headers,
              struct delivery *delivery)
{
    dispatch(producer, topic, partition,
             record_new(key, value, headers, delivery, 0));
}

struct awaited {
    struct delivery delivery;
    sem_t done;
};

static void
wake(struct delivery *delivery)
{
    sem_post(&CONTAINER_OF(delivery, struct awaited, delivery)->done);
}

void
producer_know(struct producer *producer, const char *const *topics, size_t len,
              span_ms limit)
{
    pthread_rwlock_rdlock(&producer->lock);
    for (int i = 0; i < PACES; i++)
        client_know(producer->rk[i], topics, len, limit);
    pthread_rwlock_unlock(&producer->lock);
}

int64_t
producer_send_wait(struct producer *producer, const char *topic,
                   int32_t partition, const char *key, struct slice value,
                   rd_kafka_headers_t *headers)
{
    struct awaited awaited = {.delivery.on_delivered = wake};

    sem_init(&awaited.done, 0, 0);
    producer_lend(producer, topic, partition, key, value, headers,
                  &awaited.delivery);
    while (sem_wait(&awaited.done) < 0)
        ; /* EINTR */
    sem_destroy(&awaited.done);
    return awaited.delivery.r < 0 ? awaited.delivery.r
                                  : awaited.delivery.offset;
}

int
producer_ready(struct producer *producer, struct error *err)
{
    if (atomic_load(&producer->is_down))
        return error_set(err, -ENOTCONN, "no broker of %s answers",
                         producer->settings->kafka.servers);
    return 0;
}
