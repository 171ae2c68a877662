/* look.c - what the view says about a ticket, a queue, its runs; and cancels,
 * which are looks with a fact in between. */
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/kafka/bodies.h"
#include "broker/kafka/control_log.h"
#include "broker/kafka/follow_priv.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/own.h"
#include "common/problem.h"

#define TROUBLE_SHOWN 60000 /* ms; older trouble is over */
#define MESSAGE_ROOM  4096

/* ---- stored responses ---------------------------------------------------- */

static struct stored *
stored_new(const struct view_row *row)
{
    struct stored *stored = mem_new(struct stored);
    const size_t size = row->body != NULL ? row->body->size : row->bytes;

    stored->state = row->fold.state;
    buf_init(&stored->bytes, size + MESSAGE_ROOM);
    return stored;
}

/* What is said in the place of one that cannot be read. */
static void
say_damaged(struct stored *stored, const struct ticket *ticket)
{
    stored->state = TICKET_FAILED;
    buf_clear(&stored->bytes);
    log_ticket(EVENT_STORE_CORRUPT, ticket, NULL, 0,
               "text=\"the stored response cannot be read\"");
    problem_message(&stored->bytes, 500, "store-corrupt",
                    "the stored response is damaged", ticket);
}

/* A response that lies in `bodies`, to be fetched by the clerk: for a lookup,
 * or for on_response (then query is NULL). */
struct fetch {
    struct job job;
    struct ticket ticket;
    struct body_ref body;
    struct stored *stored;
    struct query *query;
};

static void
run_fetch(struct follow *follow, struct job *job)
{
    struct fetch *fetch = CONTAINER_OF(job, struct fetch, job);
    const struct broker_options *options = &follow->kafka->options;
    struct error err;
    int r = atomic_load(&follow->closing)
                ? -ESHUTDOWN
                : bodies_read(follow->kafka, &fetch->ticket, &fetch->body,
                              &fetch->stored->bytes, &err);

    if (fetch->query != NULL) {
        struct lookup *lookup = fetch->query->call;
        if (r == 0)
            lookup->stored = TAKE(fetch->stored);
        fetch->query->answer(follow, fetch->query, r);
    } else if (r == 0 || r == -EIO) {
        if (r == -EIO)
            say_damaged(fetch->stored, &fetch->ticket);
        options->on_response(options->opaque, &fetch->ticket, &fetch->stored);
    }
    stored_free(fetch->stored);
    free(fetch);
    follow_back(follow);
}

static void
start_fetch(struct follow *follow, const struct view_row *row,
            struct query *query)
{
    struct fetch *fetch = mem_new(struct fetch);

    fetch->job.run = run_fetch;
    fetch->ticket = row->ticket;
    fetch->body = *row->body;
    fetch->stored = stored_new(row);
    fetch->query = query;
    follow_give(follow);
    helper_post(&follow->clerk, &fetch->job);
}

void
follow_tell(struct follow *follow, const struct view_row *row)
{
    const struct broker_options *options = &follow->kafka->options;

    if (row->body != NULL) {
        start_fetch(follow, row, NULL);
        return;
    }
    struct stored *stored = stored_new(row);
    int r = view_message(follow->view, row, &stored->bytes);
    if (r < 0)
        follow_fails(follow, r);
    else
        options->on_response(options->opaque, &row->ticket, &stored);
    stored_free(stored);
}

/* ---- tickets ------------------------------------------------------------- */

static void
answer_lookup(struct follow *follow, struct query *query, int r)
{
    struct lookup *lookup = query->call;

    (void)follow;
    lookup->r = r;
    query_free(query);
    lookup->on_found(lookup);
}

/* Why it waits, if its queue is paused. */
static void
tell_pause(struct follow *follow, const struct view_row *row,
           struct ticket_status *status)
{
    const int queue = follow_queue(follow, row);
    struct control control;

    if (queue < 0)
        return;
    control_log_state(follow->kafka->control, (unsigned)queue, &control);
    if (control.state == CONTROL_OPEN)
        return;
    snprintf(status->reason, sizeof(status->reason), "paused");
    status->paused_since = control.since;
    snprintf(status->paused_why, sizeof(status->paused_why), "%s", control.why);
}

