/* queues_test.c - the words that a control command may leave. */
#include "cli/queues.h"
#include "tests/unit/test.h"

#include <string.h>

START_TEST(a_reason_is_one_line_of_text_with_a_bound)
{
    char longest[WHY_SIZE + 1];

    ck_assert_int_eq(queues_check_reason(&pause_command, ""), -1);
    ck_assert_int_eq(queues_check_reason(&pause_command, "sch\xc3\xb6n"), -1);
    ck_assert_int_eq(queues_check_reason(&pause_command, "a\nb"), END_USAGE);
    ck_assert_int_eq(queues_check_reason(&pause_command, "\x7f"), END_USAGE);
    ck_assert_int_eq(queues_check_reason(&pause_command, "\xc2\x9b"),
                     END_USAGE);
    ck_assert_int_eq(queues_check_reason(&pause_command, "sch\xf6n"),
                     END_USAGE);
    memset(longest, 'x', WHY_SIZE);
    longest[WHY_SIZE - 1] = '\0';
    ck_assert_int_eq(queues_check_reason(&pause_command, longest), -1);
    longest[WHY_SIZE - 1] = 'x';
    longest[WHY_SIZE] = '\0';
    ck_assert_int_eq(queues_check_reason(&pause_command, longest), END_USAGE);
}
END_TEST

START_TEST(an_operator_is_told_through_sudo)
{
    char by[BY_SIZE];

    setenv("SUDO_USER", "ann", 1);
    ck_assert_int_eq(strncmp(queues_operator(NULL, by), "ann@", 4), 0);
    setenv("SUDO_USER", "\033[2Jan\xf6", 1); /* moves no reader's cursor */
    ck_assert_int_eq(strncmp(queues_operator(NULL, by), "?[2Jan?@", 8), 0);
    unsetenv("SUDO_USER");
    ck_assert_int_ne(strncmp(queues_operator(NULL, by), "ann@", 4), 0);
    ck_assert_str_eq(queues_operator("admin API (::1)", by), "admin API (::1)");
}
END_TEST

TESTS("cli", "queues", a_reason_is_one_line_of_text_with_a_bound,
      an_operator_is_told_through_sudo)
