/* query.c - calls on their way between the follower and the threads beside it.
 */
#include <stdlib.h>
#include <string.h>

#include "broker/kafka/client.h"
#include "broker/kafka/follow_priv.h"
#include "common/lock.h"
#include "common/mem.h"
#include "common/own.h"

/* What this process has sent so far. */
static void
note_sent(const struct kafka *kafka, struct query *query)
{
    query->sent = mem_zalloc((size_t)kafka->partitions * sizeof(*query->sent));
    for (int32_t i = 0; i < kafka->partitions; i++) {
        if (query->partition < 0 || query->partition == i)
            query->sent[i] = atomic_load(&kafka->sent[i]);
    }
}

struct query *
query_new(struct follow *follow, const struct ticket *ticket,
          query_step_fn *step,
          void (*answer)(struct follow *, struct query *, int), void *call)
{
    struct query *query = mem_new(struct query);

    query->follow = follow;
    query->step = step;
    query->answer = answer;
    query->call = call;
    query->partition = -1;
    query->until = clock_mono() + follow->kafka->settings->kafka.timeout;
    if (ticket != NULL) {
        query->ticket = *ticket;
        query->partition = kafka_partition(follow->kafka, ticket);
    }
    note_sent(follow->kafka, query);
    return query;
}

void
query_free(struct query *query)
{
    free(query->sent);
    free(query->ends);
    free(query);
}

void
query_post(struct query *query)
{
    mailbox_post(&query->follow->box, &query->mail);
}

void
follow_give(struct follow *follow)
{
    LOCKED(&follow->lock);
    follow->out++;
}

void
follow_back(struct follow *follow)
{
    LOCKED(&follow->lock);
    if (--follow->out == 0)
        pthread_cond_broadcast(&follow->back);
}

/* ---- waiting ------------------------------------------------------------- */

static bool
is_settled(const struct kafka *kafka, const struct query *query)
{
    for (int32_t i = 0; i < kafka->partitions; i++) {
        if (atomic_load(&kafka->settled[i]) < query->sent[i])
            return false;
    }
    return true;
}

static bool
is_read(struct follow *follow, const struct query *query)
{
    const struct view_row *row;

    if (query->is_hoping) /* a view that fails is found out by the step */
        return follow->failing == 0 &&
               view_find(follow->view, &query->ticket, &row) != 0;
    if (query->sent != NULL)
        return is_settled(follow->kafka, query);
    if (query->ends == NULL)
        return query->partition < 0 ||
               view_next(follow->view, query->partition) >= query->offset;
    for (size_t i = 0; i < follow->logs; i++) {
        if (query->ends[i] > 0 && follow_place(follow, i) < query->ends[i])
            return false;
    }
    return true;
}

/* While the view fails nobody looks at it. A full disk is not waited out. */
static bool
is_ready(struct follow *follow, const struct query *query, mono_ms now)
{
    return now >= query->until ||
           (follow->failing == 0 ? is_read(follow, query)
                                 : follow_broken(follow) == -ENOSPC);
}

static void
go_on(struct follow *follow, struct query *query)
{
    const int broken = follow_broken(follow);

    if (follow->failing != 0)
        query->answer(follow, query, broken < 0 ? broken : -ENOTCONN);
    else if (query->is_hoping || is_read(follow, query))
        query->then(follow, query);
    else
        query->answer(follow, query, -ENOTCONN);
}

void
query_wait(struct follow *follow, struct query *query, query_step_fn *then)
{
    query->then = then;
    if (is_ready(follow, query, clock_mono())) {
        go_on(follow, query);
        return;
    }
    query->next = follow->waits;
    follow->waits = query;
}

void
query_wake(struct follow *follow, mono_ms now)
{
    struct query *query = follow->waits;

    follow->waits = NULL; /* steps may wait again */
    while (query != NULL) {
        struct query *next = query->next;
        if (is_ready(follow, query, now)) {
            go_on(follow, query);
        } else {
            query->next = follow->waits;
            follow->waits = query;
        }
        query = next;
    }
}

mono_ms
query_next(const struct follow *follow, mono_ms until)
{
    for (const struct query *query = follow->waits; query != NULL;
         query = query->next) {
        if (query->until < until)
            until = query->until;
    }
    return until;
}

