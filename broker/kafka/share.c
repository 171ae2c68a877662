/* share.c - which partitions of its queue a session has, and what is read of
 * them. */
#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/kafka/bodies.h"
#include "broker/kafka/client.h"
#include "broker/kafka/session.h"
#include "common/log.h"
#include "common/mem.h"

#define ASK_MS        10000 /* for an answer of the brokers */
#define TRIM_EVERY    1000  /* ms */
#define COMMIT_EVERY  500   /* ms */
#define CLAIM_AGAIN   100   /* ms; after another's claim */
#define CLAIM_FACTS   10000 /* so many after our claim it is made anew */
#define MISSING_LOOK  5000  /* ms; for a committed offset that is not there */
#define LEAVE_LIMIT   5000  /* ms; for the answer to our join */
#define FACTS_AT_ONCE 1000
#define PENDING_MAX   200000 /* requests that wait or run, fetched */

static const char *
topic_of(const struct kafka_session *session)
{
    return session->kafka->request_topics[session->options.queue];
}

static void
ring_for(struct kafka_session *session, rd_kafka_queue_t *queue)
{
    static const uint64_t one = 1;

    rd_kafka_queue_io_event_enable(queue, session->bell, &one, sizeof(one));
}

/* ---- the facts that are followed ------------------------------------------
 */

static void
follow_facts(struct kafka_session *session, struct share *share, bool follow)
{
    rd_kafka_topic_partition_list_t *list =
        rd_kafka_topic_partition_list_new(1);
    rd_kafka_error_t *error;

    rd_kafka_topic_partition_list_add(list, session->kafka->tickets_topic,
                                      share->partition.id)
        ->offset = share->partition.read;
    error = follow ? rd_kafka_incremental_assign(session->facts, list)
                   : rd_kafka_incremental_unassign(session->facts, list);
    if (error != NULL) {
        log_event(EVENT_NOTE, "queue=%s partition=%d text=\"following: %s\"",
                  session->settings->name, share->partition.id,
                  rd_kafka_error_string(error));
        rd_kafka_error_destroy(error);
    }
    rd_kafka_topic_partition_list_destroy(list);
}

static void
use(struct kafka_session *session, struct share *share, int64_t watermark,
    int64_t position)
{
    partition_begin(&share->partition, watermark, position);
    share->is_used = true;
    share->committed = watermark;
    share->position = position;
    follow_facts(session, share, true);
}

static void
release(struct kafka_session *session, struct share *share)
{
    if (!share->is_used || share->is_owned || share->helds > 0)
        return;
    follow_facts(session, share, false);
    partition_fini(&share->partition, held_drop);
    share->is_used = share->is_cut = false;
}

/* ---- commits --------------------------------------------------------------
 */

static void
add_place(const struct kafka_session *session, struct share *share,
          rd_kafka_topic_partition_list_t *list)
{
    const int64_t watermark = partition_watermark(&share->partition);
    rd_kafka_topic_partition_t *one = rd_kafka_topic_partition_list_add(
        list, topic_of(session), share->partition.id);

    /* Another owner may have come further: its commit stays. */
    if (watermark >= share->committed) {
        share->committed = watermark;
        share->position = partition_position(&share->partition);
    }
    one->offset = share->committed;
    client_set_position(one, share->position);
}

static bool
has_moved(const struct share *share)
{
    const int64_t watermark = partition_watermark(&share->partition);

    return share->is_active &&
           (watermark > share->committed ||
            (watermark == share->committed &&
             partition_position(&share->partition) != share->position));
}

static void
commit(struct kafka_session *session, bool wait)
{
    rd_kafka_topic_partition_list_t *list =
        rd_kafka_topic_partition_list_new(1);

    for (int32_t i = 0; i < session->kafka->partitions; i++)
        if (has_moved(&session->shares[i]))
            add_place(session, &session->shares[i], list);
    if (list->cnt > 0) {
        /* What is not committed is read again by the next one. */
        const rd_kafka_resp_err_t error =
            rd_kafka_commit(session->group, list, !wait);
        if (error != RD_KAFKA_RESP_ERR_NO_ERROR && wait)
            log_event(EVENT_NOTE, "queue=%s text=\"commit: %s\"",
                      session->settings->name, rd_kafka_err2str(error));
    }
    rd_kafka_topic_partition_list_destroy(list);
}

