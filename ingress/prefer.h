/* prefer.h - what a client prefers: to wait, and for how long.
 *
 * Reads respond-async and wait=N out of Prefer; anything else, and what is not
 * well formed, is passed over. The first of a name wins.
 *
 * Threads: any; pure. Source: RFC 7240, docs/http.md "Waiting".
 */
#ifndef INGRESS_PREFER_H
#define INGRESS_PREFER_H

#include <stdbool.h>

#include "common/clock.h"
#include "common/slice.h"

struct prefer {
    bool respond_async;
    bool has_wait;
    unsigned wait; /* seconds */
};

/* Adds what one Prefer field says; call it for each, in order. */
void prefer_parse(struct prefer *prefer, struct slice value);

/* What is done about it. */
struct wait_plan {
    span_ms wait;      /* 0: a ticket at once */
    bool takes_ticket; /* asked for one, so that it is no error to get it */
    bool async_applied, wait_applied;
};

/* own: the route's wait, used when the client has no wish; cap: its max_wait.
 */
struct wait_plan prefer_plan(const struct prefer *prefer, span_ms own,
                             span_ms cap);

/* The value of Preference-Applied for an answer that is a ticket, or that is
 * the response itself; "" for none. */
#define PREFER_APPLIED_SIZE 48
void prefer_applied(const struct wait_plan *plan, bool is_ticket,
                    char text[PREFER_APPLIED_SIZE]);

#endif
