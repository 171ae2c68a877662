/* tell_test.c - control states and receipts, in words. */
#include "broker/receipt.h"
#include "cli/tell.h"
#include "tests/unit/test.h"

#include <string.h>

START_TEST(times_are_told_in_utc_to_the_second)
{
    char text[TELL_TIME_SIZE];

    ck_assert_str_eq(tell_time(1764094638999, text), "2025-11-25T18:17:18Z");
}
END_TEST

START_TEST(control_characters_do_not_reach_the_terminal)
{
    char text[TELL_SIZE], longest[TELL_SIZE * 2];

    ck_assert_str_eq(tell_clean("a\033[2Jb\x7f\n", text), "a?[2Jb??");
    ck_assert_str_eq(tell_clean("\xc2\x9b"
                                "2J",
                                text),
                     "?2J");
    ck_assert_str_eq(tell_clean("sch\xc3\xb6n", text), "sch\xc3\xb6n");
    ck_assert_str_eq(tell_clean("\xc2", text), "\xc2");
    memset(longest, 'x', sizeof(longest) - 1);
    longest[sizeof(longest) - 1] = '\0';
    ck_assert_uint_eq(strlen(tell_clean(longest, text)), TELL_SIZE - 1);
}
END_TEST

START_TEST(a_state_is_told_in_a_word_or_two)
{
    static const struct {
        enum control_state state;
        bool accepting;
        span_ms age;
        const char *text;
    } cases[] = {
        {CONTROL_OPEN, true, 5, "open"},
        {CONTROL_OPEN, false, 5, "refusing"},
        {CONTROL_PAUSED, true, 192000, "paused 3m"},
        {CONTROL_PAUSED, false, 86400000 * 12, "paused 12d"},
        {CONTROL_PAUSED, true, 20, "paused 0s"},
        {CONTROL_PAUSED, true, -20000, "paused 0s"}, /* the clock was set */
        {CONTROL_DRAINED, true, 9000, "drained"},
        {CONTROL_PROBING, true, 9000, "probing"},
    };
    char text[TELL_STATE_SIZE];

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const struct control control = {.state = cases[i].state,
                                        .accepting = cases[i].accepting,
                                        .since = 1000000};
        ck_assert_str_eq(tell_state(&control, 1000000 + cases[i].age, text),
                         cases[i].text);
    }
}
END_TEST

START_TEST(who_paused_is_told_with_the_words_if_there_are_any)
{
    struct control control = {.since = 1764094638000, .by = "ann@box"};
    char text[TELL_SIGN_SIZE];

    ck_assert_str_eq(tell_sign(&control, text),
                     "since 2025-11-25T18:17:18Z by ann@box");
    strcpy(control.why, "schema\tchange");
    ck_assert_str_eq(tell_sign(&control, text),
                     "since 2025-11-25T18:17:18Z by ann@box: schema?change");
}
END_TEST

static void
is_line(const struct barrier *barrier, const char *expected)
{
    const struct control control = {.epoch = 4, .release = "1"};
    char *receipt = receipt_write("hits", &control, barrier, 1764094638000);
    char *line = tell_receipt_line(receipt);

    ck_assert_str_eq(line, expected);
    free(line);
    free(receipt);
}

START_TEST(a_receipt_fits_into_a_line)
{
    struct member members[] = {
        {.session = 1, .name = "a", .state = MEMBER_ACKNOWLEDGED},
        {.session = 2, .name = "b", .state = MEMBER_DIED},
        {.session = 3, .name = "c", .state = MEMBER_ACKNOWLEDGED},
    };
    struct barrier barrier = {.bound = 12000};

    is_line(&barrier, "no workers ran; attempts: 0 ended; bound 12s");
    barrier.members = members;
    barrier.len = 1;
    is_line(&barrier, "1 worker acknowledged; attempts: 0 ended; bound 12s");
    barrier.len = 3;
    barrier.ended = 5;
    barrier.killed = 3;
    barrier.put_back = 2;
    barrier.waited_out = 1;
    is_line(&barrier, "2 workers acknowledged, 1 died; attempts: 5 ended, 3 "
                      "killed (2 put back), 1 lost with their worker; bound "
                      "12s");
}
END_TEST

START_TEST(a_damaged_receipt_is_called_damaged)
{
    char *line = tell_receipt_line("{\"queue\":");

    ck_assert_str_eq(line, "its receipt is damaged");
    free(line);
}
END_TEST

TESTS("cli", "tell", times_are_told_in_utc_to_the_second,
      control_characters_do_not_reach_the_terminal,
      a_state_is_told_in_a_word_or_two,
      who_paused_is_told_with_the_words_if_there_are_any,
      a_receipt_fits_into_a_line, a_damaged_receipt_is_called_damaged)