/* Does the group still give it to us? A commit of a former owner is refused. */
static bool
is_ours(struct kafka_session *session, struct share *share)
{
    rd_kafka_topic_partition_list_t *list =
        rd_kafka_topic_partition_list_new(1);

    add_place(session, share, list);
    const rd_kafka_resp_err_t error = rd_kafka_commit(session->group, list, 0);
    rd_kafka_topic_partition_list_destroy(list);
    return error == RD_KAFKA_RESP_ERR_NO_ERROR;
}

/* ---- assignments ----------------------------------------------------------
 */

/* "POSITION": where the facts begin. Without it (an offset that somebody else
 * committed) it is the oldest there are. */
static int
read_position(struct kafka_session *session,
              const rd_kafka_topic_partition_t *committed, int64_t *position,
              struct error *err)
{
    *position = client_position(committed);
    if (*position >= 0)
        return 0;
    return client_watermarks(session->facts, session->kafka->tickets_topic,
                             committed->partition, position, NULL, ASK_MS, err);
}

static void
complain(struct kafka_session *session, int32_t partition, const char *why)
{
    char quoted[400];

    log_event(EVENT_FAILED,
              "queue=%s topic=%s partition=%d text=%s what_now=\"nothing of "
              "this partition is run until then: cloakroom topics apply\"",
              session->settings->name, topic_of(session), partition,
              log_quote(slice_of(why), quoted, sizeof(quoted)));
    session->missing_at = clock_mono() + MISSING_LOOK;
}

/* Where to fetch from: after what we fetched before, or as committed. -1: it is
 * not to be had now. */
static int64_t
begin(struct kafka_session *session, struct share *share,
      const rd_kafka_topic_partition_t *committed)
{
    struct error err = {0};
    int64_t position;

    if (committed->offset < 0) {
        complain(session, committed->partition,
                 "the group's committed offset is missing");
        return -1;
    }
    if (share->is_cut)
        release(session, share);
    if (share->is_cut) { /* an attempt of it is out still */
        session->missing_at = clock_mono() + TRIM_EVERY;
        return -1;
    }
    if (read_position(session, committed, &position, &err) < 0) {
        complain(session, committed->partition, err.text);
        return -1;
    }
    if (!share->is_used) {
        use(session, share, committed->offset, position);
    } else if (committed->offset > share->committed) {
        share->committed = committed->offset;
        share->position = position;
    }
    if (committed->offset > share->partition.fetched)
        share->partition.fetched = committed->offset;
    share->is_owned = true;
    return share->partition.fetched;
}

/* Requests come by a queue of each partition's own, so that the group's is
 * always polled and one partition's fetched ones wait for themselves. */
static void
hear(struct kafka_session *session, struct share *share)
{
    share->queue = rd_kafka_queue_get_partition(
        session->group, topic_of(session), share->partition.id);
    if (share->queue == NULL)
        abort(); /* it was assigned */
    rd_kafka_queue_forward(share->queue, NULL);
    ring_for(session, share->queue);
}

static void
assign(struct kafka_session *session, rd_kafka_topic_partition_list_t *given)
{
    rd_kafka_topic_partition_list_t *list =
        rd_kafka_topic_partition_list_new(given->cnt);
    const rd_kafka_resp_err_t error =
        rd_kafka_committed(session->group, given, ASK_MS);

    session->missing_at = 0;
    for (int i = 0; i < given->cnt; i++) {
        const rd_kafka_topic_partition_t *one = &given->elems[i];
        if (one->partition >= session->kafka->partitions)
            continue; /* topics_check complains of it */
        if (error != RD_KAFKA_RESP_ERR_NO_ERROR) {
            complain(session, one->partition, rd_kafka_err2str(error));
            continue;
        }
        const int64_t from =
            begin(session, &session->shares[one->partition], one);
        if (from >= 0)
            rd_kafka_topic_partition_list_add(list, one->topic, one->partition)
                ->offset = from;
    }
    rd_kafka_assign(session->group, list);
    for (int i = 0; i < list->cnt; i++) {
        struct share *share = &session->shares[list->elems[i].partition];
        hear(session, share);
        run_claim(session, share);
    }
    rd_kafka_topic_partition_list_destroy(list);
    for (int32_t i = 0; i < session->kafka->partitions; i++) {
        if (!session->shares[i].is_owned)
            run_forget(session, &session->shares[i]);
        release(session, &session->shares[i]);
    }
}

