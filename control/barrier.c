/* barrier.c - is everyone accounted for who could run something? */
#include "control/barrier.h"

#include <assert.h>
#include <string.h>

static const struct {
    const char *word;
    bool accounted;
} table[MEMBER_STATES] = {
#define MEMBER(name, word, accounted) [MEMBER_##name] = {word, accounted},
#include "control/barrier.def"
#undef MEMBER
};

const char *
member_state_word(enum member_state state)
{
    assert(state < MEMBER_STATES);
    return table[state].word;
}

bool
member_state_parse(const char *word, enum member_state *state)
{
    for (unsigned i = 0; i < MEMBER_STATES; i++) {
        if (strcmp(table[i].word, word) != 0)
            continue;
        *state = (enum member_state)i;
        return true;
    }
    return false;
}

bool
member_account(struct member *member, enum member_state state)
{
    assert(state < MEMBER_STATES && table[state].accounted);
    if (table[member->state].accounted)
        return false; /* I1 */
    member->state = state;
    return true;
}

bool
barrier_is_passed(const struct member *members, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (!table[members[i].state].accounted)
            return false;
    }
    return true;
}
