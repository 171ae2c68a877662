/* accept_test.c - who gets HTML, and who JSON. */
#include "ingress/accept.h"

#include <stdio.h>

#include "tests/unit/test.h"

static bool
prefers_html(const char *value)
{
    struct accept accept = {0};

    accept_parse(&accept, slice_of(value));
    return accept_prefers_html(&accept);
}

START_TEST(browsers_get_html)
{
    static const char *const values[] = {
        "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
        "text/html,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8",
        "text/html,*/*;q=0.8,application/signed-exchange;v=b3;q=0.7",
        "text/html",
        "TEXT/Html ; q=0.001",
        "text/*",
        "text/*, application/json;q=0.999",
        "application/json;q=0, */*",
        "text/html;level=1, */*;q=0.1",
        "text/html;charset=\"a,b;q=0\", */*;q=0.1",
    };

    for (size_t i = 0; i < ARRAY_LEN(values); i++)
        ck_assert_msg(prefers_html(values[i]), "%s", values[i]);
}
END_TEST

START_TEST(programs_get_json)
{
    static const char *const values[] = {
        "",
        "*/*",
        "application/json",
        "application/json, text/html",
        "application/json, text/html;q=0.9",
        "text/html;q=0.5, */*",
        "text/html;q=0.5, application/*;q=0.6",
        "text/html;q=0, text/*",
        "text/html;q=0",
        "application/xhtml+xml",
        "image/*",
        "*",
        "text/htm",
        "text/html5",
        "text /html",
    };

    for (size_t i = 0; i < ARRAY_LEN(values); i++)
        ck_assert_msg(!prefers_html(values[i]), "%s", values[i]);
}
END_TEST

START_TEST(the_most_specific_range_decides_in_any_order)
{
    ck_assert(!prefers_html("text/html;q=0.2, text/*;q=0.9, */*;q=0.5"));
    ck_assert(!prefers_html("*/*;q=0.5, text/*;q=0.9, text/html;q=0.2"));
    ck_assert(prefers_html("*/*;q=0.9, application/json;q=0.3"));
    ck_assert(prefers_html("application/json;q=0.3, */*;q=0.9"));
    ck_assert(prefers_html("text/html;q=0.1, text/html;q=0.9, */*;q=0.5"));
}
END_TEST

START_TEST(a_range_that_is_not_well_formed_is_passed_over)
{
    static const char *const qualities[] = {
        "",    "2", "1.001", "0.1234", "-1",    ".5",   "0,5", "1.0000",
        "0x1", "q", "00",    "10",     "0.5.1", "0.+1", " ",   "1 .0"};
    char value[60];

    for (size_t i = 0; i < ARRAY_LEN(qualities); i++) {
        snprintf(value, sizeof(value), "text/html;q=%s, */*;q=0.001",
                 qualities[i]);
        ck_assert_msg(!prefers_html(value), "%s", value);
    }
    ck_assert(!prefers_html("text/html;q, */*;q=0.001"));
    ck_assert(prefers_html(",, ;q=1, =, text/html;q=0.002,, */*;q=0.001"));
    ck_assert(prefers_html("text/html;q=1., */*;q=0."));
    ck_assert(prefers_html("text/html;Q = 1.000, */*;q=0.999"));
}
END_TEST

START_TEST(several_fields_are_one_list)
{
    struct accept accept = {0};

    accept_parse(&accept, SLICE("text/html"));
    ck_assert(accept_prefers_html(&accept));
    accept_parse(&accept, SLICE("application/json"));
    ck_assert(!accept_prefers_html(&accept));
}
END_TEST

TESTS("ingress", "accept", browsers_get_html, programs_get_json,
      the_most_specific_range_decides_in_any_order,
      a_range_that_is_not_well_formed_is_passed_over,
      several_fields_are_one_list)