static void
deafen(struct share *share)
{
    if (share->queue != NULL)
        rd_kafka_queue_destroy(share->queue);
    share->queue = NULL;
}

/* What was started is to stand in the log before the claim of whoever gets the
 * partition, or it would not count there and begin again. The group waits for
 * us; not for ever, as a leader may be on the move. */
static void
settle(struct kafka_session *session)
{
    const struct kafka *kafka = session->kafka;
    const mono_ms until = clock_mono() + session->settings->lease / 4;
    const struct timespec tick = {.tv_nsec = 1000000};

    for (int32_t i = 0; i < kafka->partitions; i++)
        while (session->shares[i].is_owned &&
               atomic_load(&kafka->settled[i]) !=
                   atomic_load(&kafka->sent[i]) &&
               clock_mono() < until)
            nanosleep(&tick, NULL);
}

static void
revoke(struct kafka_session *session, bool is_lost)
{
    if (!is_lost) {
        run_tell(session, NULL, INT64_MAX);
        settle(session);
        commit(session, true);
    }
    for (int32_t i = 0; i < session->kafka->partitions; i++) {
        struct share *share = &session->shares[i];
        deafen(share);
        share->is_owned = share->is_active = false;
        share->claim_at = 0;
    }
    session->missing_at = 0;
    rd_kafka_assign(session->group, NULL);
}

static void
on_rebalance(rd_kafka_t *consumer, rd_kafka_resp_err_t error,
             rd_kafka_topic_partition_list_t *partitions, void *opaque)
{
    struct kafka_session *session = opaque;

    /* After a revocation librdkafka joins anew. */
    session->is_joining = error != RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS;
    session->leave_at = 0;
    if (!session->is_joining && !session->is_lost)
        assign(session, partitions);
    else
        revoke(session, session->is_lost || rd_kafka_assignment_lost(consumer));
}

/* ---- facts ----------------------------------------------------------------
 */

void
share_look(struct kafka_session *session, struct share *share)
{
    const int64_t in_force = share->partition.claim.offset;
    const bool is_read = share->claim >= 0 && !share->is_claiming &&
                         share->partition.read > share->claim;

    if (!share->is_owned || !is_read)
        return;
    if (in_force == share->claim) {
        if (!share->is_active) {
            share->is_active = true;
            run_activate(session, share);
        }
        return;
    }
    share->is_active = false;
    if (share->claim_at == 0) /* it is ours still: claim again */
        share->claim_at = clock_mono() + CLAIM_AGAIN;
}

static void
orphan(struct kafka_session *session, struct share *share, uint64_t over)
{
    struct entry *entry, *next;

    HASH_ITER(hh, share->partition.entries, entry, next)
    {
        if (fold_orphan(&entry->fold, over))
            run_settle(session, share, entry);
    }
}

static void
take_fact(struct kafka_session *session, const rd_kafka_message_t *message)
{
    struct share *share = &session->shares[message->partition];
    struct entry *entry;
    struct fact fact;
    struct error err;

    if (!share->is_used || message->offset < share->partition.read)
        return;
    if (fact_read(message, &fact, &err) < 0) {
        share->partition.read = message->offset + 1;
        return; /* the view logs it */
    }
    if (fact.kind != FACT_OVER &&
        !slice_is(fact.queue, session->settings->name)) {
        share->partition.read = message->offset + 1;
    } else {
        const bool counts = partition_fold(
            &share->partition, &fact, message->offset, clock_wall(), &entry);
        if (fact.kind == FACT_OVER)
            orphan(session, share, fact.session);
        else if (entry != NULL)
            run_fact(session, share, entry, &fact, counts);
    }
    share_look(session, share);
}

