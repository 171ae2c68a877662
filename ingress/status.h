/* status.h - the status document of a ticket.
 *
 * {"ticket","state","reason","queue","attempts","release","submitted",
 * "started","ended","position","response"}: times in RFC 3339, response the
 * path of the response; what is not known is left out.
 *
 * Threads: any; pure. Source: docs/http.md "The status document".
 */
#ifndef INGRESS_STATUS_H
#define INGRESS_STATUS_H

#include "broker/broker.h"
#include "ingress/text.h"

#define STATUS_SIZE 4096 /* holds the longest */

void status_write(struct text *text, const struct ticket *ticket,
                  const struct ticket_status *status);

#endif
