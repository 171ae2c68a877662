/* accept.h - does a client rather want HTML or JSON?
 *
 * Reads the quality of text/html and of application/json out of Accept: of the
 * ranges that match a type the most specific one decides, of equal ones the
 * highest quality. Parameters of a range are passed over, and so is a range
 * that is not well formed.
 *
 * Threads: any; pure. Source: RFC 9110 sections 12.4.2 and 12.5.1, docs/http.md
 * "The waiting page".
 */
#ifndef INGRESS_ACCEPT_H
#define INGRESS_ACCEPT_H

#include <stdbool.h>

#include "common/slice.h"

struct accept_type {
    unsigned quality;   /* in thousandths */
    unsigned exactness; /* of the range that says so; 0: none matches */
};

/* A zeroed one is of a request without Accept. */
struct accept {
    struct accept_type html, json;
};

/* Adds what one Accept field says; call it for each. */
void accept_parse(struct accept *accept, struct slice value);

/* Only when it says so: a client that takes both alike gets JSON. */
bool accept_prefers_html(const struct accept *accept);

#endif