static int
tell_status(struct follow *follow, const struct view_row *row,
            struct ticket_status *status)
{
    memset(status, 0, sizeof(*status));
    status->state = row->fold.state;
    status->attempts = row->fold.attempts;
    status->submitted = row->submitted;
    status->started = row->started;
    status->ended = row->ended;
    status->position = -1;
    status->has_replays = row->has_replays;
    status->replays = row->replays;
    status->has_replayed_by = row->has_replayed_by;
    status->replayed_by = row->replayed_by;
    snprintf(status->queue, sizeof(status->queue), "%s",
             view_queue_at(follow->view, row->queue)->name);
    snprintf(status->release, sizeof(status->release), "%s", row->release);
    snprintf(status->reason, sizeof(status->reason), "%s", row->reason);
    if (row->fold.is_cancelled && row->fold.state == TICKET_RUNNING)
        snprintf(status->reason, sizeof(status->reason), "being cancelled");
    if (row->fold.state != TICKET_QUEUED)
        return 0;
    tell_pause(follow, row, status);
    return view_ahead(follow->view, row, &status->position);
}

/* True: an answer comes later. */
static bool
tell_response(struct follow *follow, const struct view_row *row,
              struct query *query, int *r)
{
    struct lookup *lookup = query->call;

    if (row->body != NULL) {
        start_fetch(follow, row, query);
        return true;
    }
    lookup->stored = stored_new(row);
    *r = view_message(follow->view, row, &lookup->stored->bytes);
    if (*r < 0)
        stored_free(TAKE(lookup->stored));
    else
        *r = 0;
    return false;
}

/* Of a ticket that the view does not know: it may be of a queue that this
 * process has not heard of. */
static int
unknown(const struct query *query)
{
    return query->is_blind ? -ENOTCONN : -ENOENT;
}

static void
look(struct follow *follow, struct query *query)
{
    struct lookup *lookup = query->call;
    const struct view_row *row;
    int r = view_find(follow->view, &query->ticket, &row);

    if (r == 0 && !query->is_sure) {
        query_catch_up(follow, query, look);
        return;
    }
    if (r == 1) {
        r = tell_status(follow, row, &lookup->status);
        if (r == 0 && lookup->with_response &&
            ticket_state_is_final(row->fold.state) &&
            tell_response(follow, row, query, &r))
            return;
        if (r < 0)
            r = follow_fails(follow, r);
    } else {
        r = r == 0 ? unknown(query) : follow_fails(follow, r);
    }
    query->answer(follow, query, r);
}

static void
start_look(struct follow *follow, struct query *query)
{
    query_wait_own(follow, query, look);
}

void
kafka_lookup(struct broker *broker, struct lookup *lookup)
{
    struct kafka *kafka = kafka_of(broker);
    struct follow *follow;
    int r = kafka_follow(kafka, &follow, NULL);

    lookup->stored = NULL;
    memset(&lookup->status, 0, sizeof(lookup->status));
    lookup->status.position = -1;
    if (r < 0) {
        lookup->r = r;
        lookup->on_found(lookup);
        return;
    }
    query_post(
        query_new(follow, &lookup->ticket, start_look, answer_lookup, lookup));
}

/* ---- cancelling ---------------------------------------------------------- */

static void
answer_cancel(struct follow *follow, struct query *query, int r)
{
    struct cancellation *cancellation = query->call;

    (void)follow;
    cancellation->r = r;
    query_free(query);
    cancellation->on_cancelled(cancellation);
}

/* The fact was read: what was made of it? */
static int
cancel_result(struct follow *follow, const struct view_row *row)
{
    if (row->fold.state == TICKET_RUNNING)
        return -EAGAIN;
    if (row->fold.state != TICKET_CANCELLED)
        return -EALREADY;
    if (strcmp(row->reason, VIEW_CANCELLED_QUEUED) != 0)
        return -EAGAIN; /* it ran, and was killed meanwhile */
    log_ticket(EVENT_CANCELLED, &row->ticket,
               view_queue_at(follow->view, row->queue)->name, 0, "state=%s",
               "queued");
    return 0;
}

