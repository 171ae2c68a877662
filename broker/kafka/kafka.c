/* kafka.c - opens and closes a Kafka broker: its threads, and what they share.
 */
#include <assert.h>
#include <sodium.h>
#include <stdlib.h>
#include <unistd.h>

#include "broker/kafka/bodies.h"
#include "broker/kafka/client.h"
#include "broker/kafka/control_log.h"
#include "broker/kafka/follow.h"
#include "broker/kafka/kafka_priv.h"
#include "broker/kafka/topics.h"
#include "common/lock.h"
#include "common/mem.h"
#include "common/own.h"

#define SEARCH_MS 30000 /* each step of one */

/* ---- opening ------------------------------------------------------------- */

static const struct backend kafka_backend;

static void
name_topics(struct kafka *kafka)
{
    const struct settings *settings = kafka->settings;
    const size_t len = settings->queues_len;

    kafka->partitions = (int32_t)topics_partitions(settings);
    kafka->tickets_topic = topics_name(settings, TOPIC_TICKETS, 0);
    kafka->bodies_topic = topics_name(settings, TOPIC_BODIES, 0);
    kafka->request_topics = mem_zalloc((len + 1) * sizeof(char *));
    kafka->dead_topics = mem_zalloc((len + 1) * sizeof(char *));
    kafka->sent = mem_zalloc((size_t)kafka->partitions * sizeof(uint64_t));
    kafka->settled = mem_zalloc((size_t)kafka->partitions * sizeof(uint64_t));
    for (unsigned i = 0; i < len; i++) {
        kafka->request_topics[i] = topics_name(settings, TOPIC_REQUESTS, i);
        kafka->dead_topics[i] = topics_name(settings, TOPIC_DEAD, i);
    }
}

span_ms
kafka_longest_lease(const struct settings *settings)
{
    span_ms longest = 0;

    for (size_t i = 0; i < settings->queues_len; i++) {
        if (settings->queues[i].lease > longest)
            longest = settings->queues[i].lease;
    }
    return longest;
}

/* Of what sessions write: with their lease it is of no use any more. */
static span_ms
keeper_timeout(const struct settings *settings)
{
    const span_ms lease = kafka_longest_lease(settings);

    return lease > settings->kafka.timeout ? lease : settings->kafka.timeout;
}

static void
init_lane(struct kafka *kafka, struct body_lane *lane,
          struct producer *producer)
{
    lane->kafka = kafka;
    lane->producer = producer;
    lane->last = &lane->first;
    pthread_mutex_init(&lane->lock, NULL);
}

static int
open_clients(struct kafka *kafka, struct error *err)
{
    const struct settings *settings = kafka->settings;
    int r =
        producer_open(settings, settings->kafka.timeout, &kafka->producer, err);

    if (r == 0)
        r = producer_open(settings, keeper_timeout(settings), &kafka->keeper,
                          err);
    if (r == 0)
        r = client_admin(settings, &kafka->asker, err);
    if (r == 0) {
        init_lane(kafka, &kafka->lanes[0], kafka->producer);
        init_lane(kafka, &kafka->lanes[1], kafka->keeper);
    }
    return r;
}

/* The first submission is not to wait for it; the keeper's are known to the
 * control log. */
static void
know_topics(struct kafka *kafka)
{
    const size_t len = kafka->settings->queues_len;
    const char **topics = mem_zalloc((len + 1) * sizeof(char *));

    for (size_t i = 0; i < len; i++)
        topics[i] = kafka->request_topics[i];
    topics[len] = kafka->tickets_topic;
    producer_know(kafka->producer, topics, len + 1,
                  kafka->settings->kafka.timeout);
    free(topics);
}

static int
check_secret(struct kafka *kafka, struct error *err)
{
    char fingerprint[TICKET_FINGERPRINT + 1];

    ticket_secret_fingerprint(kafka->secret, fingerprint);
    const char *path = kafka->settings->kafka.secret_file;
    int r = control_log_check_secret(kafka->control, fingerprint, err);
    if (r == -EINVAL && kafka->has_made_secret) {
        unlink(path); /* made just now: it would stand in the right one's way */
        return error_set(err, r,
                         "%s: is missing, and this installation has a secret "
                         "already; copy it from another of its machines",
                         path);
    }
    return r < 0 ? error_wrap(err, r, "%s", path) : 0;
}

