/* follow.c - the thread that folds requests and facts into the view. */
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

/* ---- logs ---------------------------------------------------------------- */

size_t
follow_log(const struct kafka *kafka, int queue, int32_t partition)
{
    static_assert(FOLLOW_FACTS == -1, "they come first");
    return (size_t)(queue + 1) * (size_t)kafka->partitions + (size_t)partition;
}

/* Whose requests a topic has; FOLLOW_FACTS. */
static int
queue_of(const struct follow *follow, const char *topic)
{
    for (size_t i = 0; i < follow->topics_len; i++) {
        if (strcmp(topic, follow->topics[i]) == 0)
            return (int)i;
    }
    return FOLLOW_FACTS;
}

static char *
requests_prefix(const struct follow *follow)
{
    return mem_printf("%s.requests.", follow->kafka->settings->kafka.prefix);
}

/* The name of a queue in the name of its topic. */
static const char *
name_of(const struct follow *follow, const char *topic)
{
    return topic + strlen(follow->kafka->settings->kafka.prefix) +
           strlen(".requests.");
}

size_t
follow_log_of(const struct follow *follow, const char *topic, int32_t partition)
{
    return follow_log(follow->kafka, queue_of(follow, topic), partition);
}

void
follow_add_log(const struct follow *follow,
               rd_kafka_topic_partition_list_t *list, size_t log)
{
    const struct kafka *kafka = follow->kafka;
    const size_t partitions = (size_t)kafka->partitions;

    rd_kafka_topic_partition_list_add(
        list,
        log < partitions ? kafka->tickets_topic
                         : follow->topics[log / partitions - 1],
        (int32_t)(log % partitions));
}

int64_t
follow_place(const struct follow *follow, size_t log)
{
    const size_t partitions = (size_t)follow->kafka->partitions;
    const int32_t partition = (int32_t)(log % partitions);

    return log < partitions
               ? view_next(follow->view, partition)
               : view_request_next(follow->view,
                                   follow->lanes[log / partitions - 1],
                                   partition);
}

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

    r = r == -ENOSPC ? -ENOSPC : -EIO;
    follow->failing = clock_mono() + AGAIN;
    if (atomic_exchange(&follow->broken, r) != r)
        log_event(r == -ENOSPC ? EVENT_DISK_FULL : EVENT_STORE_BROKEN,
                  "text=%s",
                  log_quote(slice_of(view_error(follow->view)), quoted,
                            sizeof(quoted)));
    return r;
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
read_fact(struct follow *follow, const rd_kafka_message_t *message)
{
    const struct broker_options *options = &follow->kafka->options;
    const struct view_row *row;
    struct fact fact;
    struct error err;

    if (message->offset < view_next(follow->view, message->partition))
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
             fact.kind != FACT_DROPPED && fact.kind != FACT_REPLAYED &&
             options->wanted != NULL &&
             options->wanted(options->opaque, &row->ticket))
        follow_tell(follow, row);
}

/* What is none of ours the queue's worker sets aside, and says so. */
static void
read_request(struct follow *follow, int queue,
             const rd_kafka_message_t *message)
{
    const unsigned lane = follow->lanes[queue];
    const int32_t partition = message->partition;
    struct queued request;
    int r = 0;

    if (message->offset < view_request_next(follow->view, lane, partition))
        return;
    if (kafka_read_request(follow->kafka, message, &request, NULL) < 0)
        view_request_move(follow->view, lane, partition, message->offset + 1);
    else
        r = view_request(follow->view, lane, partition, message->offset,
                         &request);
    if (r < 0)
        follow_fails(follow, r);
}

static void
fold(struct follow *follow, const rd_kafka_message_t *message)
{
    const int queue = queue_of(follow, rd_kafka_topic_name(message->rkt));

    if (message->partition >= follow->kafka->partitions)
        return;
    if (queue == FOLLOW_FACTS)
        read_fact(follow, message);
    else
        read_request(follow, queue, message);
}

/* ---- where it reads ------------------------------------------------------ */