static void
end_cancel(struct follow *follow, struct query *query)
{
    const struct view_row *row;
    int r = view_find(follow->view, &query->ticket, &row);

    if (r == 1)
        r = cancel_result(follow, row);
    else
        r = r == 0 ? -ENOENT : follow_fails(follow, r);
    query->answer(follow, query, r);
}

static void
send_cancel(struct follow *follow, struct query *query)
{
    const struct view_row *row;
    int r = view_find(follow->view, &query->ticket, &row);

    if (r == 0 && !query->is_sure) {
        query_catch_up(follow, query, send_cancel);
        return;
    }
    if (r != 1 || ticket_state_is_final(row->fold.state)) {
        query->answer(follow, query,
                      r < 0    ? follow_fails(follow, r)
                      : r == 0 ? unknown(query)
                               : -EALREADY);
        return;
    }
    const struct fact fact = {
        .kind = FACT_CANCEL,
        .at = clock_wall(),
        .ticket = query->ticket,
        .queue = slice_of(view_queue_at(follow->view, row->queue)->name),
        .request = row->fold.request,
    };
    /* Its delivery has a limit of its own. */
    query->until += follow->kafka->settings->kafka.timeout;
    query_send(follow, query, query->partition, &fact, end_cancel);
}

static void
start_cancel(struct follow *follow, struct query *query)
{
    query_wait_own(follow, query, send_cancel);
}

void
kafka_cancel(struct broker *broker, struct cancellation *cancellation)
{
    struct kafka *kafka = kafka_of(broker);
    struct follow *follow;
    int r = kafka_follow(kafka, &follow, NULL);

    if (r < 0) {
        cancellation->r = r;
        cancellation->on_cancelled(cancellation);
        return;
    }
    query_post(query_new(follow, &cancellation->ticket, start_cancel,
                         answer_cancel, cancellation));
}

/* ---- calls that wait ----------------------------------------------------- */

struct call {
    sem_t done;
    int (*read)(struct follow *follow, struct call *call);
    int r;
    struct error *err;
    struct ticket ticket;
    unsigned queue;
    size_t max;
    bool is_first; /* no ticket, but the first one that waits */
    const struct worker_info *workers;
    size_t workers_len;
    /* out */
    struct queue_stats *stats;
    struct running *running;
    struct dead_letter *dead;
    size_t len;
    int64_t offset;
    unsigned flags;
};

static void
answer_call(struct follow *follow, struct query *query, int r)
{
    struct call *call = query->call;

    (void)follow;
    if (r == -ENOTCONN)
        error_set(call->err, r, "Kafka does not answer, or the view is behind");
    else if (r == -ESHUTDOWN)
        error_set(call->err, r, "the broker is closed");
    else if (r == -EIO || r == -ENOSPC)
        error_set(call->err, r, "the view cannot be used: see the log");
    call->r = r;
    query_free(query);
    sem_post(&call->done);
}

static void
read_call(struct follow *follow, struct query *query)
{
    struct call *call = query->call;
    int r = call->read(follow, call);

    query->answer(follow, query,
                  r < 0 && r != -ENOENT ? follow_fails(follow, r) : r);
}

static void
catch_up(struct follow *follow, struct query *query)
{
    query_catch_up(follow, query, read_call);
}

static void
start_call(struct follow *follow, struct query *query)
{
    query_wait_own(follow, query, catch_up);
}

static int
run_call(struct follow *follow, const struct ticket *ticket, struct call *call,
         struct error *err)
{
    call->err = err;
    sem_init(&call->done, 0, 0);
    query_post(query_new(follow, ticket, start_call, answer_call, call));
    while (sem_wait(&call->done) < 0)
        ; /* EINTR */
    sem_destroy(&call->done);
    return call->r;
}

static int
ask_broker(struct broker *broker, struct call *call, struct error *err)
{
    struct follow *follow;
    int r = kafka_follow(kafka_of(broker), &follow, err);

    return r < 0 ? r : run_call(follow, NULL, call, err);
}

/* ---- queues -------------------------------------------------------------- */

