/* page.h - the waiting page: what a browser shows until the response is there.
 *
 * One HTML document that needs nothing from elsewhere, with the facts of the
 * status document. It comes back by itself: its script follows the ticket's
 * events and shows the response; without scripts the browser asks again now and
 * then. What it says stands in it once: the state is an attribute, by which the
 * style sheet shows the sentences that hold, and which the script sets anew.
 *
 * Threads: any; pure. Source: docs/http.md "The waiting page".
 */
#ifndef INGRESS_PAGE_H
#define INGRESS_PAGE_H

#include "broker/broker.h"
#include "ingress/text.h"

struct page {
    const struct ticket *ticket;
    const struct ticket_status *status;
    int refresh;      /* seconds, where there are no scripts */
    bool is_in_place; /* at the address that was asked for, where the response
                       * then is to be shown */
};

#define PAGE_SIZE 16384 /* holds the longest */

void page_write(struct text *text, const struct page *page);

/* Content-Security-Policy that permits its script and style and nothing else.
 */
#define PAGE_POLICY_SIZE 300
void page_policy(char policy[PAGE_POLICY_SIZE]);

#endif
