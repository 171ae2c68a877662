/* adopt.c - takes in requests that waited at another broker, each once.
 *
 *     in the view, and was run or has ended -----> left as it is
 *     in the view and in `requests` -------------> left as it is
 *     in the view only --------------------------> its request is added
 *     in `requests` only ------------------------> its `accepted` is added
 *     neither -----------------------------------> both are added
 *
 * A process that was killed at this may have left one of the two without the
 * other. Without its request it would never run; and a second copy of a request
 * could run again, long after the first one was forgotten (partition.h, I1). So
 * `requests` is read through before anything is looked up in the view.
 *
 * Source: docs/kafka.md, "From one machine to Kafka".
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/kafka/client.h"
#include "broker/kafka/follow.h"
#include "broker/kafka/kafka_priv.h"
#include "broker/kafka/topics.h"
#include "common/lock.h"
#include "common/mem.h"
#include "common/own.h"

#define READ_AT_ONCE 4096     /* records */
#define VIEW_LOOK    10000000 /* ns */

/* A request that is in the log. */
struct there {
    struct ticket ticket;
    struct body_ref *body; /* NULL: its message is in the record */
};

struct adoption {
    struct there *list; /* by ticket */
    size_t len, room;
};

/* ---- what is in the log -------------------------------------------------- */

struct reading {
    struct adoption *adoption;
    int64_t next, end; /* offsets */
    unsigned left;     /* records, of this read */
};

static void
add(struct adoption *adoption, const struct queued *queued)
{
    struct there *there;

    if (adoption->len == adoption->room) {
        adoption->room = adoption->room == 0 ? 256 : 2 * adoption->room;
        adoption->list =
            mem_grow(adoption->list, adoption->room, sizeof(*adoption->list));
    }
    there = &adoption->list[adoption->len++];
    *there = (struct there){.ticket = queued->ticket};
    if (queued->body.size > 0) {
        there->body = mem_new(struct body_ref);
        *there->body = queued->body;
    }
}

static bool
on_record(const rd_kafka_message_t *message, void *opaque)
{
    struct reading *reading = opaque;
    struct queued queued;

    reading->next = message->offset + 1;
    if (queued_read(message, &queued, NULL) == 0)
        add(reading->adoption, &queued);
    return reading->next >= reading->end || --reading->left == 0;
}

static int
read_partition(struct kafka *kafka, struct client_reader *reader,
               const char *topic, int32_t partition, struct error *err)
{
    const span_ms limit = 2 * kafka->settings->kafka.timeout;
    struct reading reading = {.adoption = kafka->adoption};
    int r = client_watermarks(kafka->asker, topic, partition, &reading.next,
                              &reading.end, limit, err);

    while (r == 0 && reading.next < reading.end) {
        reading.left = READ_AT_ONCE;
        r = client_reader_read(reader, topic, partition, reading.next,
                               on_record, &reading, limit, err);
        if (r == -ENOENT) { /* done ones may be deleted meanwhile */
            const int64_t from = reading.next;
            r = client_watermarks(kafka->asker, topic, partition, &reading.next,
                                  NULL, limit, err);
            if (r == 0 && reading.next <= from)
                r = error_set(err, -EIO, "%s [%d] ends at %lld, not at %lld",
                              topic, (int)partition, (long long)from,
                              (long long)reading.end);
        }
    }
    return r;
}

static int
by_ticket(const void *a, const void *b)
{
    return memcmp(((const struct there *)a)->ticket.bytes,
                  ((const struct there *)b)->ticket.bytes, TICKET_BYTES);
}

static int
read_logs(struct kafka *kafka, struct error *err)
{
    struct client_reader *reader = NULL;
    int r = 0;

    if (kafka->adoption != NULL)
        return 0;
    r = client_reader_open(kafka->settings, &reader, err);
    if (r < 0)
        return r;
    kafka->adoption = mem_new(struct adoption);
    for (size_t i = 0; i < kafka->settings->queues_len; i++) {
        for (int32_t p = 0; p < kafka->partitions && r == 0; p++)
            r = read_partition(kafka, reader, kafka->request_topics[i], p, err);
    }
    client_reader_close(reader);
    if (r < 0)
        kafka_adopt_close(kafka);
    else if (kafka->adoption->len > 0)
        qsort(kafka->adoption->list, kafka->adoption->len, sizeof(struct there),
              by_ticket);
    return r;
}

static const struct there *
find(const struct adoption *adoption, const struct ticket *ticket)
{
    const struct there wanted = {.ticket = *ticket};

    return adoption->len == 0 ? NULL
                              : bsearch(&wanted, adoption->list, adoption->len,
                                        sizeof(wanted), by_ticket);
}

void
kafka_adopt_close(struct kafka *kafka)
{
    struct adoption *adoption = TAKE(kafka->adoption);

    if (adoption == NULL)
        return;
    for (size_t i = 0; i < adoption->len; i++)
        free(adoption->list[i].body);
    free(adoption->list);
    free(adoption);
}

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
    unsigned parts; /* to be submitted */
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

/* What is missing of it; 0: nothing. Or what looking came to. */
static int
missing(const struct kafka *kafka, const struct one *one)
{
    const struct lookup *lookup = &one->lookup;
    const bool is_there = find(kafka->adoption, &lookup->ticket) != NULL;

    if (lookup->r < 0 && lookup->r != -ENOENT)
        return lookup->r;
    if (lookup->r == -ENOENT)
        return is_there ? SUBMIT_ACCEPTED : SUBMIT_BOTH;
    return is_there || lookup->status.started != 0 ||
                   ticket_state_is_final(lookup->status.state)
               ? 0
               : SUBMIT_REQUEST;
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
        const int r = missing(kafka, &ones[i]);
        if (r < 0)
            return error_set(err, r, "Kafka does not say which tickets it has");
        ones[i].parts = (unsigned)r;
        ones[i].submission.joined = r == 0;
        ones[i].submission.submitted = ones[i].lookup.status.submitted;
        ones[i].submission.r = 0;
    }
    return 0;
}

static void
submit(struct kafka *kafka, struct batch *batch, struct one *ones, size_t len)
{
    batch->left = 1;
    for (size_t i = 0; i < len; i++)
        batch->left += ones[i].parts != 0;
    for (size_t i = 0; i < len; i++) {
        struct submission *submission = &ones[i].submission;
        const struct there *there = find(kafka->adoption, &submission->ticket);
        submission->on_submitted = on_submitted;
        if (ones[i].parts != 0)
            kafka_submit_parts(kafka, submission, ones[i].parts,
                               there != NULL ? there->body : NULL);
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
    int r = read_logs(kafka, err);

    if (r == 0)
        r = await_view(kafka, err);
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