static int
read_stats(struct follow *follow, struct call *call)
{
    const unsigned lane = follow->lanes[call->queue];
    struct queue_stats *stats = call->stats;
    const wall_ms now = clock_wall();
    wall_ms oldest = 0;
    int r = view_promote(follow->view, now);

    if (r == 0)
        r = view_oldest(follow->view, lane, &oldest);
    if (r < 0)
        return r;
    const struct view_queue *queue = view_queue_at(follow->view, lane);
    *stats = (struct queue_stats){
        .queued = queue->queued,
        .delayed = queue->delayed,
        .running = queue->running,
        .dead = queue->dead,
        .accepted = queue->accepted,
        .done = queue->done,
        .failed = queue->failed,
        .retained_bytes = queue->retained,
        .oldest = oldest != 0 && now > oldest ? now - oldest : 0,
    };
    view_minute(follow->view, lane, now, &stats->done_minute,
                &stats->failed_minute);
    control_log_state(follow->kafka->control, call->queue, &stats->control);
    if (stats->control.state == CONTROL_OPEN &&
        now - queue->trouble_at < TROUBLE_SHOWN)
        snprintf(stats->trouble, sizeof(stats->trouble), "%s", queue->trouble);
    return 0;
}

/* A worker of another release than its queue's waits: say for what. */
static int
tell_idle(struct broker *broker, const char *queue, struct queue_stats *stats,
          struct error *err)
{
    const char *release = stats->control.release;
    struct worker_info *workers;
    size_t len;
    int r = kafka_workers(broker, &workers, &len, err);

    if (r < 0)
        return r;
    for (size_t i = 0; i < len; i++) {
        if (strcmp(workers[i].queue, queue) != 0 ||
            strcmp(workers[i].release, release) == 0)
            continue;
        snprintf(stats->trouble, sizeof(stats->trouble),
                 "worker %.50s is of release %.30s and waits: the queue is of "
                 "release %.30s",
                 workers[i].name, workers[i].release, release);
        break;
    }
    free(workers);
    return 0;
}

int
kafka_queue_stats(struct broker *broker, unsigned queue,
                  struct queue_stats *stats, struct error *err)
{
    const struct settings *settings = kafka_of(broker)->settings;
    struct call call = {.read = read_stats, .queue = queue, .stats = stats};
    int r = ask_broker(broker, &call, err);

    if (r == 0 && stats->trouble[0] == '\0')
        r = tell_idle(broker, settings->queues[queue].name, stats, err);
    return r;
}

/* ---- lists --------------------------------------------------------------- */

static const char *
name_of(const struct call *call, uint64_t session)
{
    for (size_t i = 0; i < call->workers_len; i++) {
        if (call->workers[i].session == session)
            return call->workers[i].name;
    }
    return "";
}

static void
tell_running(const struct call *call, const struct view_row *row,
             struct running *running)
{
    *running = (struct running){
        .ticket = row->ticket,
        .attempt = row->fold.attempts,
        .started = row->started,
    };
    snprintf(running->worker, sizeof(running->worker), "%s",
             name_of(call, row->fold.session));
    snprintf(running->release, sizeof(running->release), "%s", row->release);
}

static void
tell_dead(struct follow *follow, const struct view_row *row,
          struct dead_letter *letter)
{
    *letter = (struct dead_letter){
        .ticket = row->ticket,
        .ended = row->ended,
        .attempts = row->fold.attempts,
    };
    snprintf(letter->queue, sizeof(letter->queue), "%s",
             view_queue_at(follow->view, row->queue)->name);
    snprintf(letter->reason, sizeof(letter->reason), "%s", row->reason);
}

static int
read_list(struct follow *follow, struct call *call, enum view_list which,
          void (*tell)(struct follow *, struct call *, const struct view_row *))
{
    const struct view_row *row;
    struct ticket *tickets = NULL;
    size_t len = 0;
    int r = view_list(follow->view, which, follow->lanes[call->queue],
                      call->max, 0, &tickets, &len);

    for (size_t i = 0; i < len && r >= 0; i++) {
        r = view_find(follow->view, &tickets[i], &row);
        if (r == 1)
            tell(follow, call, row);
    }
    free(tickets);
    return r < 0 ? r : 0;
}

