/* respond.c - always the same answer: maintenance pages, tests, benchmarks.
 *
 * The message is made once. It answers on the thread that brings the attempt,
 * for a hand-over would cost many times the answer.
 */
#include <stdlib.h>

#include "common/mem.h"
#include "common/message.h"
#include "common/own.h"
#include "workers/handlers/handler.h"

struct respond {
    struct handler handler; /* first */
    struct buf message;
};

/* What HTTP does not let have a body (RFC 9110 sections 15.3.5 and 15.4.5). */
static bool
has_no_body(int status)
{
    return status == 204 || status == 304;
}

static int
build(const struct respond_settings *settings, struct buf *message)
{
    struct slice body = slice_of(settings->body);
    int r = message_start_response(message, settings->status);

    for (size_t i = 0; r == 0 && i < settings->fields_len; i++)
        r = message_add_field(message, slice_of(settings->fields[i].name),
                              slice_of(settings->fields[i].value));
    if (r == 0 && has_no_body(settings->status))
        return message_end_bare(message);
    if (r == 0)
        r = message_end(message, body.len);
    return r < 0 ? r : buf_add_slice(message, body);
}

static void
respond_close(struct handler *handler)
{
    struct respond *respond = CONTAINER_OF(handler, struct respond, handler);

    buf_fini(&respond->message);
    free(respond);
}

static int
respond_open(const struct handler_ground *ground, struct handler **out,
             struct error *err)
{
    struct respond *respond = mem_new(struct respond);

    respond->handler.kind = &respond_kind;
    buf_init(&respond->message, ground->queue->max_response);
    struct respond_settings settings = respond_settings_expand(
        &ground->queue->handler.respond, ground->release);
    int r = build(&settings, &respond->message);
    respond_settings_fini(&settings);
    if (r < 0) {
        respond_close(&respond->handler);
        return error_set(err, r,
                         "the answer of queue %s is larger than its "
                         "max_response, or has a field that is not one",
                         ground->queue->name);
    }
    *out = &respond->handler;
    return 0;
}

static void
respond_answer(struct handler *handler, struct attempt *attempt)
{
    const struct respond *respond =
        CONTAINER_OF(handler, struct respond, handler);

    attempt->response.cap = respond->message.len;
    if (buf_add_slice(&attempt->response, buf_slice(&respond->message)) == 0)
        attempt->outcome = OUTCOME_ANSWERED;
    else
        attempt->outcome = OUTCOME_NOT_STARTED; /* no memory */
}

const struct handler_kind respond_kind = {
    .open = respond_open,
    .close = respond_close,
    .answer = respond_answer,
};
