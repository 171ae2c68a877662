/* dead.c - dead letters: submitted again, or dropped. */
#include <semaphore.h>
#include <string.h>

#include "broker/kafka/bodies.h"
#include "broker/kafka/follow.h"
#include "broker/kafka/kafka_priv.h"
#include "common/log.h"
#include "common/own.h"

static int
find(struct kafka *kafka, const struct ticket *dead, struct follow **follow,
     unsigned *queue, int64_t *offset, struct error *err)
{
    int r = kafka_follow(kafka, follow, err);

    return r < 0 ? r : follow_dead_find(*follow, dead, queue, offset, err);
}

/* Writes what was done with it. Whoever looks from now on sees it. */
static int
record(struct kafka *kafka, struct follow *follow, const struct fact *fact,
       struct error *err)
{
    const int32_t partition = kafka_partition(kafka, &fact->ticket);
    char key[RECORD_KEY_MAX];
    rd_kafka_headers_t *headers = fact_write(fact, key);
    int64_t offset = producer_send_wait(kafka->producer, kafka->tickets_topic,
                                        partition, key, fact->message, headers);

    if (offset < 0)
        return error_set(err, (int)offset,
                         offset == -ECOMM ? "Kafka did not say whether it was "
                                            "stored"
                                          : "Kafka did not take it");
    follow_expect(follow, follow_log(kafka, FOLLOW_FACTS, partition), offset);
    return 0;
}

/* ---- again --------------------------------------------------------------- */

struct asking {
    struct submission submission;
    sem_t done;
};

static void
on_submitted(struct submission *submission)
{
    sem_post(&CONTAINER_OF(submission, struct asking, submission)->done);
}

static int
submit(struct kafka *kafka, struct asking *asking, struct error *err)
{
    asking->submission.on_submitted = on_submitted;
    sem_init(&asking->done, 0, 0);
    kafka_submit(&kafka->base, &asking->submission);
    while (sem_wait(&asking->done) < 0)
        ; /* EINTR */
    sem_destroy(&asking->done);
    switch (asking->submission.r) {
    case 0:
        return 0;
    case -ENOBUFS:
        return error_set(err, -ENOBUFS, "the queue is full");
    case -ECONNREFUSED:
        return error_set(err, -ECONNREFUSED, "the queue takes nothing new");
    default:
        return error_set(err, asking->submission.r,
                         "the request could not be queued");
    }
}

static int
submit_again(struct kafka *kafka, unsigned queue, const struct queued *request,
             struct ticket *made, struct error *err)
{
    struct buf body;
    struct asking asking = {
        .submission = {
            .ticket = ticket_make(kafka->secret, clock_wall(),
                                  (int)ticket_slot(&request->ticket)),
            .queue = queue,
            /* A key was good for one ticket. */
            .idempotent =
                (request->flags & (REQUEST_IDEMPOTENT | REQUEST_KEYED)) != 0,
            .origin = request->origin,
            .message = request->message,
            .replays = &request->ticket,
        }};
    int r = 0;

    buf_init(&body, request->body.size);
    if (request->body.size > 0) {
        r = bodies_read(kafka, &request->ticket, &request->body, &body, err);
        asking.submission.message = buf_slice(&body);
    }
    if (r == 0)
        r = submit(kafka, &asking, err);
    buf_fini(&body);
    if (r == 0)
        *made = asking.submission.ticket;
    return r;
}

int
kafka_dead_replay(struct broker *broker, const struct ticket *dead,
                  struct ticket *made, struct error *err)
{
    struct kafka *kafka = kafka_of(broker);
    rd_kafka_message_t *message;
    struct queued request;
    struct follow *follow;
    unsigned queue;
    int64_t offset;
    struct error why;
    int r = find(kafka, dead, &follow, &queue, &offset, err);

    if (r < 0)
        return r;
    r = bodies_read_request(kafka, kafka->dead_topics[queue],
                            kafka_partition(kafka, dead), offset, &message,
                            &request, err);
    if (r < 0)
        return error_wrap(err, r, "the dead letter cannot be repeated");
    if (ticket_eq(&request.ticket, dead))
        r = submit_again(kafka, queue, &request, made, err);
    else
        r = error_set(err, -EIO, "another dead letter stands in its place");
    rd_kafka_message_destroy(message);
    if (r < 0)
        return r;
    const struct fact fact = {
        .kind = FACT_REPLAYED,
        .at = clock_wall(),
        .queue = slice_of(kafka->settings->queues[queue].name),
        .ticket = *dead,
        .has_other = true,
        .other = *made,
    };
    if (record(kafka, follow, &fact, &why) < 0) /* it is queued nevertheless */
        log_ticket(EVENT_NOTE, dead, kafka->settings->queues[queue].name, 0,
                   "text=\"it was submitted again, which its status does not "
                   "say: %s\"",
                   why.text);
    return 0;
}

/* ---- away ---------------------------------------------------------------- */

int
kafka_dead_drop(struct broker *broker, const struct ticket *dead,
                struct error *err)
{
    struct kafka *kafka = kafka_of(broker);
    struct follow *follow;
    unsigned queue;
    int64_t offset;
    int r = find(kafka, dead, &follow, &queue, &offset, err);

    if (r < 0)
        return r;
    const struct fact fact = {
        .kind = FACT_DROPPED,
        .at = clock_wall(),
        .queue = slice_of(kafka->settings->queues[queue].name),
        .ticket = *dead,
    };
    return record(kafka, follow, &fact, err);
}
