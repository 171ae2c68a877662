/* show_test.c - what people read. */
#include "cli/show.h"
#include "tests/unit/test.h"

START_TEST(spans_read_well)
{
    static const struct {
        span_ms span;
        const char *text;
    } cases[] = {
        {-5, "0s"},          {0, "0ms"},           {999, "999ms"},
        {1000, "1s"},        {59999, "59s"},       {60000, "1m00s"},
        {192000, "3m12s"},   {3599999, "59m59s"},  {7500000, "2h05m"},
        {86400000, "1d00h"}, {356400000, "4d03h"},
    };
    char text[SHOW_SPAN_SIZE];

    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        ck_assert_str_eq(show_span(cases[i].span, text), cases[i].text);
}
END_TEST

START_TEST(absent_members_are_absent)
{
    const struct ticket ticket = {{0}};
    const struct ticket_status status = {
        .state = TICKET_QUEUED, .queue = "hits", .position = 0};
    json_t *object = show_ticket_json(&ticket, &status);

    ck_assert_str_eq(json_string_value(json_object_get(object, "state")),
                     "queued");
    ck_assert_int_eq(json_integer_value(json_object_get(object, "position")),
                     0);
    ck_assert_ptr_null(json_object_get(object, "reason"));
    ck_assert_ptr_null(json_object_get(object, "started"));
    ck_assert_ptr_null(json_object_get(object, "release"));
    ck_assert_ptr_null(json_object_get(object, "replays"));
    json_decref(object);
}
END_TEST

TESTS("cli", "show", spans_read_well, absent_members_are_absent)
