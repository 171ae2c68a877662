/* receipt.c - the 202 of a request that was just accepted, kept for the next
 * one on the same connection. */
#include "ingress/receipt.h"

#include <assert.h>
#include <string.h>

/* Where text stands in a value of the response's own (libmicrohttpd keeps a
 * copy of each, and gives it out as const). */
static char *
place_in_field(struct MHD_Response *response, const char *name,
               const char *text)
{
    const char *value = MHD_get_response_header(response, name);
    const char *at = value == NULL ? NULL : strstr(value, text);

    assert(at != NULL);
    return (char *)(uintptr_t)at;
}

static char *
place_in_body(char *body, const char *text)
{
    char *at = strstr(body, text);

    assert(at != NULL);
    return at;
}

void
receipt_keep(struct receipt *receipt, struct MHD_Response *response, char *body,
             const struct ticket *ticket, wall_ms submitted)
{
    char name[TICKET_TEXT + 1], time[CLOCK_TEXT_SIZE];

    receipt_fini(receipt);
    ticket_format(ticket, name);
    clock_format(submitted, time);
    receipt->response = response;
    receipt->len = strlen(body);
    receipt->tickets[0] = place_in_body(body, name);
    receipt->tickets[1] = place_in_body(receipt->tickets[0] + 1, name);
    receipt->tickets[2] =
        place_in_field(response, MHD_HTTP_HEADER_LOCATION, name);
    receipt->tickets[3] =
        place_in_field(response, MHD_HTTP_HEADER_CONTENT_LOCATION, name);
    receipt->tickets[4] = place_in_field(response, MHD_HTTP_HEADER_LINK, name);
    receipt->time = place_in_body(body, time);
}

void
receipt_fill(struct receipt *receipt, const struct ticket *ticket,
             wall_ms submitted)
{
    char name[TICKET_TEXT + 1], time[CLOCK_TEXT_SIZE];

    ticket_format(ticket, name);
    clock_format(submitted, time);
    for (size_t i = 0; i < RECEIPT_TICKETS; i++)
        memcpy(receipt->tickets[i], name, TICKET_TEXT);
    memcpy(receipt->time, time, strlen(time));
}

void
receipt_fini(struct receipt *receipt)
{
    if (receipt->response != NULL)
        MHD_destroy_response(receipt->response);
    *receipt = (struct receipt){0};
}
