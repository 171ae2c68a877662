/* restart_test.c - the waits between two lives. */
#include "cli/restart.h"
#include "tests/unit/test.h"

START_TEST(waits_double_up_to_the_most)
{
    struct restart restart = {0};
    const span_ms waits[] = {100,  200,  400,   800,  1600,
                             3200, 6400, 10000, 10000};

    for (size_t i = 0; i < ARRAY_LEN(waits); i++)
        ck_assert_int_eq(restart_after(&restart, 0), waits[i]);
}
END_TEST

START_TEST(a_long_life_begins_anew)
{
    struct restart restart = {0};

    for (int i = 0; i < 20; i++)
        restart_after(&restart, RESTART_CALM - 1);
    ck_assert_int_eq(restart_after(&restart, RESTART_CALM - 1), RESTART_MOST);
    ck_assert_int_eq(restart_after(&restart, RESTART_CALM), RESTART_FIRST);
    ck_assert_int_eq(restart_after(&restart, 0), RESTART_FIRST * 2);
}
END_TEST

TESTS("cli", "restart", waits_double_up_to_the_most, a_long_life_begins_anew)
