/* receipt.h - the 202 of a request that was just accepted, kept for the next
 * one on the same connection.
 *
 * Such answers differ in nothing but the ticket and the time, which have a
 * fixed length: so the whole answer is made once and these are written over.
 * That spares about thirty allocations, a fifth of what a request costs here.
 *
 * I1: it is written over only while no answer is on its way on the connection,
 *     for libmicrohttpd sends from the same bytes.
 * Threads: owner.
 */
#ifndef INGRESS_RECEIPT_H
#define INGRESS_RECEIPT_H

#include <microhttpd.h>
#include <stdbool.h>

#include "common/clock.h"
#include "common/settings.h"
#include "common/ticket.h"

#define RECEIPT_TICKETS 5 /* places that name the ticket */

/* A zeroed one is empty. */
struct receipt {
    struct MHD_Response *response; /* NULL: empty */
    const struct route_settings *route;
    bool is_async; /* the client preferred so, which the answer says */
    size_t len;    /* of the body */
    char *tickets[RECEIPT_TICKETS];
    char *time;
};

/* Keeps a whole answer with a body of our own memory that ends in NUL, both
 * naming ticket and the time; takes the response. */
void receipt_keep(struct receipt *receipt, struct MHD_Response *response,
                  char *body, const struct ticket *ticket, wall_ms submitted);
void receipt_fill(struct receipt *receipt, const struct ticket *ticket,
                  wall_ms submitted);
void receipt_fini(struct receipt *receipt);

#endif