static int
load_secret(struct kafka *kafka, struct error *err)
{
    const char *path = kafka->settings->kafka.secret_file;
    int r = ticket_secret_load(path, false, &kafka->secret, err);

    if (r == -ENOENT && kafka->options.create) {
        kafka->has_made_secret = true;
        r = ticket_secret_load(path, true, &kafka->secret, err);
    }
    return r == -ENOENT
               ? error_set(err, -ENOENT,
                           "%s: is missing; every process of an installation "
                           "needs the one that its first ingress made",
                           path)
               : r;
}

/* -ENOENT stays free for what the first ingress makes. */
static int
check_topics(const struct settings *settings, struct error *err)
{
    int r = topics_check(settings, err);

    return r == -ENOENT ? -EINVAL : r;
}

static int
open_all(struct kafka *kafka, struct error *err)
{
    struct follow *follow;
    int r = sodium_init() < 0 ? error_set(err, -EIO, "libsodium does not start")
                              : load_secret(kafka, err);

    if (r == 0)
        r = check_topics(kafka->settings, err);
    if (r < 0)
        return r;
    name_topics(kafka);
    kafka_submit_open(kafka);
    r = open_clients(kafka, err);
    if (r == 0)
        r = control_log_open(kafka, &kafka->control, err);
    if (r == 0)
        r = check_secret(kafka, err);
    if (r == 0)
        know_topics(kafka);
    if (r == 0 && kafka->options.role == BROKER_INGRESS)
        r = kafka_follow(kafka, &follow, err);
    return r;
}

/* Each part needs those that end after it. */
static void
kafka_free(struct kafka *kafka)
{
    const size_t len = kafka->settings->queues_len;

    atomic_store(&kafka->closing, true);
    kafka_submit_stop(kafka);
    follow_close(atomic_exchange(&kafka->follow, NULL));
    producer_close(kafka->producer);
    control_log_close(kafka->control);
    producer_close(kafka->keeper);
    if (kafka->asker != NULL)
        rd_kafka_destroy(kafka->asker);
    bodies_close(kafka);
    kafka_submit_close(kafka);
    for (size_t i = 0; i < len && kafka->request_topics != NULL; i++) {
        free(kafka->request_topics[i]);
        free(kafka->dead_topics[i]);
    }
    free(kafka->request_topics);
    free(kafka->dead_topics);
    free(kafka->sent);
    free(kafka->settled);
    free(kafka->tickets_topic);
    free(kafka->bodies_topic);
    ticket_secret_free(kafka->secret);
    free(kafka);
}

int
kafka_open(const struct broker_options *options, struct broker **out,
           struct error *err)
{
    struct kafka *kafka = mem_new(struct kafka);

    kafka->base.backend = &kafka_backend;
    kafka->settings = options->settings;
    kafka->options = *options;
    pthread_mutex_init(&kafka->follow_lock, NULL);
    pthread_mutex_init(&kafka->readers_lock, NULL);
    int r = open_all(kafka, err);
    if (r < 0)
        kafka_free(kafka);
    else
        *out = &kafka->base;
    return r;
}

static void
kafka_close(struct broker *broker)
{
    kafka_free(kafka_of(broker));
}

/* ---- what the parts share ------------------------------------------------ */

int
kafka_follow(struct kafka *kafka, struct follow **out, struct error *err)
{
    struct follow *follow = atomic_load(&kafka->follow);
    int r = 0;

    if (follow == NULL) {
        pthread_mutex_lock(&kafka->follow_lock);
        follow = atomic_load(&kafka->follow);
        if (follow == NULL)
            r = follow_open(kafka, &follow, err);
        if (r == 0)
            atomic_store(&kafka->follow, follow);
        pthread_mutex_unlock(&kafka->follow_lock);
    }
    if (r == 0)
        *out = follow;
    return r;
}

int
kafka_search(struct kafka *kafka, const char *topic, int32_t partition,
             const struct ticket *ticket, client_record_fn *on_record,
             void *opaque, struct error *err)
{
    const struct settings *settings = kafka->settings;
    const wall_ms since = ticket_time(ticket) - 2 * settings->kafka.timeout;
    struct client_reader *reader = NULL;
    int64_t low = 0, from = 0;
    int r = client_watermarks(kafka->asker, topic, partition, &low, NULL,
                              SEARCH_MS, err);

    if (r == 0)
        r = client_offset_at(kafka->asker, topic, partition, since, &from,
                             SEARCH_MS, err);
    if (r == 0)
        r = client_reader_open(settings, &reader, err);
    if (r < 0)
        return r;
    r = client_reader_read(reader, topic, partition, from > low ? from : low,
                           on_record, opaque, SEARCH_MS, err);
    client_reader_close(reader);
    return r;
}

