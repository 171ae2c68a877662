/* kafka_plain.c - librdkafka alone, as what Cloakroom on Kafka is held against.
 *
 *     bench_kafka_plain SERVERS TOPIC SECONDS
 *     bench_kafka_plain SERVERS make TOPIC:PARTITIONS...
 *
 * Makes the topic, of one partition. A producer with acks=all and
 * no linger, a consumer that is assigned that partition, 256 bytes a message:
 * first one at a time, until it is acknowledged and consumed, then as many as
 * the producer takes. One JSON line: the p50 of both in us, messages a second.
 *
 *     produced --> acknowledged (ack)      each from the call of produce on
 *              --> consumed     (arrive)
 */
#include <inttypes.h>
#include <librdkafka/rdkafka.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define BYTES   256
#define SAMPLES 1000000
#define WARM    100   /* samples left out */
#define WAIT_MS 10000 /* for an answer of the broker */

static _Atomic int64_t acked_at; /* ns; of the one in flight */
static _Atomic uint64_t acked;
static sem_t ack; /* one for each */
static _Atomic bool stopping;
static int64_t acks[SAMPLES], arrivals[SAMPLES];

static int64_t
now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static void
fail(const char *what, const char *why)
{
    fprintf(stderr, "kafka_plain: %s: %s\n", what, why);
    exit(EXIT_FAILURE);
}

static void
on_delivered(rd_kafka_t *rk, const rd_kafka_message_t *message, void *opaque)
{
    (void)rk;
    (void)opaque;
    if (message->err != 0)
        fail("a message", rd_kafka_err2str(message->err));
    atomic_store(&acked_at, now_ns());
    atomic_fetch_add(&acked, 1);
    sem_post(&ack);
}

static rd_kafka_t *
client(rd_kafka_type_t type, const char *const *pairs)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    char why[512];

    for (; pairs[0] != NULL; pairs += 2)
        if (rd_kafka_conf_set(conf, pairs[0], pairs[1], why, sizeof(why)) !=
            RD_KAFKA_CONF_OK)
            fail(pairs[0], why);
    if (type == RD_KAFKA_PRODUCER)
        rd_kafka_conf_set_dr_msg_cb(conf, on_delivered);
    rd_kafka_t *rk = rd_kafka_new(type, conf, why, sizeof(why));
    if (rk == NULL)
        fail("a client", why);
    return rk;
}

static void
make_topic(rd_kafka_t *rk, const char *topic, int partitions)
{
    char why[512];
    rd_kafka_NewTopic_t *wanted =
        rd_kafka_NewTopic_new(topic, partitions, 1, why, sizeof(why));
    rd_kafka_queue_t *queue = rd_kafka_queue_new(rk);
    size_t len;

    rd_kafka_CreateTopics(rk, &wanted, 1, NULL, queue);
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, WAIT_MS);
    const rd_kafka_CreateTopics_result_t *result =
        event == NULL ? NULL : rd_kafka_event_CreateTopics_result(event);
    if (result == NULL || rd_kafka_event_error(event) != 0)
        fail(topic, "it could not be made");
    const rd_kafka_topic_result_t *made =
        rd_kafka_CreateTopics_result_topics(result, &len)[0];
    if (rd_kafka_topic_result_error(made) != 0)
        fail(topic, rd_kafka_err2str(rd_kafka_topic_result_error(made)));
    rd_kafka_event_destroy(event);
    rd_kafka_queue_destroy(queue);
    rd_kafka_NewTopic_destroy(wanted);
}

static void *
poll_producer(void *opaque)
{
    while (!atomic_load(&stopping))
        rd_kafka_poll(opaque, 100);
    return NULL;
}

static bool
produce(rd_kafka_t *rk, const char *topic)
{
    static const char message[BYTES] = "plain";
    const rd_kafka_vu_t parts[] = {
        {.vtype = RD_KAFKA_VTYPE_TOPIC, .u.cstr = topic},
        {.vtype = RD_KAFKA_VTYPE_PARTITION, .u.i32 = 0},
        {.vtype = RD_KAFKA_VTYPE_MSGFLAGS, .u.i = RD_KAFKA_MSG_F_COPY},
        {.vtype = RD_KAFKA_VTYPE_VALUE,
         .u.mem = {(void *)(uintptr_t)message, sizeof(message)}},
    };
    rd_kafka_error_t *error =
        rd_kafka_produceva(rk, parts, sizeof(parts) / sizeof(*parts));

    if (error == NULL)
        return true;
    if (rd_kafka_error_code(error) != RD_KAFKA_RESP_ERR__QUEUE_FULL)
        fail("producing", rd_kafka_error_string(error));
    rd_kafka_error_destroy(error);
    return false;
}