static rd_kafka_topic_partition_list_t *
all_logs(const struct follow *follow)
{
    const size_t partitions = (size_t)follow->kafka->partitions;
    rd_kafka_topic_partition_list_t *list =
        rd_kafka_topic_partition_list_new((int)follow->logs);

    for (size_t i = 0; i < follow->logs; i++)
        if (i < partitions || !follow->is_gone[i / partitions - 1])
            follow_add_log(follow, list, i);
    return list;
}

static int
assign_one(const struct source *source,
           const rd_kafka_topic_partition_list_t *list, struct error *err)
{
    const rd_kafka_resp_err_t error = rd_kafka_assign(source->consumer, list);

    return error == RD_KAFKA_RESP_ERR_NO_ERROR
               ? 0
               : client_fails(err, error, "reading the logs");
}

static int
assign(struct follow *follow, struct error *err)
{
    const int partitions = follow->kafka->partitions;
    rd_kafka_topic_partition_list_t *all = all_logs(follow);
    rd_kafka_topic_partition_list_t *facts =
        rd_kafka_topic_partition_list_new(partitions);
    rd_kafka_topic_partition_list_t *requests =
        rd_kafka_topic_partition_list_new(all->cnt);

    for (int i = 0; i < all->cnt; i++) {
        const rd_kafka_topic_partition_t *one = &all->elems[i];
        const size_t log = follow_log_of(follow, one->topic, one->partition);
        rd_kafka_topic_partition_list_add(log < (size_t)partitions ? facts
                                                                   : requests,
                                          one->topic, one->partition)
            ->offset = follow_place(follow, log);
    }
    int r = assign_one(&follow->facts, facts, err);
    if (r == 0)
        r = assign_one(&follow->requests, requests, err);
    rd_kafka_topic_partition_list_destroy(all);
    rd_kafka_topic_partition_list_destroy(facts);
    rd_kafka_topic_partition_list_destroy(requests);
    return r;
}

static int
ask_offsets(struct follow *follow, enum client_where where, int64_t *offsets,
            struct error *err)
{
    rd_kafka_topic_partition_list_t *list = all_logs(follow);
    int r = client_offsets(follow->kafka->asker, list, where, ASK_LIMIT, err);

    for (int i = 0; r == 0 && i < list->cnt; i++) {
        const rd_kafka_topic_partition_t *one = &list->elems[i];
        offsets[follow_log_of(follow, one->topic, one->partition)] =
            one->offset;
    }
    rd_kafka_topic_partition_list_destroy(list);
    return r;
}

/* Queues, in the view. */
static void
find_lanes(struct follow *follow)
{
    for (size_t i = 0; i < follow->topics_len; i++)
        follow->lanes[i] = view_queue(
            follow->view, slice_of(name_of(follow, follow->topics[i])));
}

static void
add_topic(struct follow *follow, const char *name)
{
    follow->topics = mem_grow(follow->topics, follow->topics_len + 1,
                              sizeof(*follow->topics));
    follow->topics[follow->topics_len++] = mem_strdup(name);
}

/* What a queue holds outlives its absence from the settings. */
static int
list_topics(struct follow *follow, struct error *err)
{
    const struct kafka *kafka = follow->kafka;
    char *prefix = requests_prefix(follow);
    const struct rd_kafka_metadata *all;
    const rd_kafka_resp_err_t error =
        rd_kafka_metadata(kafka->asker, 1, NULL, &all, ASK_LIMIT);

    for (size_t i = 0; i < kafka->settings->queues_len; i++)
        add_topic(follow, kafka->request_topics[i]);
    for (int i = 0; error == RD_KAFKA_RESP_ERR_NO_ERROR && i < all->topic_cnt;
         i++) {
        const rd_kafka_metadata_topic_t *one = &all->topics[i];
        if (strncmp(one->topic, prefix, strlen(prefix)) == 0 &&
            queue_of(follow, one->topic) == FOLLOW_FACTS &&
            one->partition_cnt == kafka->partitions)
            add_topic(follow, one->topic);
    }
    free(prefix);
    if (error != RD_KAFKA_RESP_ERR_NO_ERROR)
        return client_fails(err, error, "the list of topics");
    rd_kafka_metadata_destroy(all);
    return 0;
}

