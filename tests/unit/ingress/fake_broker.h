/* fake_broker.h - a broker in memory that runs handlers itself, for tests of
 * the ingress alone. Include it in one file of a program.
 *
 * What happens to a request is in its target: one with "echo" is answered at
 * once with its own message as the body, "late" after 300 ms, "fields" with
 * fields that a test looks for; any other stays queued. "full" in a target is
 * refused with -ENOBUFS, "disk" with -ENOSPC, "shut" with -ECONNREFUSED. One
 * with "forgotten" is not found afterwards, one with "moves" has another
 * position each time that it is looked at, and one with "paused" waits behind
 * a pause. At one with "blind" each look fails. "leap" sets the clocks forward
 * by FAKE_LEAP_MS.
 *
 * Threads: calls from any; callbacks come on the one thread it has.
 */
#ifndef TESTS_UNIT_INGRESS_FAKE_BROKER_H
#define TESTS_UNIT_INGRESS_FAKE_BROKER_H

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "broker/broker.h"
#include "common/lock.h"
#include "common/mem.h"
#include "common/message.h"
#include "common/own.h"
#include "tests/unit/ingress/fake_control.h"

#define FAKE_PAUSE_AGE_MS 125000
#define FAKE_PAUSE_WHY    "moving <b>orders</b> & \"more\", f\u00fcr v2"
#define FAKE_LEAP_MS      20000

enum fake_call { FAKE_SUBMIT, FAKE_LOOKUP, FAKE_CANCEL };

struct fake_job { /* a call that waits for the thread */
    struct fake_job *next;
    enum fake_call call;
    void *what;
};

struct fake_request {
    struct fake_request *next, *next_pending;
    struct ticket ticket;
    struct ticket_status status;
    struct request_key key;
    bool has_key;
    mono_ms answer_at; /* 0: never */
    struct buf message, response;
};

struct broker {
    struct broker_options options;
    struct ticket_secret *secret;
    pthread_t thread;
    pthread_mutex_t lock; /* guards jobs and is_closing */
    pthread_cond_t moved;
    struct fake_job *first, **last;
    bool is_closing;
    struct fake_request *requests; /* the thread's, as is: */
    struct fake_request *pending;  /* those with answer_at */
};

static const char *fake_directory = "/tmp"; /* for ticket.key */

static bool
fake_has(struct slice message, const char *word)
{
    const char *end = memchr(message.at, '\r', message.len);

    return end != NULL && memmem(message.at, (size_t)(end - message.at), word,
                                 strlen(word)) != NULL;
}

static struct fake_request *
fake_find(struct broker *broker, const struct ticket *ticket)
{
    for (struct fake_request *q = broker->requests; q != NULL; q = q->next)
        if (ticket_eq(&q->ticket, ticket))
            return q;
    return NULL;
}

static struct stored *
fake_stored(const struct fake_request *request)
{
    struct stored *stored = mem_new(struct stored);

    stored->state = request->status.state;
    buf_init(&stored->bytes, SIZE_MAX / 4);
    buf_add_slice(&stored->bytes, buf_slice(&request->response));
    return stored;
}

static void
fake_end(struct broker *broker, struct fake_request *request,
         enum ticket_state state, int status)
{
    struct buf *response = &request->response;
    struct slice body = status == 200 ? buf_slice(&request->message)
                                      : SLICE("{\"code\":\"cancelled\"}");

    request->status.state = state;
    request->status.ended = clock_wall();
    request->status.position = -1;
    request->answer_at = 0;
    buf_init(response, SIZE_MAX / 4);
    message_start_response(response, status);
    message_add_field(response, SLICE("Content-Type"), SLICE("text/fake"));
    if (fake_has(buf_slice(&request->message), "fields")) {
        message_add_field(response, SLICE("Set-Cookie"), SLICE("a=1"));
        message_add_field(response, SLICE("Set-Cookie"), SLICE("b=\xe9"));
        message_add_field(response, SLICE("Connection"), SLICE("X-Hop"));
        message_add_field(response, SLICE("X-Hop"), SLICE("gone"));
    }
    if (fake_has(buf_slice(&request->message), "wide")) {
        char wide[20000];
        memset(wide, 'w', sizeof(wide));
        message_add_field(response, SLICE("X-Wide"),
                          (struct slice){wide, sizeof(wide)});
    }
    message_end(response, body.len);
    buf_add_slice(response, body);
    if (broker->options.wanted(broker->options.opaque, &request->ticket)) {
        struct stored *stored = fake_stored(request);
        broker->options.on_response(broker->options.opaque, &request->ticket,
                                    &stored);
    }
}

