/* nearest_test.c - slips are seen through, other words are not. */
#include "tests/unit/test.h"

#include <string.h>

#include "common/mem.h"
#include "common/nearest.h"

static const char *const words[] = {"queue", "wait", "max_wait", "path", "q"};

START_TEST(a_slip_is_seen_through)
{
    static const char *const slips[][2] = {
        {"queu", "queue"},       {"qeueu", "queue"}, {"queues", "queue"},
        {"wiat", "wait"},        {"watt", "wait"},   {"max_wiat", "max_wait"},
        {"maxwait", "max_wait"}, {"paths", "path"},  {"path", "path"},
    };

    for (size_t i = 0; i < ARRAY_LEN(slips); i++)
        ck_assert_str_eq(nearest_word(slips[i][0], words, ARRAY_LEN(words)),
                         slips[i][1]);
}
END_TEST

START_TEST(another_word_has_no_neighbour)
{
    char *huge = mem_zalloc(10001);

    memset(huge, 'a', 10000);
    ck_assert_ptr_null(nearest_word("timeout", words, ARRAY_LEN(words)));
    ck_assert_ptr_null(nearest_word("", words, ARRAY_LEN(words)));
    ck_assert_ptr_null(nearest_word("x", words, ARRAY_LEN(words)));
    ck_assert_ptr_null(nearest_word(huge, words, ARRAY_LEN(words)));
    ck_assert_ptr_null(nearest_word("path", words, 0));
    free(huge);
}
END_TEST

START_TEST(a_hint_names_the_neighbour_or_all)
{
    const char *many[200];
    char hint[HINT_SIZE];

    ck_assert_str_eq(nearest_hint(hint, "pth", words, ARRAY_LEN(words)),
                     "did you mean `path`?");
    ck_assert_str_eq(nearest_hint(hint, "timeout", words, 2),
                     "known here: `queue`, `wait`");
    ck_assert_str_eq(nearest_hint(hint, "timeout", words, 0),
                     "known here: none");
    for (size_t i = 0; i < ARRAY_LEN(many); i++)
        many[i] = "queue";
    nearest_hint(hint, "timeout", many, ARRAY_LEN(many));
    ck_assert_uint_eq(strlen(hint), HINT_SIZE - 1);
}
END_TEST

TESTS("common", "nearest", a_slip_is_seen_through,
      another_word_has_no_neighbour, a_hint_names_the_neighbour_or_all)
