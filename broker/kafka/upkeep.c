/* upkeep.c - what an ingress sees to: ttl, orphans, retention, the log's size.
 */
#include "broker/kafka/upkeep.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/kafka/bodies.h"
#include "broker/kafka/client.h"
#include "broker/kafka/control_log.h"
#include "broker/kafka/topics.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/own.h"
#include "common/problem.h"

#define EVERY       1000  /* ms */
#define MORE        50    /* ms, where there was more than a piece */
#define PIECE       256   /* rows of a kind, of a queue, at a time */
#define FRESH       2000  /* ms; what ended so lately stays, for its readers */
#define GRACE       300   /* ms; the owner of a partition decides sooner */
#define CUT_EVERY   60000 /* ms */
#define CUT_LIMIT   10000 /* ms for a question or an order to Kafka */
#define FAILURE_CAP 4096
#define STRAY_AGE                                                              \
    3600000 /* ms; a request that was not read until then never is */
/* Pieces that are younger may be of a message of which nothing else was stored
 * so far. */
#define PIECE_AGE 3600000 /* ms */

static const char silent[] = "its worker was silent for longer than its lease";

struct upkeep {
    mono_ms next, next_cut;
    _Atomic unsigned deciding; /* orphans that the clerk has */
    _Atomic bool cutting;
    /* The clerk's: */
    rd_kafka_t *admin; /* NULL: not made so far */
};

struct upkeep *
upkeep_new(void)
{
    return mem_new(struct upkeep);
}

void
upkeep_free(struct upkeep *upkeep)
{
    if (upkeep != NULL && upkeep->admin != NULL)
        rd_kafka_destroy(upkeep->admin);
    free(upkeep);
}

mono_ms
upkeep_next(const struct follow *follow)
{
    return follow->upkeep->next;
}

/* Runs over the first tickets of a list, until `each` says 0 or fails. 1: there
 * may be more. */
static int
run_over(struct follow *follow, enum view_list which, unsigned queue,
         wall_ms until,
         int (*each)(struct follow *, unsigned, const struct view_row *))
{
    const struct view_row *row;
    struct ticket *tickets = NULL;
    size_t len = 0;
    size_t done = 0;
    int r = view_list(follow->view, which, follow->lanes[queue], PIECE, until,
                      &tickets, &len);

    while (r >= 0 && done < len) {
        r = view_find(follow->view, &tickets[done], &row);
        if (r == 1)
            r = each(follow, queue, row);
        if (r <= 0)
            break;
        done++;
    }
    free(tickets);
    return r < 0 ? r : done == PIECE;
}

/* ---- ttl ----------------------------------------------------------------- */

static int
expire(struct follow *follow, unsigned queue, const struct view_row *row)
{
    struct kafka *kafka = follow->kafka;
    const wall_ms now = clock_wall();

    if (control_log_open_for(kafka->control, queue, row->submitted, now) <=
        kafka->settings->queues[queue].ttl)
        return 0;
    const struct fact fact = {
        .kind = FACT_EXPIRED,
        .at = now,
        .queue = slice_of(kafka->settings->queues[queue].name),
        .ticket = row->ticket,
        .request = row->fold.request,
    };
    kafka_send_fact(kafka, kafka->producer, row->partition, &fact, NULL);
    return 1;
}

/* ---- orphans ------------------------------------------------------------- */

struct decision {
    struct job job;
    struct ticket ticket;
    unsigned queue;
    int32_t partition;
    unsigned flags;
    struct fold_ticket fold;
};

/* Copies the request to the dead letters: its offset there; -1: it is gone.
 * Else negative: not now. */