/* The request that has the same key; sets r to -EEXIST if it is another. */
static struct fake_request *
fake_find_key(struct broker *broker, const struct request_key *key, int *r)
{
    for (struct fake_request *q = broker->requests; q != NULL; q = q->next) {
        if (!q->has_key || memcmp(q->key.scope, key->scope, KEY_BYTES) != 0)
            continue;
        *r = memcmp(q->key.fingerprint, key->fingerprint, KEY_BYTES) == 0
                 ? 0
                 : -EEXIST;
        return q;
    }
    return NULL;
}

static void
fake_accept(struct broker *broker, const struct submission *submission)
{
    struct fake_request *request = mem_new(struct fake_request);

    request->ticket = submission->ticket;
    request->status.state = TICKET_QUEUED;
    request->status.submitted = submission->submitted;
    strcpy(request->status.queue,
           broker->options.settings->queues[submission->queue].name);
    request->status.position = 3;
    request->status.paused_since = submission->paused_since;
    if (submission->paused_since != 0)
        strcpy(request->status.paused_why, FAKE_PAUSE_WHY);
    if (submission->key != NULL) {
        request->has_key = true;
        request->key = *submission->key;
    }
    buf_init(&request->message, SIZE_MAX / 4);
    buf_add_slice(&request->message, submission->message);
    if (fake_has(submission->message, "echo"))
        request->answer_at = clock_mono();
    if (fake_has(submission->message, "late"))
        request->answer_at = clock_mono() + 300;
    request->next = broker->requests;
    broker->requests = request;
    if (request->answer_at != 0) {
        request->next_pending = broker->pending;
        broker->pending = request;
    }
}

static void
fake_submit(struct broker *broker, struct submission *submission)
{
    struct fake_request *known = NULL;

    submission->r = 0;
    submission->submitted = clock_wall();
    if (submission->key != NULL)
        known = fake_find_key(broker, submission->key, &submission->r);
    if (fake_has(submission->message, "full"))
        submission->r = -ENOBUFS;
    if (fake_has(submission->message, "disk"))
        submission->r = -ENOSPC;
    if (fake_has(submission->message, "shut"))
        submission->r = -ECONNREFUSED;
    if (fake_has(submission->message, "leap"))
        clock_shift(FAKE_LEAP_MS);
    if (fake_has(submission->message, "paused"))
        submission->paused_since = clock_wall() - FAKE_PAUSE_AGE_MS;
    if (known != NULL && submission->r == 0) {
        submission->joined = true;
        submission->ticket = known->ticket;
    } else if (submission->r == 0) {
        fake_accept(broker, submission);
    }
    submission->on_submitted(submission);
}

static void
fake_lookup(struct broker *broker, struct lookup *lookup)
{
    struct fake_request *request = fake_find(broker, &lookup->ticket);

    if (request != NULL && fake_has(buf_slice(&request->message), "forgotten"))
        request = NULL;
    lookup->r = request == NULL ? -ENOENT : 0;
    if (request != NULL && fake_has(buf_slice(&request->message), "blind")) {
        lookup->r = -EIO;
        request = NULL;
    }
    if (request != NULL && request->status.state == TICKET_QUEUED &&
        fake_has(buf_slice(&request->message), "moves"))
        request->status.position++;
    if (request != NULL) {
        lookup->status = request->status;
        if (lookup->with_response &&
            ticket_state_is_final(request->status.state))
            lookup->stored = fake_stored(request);
    }
    lookup->on_found(lookup);
}

static void
fake_cancel(struct broker *broker, struct cancellation *cancellation)
{
    struct fake_request *request = fake_find(broker, &cancellation->ticket);

    if (request == NULL)
        cancellation->r = -ENOENT;
    else if (ticket_state_is_final(request->status.state))
        cancellation->r = -EALREADY;
    else
        fake_end(broker, request, TICKET_CANCELLED, 410);
    cancellation->on_cancelled(cancellation);
}