void
query_end_all(struct follow *follow)
{
    struct mail *mail = mailbox_take(&follow->box);

    while (mail != NULL) {
        struct query *query = CONTAINER_OF(mail, struct query, mail);
        mail = mail->next;
        query->answer(follow, query, -ESHUTDOWN);
    }
    while (follow->waits != NULL) {
        struct query *query = follow->waits;
        follow->waits = query->next;
        query->answer(follow, query, -ESHUTDOWN);
    }
}

static bool
is_about(const struct follow *follow, const struct query *query, size_t log)
{
    const size_t partitions = (size_t)follow->kafka->partitions;

    return query->partition < 0 ||
           (int32_t)(log % partitions) == query->partition;
}

static void
wait_for(struct follow *follow, struct query *query)
{
    if (query->ends == NULL)
        query->ends = mem_zalloc(follow->logs * sizeof(*query->ends));
}

/* It is known what was stored of that: now it is to be read. */
static void
wait_for_expected(struct follow *follow, struct query *query)
{
    free(TAKE(query->sent));
    wait_for(follow, query);
    for (size_t i = 0; i < follow->logs; i++)
        if (is_about(follow, query, i))
            query->ends[i] = atomic_load(&follow->expected[i]);
    query_wait(follow, query, query->later);
}

void
query_wait_own(struct follow *follow, struct query *query, query_step_fn *then)
{
    query->later = then;
    query_wait(follow, query, wait_for_expected);
}

/* ---- the end of the log -------------------------------------------------- */

/* Where logs end, of one partition or of all of them. */
static int
find_ends(struct follow *follow, struct query *query, span_ms limit)
{
    const struct kafka *kafka = follow->kafka;
    size_t queues = kafka->settings->queues_len; /* others may be deleted */
    rd_kafka_topic_partition_list_t *list =
        rd_kafka_topic_partition_list_new((int)follow->logs);

    if (follow_all_there(follow, limit, &query->is_blind))
        queues = follow->topics_len;
    const size_t logs = (queues + 1) * (size_t)kafka->partitions;
    for (size_t i = 0; i < logs; i++)
        if (is_about(follow, query, i))
            follow_add_log(follow, list, i);
    int r = client_offsets(kafka->asker, list, CLIENT_END, limit, NULL);
    wait_for(follow, query);
    for (int i = 0; i < list->cnt && r == 0; i++) {
        const rd_kafka_topic_partition_t *one = &list->elems[i];
        query->ends[follow_log_of(follow, one->topic, one->partition)] =
            one->offset;
    }
    rd_kafka_topic_partition_list_destroy(list);
    return r == 0 ? 0 : -ENOTCONN;
}

/* On the asker. */
static void
run_ends(struct follow *follow, struct job *job)
{
    struct query *query = CONTAINER_OF(job, struct query, job);
    const span_ms left = query->until - clock_mono();

    query->delivery.r = left > 0 ? find_ends(follow, query, left) : -ENOTCONN;
    query_post(query);
    follow_back(follow);
}

static void
on_ends(struct follow *follow, struct query *query)
{
    query->is_sure = true;
    if (query->delivery.r < 0)
        query->answer(follow, query, query->delivery.r);
    else
        query_wait(follow, query, query->then);
}

void
query_catch_up(struct follow *follow, struct query *query, query_step_fn *then)
{
    query->then = then;
    query->step = on_ends;
    query->job.run = run_ends;
    follow_give(follow);
    helper_post(&follow->asker, &query->job);
}

/* ---- facts --------------------------------------------------------------- */

/* On the producer's thread. */
static void
on_delivered(struct delivery *delivery)
{
    struct query *query = CONTAINER_OF(delivery, struct query, delivery);
    struct follow *follow = query->follow;

    query_post(query);
    follow_back(follow);
}

static void
on_stored(struct follow *follow, struct query *query)
{
    if (query->delivery.r < 0) {
        query->answer(follow, query, query->delivery.r);
        return;
    }
    free(TAKE(query->ends));
    query->partition = query->delivery.partition;
    query->offset = query->delivery.offset + 1;
    query_wait(follow, query, query->then);
}

void
query_send(struct follow *follow, struct query *query, int32_t partition,
           const struct fact *fact, query_step_fn *then)
{
    struct kafka *kafka = follow->kafka;

    query->then = then;
    query->step = on_stored;
    query->delivery.on_delivered = on_delivered;
    follow_give(follow);
    kafka_send_fact(kafka, kafka->producer, partition, fact, &query->delivery);
}
