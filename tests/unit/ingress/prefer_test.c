/* prefer_test.c - reading Prefer and planning the wait. */
#include "ingress/prefer.h"

#include <limits.h>

#include "tests/unit/test.h"

static struct prefer
parsed(const char *value)
{
    struct prefer prefer = {0};

    prefer_parse(&prefer, slice_of(value));
    return prefer;
}

START_TEST(known_preferences_are_read)
{
    ck_assert(parsed("respond-async").respond_async);
    ck_assert(parsed("foo, Respond-ASYNC ; x=1,bar").respond_async);
    ck_assert_uint_eq(parsed("wait=10").wait, 10);
    ck_assert_uint_eq(parsed("WAIT = 10;x").wait, 10);
    ck_assert_uint_eq(parsed("wait=\"7\"").wait, 7);
    ck_assert_uint_eq(parsed("respond-async, wait=3").wait, 3);
    ck_assert_uint_eq(parsed("wait=99999999999999999999").wait, UINT_MAX);
}
END_TEST

START_TEST(the_first_of_a_name_wins_over_several_fields)
{
    struct prefer prefer = {0};

    prefer_parse(&prefer, SLICE("wait=1, wait=2"));
    prefer_parse(&prefer, SLICE("wait=3, respond-async"));
    ck_assert_uint_eq(prefer.wait, 1);
    ck_assert(prefer.respond_async);
}
END_TEST

START_TEST(what_is_not_well_formed_is_passed_over)
{
    static const char *const values[] = {
        "",        ",",       "wait",       "wait=",           "wait=-1",
        "wait=x",  "wait=1x", "x=\"wait=5", "x=\"a, wait=5\"", "=5",
        ";wait=5", "wait5"};

    for (size_t i = 0; i < ARRAY_LEN(values); i++)
        ck_assert_msg(!parsed(values[i]).has_wait, "%s", values[i]);
    ck_assert(!parsed("x=\"\\\", respond-async\"").respond_async);
    ck_assert(!parsed("respond-async=1").respond_async);
    ck_assert_uint_eq(parsed("wait=x, wait=4").wait, 4);
}
END_TEST

START_TEST(the_wait_is_capped_and_said_as_it_is)
{
    struct prefer prefer = parsed("respond-async, wait=100");
    struct wait_plan plan = prefer_plan(&prefer, 30000, 60000);
    char text[PREFER_APPLIED_SIZE];

    ck_assert_int_eq(plan.wait, 60000);
    prefer_applied(&plan, true, text);
    ck_assert_str_eq(text, "respond-async, wait=60");
    prefer_applied(&plan, false, text);
    ck_assert_str_eq(text, "wait=60");
}
END_TEST

START_TEST(without_a_wish_the_route_decides)
{
    struct prefer prefer = {0};
    struct wait_plan plan = prefer_plan(&prefer, 30000, 60000);
    char text[PREFER_APPLIED_SIZE];

    ck_assert_int_eq(plan.wait, 30000);
    ck_assert(!plan.takes_ticket);
    prefer_applied(&plan, true, text);
    ck_assert_str_eq(text, "");
}
END_TEST

START_TEST(who_asks_for_a_ticket_takes_one)
{
    struct prefer async = parsed("respond-async"), zero = parsed("wait=0");

    ck_assert_int_eq(prefer_plan(&async, 30000, 60000).wait, 0);
    ck_assert(prefer_plan(&async, 30000, 60000).takes_ticket);
    ck_assert_int_eq(prefer_plan(&zero, 30000, 60000).wait, 0);
    ck_assert(prefer_plan(&zero, 30000, 60000).takes_ticket);
}
END_TEST

TESTS("ingress", "prefer", known_preferences_are_read,
      the_first_of_a_name_wins_over_several_fields,
      what_is_not_well_formed_is_passed_over,
      the_wait_is_capped_and_said_as_it_is, without_a_wish_the_route_decides,
      who_asks_for_a_ticket_takes_one)
