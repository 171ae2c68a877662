/* exchange.c - from a whole request to its answer.
 *
 * The waiter is listed before the broker is called, so that no response is
 * missed, however fast it comes; and when a call is back the answer may be
 * there already. An answer goes out only when the waiter is OUT again: if it is
 * POSTED, its mail is awaited first.
 */
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "ingress/ingress_priv.h"

#define WATCH_MS 1000 /* so long a wait is worth watching the socket */

/* ---- places of waiting clients ---- */

bool
exchange_take_place(struct client *client)
{
    struct ingress *ingress = client->lane->ingress;

    if (atomic_fetch_add(&ingress->waiting, 1) >=
        ingress->settings->max_waiting) {
        atomic_fetch_sub(&ingress->waiting, 1);
        return false;
    }
    client->holds_place = true;
    return true;
}

static void
give_place(struct client *client)
{
    if (client->holds_place)
        atomic_fetch_sub(&client->lane->ingress->waiting, 1);
    client->holds_place = false;
    client->wait_until = 0;
}

static struct waiters *
waiters_of(struct client *client)
{
    return client->lane->ingress->waiters;
}

/* Lists the client for its ticket if it is to wait. */
static void
begin_wait(struct client *client)
{
    struct lane *lane = client->lane;

    if (client->plan.wait == 0 || lane->stage != LANE_OPEN ||
        !exchange_take_place(client))
        return;
    client->wait_until = lane->now + client->plan.wait;
    waiters_add(waiters_of(client), &client->waiter, &client->ticket,
                &lane->answers);
}

/* ---- endings ---- */

void
exchange_finish(struct client *client)
{
    if (waiters_withdraw(waiters_of(client), &client->waiter)) {
        if (client->errand != ERRAND_EVENTS || client->events.is_over)
            give_place(client);
        client_resume(client);
    } else {
        client->phase = PHASE_WAITING;
        client->wait_until = TIMERS_NEVER;
        client_set_deadline(client, TIMERS_NEVER);
    }
}

static void
finish_stored(struct client *client, struct answer *answer)
{
    reply_stored(client, &answer);
    exchange_finish(client);
}

static void
wait_on(struct client *client)
{
    mono_ms soon = client->lane->now + WATCH_MS;

    client->phase = PHASE_WAITING;
    client_set_deadline(client,
                        soon < client->wait_until ? soon : client->wait_until);
}

static bool
waits_on(const struct client *client)
{
    return client->wait_until > client->lane->now &&
           client->lane->stage == LANE_OPEN;
}

/* The request is kept and has no response so far. */
static void
settle(struct client *client, const struct ticket_status *status)
{
    if (client->answer != NULL) {
        finish_stored(client, TAKE(client->answer));
    } else if (waits_on(client)) {
        wait_on(client);
    } else {
        reply_accepted(client, status);
        exchange_finish(client);
    }
}

/* What is known of a request that was just accepted. */
static void
settle_new(struct client *client)
{
    const struct settings *settings = client->lane->ingress->settings;
    struct ticket_status status = {
        .state = TICKET_QUEUED,
        .submitted = client->submission.submitted,
        .position = -1,
    };

    strncpy(status.queue, settings->queues[client->route->queue].name,
            sizeof(status.queue) - 1);
    settle(client, &status);
}

/* Does it hold a request that it has put on the queue itself? */
static bool
is_accepted(const struct client *client)
{
    return client->errand == ERRAND_SUBMIT && !client->is_joined;
}

/* ---- looking ---- */

/* A lookup or a cancellation on its way. */
struct call {
    struct client *client;
    struct lookup lookup;
    struct cancellation cancellation;
};

static void
on_lookup_return(struct client *client)
{
    struct call *call = TAKE(client->call);
    struct lookup *lookup = &call->lookup;

    if (client->errand == ERRAND_EVENTS) {
        events_on_lookup(client, lookup->r, &lookup->status);
    } else if (lookup->r < 0 && lookup->r != -ENOENT && is_accepted(client)) {
        settle_new(client); /* it is kept, whatever the look came to */
    } else if (lookup->r < 0) {
        reply_result(client, lookup->r);
        exchange_finish(client);
    } else if (client->errand == ERRAND_STATUS ||
               client->errand == ERRAND_CANCEL) {
        reply_status(client, &lookup->status);
        exchange_finish(client);
    } else if (lookup->stored != NULL) {
        finish_stored(client, answer_new(&lookup->stored));
    } else {
        settle(client, &lookup->status);
    }
    free(call);
}

/* On a thread of the broker. */
static void
on_found(struct lookup *lookup)
{
    struct call *call = CONTAINER_OF(lookup, struct call, lookup);
    struct client *client = call->client;

    mailbox_post(&client->lane->returns, &client->returned);
}

void
exchange_look_up(struct client *client)
{
    struct call *call = mem_new(struct call);

    call->client = client;
    call->lookup.ticket = client->ticket;
    call->lookup.with_response =
        client->errand == ERRAND_SUBMIT || client->errand == ERRAND_RESPONSE;
    call->lookup.on_found = on_found;
    client->call = call;
    client->on_return = on_lookup_return;
    client->phase = PHASE_CALLING;
    client_set_deadline(client, TIMERS_NEVER);
    broker_lookup(client->lane->ingress->broker, &call->lookup);
}

/* In the midst of a request: looks, or if the broker must not be called any
 * more, gives the ticket with what little is known. */
static void
look_up_or_end(struct client *client)
{
    struct ticket_status status = {
        .submitted = ticket_time(&client->ticket),
        .position = -1,
        .reason = "this ingress is ending; ask again for the state",
    };

    if (client->lane->stage < LANE_CUT) {
        exchange_look_up(client);
    } else {
        reply_accepted(client, &status);
        exchange_finish(client);
    }
}