static int64_t
bury(struct kafka *kafka, const struct decision *decision, struct fact *fact)
{
    char key[RECORD_KEY_MAX];
    rd_kafka_message_t *message;
    struct queued request;
    struct error err;

    if (decision->fold.request < 0)
        return -1;
    int r = bodies_read_request(kafka, kafka->request_topics[decision->queue],
                                decision->partition, decision->fold.request,
                                &message, &request, &err);
    if (r < 0)
        return r == -EIO ? -1 : -ENOTCONN;
    int64_t offset = -1;
    if (ticket_eq(&request.ticket, &decision->ticket)) {
        rd_kafka_headers_t *headers = queued_write(&request, key);
        offset = producer_send_wait(
            kafka->producer, kafka->dead_topics[decision->queue],
            decision->partition, key, request.message, headers);
        if (offset < 0)
            offset = -ENOTCONN;
        fact->size =
            request.body.size > 0 ? request.body.size : request.message.len;
        fact->body = request.body;
    }
    rd_kafka_message_destroy(message);
    return offset;
}

static void
fail(struct kafka *kafka, const struct decision *decision, struct fact *fact,
     enum outcome outcome, int status, const char *reason)
{
    struct buf message;

    fact->kind = FACT_FAILED;
    fact->state =
        outcome == OUTCOME_CANCELLED ? TICKET_CANCELLED : TICKET_FAILED;
    fact->reason = slice_of(reason);
    buf_init(&message, FAILURE_CAP);
    if (problem_message(&message, status, outcome_word(outcome), reason,
                        &decision->ticket) == 0) {
        fact->message = buf_slice(&message);
        kafka_send_fact(kafka, kafka->producer, decision->partition, fact,
                        NULL);
    }
    buf_fini(&message);
}

static void
decide(struct kafka *kafka, const struct decision *decision)
{
    const struct queue_settings *queue =
        &kafka->settings->queues[decision->queue];
    const unsigned attempts = decision->fold.attempts;
    const struct verdict verdict = outcome_decide(
        OUTCOME_LOST, queued_is_repeatable(decision->flags, queue), attempts,
        queue);
    struct fact fact = {
        .kind = FACT_RETRY,
        .at = clock_wall(),
        .queue = slice_of(queue->name),
        .ticket = decision->ticket,
        .run = decision->fold.run,
        .attempt = attempts,
        .put_backs = decision->fold.put_backs,
        .request = decision->fold.request,
        .dead = -1,
    };

    if (decision->fold.is_cancelled) {
        fail(kafka, decision, &fact, OUTCOME_CANCELLED, 410,
             "cancelled by the client while it ran");
    } else if (verdict.action == ACTION_RETRY) {
        fact.counted = true;
        fact.delay = outcome_backoff(queue->backoff_first, queue->backoff_max,
                                     attempts, randombytes_random());
        fact.reason = slice_of(silent);
        log_ticket(EVENT_RETRY, &decision->ticket, queue->name, attempts,
                   "wait_ms=%lld text=\"%s\"", (long long)fact.delay, silent);
        kafka_send_fact(kafka, kafka->producer, decision->partition, &fact,
                        NULL);
    } else {
        if (verdict.dead_letter)
            fact.dead = bury(kafka, decision, &fact);
        if (fact.dead < -1)
            return; /* the next time */
        log_ticket(EVENT_DEAD, &decision->ticket, queue->name, attempts,
                   "text=\"%s\"", silent);
        fail(kafka, decision, &fact, OUTCOME_LOST, verdict.status, silent);
    }
}

static void
run_decision(struct follow *follow, struct job *job)
{
    struct decision *decision = CONTAINER_OF(job, struct decision, job);

    if (!atomic_load(&follow->closing))
        decide(follow->kafka, decision);
    free(decision);
    follow->upkeep->deciding--;
    follow_back(follow);
}

static int
give_to_clerk(struct follow *follow, unsigned queue, const struct view_row *row)
{
    struct decision *decision = mem_new(struct decision);

    decision->job.run = run_decision;
    decision->ticket = row->ticket;
    decision->queue = queue;
    decision->partition = row->partition;
    decision->flags = row->flags;
    decision->fold = row->fold;
    follow->upkeep->deciding++;
    follow_give(follow);
    helper_post(&follow->clerk, &decision->job);
    return 1;
}

/* ---- retention ----------------------------------------------------------- */