/* The facts that it was to begin with are not kept any more: somebody cut the
 * log between our look at the commit and this. The commit has moved on too. */
static void
begin_again(struct kafka_session *session, int32_t partition)
{
    struct share *share = &session->shares[partition];

    log_event(EVENT_NOTE,
              "queue=%s partition=%d offset=%lld text=\"its facts begin later "
              "by now: it is begun again\"",
              session->settings->name, partition,
              (long long)share->partition.read);
    share->is_owned = share->is_active = false;
    share->is_cut = true;
    release(session, share);
    session->missing_at = clock_mono(); /* joins anew */
}

static void
poll_facts(struct kafka_session *session)
{
    rd_kafka_message_t *message;

    for (int i = 0; i < FACTS_AT_ONCE; i++) {
        message = rd_kafka_consumer_poll(session->facts, 0);
        if (message == NULL)
            return;
        if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR)
            take_fact(session, message);
        else if (message->err == RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET ||
                 message->err == RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE)
            begin_again(session, message->partition);
        rd_kafka_message_destroy(message);
    }
    session_ring(session); /* there may be more */
}

/* ---- requests --------------------------------------------------------------
 */

static void
take_request(struct kafka_session *session, struct share *share,
             const rd_kafka_message_t *message)
{
    struct queued queued;
    struct error err = {0};
    bool is_copy;

    if (!share->is_owned || message->offset < share->partition.fetched)
        return;
    int r = kafka_read_request(session->kafka, message, &queued, &err);
    if (r == -ENOTSUP || r == -EPROTO) {
        run_set_aside(session, share, message, err.text);
        return;
    }
    struct entry *entry = partition_fetch(&share->partition, message->offset,
                                          &queued.ticket, &is_copy);
    if (entry == NULL || is_copy)
        return;
    entry->flags = queued.flags;
    entry->at = queued.at;
    if (entry->fold.state == TICKET_QUEUED && entry->held == NULL) {
        entry->held = held_new(session, share, message->offset, &queued);
        session->bytes += entry->held->attempt.store.len;
    }
    run_settle(session, share, entry);
}

/* What waits for its time, or belongs to another worker by now, does not count:
 * it is not to keep others out. */
static bool
has_room(const struct kafka_session *session, const struct share *share)
{
    const unsigned slots = session->options.concurrency;
    unsigned ready = 0;

    for (int32_t i = 0; i < session->kafka->partitions; i++)
        if (session->shares[i].is_active)
            ready += session->shares[i].partition.ready_len;
    return ready < (slots < 32 ? 64 : 2 * slots) &&
           session->bytes < READY_BYTES &&
           share->partition.pending < PENDING_MAX;
}

static void
poll_requests(struct kafka_session *session, struct share *share)
{
    rd_kafka_message_t *message;

    while (share->queue != NULL && share->is_active &&
           has_room(session, share)) {
        message = rd_kafka_consume_queue(share->queue, 0);
        if (message == NULL)
            return;
        if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR)
            take_request(session, share, message);
        else if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF)
            share->partition.at_end = clock_wall();
        else
            complain(session, share->partition.id,
                     rd_kafka_message_errstr(message));
        rd_kafka_message_destroy(message);
    }
}

/* librdkafka may have turned the partition's queue to the group's again when it
 * began to fetch. What is there already is older than what comes now. */
static void
take_stray(struct kafka_session *session, const rd_kafka_message_t *message)
{
    struct share *share = &session->shares[message->partition];

    if (share->queue != NULL)
        rd_kafka_queue_forward(share->queue, NULL);
    take_request(session, share, message);
}

static void
poll_group(struct kafka_session *session)
{
    rd_kafka_message_t *message;

    while ((message = rd_kafka_consumer_poll(session->group, 0)) != NULL) {
        if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR)
            take_stray(session, message);
        else if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF)
            session->shares[message->partition].partition.at_end = clock_wall();
        else
            log_event(EVENT_NOTE, "queue=%s text=\"%s\"",
                      session->settings->name,
                      rd_kafka_message_errstr(message));
        rd_kafka_message_destroy(message);
    }
}

