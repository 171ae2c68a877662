/* problem.c - Cloakroom's own errors as problem+json. */
#include "common/problem.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/json_text.h"
#include "common/message.h"

/* The RFC 9209 error type that stands nearest to a status of ours. */
static const char *
proxy_error(int status)
{
    switch (status) {
    case 502:
        return "http_response_incomplete";
    case 504:
        return "http_response_timeout";
    case 500:
        return "proxy_internal_error";
    default:
        return "http_request_denied";
    }
}

int
problem_body(struct buf *buf, int status, const char *code, const char *detail,
             const struct ticket *ticket)
{
    char name[TICKET_TEXT + 1];
    json_t *node = json_pack("{s:s, s:s, s:i, s:s, s:o}", "type", "about:blank",
                             "title", message_reason(status), "status", status,
                             "code", code, "detail", json_text(detail));

    if (node != NULL && ticket != NULL) {
        ticket_format(ticket, name);
        json_object_set_new(node, "ticket", json_string(name));
    }
    char *text = node == NULL ? NULL : json_dumps(node, JSON_COMPACT);
    int r = text == NULL ? -EMSGSIZE : buf_addf(buf, "%s\n", text);
    free(text);
    json_decref(node);
    return r;
}

/* The message with the body that is given. */
static int
write_message(struct buf *buf, int status, const struct buf *body)
{
    char proxy[64];
    int r;

    snprintf(proxy, sizeof(proxy), "cloakroom; error=%s", proxy_error(status));
    if ((r = message_start_response(buf, status)) < 0 ||
        (r = message_add_field(buf, SLICE("Content-Type"),
                               SLICE("application/problem+json"))) < 0 ||
        (r = message_add_field(buf, SLICE("Cache-Control"),
                               SLICE("no-store"))) < 0 ||
        (r = message_add_field(buf, SLICE("Proxy-Status"), slice_of(proxy))) <
            0 ||
        (r = message_end(buf, body->len)) < 0)
        return r;
    return buf_add_slice(buf, buf_slice(body));
}

int
problem_message(struct buf *buf, int status, const char *code,
                const char *detail, const struct ticket *ticket)
{
    struct buf body;

    buf_init(&body, 64 * 1024);
    int r = problem_body(&body, status, code, detail, ticket);
    if (r == 0)
        r = write_message(buf, status, &body);
    buf_fini(&body);
    return r;
}
