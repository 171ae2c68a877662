/* tickets.c - what is asked for under /-/. */
#include "ingress/ingress_priv.h"

/* "/-/tickets/T" and what stands behind it: "", "/response" or "/events". */
static bool
parse_path(const struct client *client, struct ticket *ticket,
           struct slice *rest)
{
    static const struct slice prefix = {"/-/tickets/", 11};
    const struct ticket_secret *secret =
        broker_secret(client->lane->ingress->broker);
    struct slice path = client->head.target.path;

    if (!slice_starts(path, prefix) || path.len < prefix.len + TICKET_TEXT)
        return false;
    *rest = slice_from(path, prefix.len + TICKET_TEXT);
    return ticket_parse(secret,
                        (struct slice){path.at + prefix.len, TICKET_TEXT},
                        ticket) == 0;
}

static bool
is_read(struct slice method)
{
    return slice_is(method, "GET") || slice_is(method, "HEAD");
}

static void
refuse_method(struct client *client, const char *allow)
{
    reply_problem(client, 405, "method-not-allowed",
                  "a ticket can be read, and cancelled by DELETE; see Allow");
    reply_add(client, "Allow", allow);
}

void
tickets_begin(struct client *client)
{
    struct slice rest, method = client->head.method;

    if (!parse_path(client, &client->ticket, &rest)) {
        reply_problem(client, 404, "not-found", "there is no such ticket");
    } else if (rest.len == 0) {
        client->errand = is_read(method) ? ERRAND_STATUS : ERRAND_CANCEL;
        if (!is_read(method) && !slice_is(method, "DELETE"))
            refuse_method(client, "GET, HEAD, DELETE");
    } else if (slice_is(rest, "/response")) {
        client->errand = ERRAND_RESPONSE;
        client->plan = prefer_plan(&client->head.prefer, 0,
                                   client->lane->ingress->max_wait);
        if (!is_read(method))
            refuse_method(client, "GET, HEAD");
    } else if (slice_is(rest, "/events")) {
        client->errand = ERRAND_EVENTS;
        if (!slice_is(method, "GET"))
            refuse_method(client, "GET");
    } else {
        reply_problem(client, 404, "not-found", "there is no such ticket");
    }
}
