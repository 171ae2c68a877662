/* handler.c - the table of the kinds of handlers. */
#include "workers/handlers/handler.h"

#include <assert.h>

static const struct handler_kind *const kinds[HANDLER_TYPES] = {
    [HANDLER_CGI] = &cgi_kind,
    [HANDLER_RESPOND] = &respond_kind,
};

const struct handler_kind *
handler_kind_of(enum handler_type type)
{
    assert(type < HANDLER_TYPES);
    return kinds[type];
}

int
handler_open(const struct handler_ground *ground, struct handler **out,
             struct error *err)
{
    return handler_kind_of(ground->queue->handler.type)->open(ground, out, err);
}

void
handler_close(struct handler *handler)
{
    if (handler != NULL)
        handler->kind->close(handler);
}
