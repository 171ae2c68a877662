/* ask.c - turns the broker's callbacks into calls that return. */
#include "cli/ask.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "common/lock.h"
#include "common/mem.h"

/* A process can die between storing a response and telling of it: so a wait
 * looks for itself now and then. */
#define LOOK_EVERY 1000 /* ms */

struct ask {
    struct broker *broker;
    /* lent to the broker while a question is out */
    struct submission submission;
    struct lookup lookup;
    pthread_mutex_t lock; /* guards all below */
    pthread_cond_t moved;
    bool answered; /* the question that was out */
    bool told;     /* `wanted` has a response */
    bool wanting;
    struct ticket wanted;
};

static void
on_answer(struct ask *ask)
{
    LOCKED(&ask->lock);
    ask->answered = true;
    pthread_cond_signal(&ask->moved);
}

static void
on_submitted(struct submission *submission)
{
    on_answer(CONTAINER_OF(submission, struct ask, submission));
}

static void
on_found(struct lookup *lookup)
{
    on_answer(CONTAINER_OF(lookup, struct ask, lookup));
}

static bool
wanted(void *opaque, const struct ticket *ticket)
{
    struct ask *ask = opaque;

    LOCKED(&ask->lock);
    return ask->wanting && ticket_eq(&ask->wanted, ticket);
}

static void
on_response(void *opaque, const struct ticket *ticket, struct stored **stored)
{
    struct ask *ask = opaque;

    stored_free(TAKE(*stored)); /* ask_response looks it up with its status */
    LOCKED(&ask->lock);
    if (ask->wanting && ticket_eq(&ask->wanted, ticket))
        ask->told = true;
    pthread_cond_signal(&ask->moved);
}

static int
open_as(const struct settings *settings, bool waits, bool guarded,
        struct ask **out, struct error *err)
{
    struct ask *ask = mem_new(struct ask);
    const struct broker_options options = {
        .settings = settings,
        .role = BROKER_VISITOR,
        .guarded = guarded,
        .wanted = waits ? wanted : NULL,
        .on_response = waits ? on_response : NULL,
        .opaque = ask,
    };
    int r;

    pthread_mutex_init(&ask->lock, NULL);
    pthread_cond_init(&ask->moved, NULL);
    r = broker_open(&options, &ask->broker, err);
    if (r < 0) {
        ask_free(ask);
        if (r == -ENOENT && err != NULL && settings->directory != NULL)
            return error_set(err, r,
                             "there is no store in %s; `cloakroom up` "
                             "makes it",
                             settings->directory);
        return r;
    }
    *out = ask;
    return 0;
}

int
ask_open(const struct settings *settings, struct ask **out, struct error *err)
{
    return open_as(settings, false, false, out, err);
}

int
ask_open_waiting(const struct settings *settings, struct ask **out,
                 struct error *err)
{
    return open_as(settings, true, false, out, err);
}

int
ask_open_guarded(const struct settings *settings, struct ask **out,
                 struct error *err)
{
    return open_as(settings, false, true, out, err);
}

void
ask_free(struct ask *ask)
{
    if (ask == NULL)
        return;
    if (ask->broker != NULL)
        broker_close(ask->broker);
    pthread_cond_destroy(&ask->moved);
    pthread_mutex_destroy(&ask->lock);
    free(ask);
}

struct broker *
ask_broker(struct ask *ask)
{
    return ask->broker;
}

static void
wait_answer(struct ask *ask)
{
    LOCKED(&ask->lock);
    while (!ask->answered)
        pthread_cond_wait(&ask->moved, &ask->lock);
    ask->answered = false;
}

int
ask_submit(struct ask *ask, struct submission *submission)
{
    ask->submission = *submission;
    ask->submission.on_submitted = on_submitted;
    broker_submit(ask->broker, &ask->submission);
    wait_answer(ask);
    *submission = ask->submission;
    return submission->r;
}

int
ask_lookup(struct ask *ask, struct lookup *lookup)
{
    ask->lookup = *lookup;
    ask->lookup.on_found = on_found;
    broker_lookup(ask->broker, &ask->lookup);
    wait_answer(ask);
    *lookup = ask->lookup;
    return lookup->r;
}

/* Until the response is told of, or for that long. */
static void
wait_told(struct ask *ask, span_ms limit)
{
    struct timespec until;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += limit / 1000;
    until.tv_nsec += limit % 1000 * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    LOCKED(&ask->lock);
    while (!ask->told) {
        if (pthread_cond_clockwait(&ask->moved, &ask->lock, CLOCK_MONOTONIC,
                                   &until) != 0)
            break;
    }
    ask->told = false;
}

static void
want(struct ask *ask, const struct ticket *ticket)
{
    LOCKED(&ask->lock);
    ask->wanting = ticket != NULL;
    ask->told = false;
    if (ticket != NULL)
        ask->wanted = *ticket;
}

static int
look_until(struct ask *ask, span_ms limit, struct lookup *lookup)
{
    const mono_ms start = clock_mono();

    for (;;) {
        int r = ask_lookup(ask, lookup);
        if (r < 0)
            return r;
        if (ticket_state_is_final(lookup->status.state))
            return lookup->stored != NULL ? 0 : -ENOENT;
        span_ms left = LOOK_EVERY;
        if (limit >= 0 && limit - (clock_mono() - start) < left)
            left = limit - (clock_mono() - start);
        if (left <= 0)
            return -EAGAIN;
        wait_told(ask, left);
    }
}

int
ask_response(struct ask *ask, span_ms limit, struct lookup *lookup)
{
    int r;

    lookup->with_response = true;
    want(ask, &lookup->ticket); /* before the first look: none slips between */
    r = look_until(ask, limit, lookup);
    want(ask, NULL);
    return r;
}
