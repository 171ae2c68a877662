/* events.c - /-/tickets/T/events: how a ticket stands, told as it changes.
 *
 * A stream is a round of three, in which a client costs memory and no thread:
 *
 *      CALLING ---- nothing new ----> WAITING     listed for the response
 *       ^   ^                           |
 *       |   +-- its time, or the mail --+
 *       |
 *       |  libmicrohttpd       all is sent:
 *       +-- asks for more --- ANSWERED <---- something to send, from either
 *
 * A client must not be listed while it is resumed (I6), and what happens to the
 * ticket then is not told: so each time that it is suspended it is listed
 * first, and then looks.
 *
 * Source: WHATWG HTML, "Server-sent events"; docs/http.md "Events".
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "ingress/ingress_priv.h"
#include "ingress/status.h"

#define LOOK_MS      2000  /* between two looks, while the ticket changes, */
#define LOOK_MORE_MS 1000  /* so much longer after each that saw no change */
#define LOOK_MAX_MS  10000 /* up to this */
#define HEARTBEAT_MS 14000 /* after so long without a word */
#define BLOCK_SIZE   1024  /* of libmicrohttpd, for a client of HTTP/1.0 */
#define OUT_MAX      (3 * STATUS_SIZE)

/* The id of the last event: who has seen it needs no other stream. */
static const char end_id[] = "end";

/* ---- what is sent ---- */

static void
add(struct events *events, const char *text)
{
    int r = buf_add_text(&events->out, text);

    assert(r == 0);
    (void)r;
}

static void
add_event(struct events *events, const char *fields, const char *document)
{
    add(events, fields);
    add(events, "data: ");
    add(events, document);
    add(events, "\n"); /* the document has the end of its line */
}

/* Puts down what is new about the ticket, or a word that the stream lives if
 * it said nothing for long. */
static void
tell(struct client *client, const struct ticket_status *status)
{
    struct events *events = &client->events;
    bool is_first = !events->has_begun;
    char storage[STATUS_SIZE];
    struct text text = text_over(storage, sizeof(storage));

    status_write(&text, &client->ticket, status);
    const char *document = text_end(&text);
    events->is_over = ticket_state_is_final(status->state);
    if (is_first)
        add(events, "retry: 2000\n");
    if (is_first || (!events->is_over && strcmp(events->told, document) != 0)) {
        add_event(events, "event: status\n", document);
        free(events->told);
        events->told = mem_strndup(document, text.len);
        events->quiet_looks = 0;
    }
    if (events->is_over)
        add_event(events, "event: end\nid: end\n", document);
    if (events->out.len == 0 && client->lane->now >= events->heartbeat_at)
        add(events, ": waiting\n\n");
}

/* ---- the round ---- */

static void
list_and_look(struct client *client)
{
    waiters_add(client->lane->ingress->waiters, &client->waiter,
                &client->ticket, &client->lane->answers);
    exchange_look_up(client);
}

/* libmicrohttpd wants more of the stream. */
static ssize_t
read_events(void *opaque, uint64_t at, char *to, size_t room)
{
    struct client *client = OBJ_CAST(client, CLIENT_MAGIC, opaque);
    struct events *events = &client->events;
    size_t len = events->out.len < room ? events->out.len : room;

    (void)at;
    if (client->is_gone)
        return MHD_CONTENT_READER_END_WITH_ERROR;
    if (len > 0) {
        memcpy(to, events->out.at, len);
        buf_drop(&events->out, len);
        return (ssize_t)len;
    }
    if (events->is_over || client->lane->stage != LANE_OPEN)
        return MHD_CONTENT_READER_END_OF_STREAM;
    client_suspend(client);
    list_and_look(client);
    return 0;
}

static bool
has_something(const struct client *client)
{
    return client->is_gone || client->response != NULL ||
           client->events.out.len > 0 || client->events.is_over;
}

static void
send_on(struct client *client)
{
    struct events *events = &client->events;

    if (!events->has_begun) {
        reply_stream(client, MHD_create_response_from_callback(
                                 MHD_SIZE_UNKNOWN, BLOCK_SIZE, read_events,
                                 client, NULL));
        events->has_begun = true;
    }
    events->heartbeat_at = client->lane->now + HEARTBEAT_MS;
    exchange_finish(client);
}

/* Ends a stream that cannot go on. Its client asks again, and is told why; one
 * that has had no answer so far is told at once. */
static void
end(struct client *client, int r)
{
    client->events.is_over = true;
    if (!client->events.has_begun)
        reply_result(client, r);
    exchange_finish(client);
}

static void
rest(struct client *client)
{
    struct events *events = &client->events;
    span_ms pause = LOOK_MS + events->quiet_looks * LOOK_MORE_MS;

    if (pause < LOOK_MAX_MS)
        events->quiet_looks++;
    client->wait_until = client->lane->now + pause;
    if (client->wait_until > events->heartbeat_at)
        client->wait_until = events->heartbeat_at;
    client->phase = PHASE_WAITING;
    if (!client->is_watched)
        client_watch(client);
    client_set_deadline(client, client->wait_until);
}

/* ---- what exchange.c calls ---- */

bool
events_admit(struct client *client)
{
    if (client->lane->stage != LANE_OPEN) {
        reply_result(client, -ESHUTDOWN);
        return false;
    }
    if (!exchange_take_place(client)) {
        reply_problem(client, 503, "busy",
                      "max_waiting clients are waiting already; try again");
        return false;
    }
    buf_init(&client->events.out, OUT_MAX);
    return true;
}

void
events_start(struct client *client)
{
    list_and_look(client);
}

void
events_on_lookup(struct client *client, int r,
                 const struct ticket_status *status)
{
    bool is_stored = client->answer != NULL;

    answer_unref(TAKE(client->answer));
    if (client->is_gone) {
        exchange_finish(client);
    } else if (r < 0 || client->lane->stage != LANE_OPEN) {
        end(client, r < 0 ? r : -ESHUTDOWN);
    } else if (is_stored && !ticket_state_is_final(status->state)) {
        list_and_look(client); /* this look came just before the end */
    } else if (ticket_state_is_final(status->state) &&
               !client->events.has_begun &&
               slice_is(client->head.last_event_id, end_id)) {
        client->events.is_over = true;
        reply_nothing(client);
        exchange_finish(client);
    } else {
        tell(client, status);
        if (client->events.out.len > 0)
            send_on(client);
        else
            rest(client);
    }
}

void
events_on_answer(struct client *client, struct answer *answer)
{
    answer_unref(answer); /* it is the look that tells */
    if (has_something(client))
        exchange_finish(client);
    else if (client->lane->stage != LANE_OPEN)
        end(client, -ESHUTDOWN);
    else
        list_and_look(client);
}

void
events_wait_over(struct client *client)
{
    if (has_something(client))
        return; /* as soon as the mail on its way has come */
    if (client->lane->stage != LANE_OPEN)
        end(client, -ESHUTDOWN);
    else
        exchange_look_up(client);
}

void
events_hung_up(struct client *client)
{
    client->is_gone = true;
    if (client->phase == PHASE_WAITING)
        exchange_finish(client);
}

void
events_reset(struct client *client)
{
    buf_fini(&client->events.out);
    free(client->events.told);
}