bool
follow_all_there(const struct follow *follow, span_ms limit, bool *others)
{
    char *prefix = requests_prefix(follow);
    const struct rd_kafka_metadata *all;
    size_t there = 0;

    *others = true;
    if (rd_kafka_metadata(follow->kafka->asker, 1, NULL, &all, (int)limit) ==
        RD_KAFKA_RESP_ERR_NO_ERROR) {
        *others = false;
        for (int i = 0; i < all->topic_cnt; i++) {
            const char *topic = all->topics[i].topic;
            if (queue_of(follow, topic) != FOLLOW_FACTS)
                there++;
            else
                *others |= strncmp(topic, prefix, strlen(prefix)) == 0;
        }
        rd_kafka_metadata_destroy(all);
    }
    free(prefix);
    return there == follow->topics_len;
}

/* Nothing more of that log is to be read. */
static void
forget_log(struct follow *follow, size_t log)
{
    follow->goals[log] = 0;
    atomic_store(&follow->expected[log], 0);
}

/* Those of queues that are not in the settings may be deleted at any time. */
static int
find_gone(struct follow *follow, struct error *err)
{
    const struct kafka *kafka = follow->kafka;
    const struct rd_kafka_metadata *all;

    if (follow->topics_len == kafka->settings->queues_len)
        return 0;
    const rd_kafka_resp_err_t error =
        rd_kafka_metadata(kafka->asker, 1, NULL, &all, ASK_LIMIT);
    if (error != RD_KAFKA_RESP_ERR_NO_ERROR)
        return client_fails(err, error, "the list of topics");
    for (size_t i = kafka->settings->queues_len; i < follow->topics_len; i++) {
        follow->is_gone[i] = true;
        for (int k = 0; k < all->topic_cnt && follow->is_gone[i]; k++)
            follow->is_gone[i] =
                strcmp(all->topics[k].topic, follow->topics[i]) != 0;
        for (int32_t p = 0; p < kafka->partitions && follow->is_gone[i]; p++)
            forget_log(follow, follow_log(kafka, (int)i, p));
    }
    rd_kafka_metadata_destroy(all);
    return 0;
}

/* Requests that this view has never read begin where their queue stands: what
 * is below has ended, and facts about it may be gone. */
static int
find_requests(struct follow *follow, unsigned queue, const int64_t *lows,
              struct error *err)
{
    const struct kafka *kafka = follow->kafka;
    const unsigned lane = follow->lanes[queue];
    rd_kafka_topic_partition_list_t *commits = NULL;

    for (int32_t i = 0; i < kafka->partitions; i++) {
        const size_t log = follow_log(kafka, (int)queue, i);
        int64_t next = follow_place(follow, log);
        int r =
            next >= 0 || commits != NULL
                ? 0
                : kafka_commits(kafka, name_of(follow, follow->topics[queue]),
                                ASK_LIMIT, &commits, err);
        if (r < 0)
            return r;
        if (next < 0)
            next = rd_kafka_topic_partition_list_find(commits,
                                                      follow->topics[queue], i)
                       ->offset;
        view_request_move(follow->view, lane, i,
                          next > lows[log] ? next : lows[log]);
    }
    if (commits != NULL)
        rd_kafka_topic_partition_list_destroy(commits);
    return 0;
}

/* Does what the view has go on in these logs? Done requests may be deleted at
 * any time. */
