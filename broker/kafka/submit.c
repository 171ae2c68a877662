/* submit.c - puts requests on their queues. */
#include <assert.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "broker/kafka/bodies.h"
#include "broker/kafka/control_log.h"
#include "broker/kafka/follow.h"
#include "broker/kafka/kafka_priv.h"
#include "common/fault.h"
#include "common/lock.h"
#include "common/mem.h"
#include "common/own.h"

#define VIEW_LOOK 5000000 /* ns between two looks whether it is caught up */
#define ORIGIN_MAX                                                             \
    (64 * 1024) /* bytes; with it a record is within its limit                 \
                 */

/* ---- who is admitted ----------------------------------------------------- */

/* Requests of ours in one log that are stored, and that the view may not have
 * read yet: their offsets. */
struct trail {
    int64_t *marks;
    size_t first, len, room; /* the marks from first on, len in all */
};

struct admission {
    pthread_mutex_t lock; /* guards all below */
    pthread_cond_t idle;
    bool closed;
    unsigned inside; /* submissions that are not answered */
    /* By queue: those of ours that the view has not read. They count for
     * max_depth as if it had. */
    uint64_t *unread;
    struct trail *trails; /* by follow_log */
    size_t trails_len;
};

void
kafka_submit_open(struct kafka *kafka)
{
    struct admission *admission = mem_new(struct admission);
    const size_t queues = kafka->settings->queues_len + 1;

    pthread_mutex_init(&admission->lock, NULL);
    pthread_cond_init(&admission->idle, NULL);
    admission->unread = mem_zalloc(queues * sizeof(*admission->unread));
    admission->trails_len = queues * (size_t)kafka->partitions;
    admission->trails =
        mem_zalloc(admission->trails_len * sizeof(*admission->trails));
    kafka->admission = admission;
}

void
kafka_submit_stop(struct kafka *kafka)
{
    struct admission *admission = kafka->admission;

    if (admission == NULL)
        return;
    LOCKED(&admission->lock);
    admission->closed = true;
    while (admission->inside > 0)
        pthread_cond_wait(&admission->idle, &admission->lock);
}

void
kafka_submit_close(struct kafka *kafka)
{
    struct admission *admission = TAKE(kafka->admission);

    if (admission == NULL)
        return;
    for (size_t i = 0; i < admission->trails_len; i++)
        free(admission->trails[i].marks);
    free(admission->trails);
    free(admission->unread);
    free(admission);
}

static bool
enter(struct admission *admission)
{
    LOCKED(&admission->lock);
    if (admission->closed)
        return false;
    admission->inside++;
    return true;
}

static void
leave(struct admission *admission)
{
    LOCKED(&admission->lock);
    if (--admission->inside == 0)
        pthread_cond_broadcast(&admission->idle);
}

/* Forgets what the view has read of a queue; true if there was anything. The
 * lock is held. */
static bool
forget_read(struct kafka *kafka, struct follow *follow, unsigned queue)
{
    struct admission *admission = kafka->admission;
    bool any = false;

    for (int32_t i = 0; i < kafka->partitions; i++) {
        const size_t log = follow_log(kafka, (int)queue, i);
        struct trail *trail = &admission->trails[log];
        if (trail->first == trail->len)
            continue;
        const int64_t next = follow_next(follow, log);
        for (; trail->first < trail->len && trail->marks[trail->first] < next;
             trail->first++) {
            admission->unread[queue]--;
            any = true;
        }
        if (trail->first == trail->len)
            trail->first = trail->len = 0;
    }
    return any;
}

static void
add_mark(struct trail *trail, int64_t offset)
{
    if (trail->len == trail->room && trail->first > trail->len / 2) {
        trail->len -= trail->first;
        memmove(trail->marks, trail->marks + trail->first,
                trail->len * sizeof(*trail->marks));
        trail->first = 0;
    }
    if (trail->len == trail->room) {
        trail->room = trail->room == 0 ? 16 : 2 * trail->room;
        trail->marks =
            mem_grow(trail->marks, trail->room, sizeof(*trail->marks));
    }
    trail->marks[trail->len++] = offset;
}

/* Is there room in the queue? Then it is taken, until release_room. */
static bool
take_room(struct kafka *kafka, struct follow *follow, unsigned queue)
{
    struct admission *admission = kafka->admission;
    uint64_t depth;

    LOCKED(&admission->lock);
    do /* what is read between the two would count twice */
        depth = follow_depth(follow, queue);
    while (forget_read(kafka, follow, queue));
    /* What is ahead was started: whether it waits the depth tells already. */
    const uint64_t unread = admission->unread[queue];
    const uint64_t ahead = follow_ahead(follow, queue);
    if (depth + unread - (ahead < unread ? ahead : unread) >=
        kafka->settings->queues[queue].max_depth)
        return false;
    admission->unread[queue]++;
    return true;
}

