/* follow_test.c - what `up` is told, and what it does not believe. */
#include "cli/follow.h"

#include <stdio.h>
#include <string.h>

#include "tests/unit/test.h"

static const char *
told(const struct control *control)
{
    static char line[FOLLOW_SIZE];
    const struct followed followed = follow_of("hits", control);

    follow_print(&followed, line);
    return line;
}

START_TEST(the_next_release_is_told_from_its_start_to_its_end)
{
    struct control control = control_initial("1");
    const char *const lines[STEPS] = {
        [STEP_NONE] = "hits 1",        [STEP_PAUSING] = "hits 1",
        [STEP_MIGRATING] = "hits 1",   [STEP_STARTING] = "hits 1 2",
        [STEP_VERIFYING] = "hits 1 2", [STEP_ROLLING_BACK] = "hits 1",
    };

    strcpy(control.upgrade.from, "1");
    strcpy(control.upgrade.to, "2");
    for (unsigned step = 0; step < STEPS; step++) {
        control.upgrade.step = (enum upgrade_step)step;
        ck_assert_str_eq(told(&control), lines[step]);
    }
}
END_TEST

START_TEST(an_upgrade_to_the_release_that_is_there_has_no_next)
{
    struct control control = control_initial("1");

    control.upgrade.step = STEP_STARTING;
    strcpy(control.upgrade.to, "1");
    ck_assert_str_eq(told(&control), "hits 1");
}
END_TEST

START_TEST(the_longest_line_comes_back_as_it_was)
{
    struct followed followed = {0}, back;
    char line[FOLLOW_SIZE];

    memset(followed.queue, 'q', 64);
    memset(followed.releases[0], 'a', 64);
    memset(followed.releases[1], 'b', 64);
    follow_print(&followed, line);
    ck_assert(follow_parse(line, &back));
    ck_assert_mem_eq(&back, &followed, sizeof(back));
}
END_TEST

START_TEST(a_line_without_a_next_release_has_none)
{
    struct followed followed;

    ck_assert(follow_parse("hits v1.0+a", &followed));
    ck_assert_str_eq(followed.queue, "hits");
    ck_assert_str_eq(followed.releases[0], "v1.0+a");
    ck_assert_str_eq(followed.releases[1], "");
}
END_TEST

START_TEST(nonsense_is_not_believed)
{
    const char *const lines[] = {
        "",          " ",       "hits",      "hits ",       " hits 1",
        "hits  1",   "hits 1 ", "hits 1 2 ", "hits 1 2 3",  "hits 1 1",
        "hits ../1", "hits -1", "hits 1\t2", "hits 1 \xff", "hits 1\r",
    };
    char longest[100] = "hits ";
    const struct followed before = {.queue = "untouched"};
    struct followed followed = before;

    for (size_t i = 0; i < ARRAY_LEN(lines); i++)
        ck_assert_msg(!follow_parse(lines[i], &followed), "%s", lines[i]);
    memset(longest + 5, '1', 65);
    ck_assert(!follow_parse(longest, &followed));
    ck_assert_mem_eq(&followed, &before, sizeof(before));
}
END_TEST

TESTS("cli", "follow", the_next_release_is_told_from_its_start_to_its_end,
      an_upgrade_to_the_release_that_is_there_has_no_next,
      the_longest_line_comes_back_as_it_was,
      a_line_without_a_next_release_has_none, nonsense_is_not_believed)
