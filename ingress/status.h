/* status.h - the status document of a ticket.
 *
 * {"ticket","state","reason","paused_since","paused_why","queue","attempts",
 * "release","submitted","started","ended","position","replays","replayed_by",
 * "response"}: times in RFC 3339, response the path of the response; what is
 * not known is left out. It is one line.
 *
 * Threads: any; pure. Source: docs/http.md "The status document".
 */
#ifndef INGRESS_STATUS_H
#define INGRESS_STATUS_H

#include "broker/broker.h"
#include "ingress/text.h"

#define STATUS_SIZE 4096 /* holds the longest */

/* Does it wait behind a pause? Then its reason is "paused". */
bool status_is_paused(const struct ticket_status *status);

void status_write(struct text *text, const struct ticket *ticket,
                  const struct ticket_status *status);

#endif