/* offset: where the request stands that the view will count; -1: there is none.
 */
static void
release_room(struct kafka *kafka, unsigned queue, int32_t partition,
             int64_t offset)
{
    struct admission *admission = kafka->admission;

    LOCKED(&admission->lock);
    if (offset < 0)
        admission->unread[queue]--;
    else
        add_mark(&admission->trails[follow_log(kafka, (int)queue, partition)],
                 offset);
}

/* ---- one submission ------------------------------------------------------ */

struct sending {
    struct kafka *kafka;
    struct submission *submission;
    struct follow *follow; /* NULL: it could not be opened */
    struct key_claim claim;
    int refusal;   /* why it may not be queued; 0: it may */
    bool has_room; /* owes release_room */
    unsigned flags;
    wall_ms at;
    wall_ms paused_since;
    struct body_store body;
    struct delivery delivery;
};

/* Frees it. */
static void
answer(struct sending *sending, int r)
{
    struct kafka *kafka = sending->kafka;
    struct submission *submission = sending->submission;

    if (sending->has_room)
        release_room(kafka, submission->queue, 0, -1);
    submission->r = r;
    submission->submitted = sending->at;
    free(sending);
    submission->on_submitted(submission);
    leave(kafka->admission);
}

static void
join(struct sending *sending)
{
    sending->submission->ticket = sending->claim.first;
    sending->submission->joined = true;
    answer(sending, 0);
}

/* ---- its record ---------------------------------------------------------- */

static void
on_delivered(struct delivery *delivery)
{
    struct sending *sending = CONTAINER_OF(delivery, struct sending, delivery);
    struct kafka *kafka = sending->kafka;
    struct submission *submission = sending->submission;

    if (FAULT("kafka.delivered"))
        raise(SIGKILL);
    if (delivery->r == 0) {
        follow_expect(
            sending->follow,
            follow_log(kafka, (int)submission->queue, delivery->partition),
            delivery->offset);
        submission->paused_since = sending->paused_since;
    }
    if (delivery->r == 0 && sending->has_room) {
        release_room(kafka, submission->queue, delivery->partition,
                     delivery->offset);
        sending->has_room = false;
    }
    answer(sending, delivery->r);
}

static void
send_request(struct sending *sending)
{
    const struct submission *submission = sending->submission;
    struct kafka *kafka = sending->kafka;
    char key[RECORD_KEY_MAX];
    struct queued request = {
        .ticket = submission->ticket,
        .queue = slice_of(kafka->settings->queues[submission->queue].name),
        .at = sending->at,
        .flags = sending->flags,
        .origin = submission->origin,
        .has_replays = submission->replays != NULL,
        .body = sending->body.ref,
    };

    if (request.has_replays)
        request.replays = *submission->replays;
    if (request.body.size == 0)
        request.message = submission->message;
    rd_kafka_headers_t *headers = queued_write(&request, key);
    sending->delivery.on_delivered = on_delivered;
    producer_lend(kafka->producer, kafka->request_topics[submission->queue],
                  kafka_partition(kafka, &submission->ticket), key,
                  request.message, headers, &sending->delivery);
}

/* ---- what goes before ---------------------------------------------------- */

/* Of what was done before the request itself: nothing of that is stored. */
static int
result_before(int r)
{
    return r == -ECOMM ? -ENOTCONN : r;
}

static void
on_stored(struct body_store *body)
{
    struct sending *sending = CONTAINER_OF(body, struct sending, body);

    if (body->r < 0)
        answer(sending, result_before(body->r));
    else
        send_request(sending);
}

static void
store(struct sending *sending)
{
    struct submission *submission = sending->submission;

    if (!bodies_needs(submission->message)) {
        send_request(sending);
        return;
    }
    sending->body.message = submission->message;
    sending->body.on_stored = on_stored;
    bodies_store(sending->kafka, sending->kafka->producer, &submission->ticket,
                 &sending->body);
}

/* Another ticket has the key of a moved request: both are to end. */
static void
store_without_key(struct sending *sending)
{
    struct submission *submission = sending->submission;

    submission->moved->key_taken = true;
    submission->key = NULL;
    sending->flags = REQUEST_IDEMPOTENT;
    store(sending);
}

