/* barrier_test.c - who is accounted for, and how. */
#include "control/barrier.h"

#include "tests/unit/test.h"

START_TEST(a_barrier_without_members_is_passed)
{
    ck_assert(barrier_is_passed(NULL, 0));
}
END_TEST

START_TEST(a_barrier_holds_while_one_member_is_expected)
{
    struct member members[MEMBER_STATES] = {{0}};

    for (unsigned i = 0; i < MEMBER_STATES; i++)
        members[i].state = (enum member_state)i;
    ck_assert(!barrier_is_passed(members, MEMBER_STATES));
    ck_assert(member_account(&members[MEMBER_EXPECTED], MEMBER_DIED));
    ck_assert(barrier_is_passed(members, MEMBER_STATES));
}
END_TEST

START_TEST(who_is_accounted_for_stays_what_it_was_first)
{
    struct member member = {0};

    ck_assert(member_account(&member, MEMBER_ACKNOWLEDGED));
    ck_assert(!member_account(&member, MEMBER_LAPSED));
    ck_assert_int_eq(member.state, MEMBER_ACKNOWLEDGED);
}
END_TEST

START_TEST(words_are_read_as_they_are_written)
{
    enum member_state state = MEMBER_EXPECTED;

    for (unsigned i = 0; i < MEMBER_STATES; i++) {
        ck_assert(member_state_parse(member_state_word((enum member_state)i),
                                     &state));
        ck_assert_uint_eq(state, i);
    }
    ck_assert(!member_state_parse("here", &state));
}
END_TEST

TESTS("control", "barrier", a_barrier_without_members_is_passed,
      a_barrier_holds_while_one_member_is_expected,
      who_is_accounted_for_stays_what_it_was_first,
      words_are_read_as_they_are_written)