void
shares_poll(struct kafka_session *session)
{
    if (session->group == NULL) { /* a probe, or what is out comes to its end */
        if (session->facts != NULL && !session->is_lost)
            poll_facts(session);
        return;
    }
    poll_group(session);
    poll_facts(session);
    for (int32_t i = 0; i < session->kafka->partitions; i++)
        poll_requests(session, &session->shares[i]);
}

/* ---- time ------------------------------------------------------------------
 */

/* Joins its group anew: committed offsets that were missing may be there now,
 * and librdkafka knows those only that were assigned. */
static void
join_anew(struct kafka_session *session)
{
    struct error err;

    shares_leave(session);
    if (shares_open(session, &err) < 0)
        log_event(EVENT_FAILED, "queue=%s text=\"%s\"", session->settings->name,
                  err.text);
}

/* Our claim is so old that a successor would have much to read. What we sent
 * before the new one stands before it, so nothing of it is lost; until that is
 * read back nothing is started. */
static void
renew_claim(struct kafka_session *session, struct share *share)
{
    if (!share->is_active || share->partition.read - share->claim < CLAIM_FACTS)
        return;
    share->is_active = false;
    run_claim(session, share);
}

static void
trim(struct kafka_session *session, struct share *share)
{
    const span_ms linger = 2 * session->kafka->settings->kafka.timeout;

    if (!share->is_used)
        return;
    partition_trim(&share->partition, clock_wall(), linger);
    release(session, share);
}

void
shares_tick(struct kafka_session *session, mono_ms now)
{
    for (int32_t i = 0; i < session->kafka->partitions; i++) {
        struct share *share = &session->shares[i];
        if (share->claim_at != 0 && now >= share->claim_at) {
            share->claim_at = 0;
            run_tell(session, NULL, INT64_MAX); /* the next may take long */
            if (session->group == NULL || is_ours(session, share))
                run_claim(session, share);
            else
                share->claim_at = now + CLAIM_AGAIN;
        }
        renew_claim(session, share);
        if (now >= session->trim_at)
            trim(session, share);
    }
    if (now >= session->trim_at)
        session->trim_at = now + TRIM_EVERY;
    if (now >= session->commit_at && session->group != NULL) {
        commit(session, false);
        session->commit_at = now + COMMIT_EVERY;
    }
    if (session->missing_at != 0 && session->group != NULL &&
        now >= session->missing_at) {
        session->missing_at = 0;
        join_anew(session);
    }
}

mono_ms
shares_next(const struct kafka_session *session)
{
    mono_ms next = session->trim_at;

    if (session->group != NULL && session->commit_at < next)
        next = session->commit_at;
    if (session->missing_at != 0 && session->missing_at < next)
        next = session->missing_at;
    for (int32_t i = 0; i < session->kafka->partitions; i++) {
        const mono_ms claim_at = session->shares[i].claim_at;
        if (claim_at != 0 && claim_at < next)
            next = claim_at;
    }
    return next;
}

/* ---- the beginning and the end ---------------------------------------------
 */

static int
join(struct kafka_session *session, struct error *err)
{
    rd_kafka_topic_partition_list_t *list =
        rd_kafka_topic_partition_list_new(1);

    rd_kafka_topic_partition_list_add(list, topic_of(session),
                                      RD_KAFKA_PARTITION_UA);
    const rd_kafka_resp_err_t error = rd_kafka_subscribe(session->group, list);
    rd_kafka_topic_partition_list_destroy(list);
    session->is_joining = true;
    session->leave_at = 0;
    return error == RD_KAFKA_RESP_ERR_NO_ERROR
               ? 0
               : client_fails(err, error, "joining the group of queue %s",
                              session->settings->name);
}

static void
ring_for_client(struct kafka_session *session, rd_kafka_t *client)
{
    rd_kafka_queue_t *queue = rd_kafka_queue_get_consumer(client);

    ring_for(session, queue);
    rd_kafka_queue_destroy(queue);
}