/* Would its request, or a copy of it, be taken for a new one? */
static bool
may_come_again(struct follow *follow, const struct view_row *row)
{
    const span_ms linger = 2 * follow->kafka->settings->kafka.timeout;

    return (!row->is_read &&
            row->fold.request >=
                view_request_next(follow->view, row->queue, row->partition)) ||
           ((row->flags & REQUEST_KEYED) &&
            clock_wall() <= ticket_time(&row->ticket) + linger);
}

static int
drop_old(struct follow *follow, unsigned queue, const struct view_row *row)
{
    const struct queue_settings *settings =
        &follow->kafka->settings->queues[queue];
    const span_ms age = clock_wall() - row->ended;
    const bool is_over = view_queue_at(follow->view, row->queue)->retained >
                         settings->retention_bytes;

    if (age <= STRAY_AGE && may_come_again(follow, row))
        return 0;
    if (age <= settings->retention_age && (!is_over || age <= FRESH))
        return 0;
    int r = view_drop(follow->view, row);
    return r < 0 ? r : 1;
}

/* ---- the log ------------------------------------------------------------- */

/* What is to be cut, by what the view and the groups of queues rest on. */
struct cut {
    struct job job;
    int64_t *facts, *pieces; /* by partition: nothing below is needed */
    int64_t *next;           /* by partition: facts the view has not read */
    char **queues;           /* every queue that the view knows */
    size_t queues_len;
    int64_t *requests; /* the same of requests, by queue and partition */
};

static void
cut_free(struct cut *cut)
{
    for (size_t i = 0; i < cut->queues_len; i++)
        free(cut->queues[i]);
    free(cut->queues);
    free(cut->facts);
    free(cut->pieces);
    free(cut->next);
    free(cut->requests);
    free(cut);
}

/* Takes in the commits of one group; its requests below them are done. A
 * partition without a commit is left whole. */
static void
take_commits(struct cut *cut, const rd_kafka_topic_partition_list_t *commits,
             int32_t partitions, rd_kafka_topic_partition_list_t *before)
{
    bool *has = mem_zalloc((size_t)partitions * sizeof(*has));

    for (int i = 0; i < commits->cnt; i++) {
        const rd_kafka_topic_partition_t *commit = &commits->elems[i];
        if (commit->offset < 0 || commit->partition >= partitions)
            continue;
        const int64_t told = client_position(commit);
        const int64_t position = told < 0 ? 0 : told; /* then all is kept */
        int64_t *facts = &cut->facts[commit->partition];
        has[commit->partition] = true;
        if (position < *facts)
            *facts = position;
        rd_kafka_topic_partition_list_add(before, commit->topic,
                                          commit->partition)
            ->offset = commit->offset;
    }
    for (int32_t i = 0; i < partitions; i++) {
        if (!has[i])
            cut->facts[i] = 0;
    }
    free(has);
}

static int
ask_commits(struct follow *follow, struct cut *cut, const char *queue,
            rd_kafka_topic_partition_list_t *before, struct error *err)
{
    rd_kafka_topic_partition_list_t *commits;
    int r = kafka_commits(follow->kafka, queue, CUT_LIMIT, &commits, err);

    if (r < 0)
        return r;
    take_commits(cut, commits, follow->kafka->partitions, before);
    rd_kafka_topic_partition_list_destroy(commits);
    return 0;
}

static void
add_cut(rd_kafka_topic_partition_list_t *before, const char *topic,
        int32_t partition, int64_t offset)
{
    rd_kafka_topic_partition_list_add(before, topic, partition)->offset =
        offset;
}

/* Has the view read what a log has that is older than young pieces? Else there
 * may be pieces in use that it knows nothing of. */
static int
check_fresh(struct follow *follow, const char *topic, int32_t partition,
            int64_t next, bool *fresh, struct error *err)
{
    int64_t recent = 0;
    int r =
        client_offset_at(follow->upkeep->admin, topic, partition,
                         clock_wall() - PIECE_AGE / 2, &recent, CUT_LIMIT, err);

    *fresh &= r == 0 && next >= recent;
    return r;
}

