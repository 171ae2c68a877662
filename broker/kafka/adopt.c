/* adopt.c - takes in requests that waited at another broker, each once: what
 * the view knows, once it has read the logs to their end, is there already.
 *
 * Source: docs/kafka.md, "From one machine to Kafka".
 */
#include <stdio.h>
#include <stdlib.h>

#include "broker/kafka/client.h"
#include "broker/kafka/follow.h"
#include "broker/kafka/kafka_priv.h"
#include "broker/kafka/topics.h"
#include "common/lock.h"
#include "common/mem.h"
#include "common/own.h"

#define VIEW_LOOK 10000000 /* ns */

/* ---- some requests ------------------------------------------------------- */

struct batch {
    pthread_mutex_t lock; /* guards left */
    pthread_cond_t done;
    size_t left;
};

struct one {
    struct submission submission;
    struct lookup lookup;
    struct batch *batch;
};

static void
on_one(struct batch *batch)
{
    LOCKED(&batch->lock);
    if (--batch->left == 0)
        pthread_cond_signal(&batch->done);
}

static void
on_found(struct lookup *lookup)
{
    on_one(CONTAINER_OF(lookup, struct one, lookup)->batch);
}

static void
on_submitted(struct submission *submission)
{
    on_one(CONTAINER_OF(submission, struct one, submission)->batch);
}

static void
wait_all(struct batch *batch)
{
    LOCKED(&batch->lock);
    while (batch->left > 0)
        pthread_cond_wait(&batch->done, &batch->lock);
}

/* The view is made first, however long that takes. */
static int
await_view(struct kafka *kafka, struct error *err)
{
    struct follow *follow;
    int r = kafka_follow(kafka, &follow, err);

    while (r == 0 && (r = producer_ready(kafka->producer, err)) == 0 &&
           follow_ready(follow, err) == -EAGAIN)
        nanosleep(&(struct timespec){.tv_nsec = VIEW_LOOK}, NULL);
    return r;
}

static int
look(struct kafka *kafka, struct batch *batch, struct one *ones, size_t len,
     struct error *err)
{
    batch->left = len;
    for (size_t i = 0; i < len; i++) {
        ones[i].lookup.ticket = ones[i].submission.ticket;
        ones[i].lookup.on_found = on_found;
        kafka_lookup(&kafka->base, &ones[i].lookup);
    }
    wait_all(batch);
    for (size_t i = 0; i < len; i++) {
        const struct lookup *lookup = &ones[i].lookup;
        if (lookup->r < 0 && lookup->r != -ENOENT)
            return error_set(err, lookup->r,
                             "Kafka does not say which tickets it has");
        ones[i].submission.joined = lookup->r == 0;
        ones[i].submission.submitted = lookup->status.submitted;
        ones[i].submission.r = 0;
    }
    return 0;
}

static void
submit(struct kafka *kafka, struct batch *batch, struct one *ones, size_t len)
{
    batch->left = 1;
    for (size_t i = 0; i < len; i++)
        batch->left += !ones[i].submission.joined;
    for (size_t i = 0; i < len; i++) {
        struct submission *submission = &ones[i].submission;
        submission->on_submitted = on_submitted;
        if (!submission->joined)
            kafka_submit(&kafka->base, submission);
    }
    on_one(batch);
    wait_all(batch);
}

static int
tell(const struct kafka *kafka, const struct submission *submission,
     struct error *err)
{
    const struct queue_settings *queue =
        &kafka->settings->queues[submission->queue];

    switch (submission->r) {
    case 0:
        return 0;
    case -ENOBUFS:
        return error_set(err, -ENOBUFS, "queue %s is full (max_depth %zu)",
                         queue->name, queue->max_depth);
    case -ECONNREFUSED:
        return error_set(err, -ECONNREFUSED, "queue %s refuses new requests",
                         queue->name);
    case -ECOMM:
        return error_set(err, -ECOMM,
                         "queue %s: Kafka did not say whether it has all",
                         queue->name);
    default:
        return error_system(err, submission->r, "queue %s", queue->name);
    }
}

int
kafka_adopt(struct broker *broker, struct submission *list, size_t len,
            struct error *err)
{
    struct kafka *kafka = kafka_of(broker);
    struct one *ones = mem_zalloc((len + 1) * sizeof(*ones));
    struct batch batch = {.lock = PTHREAD_MUTEX_INITIALIZER,
                          .done = PTHREAD_COND_INITIALIZER};
    int r = await_view(kafka, err);

    for (size_t i = 0; i < len; i++) {
        ones[i].submission = list[i];
        ones[i].batch = &batch;
    }
    if (r == 0)
        r = look(kafka, &batch, ones, len, err);
    if (r == 0)
        submit(kafka, &batch, ones, len);
    for (size_t i = 0; i < len && r == 0; i++) {
        list[i].r = ones[i].submission.r;
        list[i].joined = ones[i].submission.joined;
        list[i].submitted = ones[i].submission.submitted;
        r = tell(kafka, &list[i], err);
    }
    free(ones);
    return r;
}

/* ---- its name ------------------------------------------------------------ */

static bool
take_time(const rd_kafka_message_t *message, void *opaque)
{
    *(int64_t *)opaque = rd_kafka_message_timestamp(message, NULL);
    return true;
}

/* By when its first control record was written, which nothing ever deletes. */
int
kafka_installation(struct broker *broker, char name[INSTALLATION_SIZE],
                   struct error *err)
{
    struct kafka *kafka = kafka_of(broker);
    const struct settings *settings = kafka->settings;
    char *topic = topics_name(settings, TOPIC_CONTROL, 0);
    struct client_reader *reader;
    int64_t time = 0;
    int r = client_reader_open(settings, &reader, err);

    if (r == 0) {
        r = client_reader_read(reader, topic, 0, 0, take_time, &time,
                               2 * settings->kafka.timeout, err);
        client_reader_close(reader);
    }
    free(topic);
    if (r == 0)
        snprintf(name, INSTALLATION_SIZE, "%s/%lld", settings->kafka.prefix,
                 (long long)time);
    return r;
}
