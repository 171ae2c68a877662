/* waiters.h - who waits for the response of which ticket.
 *
 *               waiters_add                waiters_deliver
 *      OUT ----------------------> LISTED -----------------> POSTED
 *       ^                            |                          |
 *       +-- waiters_withdraw: true --+                          |
 *       +-- the lane has taken the mail and called waiter_take -+
 *
 * A response that comes between add and withdraw is posted to the lane of each
 * waiter; once POSTED, withdraw says false and the mail is on its way.
 *
 * Threads: any; a waiter itself belongs to its lane, but for the moment of
 * posting. No lock is held while a mail is posted.
 */
#ifndef INGRESS_WAITERS_H
#define INGRESS_WAITERS_H

#include <stdatomic.h>
#include <stdbool.h>

#include "broker/broker.h"
#include "common/mailbox.h"

/* A stored response that several connections may be sending at once. */
struct answer {
    atomic_uint refs;
    struct stored *stored;
};
struct answer *answer_new(struct stored **stored); /* takes it; one ref */
struct answer *answer_ref(struct answer *answer);
void answer_unref(struct answer *answer); /* NULL is fine */

enum waiter_state { WAITER_OUT, WAITER_LISTED, WAITER_POSTED };

struct waiter {
    struct mail mail; /* posted to box with the answer set */
    struct waiter *next;
    struct mailbox *box;
    struct ticket ticket;
    struct answer *answer;   /* of a POSTED one */
    enum waiter_state state; /* under the lock of its shard */
};

struct waiters;
struct waiters *waiters_new(void);
void waiters_free(struct waiters *waiters); /* nobody may be listed */

/* waiter must be OUT; its memory stays until it is OUT again. */
void waiters_add(struct waiters *waiters, struct waiter *waiter,
                 const struct ticket *ticket, struct mailbox *box);
/* False: it is POSTED, take the mail. An OUT one stays so, and true. */
bool waiters_withdraw(struct waiters *waiters, struct waiter *waiter);
/* The answer of a POSTED waiter whose mail was taken, which is then OUT. */
struct answer *waiter_take(struct waiter *waiter);

bool waiters_wanted(struct waiters *waiters, const struct ticket *ticket);
/* Posts to all who wait for it; takes stored. */
void waiters_deliver(struct waiters *waiters, const struct ticket *ticket,
                     struct stored **stored);

#endif
