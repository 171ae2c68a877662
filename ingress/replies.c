/* replies.c - what goes out to a client. */
#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "common/log.h"
#include "common/mem.h"
#include "common/message.h"
#include "common/problem.h"
#include "ingress/ingress_priv.h"
#include "ingress/page.h"
#include "ingress/status.h"

#define PROBLEM_MAX 4096
#define REFRESH_MIN 3 /* seconds, of a page that loads itself anew */
#define PATH_SIZE   (sizeof("/-/tickets//response") + TICKET_TEXT)

/* ---- parts ---- */

void
reply_add(struct client *client, const char *name, const char *value)
{
    enum MHD_Result r = MHD_add_response_header(client->response, name, value);

    assert(r == MHD_YES);
    (void)r;
}

void
reply_drop(struct client *client)
{
    if (client->response != NULL &&
        client->response != client->receipt.response)
        MHD_destroy_response(client->response);
    client->response = NULL;
}

static void
set_response(struct client *client, int status, size_t len,
             struct MHD_Response *response)
{
    assert(client->response == NULL && response != NULL);
    client->response = response;
    client->status = (unsigned)status;
    client->answer_len = len;
}

/* A body that is copied; it is text. */
static void
set_body(struct client *client, int status, const char *type, struct slice body)
{
    client->body_copy = mem_strndup(body.at, body.len);
    set_response(client, status, body.len,
                 MHD_create_response_from_buffer(body.len, client->body_copy,
                                                 MHD_RESPMEM_MUST_FREE));
    reply_add(client, MHD_HTTP_HEADER_CONTENT_TYPE, type);
    reply_add(client, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
    if (client->lane->stage != LANE_OPEN)
        reply_add(client, MHD_HTTP_HEADER_CONNECTION, "close");
}

static void
ticket_path(const struct ticket *ticket, char path[PATH_SIZE])
{
    char name[TICKET_TEXT + 1];
    struct text text = text_over(path, PATH_SIZE);

    ticket_format(ticket, name);
    text_add(&text, SLICE("/-/tickets/"));
    text_add(&text, slice_of(name));
    text_end(&text);
}

/* When to ask again, in seconds: soon for a young request, seldom for an old
 * one; of one behind a pause the pause's age counts. */
static int
retry_after(const struct client *client, const struct ticket_status *status)
{
    bool is_paused = status_is_paused(status);
    span_ms age = clock_wall() - (is_paused ? status->paused_since
                                            : ticket_time(&client->ticket));
    int most = is_paused ? 60 : 30;

    return age < 20000 ? 1 : age > most * 10000 ? most : (int)(age / 10000);
}

static void
add_retry_after(struct client *client, const struct ticket_status *status)
{
    int seconds = retry_after(client, status);
    char storage[16];
    struct text text = text_over(storage, sizeof(storage));

    text_add_number(&text, seconds);
    reply_add(client, MHD_HTTP_HEADER_RETRY_AFTER, text_end(&text));
}

/* A browser gets the waiting page in place of a 202's JSON. */
static bool
wants_page(const struct client *client)
{
    return accept_prefers_html(&client->head.accept);
}

static void
add_preferences(struct client *client, bool is_ticket)
{
    char applied[PREFER_APPLIED_SIZE];
    bool is_applied = client->plan.async_applied || client->plan.wait_applied;

    if (client->is_joined)
        reply_add(client, "Idempotency-Replayed", "true");
    if (is_ticket && client->status == 202 && wants_page(client))
        reply_add(client, MHD_HTTP_HEADER_VARY,
                  is_applied ? "Prefer, Accept" : "Accept");
    else if (is_applied)
        reply_add(client, MHD_HTTP_HEADER_VARY, "Prefer");
    if (!is_applied)
        return;
    prefer_applied(&client->plan, is_ticket, applied);
    if (applied[0] != '\0')
        reply_add(client, "Preference-Applied", applied);
}

/* ---- problems ---- */

/* None for each request, unless asked for. */
static void
log_refusal(const struct client *client, int status, const char *code)
{
    if (log_is_on(LOG_DEBUG))
        log_event(EVENT_REFUSED, "peer=%s status=%d code=%s", client->peer,
                  status, code);
}

static void
set_problem(struct client *client, int status, const char *code,
            const char *detail, const struct ticket *ticket)
{
    struct buf body;

    log_refusal(client, status, code);
    buf_init(&body, PROBLEM_MAX);
    int r = problem_body(&body, status, code, detail, ticket);
    assert(r == 0); /* our sentences are shorter than the cap */
    (void)r;
    set_body(client, status, "application/problem+json", buf_slice(&body));
    buf_fini(&body);
    if (status == 503 || status == 507)
        reply_add(client, MHD_HTTP_HEADER_RETRY_AFTER, "2");
}

void
reply_problem(struct client *client, int status, const char *code,
              const char *detail)
{
    set_problem(client, status, code, detail, NULL);
}

/* The sentence for a refusal of the broker. */
static const char *
result_detail(const struct client *client, int r)
{
    switch (r) {
    case -ENOENT:
        return client->is_joined
                   ? "this Idempotency-Key is remembered, but its request and "
                     "response are not kept any more; use a new key for a new "
                     "request"
                   : "the request and its response are not kept any more";
    case -EEXIST:
        return "this Idempotency-Key was used for another request; use a new "
               "key for a new request";
    case -EALREADY:
        return "the request has ended; there is nothing to cancel";
    case -ENOBUFS:
        return "the queue has as many requests as its max_depth allows; try "
               "again later";
    case -ECONNREFUSED:
        return "the queue takes nothing new for now, by its operator's wish; "
               "try again later";
    case -ENOSPC:
        return "no space left to store the request; nothing was accepted";
    case -ESHUTDOWN:
        return "this ingress is ending; ask another one, or again";
    case -ENOTCONN:
        return "the store cannot be reached; nothing was accepted, try again";
    case -ECOMM:
        return "the store did not answer in time: whether the request was "
               "accepted is not known; repeat it with an Idempotency-Key";
    default:
        return "the store failed; see the log. Whether the request was "
               "accepted is not known: repeat it with an Idempotency-Key";
    }
}

void
reply_result(struct client *client, int r)
{
    bool is_gone = r == -ENOENT; /* its tag is ours, so it was there once */

    set_problem(client, is_gone ? 410 : error_http_status(r),
                is_gone ? "expired" : error_word(r), result_detail(client, r),
                is_gone || r == -EALREADY ? &client->ticket : NULL);
    if (client->is_joined)
        reply_add(client, "Idempotency-Replayed", "true");
}

/* ---- the status document ---- */

static void
set_status(struct client *client, int http_status,
           const struct ticket_status *status)
{
    char storage[STATUS_SIZE];
    struct text text = text_over(storage, sizeof(storage));

    status_write(&text, &client->ticket, status);
    assert(!text.is_cut);
    set_body(client, http_status, "application/json",
             (struct slice){text.at, text.len});
}

/* Where the page's script writes the response in its place, the policy would
 * hold for that as well, and forbid it its own scripts and styles. */
static void
set_page(struct client *client, const struct ticket_status *status)
{
    int seconds = retry_after(client, status);
    const struct page page = {
        .ticket = &client->ticket,
        .status = status,
        .refresh = seconds < REFRESH_MIN ? REFRESH_MIN : seconds,
        .is_in_place = client->errand == ERRAND_SUBMIT,
    };
    char storage[PAGE_SIZE], policy[PAGE_POLICY_SIZE];
    struct text text = text_over(storage, sizeof(storage));

    page_write(&text, &page);
    assert(!text.is_cut);
    set_body(client, 202, "text/html; charset=utf-8",
             (struct slice){text.at, text.len});
    if (!page.is_in_place) {
        page_policy(policy);
        reply_add(client, "Content-Security-Policy", policy);
    }
}

void
reply_status(struct client *client, const struct ticket_status *status)
{
    int http_status = client->status_is == 0 ? 200 : client->status_is;

    if (http_status == 202 && wants_page(client)) {
        set_page(client, status);
        reply_add(client, MHD_HTTP_HEADER_VARY, "Accept");
    } else {
        set_status(client, http_status, status);
    }
    if (!ticket_state_is_final(status->state))
        add_retry_after(client, status);
}

/* A strict route's client did not ask for a ticket: that it gets no response
 * in time is an error to it. */
static bool
is_strict(const struct client *client)
{
    return client->route != NULL && client->route->strict &&
           client->plan.wait > 0 && !client->plan.takes_ticket;
}

static void
set_accepted(struct client *client, const struct ticket_status *status)
{
    char path[PATH_SIZE], storage[PATH_SIZE + 32];
    struct text link = text_over(storage, sizeof(storage));

    ticket_path(&client->ticket, path);
    if (is_strict(client)) {
        set_problem(client, 504, "not-yet",
                    "the response was not there in time; the request goes on, "
                    "ask for it at Location",
                    &client->ticket);
    } else if (wants_page(client)) {
        set_page(client, status);
    } else {
        set_status(client, 202, status);
        reply_add(client, MHD_HTTP_HEADER_CONTENT_LOCATION, path);
    }
    text_add(&link, SLICE("<"));
    text_add(&link, slice_of(path));
    text_add(&link, SLICE(">; rel=\"monitor\""));
    reply_add(client, MHD_HTTP_HEADER_LOCATION, path);
    reply_add(client, MHD_HTTP_HEADER_LINK, text_end(&link));
    add_retry_after(client, status);
    add_preferences(client, true);
}

/* Is this the 202 of every day: of a request that is new, does not wait, and
 * has nothing to tell but that? */
static bool
is_receipt(const struct client *client)
{
    return client->errand == ERRAND_SUBMIT && client->plan.wait == 0 &&
           !client->plan.wait_applied && !client->is_joined &&
           !reply_tells_more(client) && client->lane->stage == LANE_OPEN;
}

static void
give_receipt(struct client *client, const struct ticket_status *status)
{
    struct receipt *receipt = &client->receipt;

    if (receipt->response != NULL && receipt->route == client->route &&
        receipt->is_async == client->plan.async_applied) {
        receipt_fill(receipt, &client->ticket, status->submitted);
        set_response(client, 202, receipt->len, receipt->response);
        return;
    }
    set_accepted(client, status);
    receipt_keep(receipt, client->response, client->body_copy, &client->ticket,
                 status->submitted);
    receipt->route = client->route;
    receipt->is_async = client->plan.async_applied;
}

bool
reply_tells_more(const struct client *client)
{
    return client->submission.paused_since != 0 || wants_page(client);
}

void
reply_accepted(struct client *client, const struct ticket_status *status)
{
    if (is_receipt(client))
        give_receipt(client, status);
    else
        set_accepted(client, status);
}

/* ---- streams of events ---- */

void
reply_stream(struct client *client, struct MHD_Response *response)
{
    set_response(client, 200, 0, response);
    reply_add(client, MHD_HTTP_HEADER_CONTENT_TYPE, "text/event-stream");
    reply_add(client, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
    reply_add(client, "X-Accel-Buffering", "no"); /* for nginx in front */
}

void
reply_nothing(struct client *client)
{
    set_response(
        client, 204, 0,
        MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT));
    reply_add(client, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
}

/* ---- stored responses ---- */

static void
release_answer(void *opaque)
{
    answer_unref(opaque);
}

/* The stored body, without a copy: libmicrohttpd lets go of its reference to
 * the answer with the response. */
static void
set_stored_body(struct client *client, int status, struct slice body,
                struct answer *answer)
{
    char *at = (char *)(uintptr_t)body.at;

    if (body.len == 0) {
        set_response(
            client, status, 0,
            MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT));
        return;
    }
    set_response(client, status, body.len,
                 MHD_create_response_from_buffer_with_free_callback_cls(
                     body.len, at, release_answer, answer_ref(answer)));
}

static bool
is_replayed(const struct message *message, struct slice name)
{
    struct slice connection = message_field(message, "Connection");

    return !message_is_hop_by_hop(name) &&
           !slice_is_nocase(name, "Content-Length") &&
           !message_lists(connection, name);
}

/* One field, as C strings in the lane's scratch. Empty values libmicrohttpd
 * does not send. */
static void
add_stored_field(struct client *client, const struct field *field)
{
    struct buf *scratch = &client->lane->scratch;

    buf_clear(scratch);
    if (field->value.len == 0 || buf_add_slice(scratch, field->name) < 0 ||
        buf_add(scratch, "", 1) < 0 ||
        buf_add_slice(scratch, field->value) < 0 || buf_add(scratch, "", 1) < 0)
        return;
    MHD_add_response_header(client->response, scratch->at,
                            scratch->at + field->name.len + 1);
}

/* libmicrohttpd builds the header in what the request's own has left. */
static bool
header_fits(const struct client *client, const struct message *message)
{
    size_t need = 512; /* the status line, and fields of ours */

    for (size_t i = 0; i < message->fields_len; i++)
        need += message->fields[i].name.len + message->fields[i].value.len + 4;
    return client->pool_used + need <= client->lane->ingress->pool_bytes;
}

static void
replay(struct client *client, const struct message *message,
       struct answer *answer)
{
    char text[TICKET_TEXT + 1], mark[TICKET_TEXT + 32];
    enum ticket_state state = answer->stored->state;

    set_stored_body(client, message->status, message->body, answer);
    for (size_t i = 0; i < message->fields_len; i++)
        if (is_replayed(message, message->fields[i].name))
            add_stored_field(client, &message->fields[i]);
    ticket_format(&client->ticket, text);
    snprintf(mark, sizeof(mark), "%s; state=%s", text,
             ticket_state_word(state));
    reply_add(client, "Cloakroom-Ticket", mark);
    if (client->lane->stage != LANE_OPEN)
        reply_add(client, MHD_HTTP_HEADER_CONNECTION, "close");
    add_preferences(client, false);
}

void
reply_stored(struct client *client, struct answer **answer)
{
    struct message message;
    struct error err;
    struct answer *taken = TAKE(*answer);

    if (message_parse(buf_slice(&taken->stored->bytes), &message, &err) < 0) {
        answer_unref(taken);
        set_problem(client, 500, "store-corrupt",
                    "the stored response is damaged; see the log",
                    &client->ticket);
        log_ticket(EVENT_STORE_CORRUPT, &client->ticket, NULL, 0, "text=\"%s\"",
                   err.text);
        return;
    }
    if (!header_fits(client, &message)) {
        set_problem(client, 502, "header-too-large",
                    "the response's fields are larger than ingress.max_header "
                    "lets through; raise it and ask again",
                    &client->ticket);
    } else {
        replay(client, &message, taken);
    }
    message_fini(&message);
    answer_unref(taken);
}

/* ---- past libmicrohttpd ---- */

void
refusal_send(int fd, const struct refusal *refusal, bool is_head)
{
    char head[1024];
    const char *allow = refusal->allow == NULL ? "" : refusal->allow;
    struct buf body;

    buf_init(&body, PROBLEM_MAX);
    int r = problem_body(&body, refusal->status, refusal->code, refusal->detail,
                         NULL);
    int len = snprintf(head, sizeof(head),
                       "HTTP/1.1 %d %s\r\n"
                       "Connection: close\r\n"
                       "Cache-Control: no-store\r\n"
                       "Content-Type: application/problem+json\r\n"
                       "%s%s%s%sContent-Length: %zu\r\n\r\n",
                       refusal->status, message_reason(refusal->status),
                       refusal->status == 503 ? "Retry-After: 2\r\n" : "",
                       *allow == '\0' ? "" : "Allow: ", allow,
                       *allow == '\0' ? "" : "\r\n", body.len);
    assert(r == 0 && (size_t)len < sizeof(head));
    if (is_head)
        buf_clear(&body);
    send(fd, head, (size_t)len, MSG_NOSIGNAL | MSG_DONTWAIT | MSG_MORE);
    send(fd, body.at, body.len, MSG_NOSIGNAL | MSG_DONTWAIT);
    shutdown(fd, SHUT_WR);
    buf_fini(&body);
}

void
reply_raw(struct client *client, const struct refusal *refusal)
{
    log_refusal(client, refusal->status, refusal->code);
    refusal_send(client->fd, refusal, slice_is(client->head.method, "HEAD"));
}
