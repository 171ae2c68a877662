/* asked_test.c - echoes of a wish to stop, and second wishes. */
#include "common/asked.h"
#include "tests/unit/test.h"

START_TEST(a_signal_close_to_the_first_is_its_echo)
{
    struct asked asked = {0};

    ck_assert_int_eq(asked_now(&asked), ASKED_FIRST);
    ck_assert_int_eq(asked_now(&asked), ASKED_ECHO);
    clock_shift(ASKED_ECHO_SPAN / 2);
    ck_assert_int_eq(asked_now(&asked), ASKED_ECHO);
}
END_TEST

START_TEST(a_later_one_is_a_second_wish)
{
    struct asked asked = {0};

    ck_assert_int_eq(asked_now(&asked), ASKED_FIRST);
    clock_shift(ASKED_ECHO_SPAN);
    ck_assert_int_eq(asked_now(&asked), ASKED_AGAIN);
    ck_assert_int_eq(asked_now(&asked), ASKED_AGAIN);
}
END_TEST

TESTS("common", "asked", a_signal_close_to_the_first_is_its_echo,
      a_later_one_is_a_second_wish)