static bool
fits(const struct follow *follow, const int64_t *lows)
{
    bool is_new = true, fits = true;

    for (size_t i = 0; i < follow->logs; i++) {
        const bool is_fact = i < (size_t)follow->kafka->partitions;
        const int64_t next = follow_place(follow, i);
        if (!is_fact &&
            follow->is_gone[i / (size_t)follow->kafka->partitions - 1])
            continue;
        fits &= (next >= lows[i] || !is_fact) && next <= follow->goals[i];
        is_new &= next <= 0;
    }
    if (!fits && !is_new)
        log_event(EVENT_NOTE,
                  "text=\"the view does not fit the log: it is rebuilt\"");
    return fits;
}

static int
begin_anew(struct follow *follow, const int64_t *lows, struct error *err)
{
    int r = view_remake(follow->view);

    if (r < 0)
        return error_set(err, r, "%s", view_error(follow->view));
    find_lanes(follow);
    for (int32_t i = 0; i < follow->kafka->partitions; i++)
        view_move(follow->view, i, lows[i]);
    return 0;
}

/* Finds where the logs begin and end; a view that does not fit is emptied. */
static int
find_place(struct follow *follow, struct error *err)
{
    int64_t *lows = mem_zalloc(follow->logs * sizeof(*lows));
    uint64_t total = 0;
    int r;

    find_lanes(follow);
    r = find_gone(follow, err);
    if (r == 0)
        r = ask_offsets(follow, CLIENT_OLDEST, lows, err);
    if (r == 0)
        r = ask_offsets(follow, CLIENT_END, follow->goals, err);
    if (r == 0 && !fits(follow, lows))
        r = begin_anew(follow, lows, err);
    for (unsigned i = 0; i < follow->topics_len && r == 0; i++)
        if (!follow->is_gone[i])
            r = find_requests(follow, i, lows, err);
    free(lows);
    if (r < 0)
        return r;
    for (size_t i = 0; i < follow->logs; i++) {
        const int64_t next = follow_place(follow, i);
        if (next < follow->goals[i])
            total += (uint64_t)(follow->goals[i] - next);
        if (follow->goals[i] > 0) /* no look tells what is long past */
            follow_expect(follow, i, follow->goals[i] - 1);
    }
    atomic_store(&follow->total, total);
    atomic_store(&follow->is_behind, total > 0);
    return assign(follow, err);
}

