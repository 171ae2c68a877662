/* barrier.h - is everyone accounted for who could run something?
 *
 *     EXPECTED --+--> ACKNOWLEDGED  it saw the pause and runs nothing
 *                +--> LEFT          it said goodbye, after its last attempt
 *                +--> DIED          its process and its handlers are gone
 *                +--> LAPSED        its lease is over by the margin: whatever
 *                                   it ran was killed by the lease's clock
 *
 * The members are the sessions known when the pause was recorded; whoever says
 * hello later sees the pause first. I1: who is accounted for stays so, as what
 * it was first. I2: the barrier is passed when no member is EXPECTED; then
 * nothing of the queue runs (P5). A probe has a barrier with one member.
 *
 * Threads: any; pure. Source: docs/design.md, section 5; models/pause.pml.
 */
#ifndef CONTROL_BARRIER_H
#define CONTROL_BARRIER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "control/control.h"

enum member_state {
#define MEMBER(name, word, accounted) MEMBER_##name,
#include "control/barrier.def"
#undef MEMBER
    MEMBER_STATES
};

struct member {
    uint64_t session;
    char name[128]; /* of the worker, for people */
    char release[RELEASE_SIZE];
    enum member_state state;
};

/* Accounts for a member. False: it was accounted for before. */
bool member_account(struct member *member, enum member_state state);

bool barrier_is_passed(const struct member *members, size_t len);

const char *member_state_word(enum member_state state);
/* False: no such word; the output is left alone. */
bool member_state_parse(const char *word, enum member_state *state);

#endif