/* Of a queue that this process does not know nothing was read. */
static int64_t
requests_next(const struct follow *follow, const struct cut *cut,
              const char *queue, int32_t partition)
{
    for (size_t i = 0; i < cut->queues_len; i++) {
        if (strcmp(cut->queues[i], queue) == 0)
            return cut->requests[i * (size_t)follow->kafka->partitions +
                                 (size_t)partition];
    }
    return -1;
}

static int
is_fresh(struct follow *follow, const struct cut *cut,
         const struct rd_kafka_metadata *topics, int32_t partition, bool *fresh,
         struct error *err)
{
    const struct kafka *kafka = follow->kafka;
    char *prefix = mem_printf("%s.requests.", kafka->settings->kafka.prefix);
    const size_t len = strlen(prefix);
    int r;

    *fresh = true;
    r = check_fresh(follow, kafka->tickets_topic, partition,
                    cut->next[partition], fresh, err);
    for (int i = 0; i < topics->topic_cnt && r == 0 && *fresh; i++) {
        const char *topic = topics->topics[i].topic;
        if (strncmp(topic, prefix, len) == 0)
            r = check_fresh(follow, topic, partition,
                            requests_next(follow, cut, topic + len, partition),
                            fresh, err);
    }
    free(prefix);
    return r;
}

/* Kafka refuses an offset beyond the end, and minds none below the start. */
static int
cut_pieces(struct follow *follow, const struct cut *cut,
           rd_kafka_topic_partition_list_t *before, struct error *err)
{
    const struct kafka *kafka = follow->kafka;
    const struct rd_kafka_metadata *topics;
    int64_t young = 0;
    int r = 0;
    const rd_kafka_resp_err_t error =
        rd_kafka_metadata(follow->upkeep->admin, 1, NULL, &topics, CUT_LIMIT);

    if (error != RD_KAFKA_RESP_ERR_NO_ERROR)
        return client_fails(err, error, "the list of topics");
    for (int32_t i = 0; i < kafka->partitions && r == 0; i++) {
        bool fresh = false;
        if (cut->pieces[i] > 0)
            r = is_fresh(follow, cut, topics, i, &fresh, err);
        if (r == 0 && fresh)
            r = client_offset_at(follow->upkeep->admin, kafka->bodies_topic, i,
                                 clock_wall() - PIECE_AGE, &young, CUT_LIMIT,
                                 err);
        if (r == 0 && fresh && young > 0)
            add_cut(before, kafka->bodies_topic, i,
                    cut->pieces[i] < young ? cut->pieces[i] : young);
    }
    rd_kafka_metadata_destroy(topics);
    return r;
}

static int
cut_log(struct follow *follow, struct cut *cut, struct error *err)
{
    const struct kafka *kafka = follow->kafka;
    struct upkeep *upkeep = follow->upkeep;
    int r = upkeep->admin == NULL
                ? client_admin(kafka->settings, &upkeep->admin, err)
                : 0;

    bool others = true;
    if (r == 0)
        follow_all_there(follow, CUT_LIMIT, &others);
    if (r < 0 || others)
        return r; /* of a queue that is not known here much may be needed */
    rd_kafka_topic_partition_list_t *before =
        rd_kafka_topic_partition_list_new(kafka->partitions);
    for (size_t i = 0; i < cut->queues_len && r == 0; i++)
        r = ask_commits(follow, cut, cut->queues[i], before, err);
    for (int32_t i = 0; i < kafka->partitions && r == 0; i++)
        add_cut(before, kafka->tickets_topic, i, cut->facts[i]);
    if (r == 0)
        r = cut_pieces(follow, cut, before, err);
    if (r == 0)
        r = client_delete_records(upkeep->admin, before, CUT_LIMIT, err);
    rd_kafka_topic_partition_list_destroy(before);
    return r;
}

