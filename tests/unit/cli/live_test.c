/* live_test.c - how something stands, told while it goes on. */
#include "cli/live.h"
#include "tests/unit/test.h"

#include <string.h>

START_TEST(a_line_is_cut_between_characters)
{
    static const char text[] = "gr\xc3\xbc\xc3\x9f"
                               "e";

    ck_assert_uint_eq(live_fit(text, strlen(text), 80), strlen(text));
    ck_assert_uint_eq(live_fit(text, strlen(text), 3), 4);
    ck_assert_uint_eq(live_fit(text, strlen(text), 4), 6);
    ck_assert_uint_eq(live_fit(text, strlen(text), 0), 0);
    ck_assert_uint_eq(live_fit("", 0, 5), 0);
}
END_TEST

/* What a file that is no terminal has been told so far. */
static const char *
told(FILE *file)
{
    static char text[200];

    rewind(file);
    text[fread(text, 1, sizeof(text) - 1, file)] = '\0';
    return text;
}

START_TEST(a_file_gets_a_line_when_it_is_a_new_one_once_a_second)
{
    FILE *file = tmpfile();
    struct live live;

    live_init(&live, file);
    live_show(&live, "two", "not\nshown\n");
    live_show(&live, "one", "");
    ck_assert_str_eq(told(file), "two\n");
    clock_shift(1001);
    live_show(&live, "one", "");
    clock_shift(2002);
    live_show(&live, "one", "");
    ck_assert_str_eq(told(file), "two\none\n");
    live_fini(&live, true);
    ck_assert_str_eq(told(file), "two\none\n");
    fclose(file);
}
END_TEST

START_TEST(nobody_is_told_nothing)
{
    struct live live;

    live_init(&live, NULL);
    live_show(&live, "two", "lines\n");
    ck_assert_ptr_null(live.last);
    live_fini(&live, true);
}
END_TEST

TESTS("cli", "live", a_line_is_cut_between_characters,
      a_file_gets_a_line_when_it_is_a_new_one_once_a_second,
      nobody_is_told_nothing)