static void
store_twin(struct sending *sending)
{
    sending->flags |= REQUEST_TWIN;
    sending->submission->ticket = sending->claim.first;
    sending->submission->joined = true;
    store(sending);
}

/* On the view's thread. */
static void
on_claimed(struct key_claim *claim)
{
    struct sending *sending = CONTAINER_OF(claim, struct sending, claim);
    const bool is_taken =
        claim->r == -EEXIST || (claim->r == 0 && !claim->is_first);

    if (is_taken && sending->submission->moved != NULL) {
        store_without_key(sending);
    } else if (claim->r < 0) {
        answer(sending, result_before(claim->r));
    } else if (claim->is_first) {
        store(sending);
    } else if (claim->has_request) {
        join(sending);
    } else { /* whoever wanted it first may have died before it was queued */
        store_twin(sending);
    }
}

static void
on_key_found(struct key_claim *claim)
{
    struct sending *sending = CONTAINER_OF(claim, struct sending, claim);

    if (claim->r == 0 && claim->has_request)
        join(sending);
    else
        answer(sending, claim->r == 0 || claim->r == -ENOENT ? sending->refusal
                                                             : claim->r);
}

static void
claim_key(struct sending *sending)
{
    const struct submission *submission = sending->submission;
    const struct queue_settings *queue =
        &sending->kafka->settings->queues[submission->queue];

    sending->claim = (struct key_claim){
        .key = submission->key,
        .queue = queue->name,
        .ticket = submission->ticket,
        .until = submission->moved != NULL ? submission->moved->key_until
                                           : sending->at + queue->keys,
        .on_claimed = sending->refusal < 0 ? on_key_found : on_claimed,
    };
    if (sending->refusal < 0) /* who repeats an old one is joined to it */
        follow_find_key(sending->follow, &sending->claim);
    else
        follow_claim_key(sending->follow, &sending->claim);
}

static size_t
size_of(const struct origin *origin)
{
    return origin->peer.len + origin->local.len + origin->scheme.len +
           origin->principal.len + origin->route.len;
}

/* 0, or why it is not to be queued. */
static int
admit(struct sending *sending)
{
    const struct submission *submission = sending->submission;
    struct kafka *kafka = sending->kafka;
    struct control control;

    if (follow_broken(sending->follow) == -ENOSPC)
        return -ENOSPC;
    control_log_state(kafka->control, submission->queue, &control);
    if (control.state != CONTROL_OPEN)
        sending->paused_since = control.since;
    if (!control.accepting)
        return -ECONNREFUSED;
    if (size_of(&submission->origin) > ORIGIN_MAX)
        return -EMSGSIZE;
    sending->has_room = take_room(kafka, sending->follow, submission->queue);
    return sending->has_room ? 0 : -ENOBUFS;
}

/* A command has no view until it needs one: for a key, and to know how deep the
 * queue is. */
static int
open_view(struct kafka *kafka, struct follow **follow)
{
    const mono_ms until = clock_mono() + kafka->settings->kafka.timeout;
    int r = kafka_follow(kafka, follow, NULL);

    while (r == 0 && follow_ready(*follow, NULL) == -EAGAIN &&
           clock_mono() < until)
        nanosleep(&(struct timespec){.tv_nsec = VIEW_LOOK}, NULL);
    return r;
}

void
kafka_submit(struct broker *broker, struct submission *submission)
{
    struct kafka *kafka = kafka_of(broker);
    const struct moved *moved = submission->moved;
    struct follow *follow = atomic_load(&kafka->follow);
    int r = 0;

    assert(submission->queue < kafka->settings->queues_len);
    submission->joined = false;
    submission->paused_since = 0;
    if (!enter(kafka->admission)) {
        submission->r = -ESHUTDOWN;
        submission->on_submitted(submission);
        return;
    }
    struct sending *sending = mem_new(struct sending);
    sending->kafka = kafka;
    sending->submission = submission;
    sending->at = clock_wall() - (moved != NULL ? moved->age : 0);
    sending->flags = (submission->idempotent ? REQUEST_IDEMPOTENT : 0) |
                     (submission->key != NULL ? REQUEST_KEYED : 0);
    if (follow == NULL)
        r = open_view(kafka, &follow);
    sending->follow = follow;
    if (r == 0)
        r = sending->refusal = admit(sending);
    if (submission->key != NULL && follow != NULL && (r == 0 || moved == NULL))
        claim_key(sending);
    else if (r < 0)
        answer(sending, r);
    else
        store(sending);
}