static void
run_cut(struct follow *follow, struct job *job)
{
    struct cut *cut = CONTAINER_OF(job, struct cut, job);
    char quoted[400];
    struct error err;

    if (!atomic_load(&follow->closing) && cut_log(follow, cut, &err) < 0)
        log_event(EVENT_KAFKA_ERROR, "facility=DELETE text=%s",
                  log_quote(slice_of(err.text), quoted, sizeof(quoted)));
    cut_free(cut);
    atomic_store(&follow->upkeep->cutting, false);
    follow_back(follow);
}

/* Of what this view has not read it cannot say that nothing rests on it. */
static int
read_floor(struct view *view, int32_t partition, struct cut *cut)
{
    const int64_t next = view_next(view, partition);
    int64_t *facts = &cut->facts[partition];
    int r = view_floor(view, partition, facts, &cut->pieces[partition]);

    if (*facts > next)
        *facts = next;
    cut->next[partition] = next;
    return r;
}

static int
start_cut(struct follow *follow)
{
    const int32_t partitions = follow->kafka->partitions;
    struct cut *cut = mem_new(struct cut);
    int r = view_commit(follow->view);

    cut->job.run = run_cut;
    cut->facts = mem_zalloc((size_t)partitions * sizeof(*cut->facts));
    cut->pieces = mem_zalloc((size_t)partitions * sizeof(*cut->pieces));
    cut->next = mem_zalloc((size_t)partitions * sizeof(*cut->next));
    for (int32_t i = 0; i < partitions && r == 0; i++)
        r = read_floor(follow->view, i, cut);
    cut->queues_len = view_queues(follow->view);
    cut->queues = mem_zalloc((cut->queues_len + 1) * sizeof(*cut->queues));
    cut->requests = mem_zalloc((cut->queues_len + 1) * (size_t)partitions *
                               sizeof(*cut->requests));
    for (unsigned i = 0; i < cut->queues_len; i++) {
        cut->queues[i] = mem_strdup(view_queue_at(follow->view, i)->name);
        for (int32_t p = 0; p < partitions; p++)
            cut->requests[i * (size_t)partitions + (size_t)p] =
                view_request_next(follow->view, i, p);
    }
    if (r < 0) {
        cut_free(cut);
        return r;
    }
    atomic_store(&follow->upkeep->cutting, true);
    follow_give(follow);
    helper_post(&follow->clerk, &cut->job);
    return 0;
}

/* ---- all of it ----------------------------------------------------------- */

static int
run_queue(struct follow *follow, unsigned queue, bool orphans)
{
    struct control control;
    int r = 0;
    bool more = false;

    control_log_state(follow->kafka->control, queue, &control);
    /* While it is paused no ttl runs, and one request may be probed. */
    if (control.state == CONTROL_OPEN)
        r = run_over(follow, VIEW_WAIT, queue, 0, expire);
    more = r == 1;
    if (r >= 0 && orphans)
        r = run_over(follow, VIEW_ORPHANS, queue, clock_wall() - GRACE,
                     give_to_clerk);
    if (r >= 0)
        r = run_over(follow, VIEW_END, queue, 0, drop_old);
    return r < 0 ? r : more || r == 1;
}

int
upkeep_run(struct follow *follow, mono_ms now)
{
    struct upkeep *upkeep = follow->upkeep;
    const size_t queues = follow->kafka->settings->queues_len;
    const bool orphans = upkeep->deciding == 0;
    bool more = false;
    int r = 0;

    for (unsigned i = 0; i < queues && r >= 0; i++) {
        r = run_queue(follow, i, orphans);
        more |= r == 1;
    }
    if (r >= 0) {
        r = view_drop_keys(follow->view, clock_wall(), PIECE);
        more |= r == PIECE;
    }
    upkeep->next = now + (more ? MORE : EVERY);
    if (upkeep->next_cut == 0)
        upkeep->next_cut = now + CUT_EVERY;
    if (r < 0 || now < upkeep->next_cut || atomic_load(&upkeep->cutting))
        return r < 0 ? r : 0;
    upkeep->next_cut = now + CUT_EVERY;
    return start_cut(follow);
}