void
kafka_send_fact(struct kafka *kafka, struct producer *producer,
                int32_t partition, const struct fact *fact,
                struct delivery *delivery)
{
    char key[RECORD_KEY_MAX];
    rd_kafka_headers_t *headers = fact_write(fact, key);

    producer_send(producer, kafka->tickets_topic, partition, key, fact->message,
                  headers, delivery);
}

void
kafka_sends(struct kafka *kafka, int32_t partition)
{
    atomic_fetch_add(&kafka->sent[partition], 1);
}

void
kafka_settled(struct kafka *kafka, int32_t partition, int64_t offset)
{
    struct follow *follow = atomic_load(&kafka->follow);

    if (follow != NULL && offset >= 0)
        follow_expect(follow, follow_log(kafka, FOLLOW_FACTS, partition),
                      offset);
    atomic_fetch_add(&kafka->settled[partition], 1);
    if (follow != NULL)
        follow_wake(follow);
}

int
kafka_read_request(const struct kafka *kafka, const rd_kafka_message_t *message,
                   struct queued *request, struct error *err)
{
    int r = queued_read(message, request, err);

    if (r == 0 &&
        (kafka_partition(kafka, &request->ticket) != message->partition ||
         !ticket_is_genuine(kafka->secret, &request->ticket)))
        r = error_set(err, -EPROTO,
                      "its ticket is not of this installation, or not of this "
                      "partition");
    return r;
}

int
kafka_commits(const struct kafka *kafka, const char *queue, span_ms limit,
              rd_kafka_topic_partition_list_t **out, struct error *err)
{
    const char *prefix = kafka->settings->kafka.prefix;
    char *topic = mem_printf("%s.requests.%s", prefix, queue);
    char *group = mem_printf("%s.%s", prefix, queue);
    int r = client_commits(kafka->settings, group, topic, kafka->partitions,
                           limit, out, err);

    free(topic);
    free(group);
    return r;
}

int
kafka_queue(const struct kafka *kafka, struct slice name)
{
    for (size_t i = 0; i < kafka->settings->queues_len; i++) {
        if (slice_is(name, kafka->settings->queues[i].name))
            return (int)i;
    }
    return -1;
}

/* ---- calls --------------------------------------------------------------- */

static const struct ticket_secret *
kafka_secret(const struct broker *broker)
{
    return ((const struct kafka *)broker)->secret;
}

static int
kafka_guard(const struct broker *broker)
{
    return control_log_guard(((const struct kafka *)broker)->control);
}

static int
kafka_ready(struct broker *broker, struct error *err)
{
    struct kafka *kafka = kafka_of(broker);
    struct follow *follow = atomic_load(&kafka->follow);
    int r;

    if (atomic_load(&kafka->closing))
        return error_set(err, -ESHUTDOWN, "the broker is closed");
    r = producer_ready(kafka->producer, err);
    return r == 0 && follow != NULL ? follow_ready(follow, err) : r;
}

static const struct backend kafka_backend = {
    .close = kafka_close,
    .secret = kafka_secret,
    .guard = kafka_guard,
    .ready = kafka_ready,
    .submit = kafka_submit,
    .lookup = kafka_lookup,
    .cancel = kafka_cancel,
    .session_open = kafka_session_open,
    .session_want = kafka_session_want,
    .session_stop = kafka_session_stop,
    .session_close = kafka_session_close,
    .finish = kafka_session_finish,
    .control = kafka_control,
    .change = kafka_change,
    .kill = kafka_kill,
    .barrier = kafka_barrier,
    .running = kafka_running,
    .control_seen = kafka_control_seen,
    .control_wait = kafka_control_wait,
    .history = kafka_history,
    .adopt = kafka_adopt,
    .installation = kafka_installation,
    .queue_stats = kafka_queue_stats,
    .workers = kafka_workers,
    .dead_list = kafka_dead_list,
    .dead_replay = kafka_dead_replay,
    .dead_drop = kafka_dead_drop,
};
