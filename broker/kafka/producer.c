/* producer.c - produces records, and tells what became of each. */
#include "broker/kafka/producer.h"

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/kafka/client.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/own.h"
#include "common/thread.h"

#define POLL_MS  500
#define PROBE_MS 200  /* for an answer */
#define QUIET_MS 2000 /* without any acknowledgement, then one is asked for */

struct producer {
    const struct settings *settings;
    span_ms timeout;
    pthread_rwlock_t lock; /* guards rk against being replaced */
    rd_kafka_t *rk;
    pthread_t thread;
    _Atomic bool closing;
    _Atomic bool is_down; /* no broker answered of late */
    mono_ms heard;        /* the last answer; the thread's own */
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

static void
on_delivered(rd_kafka_t *rk, const rd_kafka_message_t *message, void *opaque)
{
    struct producer *producer = opaque;
    struct delivery *delivery = message->_private;
    const int r = result_of(message);
    (void)rk;

    if (r == 0)
        producer->heard = clock_mono();
    if (delivery != NULL) {
        delivery->partition = message->partition;
        delivery->offset = message->offset;
    }
    deliver(delivery, r);
}

/* ---- one of librdkafka's ------------------------------------------------- */

static int
make(struct producer *producer, rd_kafka_t **out, struct error *err)
{
    return client_producer(producer->settings, producer->timeout, on_delivered,
                           producer, out, err);
}

/* Everything that is still in rk is delivered, as what it may be. */
static void
destroy(rd_kafka_t *rk)
{
    rd_kafka_purge(rk, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
    while (rd_kafka_outq_len(rk) > 0)
        rd_kafka_poll(rk, 20);
    rd_kafka_destroy(rk);
}

/* ---- the thread ---------------------------------------------------------- */

/* A fatal error ended rk: another takes its place. */
static void
replace(struct producer *producer)
{
    rd_kafka_t *rk;
    struct error err;

    if (make(producer, &rk, &err) < 0) {
        log_event(EVENT_FAILED, "text=\"%s\"", err.text);
        return; /* tried again after the next poll */
    }
    pthread_rwlock_wrlock(&producer->lock);
    rd_kafka_t *old = producer->rk;
    producer->rk = rk;
    pthread_rwlock_unlock(&producer->lock);
    destroy(old);
}

/* Where nothing was produced lately: does anybody answer? */
static void
probe(struct producer *producer)
{
    const struct rd_kafka_metadata *metadata;
    const bool answers =
        rd_kafka_metadata(producer->rk, 0, NULL, &metadata, PROBE_MS) ==
        RD_KAFKA_RESP_ERR_NO_ERROR;

    if (answers) {
        rd_kafka_metadata_destroy(metadata);
        producer->heard = clock_mono();
    }
    atomic_store(&producer->is_down, !answers);
}

static void *
run(void *opaque)
{
    struct producer *producer = opaque;

    while (!atomic_load(&producer->closing)) {
        rd_kafka_poll(producer->rk, POLL_MS);
        if (client_fatal(producer->rk, NULL) < 0)
            replace(producer);
        if (clock_mono() - producer->heard > QUIET_MS)
            probe(producer);
        else
            atomic_store(&producer->is_down, false);
    }
    const mono_ms until = clock_mono() + producer->timeout;
    while (rd_kafka_outq_len(producer->rk) > 0 && clock_mono() < until &&
           client_fatal(producer->rk, NULL) == 0)
        rd_kafka_poll(producer->rk, 20);
    destroy(producer->rk);
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
    r = make(producer, &producer->rk, err);
    if (r < 0) {
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
    /* Under the lock: nobody is between its look at `closing` and librdkafka.
     */
    pthread_rwlock_wrlock(&producer->lock);
    atomic_store(&producer->closing, true);
    rd_kafka_queue_t *queue = rd_kafka_queue_get_main(producer->rk);
    rd_kafka_queue_yield(queue);
    rd_kafka_queue_destroy(queue);
    pthread_rwlock_unlock(&producer->lock);
    pthread_join(producer->thread, NULL);
    pthread_rwlock_destroy(&producer->lock);
    free(producer);
}

static int
result_of_refusal(rd_kafka_error_t *error)
{
    const rd_kafka_resp_err_t code = rd_kafka_error_code(error);

    rd_kafka_error_destroy(error);
    return code == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE ? -EMSGSIZE : -ENOTCONN;
}

static void
produce(struct producer *producer, const char *topic, int32_t partition,
        const char *key, struct slice value, rd_kafka_headers_t *headers,
        struct delivery *delivery, int flags)
{
    const rd_kafka_vu_t parts[] = {
        {.vtype = RD_KAFKA_VTYPE_TOPIC, .u.cstr = topic},
        {.vtype = RD_KAFKA_VTYPE_PARTITION, .u.i32 = partition},
        {.vtype = RD_KAFKA_VTYPE_MSGFLAGS, .u.i = flags},
        {.vtype = RD_KAFKA_VTYPE_KEY,
         .u.mem = {(void *)(uintptr_t)key, key == NULL ? 0 : strlen(key)}},
        {.vtype = RD_KAFKA_VTYPE_VALUE,
         .u.mem = {(void *)(uintptr_t)value.at, value.len}},
        {.vtype = RD_KAFKA_VTYPE_OPAQUE, .u.ptr = delivery},
        {.vtype = RD_KAFKA_VTYPE_HEADERS, .u.headers = headers},
    };
    int r = 0;

    pthread_rwlock_rdlock(&producer->lock);
    if (atomic_load(&producer->closing)) {
        r = -ESHUTDOWN;
    } else {
        rd_kafka_error_t *error = rd_kafka_produceva(
            producer->rk, parts, ARRAY_LEN(parts) - (headers == NULL));
        if (error != NULL)
            r = result_of_refusal(error);
    }
    pthread_rwlock_unlock(&producer->lock);
    if (r < 0) {
        if (headers != NULL)
            rd_kafka_headers_destroy(headers);
        deliver(delivery, r);
    }
}

void
producer_send(struct producer *producer, const char *topic, int32_t partition,
              const char *key, struct slice value, rd_kafka_headers_t *headers,
              struct delivery *delivery)
{
    produce(producer, topic, partition, key, value, headers, delivery,
            RD_KAFKA_MSG_F_COPY);
}

void
producer_lend(struct producer *producer, const char *topic, int32_t partition,
              const char *key, struct slice value, rd_kafka_headers_t *headers,
              struct delivery *delivery)
{
    produce(producer, topic, partition, key, value, headers, delivery, 0);
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
    client_know(producer->rk, topics, len, limit);
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