/* Waits for the next message. */
static int64_t
consume(rd_kafka_t *rk)
{
    rd_kafka_message_t *message;
    const int64_t until = now_ns() + WAIT_MS * 1000000LL;

    do {
        message = rd_kafka_consumer_poll(rk, 100);
        if (message != NULL && message->err != 0) {
            rd_kafka_message_destroy(message);
            message = NULL;
        }
        if (message == NULL && now_ns() > until)
            fail("consuming", "nothing came");
    } while (message == NULL);
    rd_kafka_message_destroy(message);
    return now_ns();
}

static int
compare(const void *a, const void *b)
{
    const int64_t left = *(const int64_t *)a, right = *(const int64_t *)b;

    return (left > right) - (left < right);
}

static double
p50_us(int64_t *values, size_t len)
{
    if (len <= 2 * WARM)
        fail("measuring", "too few messages");
    qsort(values + WARM, len - WARM, sizeof(*values), compare);
    const size_t middle = WARM + (len - WARM) / 2;
    return (double)values[middle] / 1e3;
}

static size_t
one_by_one(rd_kafka_t *producer, rd_kafka_t *consumer, const char *topic,
           int64_t until)
{
    size_t len = 0;

    while (len < SAMPLES && now_ns() < until) {
        const int64_t start = now_ns();
        produce(producer, topic);
        arrivals[len] = consume(consumer) - start;
        while (sem_wait(&ack) < 0)
            ; /* EINTR */
        acks[len++] = atomic_load(&acked_at) - start;
    }
    return len;
}

static double
many(rd_kafka_t *producer, const char *topic, double seconds)
{
    const int64_t start = now_ns(), until = start + (int64_t)(seconds * 1e9);
    const uint64_t before = atomic_load(&acked);

    while (now_ns() < until)
        if (!produce(producer, topic))
            nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
    const uint64_t n = atomic_load(&acked) - before;
    return (double)n * 1e9 / (double)(now_ns() - start);
}

static int
make_topics(const char *servers, char **names)
{
    rd_kafka_t *rk =
        client(RD_KAFKA_PRODUCER,
               (const char *[]){"bootstrap.servers", servers, NULL});

    for (; *names != NULL; names++) {
        char *partitions = strchr(*names, ':');
        if (partitions == NULL)
            fail(*names, "how many partitions?");
        *partitions++ = '\0';
        make_topic(rk, *names, atoi(partitions));
    }
    rd_kafka_destroy(rk);
    return EXIT_SUCCESS;
}

int
main(int argc, char **argv)
{
    pthread_t poller;

    if (argc > 3 && strcmp(argv[2], "make") == 0)
        return make_topics(argv[1], argv + 3);
    if (argc != 4) {
        fprintf(stderr, "usage: bench_kafka_plain SERVERS TOPIC SECONDS\n");
        return EXIT_FAILURE;
    }
    const char *topic = argv[2];
    const double seconds = atof(argv[3]);
    sem_init(&ack, 0, 0);
    rd_kafka_t *producer = client(
        RD_KAFKA_PRODUCER,
        (const char *[]){"bootstrap.servers", argv[1], "acks", "all",
                         "enable.idempotence", "true", "linger.ms", "0", NULL});
    rd_kafka_t *consumer =
        client(RD_KAFKA_CONSUMER,
               (const char *[]){"bootstrap.servers", argv[1], "group.id", topic,
                                "enable.auto.commit", "false",
                                "fetch.wait.max.ms", "500", NULL});
    make_topic(producer, topic, 1);
    pthread_create(&poller, NULL, poll_producer, producer);
    rd_kafka_topic_partition_list_t *list =
        rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, topic, 0)->offset = 0;
    rd_kafka_assign(consumer, list);
    rd_kafka_topic_partition_list_destroy(list);

    const size_t len = one_by_one(producer, consumer, topic,
                                  now_ns() + (int64_t)(seconds * 1e9));
    rd_kafka_consumer_close(consumer);
    rd_kafka_destroy(consumer);
    const double rate = many(producer, topic, seconds);
    printf("{\"ack\":%.1f,\"arrive\":%.1f,\"rate\":%.0f}\n", p50_us(acks, len),
           p50_us(arrivals, len), rate);
    rd_kafka_flush(producer, WAIT_MS);
    atomic_store(&stopping, true);
    pthread_join(poller, NULL);
    rd_kafka_destroy(producer);
    return EXIT_SUCCESS;
}