static void
fake_do(struct broker *broker, struct fake_job *job)
{
    switch (job->call) {
    case FAKE_SUBMIT:
        fake_submit(broker, job->what);
        break;
    case FAKE_LOOKUP:
        fake_lookup(broker, job->what);
        break;
    case FAKE_CANCEL:
        fake_cancel(broker, job->what);
        break;
    }
    free(job);
}

/* Ends what is due; when to come again. */
static mono_ms
fake_run_handlers(struct broker *broker)
{
    struct fake_request **at = &broker->pending;
    mono_ms now = clock_mono(), next = now + 1000;

    while (*at != NULL) {
        struct fake_request *request = *at;
        if (request->answer_at > now) {
            next = request->answer_at < next ? request->answer_at : next;
            at = &request->next_pending;
            continue;
        }
        *at = request->next_pending;
        if (!ticket_state_is_final(request->status.state))
            fake_end(broker, request, TICKET_DONE, 200);
    }
    return next;
}

/* The next job; NULL: none before the time, or *closing. */
static struct fake_job *
fake_next(struct broker *broker, mono_ms until, bool *closing)
{
    const struct timespec deadline = {until / 1000, until % 1000 * 1000000};

    LOCKED(&broker->lock);
    while (broker->first == NULL && !broker->is_closing)
        if (pthread_cond_clockwait(&broker->moved, &broker->lock,
                                   CLOCK_MONOTONIC, &deadline) != 0)
            break;
    struct fake_job *job = broker->first;
    if (job != NULL)
        broker->first = job->next;
    if (broker->first == NULL)
        broker->last = &broker->first;
    *closing = job == NULL && broker->is_closing;
    return job;
}

static void *
fake_run(void *opaque)
{
    struct broker *broker = opaque;
    bool closing = false;

    while (!closing) {
        mono_ms next = fake_run_handlers(broker);
        struct fake_job *job = fake_next(broker, next, &closing);
        if (job != NULL)
            fake_do(broker, job);
    }
    return NULL;
}

static void
fake_post(struct broker *broker, enum fake_call call, void *what)
{
    struct fake_job *job = mem_new(struct fake_job);

    *job = (struct fake_job){.call = call, .what = what};
    LOCKED(&broker->lock);
    *broker->last = job;
    broker->last = &job->next;
    pthread_cond_signal(&broker->moved);
}

/* ---- broker.h
 * ---------------------------------------------------------------- */

int
broker_open(const struct broker_options *options, struct broker **out,
            struct error *err)
{
    struct broker *broker = mem_new(struct broker);
    char *path = mem_printf("%s/ticket.key", fake_directory);

    broker->options = *options;
    broker->last = &broker->first;
    pthread_mutex_init(&broker->lock, NULL);
    pthread_cond_init(&broker->moved, NULL);
    int r = ticket_secret_load(path, true, &broker->secret, err);
    free(path);
    assert(r == 0);
    pthread_create(&broker->thread, NULL, fake_run, broker);
    *out = broker;
    return 0;
}

void
broker_close(struct broker *broker)
{
    {
        LOCKED(&broker->lock);
        broker->is_closing = true;
        pthread_cond_signal(&broker->moved);
    }
    pthread_join(broker->thread, NULL);
    for (struct fake_request *next, *q = broker->requests; q != NULL;
         q = next) {
        next = q->next;
        buf_fini(&q->message);
        buf_fini(&q->response);
        free(q);
    }
    ticket_secret_free(broker->secret);
    free(broker);
}

const struct ticket_secret *
broker_secret(const struct broker *broker)
{
    return broker->secret;
}

int
broker_ready(struct broker *broker, struct error *err)
{
    (void)broker;
    (void)err;
    return 0;
}

void
broker_submit(struct broker *broker, struct submission *submission)
{
    fake_post(broker, FAKE_SUBMIT, submission);
}

void
broker_lookup(struct broker *broker, struct lookup *lookup)
{
    fake_post(broker, FAKE_LOOKUP, lookup);
}

void
broker_cancel(struct broker *broker, struct cancellation *cancellation)
{
    fake_post(broker, FAKE_CANCEL, cancellation);
}

void
stored_free(struct stored *stored)
{
    if (stored == NULL)
        return;
    buf_fini(&stored->bytes);
    free(stored);
}

#endif