static int
open_clients(struct kafka_session *session, struct error *err)
{
    const struct settings *settings = session->kafka->settings;
    char *group =
        mem_printf("%s.%s", settings->kafka.prefix, session->settings->name);
    int r = client_group_consumer(settings, group, session->settings->lease,
                                  on_rebalance, session, &session->group, err);

    free(group);
    if (r == 0 && session->facts == NULL) {
        r = client_consumer(settings, 0, &session->facts, err);
        if (r == 0) {
            client_know(session->facts,
                        (const char *const[]){session->kafka->tickets_topic}, 1,
                        ASK_MS);
            ring_for_client(session, session->facts);
        }
    }
    return r;
}

int
shares_open(struct kafka_session *session, struct error *err)
{
    int r = open_clients(session, err);

    if (r < 0)
        return r;
    ring_for_client(session, session->group);
    return join(session, err);
}

/* ---- one request ------------------------------------------------------------
 */

static int
read_committed(struct kafka_session *session, int32_t partition,
               int64_t *watermark, int64_t *position, struct error *err)
{
    rd_kafka_topic_partition_list_t *list =
        rd_kafka_topic_partition_list_new(1);

    rd_kafka_topic_partition_list_add(list, topic_of(session), partition);
    const rd_kafka_resp_err_t error =
        rd_kafka_committed(session->group, list, ASK_MS);
    int r = error == RD_KAFKA_RESP_ERR_NO_ERROR
                ? 0
                : client_fails(err, error, "committed offsets of queue %s",
                               session->settings->name);
    *watermark = list->elems[0].offset;
    if (r == 0 && *watermark < 0)
        r = error_set(err, -EIO,
                      "the committed offset of %s, partition %d is missing; "
                      "run: cloakroom topics apply",
                      topic_of(session), partition);
    if (r == 0)
        r = read_position(session, &list->elems[0], position, err);
    rd_kafka_topic_partition_list_destroy(list);
    return r;
}

static int
fetch_one(struct kafka_session *session, struct share *share,
          const struct ticket *ticket, int64_t offset, struct error *err)
{
    rd_kafka_message_t *message;
    struct queued queued;
    int r = bodies_read_request(session->kafka, topic_of(session),
                                share->partition.id, offset, &message, &queued,
                                err);

    if (r < 0)
        return r;
    if (ticket_eq(&queued.ticket, ticket))
        take_request(session, share, message);
    else
        r = error_set(err, -EIO, "another request stands in its place");
    rd_kafka_message_destroy(message);
    return r;
}

int
shares_open_one(struct kafka_session *session, const struct ticket *ticket,
                int64_t offset, struct error *err)
{
    const struct kafka *kafka = session->kafka;
    const int32_t partition = kafka_partition(kafka, ticket);
    struct share *share = &session->shares[partition];
    int64_t watermark = 0, position = 0;
    int r = open_clients(session, err);

    if (r == 0)
        r = read_committed(session, partition, &watermark, &position, err);
    if (session->group != NULL)
        rd_kafka_destroy(session->group); /* it never joined */
    session->group = NULL;
    if (r < 0)
        return r;
    use(session, share, watermark, position);
    share->is_owned = true;
    share->partition.fetched = offset;
    r = fetch_one(session, share, ticket, offset, err);
    if (r == 0)
        run_claim(session, share);
    return r;
}

void
shares_leave(struct kafka_session *session)
{
    if (session->group == NULL)
        return;
    rd_kafka_consumer_close(session->group); /* calls on_rebalance */
    for (int32_t i = 0; i < session->kafka->partitions; i++)
        deafen(&session->shares[i]);
    rd_kafka_destroy(session->group);
    session->group = NULL;
}

bool
shares_may_leave(struct kafka_session *session)
{
    if (session->group == NULL || !session->is_joining || session->is_lost)
        return true;
    if (session->leave_at == 0)
        session->leave_at = clock_mono() + LEAVE_LIMIT;
    return clock_mono() >= session->leave_at;
}

void
shares_fini(struct kafka_session *session)
{
    for (int32_t i = 0; i < session->kafka->partitions; i++)
        partition_fini(&session->shares[i].partition, held_drop);
    if (session->facts != NULL) {
        rd_kafka_consumer_close(session->facts);
        rd_kafka_destroy(session->facts);
    }
    free(session->shares);
}