static void
add_running(struct follow *follow, struct call *call,
            const struct view_row *row)
{
    (void)follow;
    call->running =
        mem_grow(call->running, call->len + 1, sizeof(*call->running));
    tell_running(call, row, &call->running[call->len++]);
}

static void
add_dead(struct follow *follow, struct call *call, const struct view_row *row)
{
    call->dead = mem_grow(call->dead, call->len + 1, sizeof(*call->dead));
    tell_dead(follow, row, &call->dead[call->len++]);
}

static int
read_running(struct follow *follow, struct call *call)
{
    return read_list(follow, call, VIEW_RUN, add_running);
}

static int
read_dead(struct follow *follow, struct call *call)
{
    return read_list(follow, call, VIEW_LETTERS, add_dead);
}

int
kafka_running(struct broker *broker, unsigned queue, size_t max,
              struct running **out, size_t *len, struct error *err)
{
    struct worker_info *workers = NULL;
    struct call call = {.read = read_running, .queue = queue, .max = max};
    int r = kafka_workers(broker, &workers, &call.workers_len, err);

    call.workers = workers;
    if (r == 0)
        r = ask_broker(broker, &call, err);
    free(workers);
    if (r < 0) {
        free(call.running);
        return r;
    }
    *out = call.running;
    *len = call.len;
    return 0;
}

int
kafka_dead_list(struct broker *broker, unsigned queue, size_t max,
                struct dead_letter **out, size_t *len, struct error *err)
{
    struct call call = {.read = read_dead, .queue = queue, .max = max};
    int r = ask_broker(broker, &call, err);

    if (r < 0) {
        free(call.dead);
        return r;
    }
    *out = call.dead;
    *len = call.len;
    return 0;
}

/* The oldest one that need not wait for its time. */
static int
read_first(struct follow *follow, struct call *call,
           const struct view_row **row)
{
    struct ticket *tickets = NULL;
    size_t len = 0;
    int r = view_list(follow->view, VIEW_READY, follow->lanes[call->queue], 1,
                      0, &tickets, &len);

    if (r == 0 && len == 1)
        r = view_find(follow->view, &tickets[0], row);
    free(tickets);
    return r;
}

static int
read_waiting(struct follow *follow, struct call *call)
{
    const struct view_row *row = NULL;
    int r = view_promote(follow->view, clock_wall());

    if (r == 0)
        r = call->is_first ? read_first(follow, call, &row)
                           : view_find(follow->view, &call->ticket, &row);
    if (r < 0)
        return r;
    if (r == 0 || row == NULL || row->fold.state != TICKET_QUEUED ||
        row->queue != follow->lanes[call->queue])
        return error_set(call->err, -ENOENT,
                         call->is_first ? "no request waits in the queue"
                                        : "no such request waits in the queue");
    call->ticket = row->ticket;
    call->flags = row->flags;
    return 0;
}

int
follow_waiting(struct follow *follow, unsigned queue,
               const struct ticket *wanted, struct ticket *found,
               unsigned *flags, struct error *err)
{
    struct call call = {.read = read_waiting, .queue = queue};

    call.is_first = wanted == NULL;
    if (wanted != NULL)
        call.ticket = *wanted;
    int r = run_call(follow, wanted, &call, err);
    if (r < 0)
        return r;
    *found = call.ticket;
    *flags = call.flags;
    return 0;
}

static int
read_letter(struct follow *follow, struct call *call)
{
    const struct view_row *row;
    int r = view_find(follow->view, &call->ticket, &row);

    if (r < 0)
        return r;
    const int queue = r == 1 && row->dead >= 0 ? follow_queue(follow, row) : -1;
    if (queue < 0)
        return error_set(call->err, -ENOENT, "no such dead letter");
    call->queue = (unsigned)queue;
    call->offset = row->dead;
    return 0;
}

int
follow_dead_find(struct follow *follow, const struct ticket *dead,
                 unsigned *queue, int64_t *offset, struct error *err)
{
    struct call call = {.read = read_letter, .ticket = *dead};
    int r = run_call(follow, dead, &call, err);

    if (r < 0)
        return r;
    *queue = call.queue;
    *offset = call.offset;
    return 0;
}
