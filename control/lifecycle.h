/* lifecycle.h - the states of a ticket.
 *
 *                 take                finish
 *     QUEUED --------------> RUNNING ----------> DONE
 *      |  ^                   |  |  \----------> FAILED
 *      |  +-------------------+  |
 *      |    retry, put back      +-------------> CANCELLED
 *      +-- cancel -------------------------------^
 *      +-- ttl ----------------------------------> EXPIRED
 *
 * DONE: the handler answered (its own 500 too). FAILED: Cloakroom answered for
 * it. I1: a final state never changes (P2).
 *
 * Threads: any; pure. Source: docs/design.md, section 1.
 */
#ifndef CONTROL_LIFECYCLE_H
#define CONTROL_LIFECYCLE_H

#include <stdbool.h>

enum ticket_state {
#define STATE(name, word, final) TICKET_##name,
#include "control/lifecycle.def"
#undef STATE
    TICKET_STATES
};

const char *ticket_state_word(enum ticket_state state); /* "queued" */
bool ticket_state_is_final(enum ticket_state state);
/* May a ticket go from one state to the other? */
bool ticket_state_may(enum ticket_state from, enum ticket_state to);

#endif