/* ---- cancelling ---- */

static void
on_cancel_return(struct client *client)
{
    struct call *call = TAKE(client->call);
    int r = call->cancellation.r;

    free(call);
    client->status_is = r == -EAGAIN ? 202 : 200;
    if (r == 0 || r == -EAGAIN) {
        look_up_or_end(client);
    } else {
        reply_result(client, r);
        exchange_finish(client);
    }
}

static void
on_cancelled(struct cancellation *cancellation)
{
    struct call *call = CONTAINER_OF(cancellation, struct call, cancellation);
    struct client *client = call->client;

    mailbox_post(&client->lane->returns, &client->returned);
}

static void
cancel(struct client *client)
{
    struct call *call = mem_new(struct call);

    call->client = client;
    call->cancellation.ticket = client->ticket;
    call->cancellation.on_cancelled = on_cancelled;
    client->call = call;
    client->on_return = on_cancel_return;
    broker_cancel(client->lane->ingress->broker, &call->cancellation);
}

/* ---- submitting ---- */

/* The key had a request already: this client goes on with that one's ticket.
 * (Its own was listed for nothing, and nobody can have posted to it.) */
static void
join(struct client *client)
{
    bool waits = client->wait_until > 0;

    client->is_joined = true;
    client->ticket = client->submission.ticket;
    if (waits) {
        waiters_withdraw(waiters_of(client), &client->waiter);
        waiters_add(waiters_of(client), &client->waiter, &client->ticket,
                    &client->lane->answers);
    }
    look_up_or_end(client);
}

static void
on_submit_return(struct client *client)
{
    const struct submission *submission = &client->submission;

    intake_release(client);
    if (submission->r < 0) {
        reply_result(client, submission->r);
        exchange_finish(client);
    } else if (submission->joined) {
        join(client);
    } else if (client->answer == NULL && !waits_on(client) &&
               reply_tells_more(client)) {
        look_up_or_end(client);
    } else {
        settle_new(client);
    }
}

/* On a thread of the broker. */
static void
on_submitted(struct submission *submission)
{
    struct client *client = CONTAINER_OF(submission, struct client, submission);

    mailbox_post(&client->lane->returns, &client->returned);
}

static void
submit(struct client *client)
{
    struct broker *broker = client->lane->ingress->broker;

    client->ticket =
        ticket_make(broker_secret(broker), clock_wall(),
                    client->key != NULL ? request_key_slot(client->key)
                                        : TICKET_RANDOM_SLOT);
    client->submission = (struct submission){
        .ticket = client->ticket,
        .queue = client->route->queue,
        .idempotent = message_is_idempotent(client->head.method),
        .origin = {.peer = slice_of(client->peer),
                   .local = slice_of(client->local),
                   .scheme = SLICE("http"),
                   .route = slice_of(client->route->path)},
        .message = buf_slice(&client->message),
        .key = client->key,
        .on_submitted = on_submitted,
    };
    begin_wait(client);
    client->on_return = on_submit_return;
    lane_submit(client->lane, &client->submission);
}

/* ---- what lane.c calls ---- */

void
exchange_start(struct client *client)
{
    if (client->lane->stage >= LANE_CUT) {
        reply_result(client, -ESHUTDOWN);
        return;
    }
    if (client->errand == ERRAND_SUBMIT && intake_end(client) < 0) {
        reply_problem(client, 503, "busy", "no memory; try again");
        return;
    }
    if (client->errand == ERRAND_EVENTS && !events_admit(client))
        return;
    client_suspend(client);
    client->phase = PHASE_CALLING;
    switch (client->errand) {
    case ERRAND_SUBMIT:
        submit(client);
        break;
    case ERRAND_RESPONSE:
        begin_wait(client);
        exchange_look_up(client);
        break;
    case ERRAND_STATUS:
        exchange_look_up(client);
        break;
    case ERRAND_CANCEL:
        cancel(client);
        break;
    case ERRAND_EVENTS:
        events_start(client);
        break;
    }
}

void
exchange_on_answer(struct client *client)
{
    struct answer *answer = waiter_take(&client->waiter);

    if (client->phase == PHASE_CALLING) {
        client->answer = answer; /* the call's return will find it */
    } else if (client->errand == ERRAND_EVENTS) {
        events_on_answer(client, answer);
    } else if (client->response != NULL) {
        answer_unref(answer);
        exchange_finish(client);
    } else {
        finish_stored(client, answer);
    }
}

void
exchange_wait_over(struct client *client)
{
    if (client->errand == ERRAND_EVENTS) {
        events_wait_over(client);
        return;
    }
    if (!waiters_withdraw(waiters_of(client), &client->waiter))
        return; /* the answer is on its way */
    give_place(client);
    look_up_or_end(client);
}

void
exchange_hung_up(struct client *client)
{
    if (client->errand == ERRAND_EVENTS) {
        events_hung_up(client);
        return;
    }
    if (client->phase != PHASE_WAITING ||
        !waiters_withdraw(waiters_of(client), &client->waiter))
        return;
    client->is_gone = true;
    exchange_finish(client);
}

void
exchange_reset(struct client *client)
{
    struct lane *lane = client->lane;

    if (client->phase == PHASE_IDLE)
        return;
    intake_release(client);
    events_reset(client);
    give_place(client);
    answer_unref(client->answer);
    free(client->key);
    reply_drop(client);
    lane->open--;
    memset(&client->phase, 0, sizeof(*client) - offsetof(struct client, phase));
}
