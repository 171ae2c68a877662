/* etag_test.c - If-Match, well and badly formed. */
#include "ingress/etag.h"

#include <errno.h>

#include "tests/unit/test.h"

static int
names_three(const char *list)
{
    return etag_names(slice_of(list), 3);
}

START_TEST(a_list_names_each_of_its_tags)
{
    ck_assert_int_eq(names_three("\"3\""), 1);
    ck_assert_int_eq(names_three("\"9\", \"3\""), 1);
    ck_assert_int_eq(names_three("\"3\",W/\"9\""), 1);
    ck_assert_int_eq(names_three(" ,, \"9\"\t,\"3\" ,"), 1);
    ck_assert_int_eq(names_three("*"), 1);
    ck_assert_int_eq(names_three(" *\t"), 1);
}
END_TEST

START_TEST(others_and_weak_ones_name_nothing)
{
    ck_assert_int_eq(names_three("\"33\", \"\", \"1,3\""), 0);
    ck_assert_int_eq(names_three("W/\"3\""), 0);
    ck_assert_int_eq(names_three("\"*\""), 0);
    ck_assert_int_eq(names_three(""), 0);
    ck_assert_int_eq(names_three(" , "), 0);
}
END_TEST

START_TEST(what_is_no_list_of_tags_is_an_error)
{
    static const char *const lists[] = {
        "3",        "\"3\" \"5\"", "\"3\"\"5\"", "\"3",
        "\"3\", 5", "\"3\", *",    "*, \"3\"",   "**",
        "w/\"3\"",  "W/",          "W/ \"3\"",   "\"3\"; \"5\"",
        "\"3 5\"",  "\"",          "\"3\"x",     "\"3\", \"5",
    };

    for (size_t i = 0; i < ARRAY_LEN(lists); i++)
        ck_assert_msg(names_three(lists[i]) == -EINVAL, "%s", lists[i]);
}
END_TEST

TESTS("ingress", "etag", a_list_names_each_of_its_tags,
      others_and_weak_ones_name_nothing, what_is_no_list_of_tags_is_an_error)
