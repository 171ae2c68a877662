/* lifecycle.c - the states of a ticket. */
#include "control/lifecycle.h"

#include <assert.h>

static const struct {
    const char *word;
    bool final;
} table[TICKET_STATES] = {
#define STATE(name, word, final) [TICKET_##name] = {word, final},
#include "control/lifecycle.def"
#undef STATE
};

const char *
ticket_state_word(enum ticket_state state)
{
    assert(state < TICKET_STATES);
    return table[state].word;
}

bool
ticket_state_is_final(enum ticket_state state)
{
    assert(state < TICKET_STATES);
    return table[state].final;
}

bool
ticket_state_may(enum ticket_state from, enum ticket_state to)
{
    if (from == TICKET_QUEUED)
        return to == TICKET_RUNNING || to == TICKET_CANCELLED ||
               to == TICKET_EXPIRED;
    if (from == TICKET_RUNNING)
        return to == TICKET_QUEUED || to == TICKET_DONE ||
               to == TICKET_FAILED || to == TICKET_CANCELLED;
    return false;
}