/* After a failure: from what was committed last, or anew. It goes on once
 * something was written. */
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
        atomic_store(&follow->ahead[i], queue->ahead);
    }
    for (size_t i = 0; i < follow->logs; i++) {
        const int64_t next = follow_place(follow, i);
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

/* Is it to be found out anew where to read? */
static bool
is_lost(rd_kafka_resp_err_t error)
{
    return error == RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET ||
           error == RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE ||
           error == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART ||
           error == RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC ||
           error == RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION;
}

static void
on_trouble(struct follow *follow, const rd_kafka_message_t *message)
{
    struct error err;

    if (!is_lost(message->err)) {
        if (message->err != RD_KAFKA_RESP_ERR__PARTITION_EOF)
            log_event(EVENT_KAFKA_DEBUG, "text=\"%s\"",
                      rd_kafka_err2name(message->err));
        return;
    }
    if (find_place(follow, &err) < 0)
        follow->failing = clock_mono() + AGAIN;
}

/* True: there may be more. */
static bool
read_some(struct follow *follow, const struct source *source)
{
    for (int i = 0; i < AT_ONCE && follow->failing == 0; i++) {
        rd_kafka_message_t *message =
            rd_kafka_consumer_poll(source->consumer, 0);
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

static bool
read_all(struct follow *follow)
{
    const bool more = read_some(follow, &follow->facts);

    return read_some(follow, &follow->requests) || more;
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

static int
commit(struct follow *follow)
{
    int r = view_commit(follow->view);

    if (r == 0 && atomic_exchange(&follow->broken, 0) != 0)
        log_event(EVENT_NOTE, "text=\"the view goes on\"");
    return r;
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
        r = commit(follow);
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
        more = follow->failing == 0 && read_all(follow);
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
open_source(struct follow *follow, struct source *source, unsigned how,
            char *const *topics, size_t len, struct error *err)
{
    static const uint64_t one = 1;
    int r = client_consumer(follow->kafka->settings, how | CLIENT_BULK,
                            &source->consumer, err);

    if (r < 0)
        return r;
    client_know(source->consumer, (const char *const *)topics, len, ASK_LIMIT);
    source->queue = rd_kafka_queue_get_consumer(source->consumer);
    rd_kafka_queue_io_event_enable(source->queue, follow->bell, &one,
                                   sizeof(one));
    return 0;
}

static void
close_source(struct source *source)
{
    if (source->consumer == NULL)
        return;
    rd_kafka_queue_destroy(source->queue);
    rd_kafka_consumer_close(source->consumer);
    rd_kafka_destroy(source->consumer);
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
    int r = list_topics(follow, err);
    if (r < 0)
        return r;
    follow->logs = (follow->topics_len + 1) * (size_t)follow->kafka->partitions;
    follow->next = mem_zalloc(follow->logs * sizeof(*follow->next));
    follow->expected = mem_zalloc(follow->logs * sizeof(*follow->expected));
    follow->goals = mem_zalloc(follow->logs * sizeof(*follow->goals));
    follow->lanes =
        mem_zalloc((follow->topics_len + 1) * sizeof(*follow->lanes));
    follow->is_gone =
        mem_zalloc((follow->topics_len + 1) * sizeof(*follow->is_gone));
    r = open_view(follow, err);
    if (r == 0)
        r = open_source(follow, &follow->facts, 0,
                        &follow->kafka->tickets_topic, 1, err);
    if (r == 0)
        r = open_source(follow, &follow->requests, CLIENT_LAZY, follow->topics,
                        follow->topics_len, err);
    if (r == 0)
        r = find_place(follow, err);
    if (r < 0)
        return r;
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
    const size_t queues = kafka->settings->queues_len + 1;

    follow->kafka = kafka;
    follow->bell = -1;
    follow->depth = mem_zalloc(queues * sizeof(*follow->depth));
    follow->ahead = mem_zalloc(queues * sizeof(*follow->ahead));
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
    close_source(&follow->facts);
    close_source(&follow->requests);
    if (follow->bell >= 0)
        close(follow->bell);
    mailbox_fini(&follow->box);
    free(follow->next);
    free(follow->expected);
    free(follow->goals);
    free(follow->depth);
    free(follow->ahead);
    free(follow->lanes);
    free(follow->is_gone);
    for (size_t i = 0; i < follow->topics_len; i++)
        free(follow->topics[i]);
    free(follow->topics);
    free(follow);
}

/* ---- what others ask without waiting ------------------------------------- */

int
follow_ready(struct follow *follow, struct error *err)
{
    if (atomic_load(&follow->broken) != 0)
        return error_set(err, -EIO, "the view cannot be written: see the log");
    if (!atomic_load(&follow->is_behind))
        return 0;
    const uint64_t total = atomic_load(&follow->total);
    const uint64_t left = atomic_load(&follow->left);
    return error_set(
        err, -EAGAIN, "the view is being rebuilt: %llu of %llu records",
        (unsigned long long)(total - left), (unsigned long long)total);
}

int
follow_broken(struct follow *follow)
{
    return atomic_load(&follow->broken);
}

uint64_t
follow_depth(struct follow *follow, unsigned queue)
{
    return atomic_load(&follow->depth[queue]);
}

uint64_t
follow_ahead(struct follow *follow, unsigned queue)
{
    return atomic_load(&follow->ahead[queue]);
}

int64_t
follow_next(struct follow *follow, size_t log)
{
    return atomic_load(&follow->next[log]);
}

void
follow_wake(struct follow *follow)
{
    if (atomic_load(&follow->has_waits))
        ring(follow);
}

void
follow_expect(struct follow *follow, size_t log, int64_t offset)
{
    _Atomic int64_t *expected = &follow->expected[log];
    int64_t known = atomic_load(expected);

    while (known < offset + 1 &&
           !atomic_compare_exchange_weak(expected, &known, offset + 1))
        ;
}
