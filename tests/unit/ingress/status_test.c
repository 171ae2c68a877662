/* status_test.c - the status document, and text without an allocation. */
#include "ingress/status.h"

#include <jansson.h>
#include <string.h>

#include "tests/unit/test.h"

START_TEST(text_that_does_not_fit_is_left_out_whole)
{
    char storage[8];
    struct text text = text_over(storage, sizeof(storage));

    text_add(&text, SLICE("1234"));
    text_add(&text, SLICE("5678"));
    ck_assert(text.is_cut);
    text_add(&text, SLICE("567"));
    ck_assert_str_eq(text_end(&text), "1234567");
}
END_TEST

START_TEST(numbers_are_written_to_their_ends)
{
    char storage[100];
    struct text text = text_over(storage, sizeof(storage));

    text_add_number(&text, 0);
    text_add_number(&text, -7);
    text_add_number(&text, INT64_MAX);
    text_add_number(&text, INT64_MIN);
    ck_assert_str_eq(text_end(&text),
                     "0-79223372036854775807-9223372036854775808");
}
END_TEST

START_TEST(json_text_is_escaped)
{
    char storage[100];
    struct text text = text_over(storage, sizeof(storage));

    text_add_json(&text, SLICE("a\"b\\c\n\x01\xe9 d"));
    ck_assert_str_eq(text_end(&text), "\"a\\\"b\\\\c\\u000a\\u0001? d\"");
}
END_TEST

START_TEST(utf_8_stands_for_itself_and_what_is_none_does_not)
{
    static const char *const rows[][2] = {
        {"\u00fc \u20ac \U0001f600 \U0010ffff", NULL},
        {"\xc3", "?"},                           /* cut off */
        {"\xe2\x82", "??"},                      /* likewise */
        {"\xc0\xaf", "??"},                      /* overlong */
        {"\xe0\x9f\xbf", "???"},                 /* likewise */
        {"\xed\xa0\x80", "???"},                 /* a surrogate */
        {"\xf4\x90\x80\x80", "????"},            /* past the end */
        {"\xff\xfe\x80", "???"},                 /* never */
        {"\xe2\x82\xac\x80z", "\xe2\x82\xac?z"}, /* one too many */
    };
    char storage[100], expected[100];

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const char *same = rows[i][1] == NULL ? rows[i][0] : rows[i][1];
        struct text text = text_over(storage, sizeof(storage));
        text_add_json(&text, slice_of(rows[i][0]));
        snprintf(expected, sizeof(expected), "\"%s\"", same);
        ck_assert_str_eq(text_end(&text), expected);
        text = text_over(storage, sizeof(storage));
        text_add_html(&text, slice_of(rows[i][0]));
        ck_assert_str_eq(text_end(&text), same);
    }
}
END_TEST

START_TEST(nothing_in_html_text_is_markup)
{
    char storage[100];
    struct text text = text_over(storage, sizeof(storage));

    text_add_html(&text, SLICE("<a b='c' d=\"e\">&\n\x01</a>"));
    ck_assert_str_eq(
        text_end(&text),
        "&lt;a b=&#39;c&#39; d=&quot;e&quot;&gt;&amp;\n?&lt;/a&gt;");
}
END_TEST

START_TEST(the_longest_document_fits_and_is_json)
{
    static struct ticket_status status = {
        .state = TICKET_QUEUED,
        .paused_since = 4,
        .attempts = 4294967295u,
        .submitted = 1,
        .started = 2,
        .ended = 3,
        .position = INT64_MAX,
        .has_replays = true,
        .has_replayed_by = true,
    };
    static const struct ticket ticket;
    char storage[STATUS_SIZE];
    struct text text = text_over(storage, sizeof(storage));

    memset(status.reason, '\x01', sizeof(status.reason) - 1);
    memset(status.paused_why, '\x01', sizeof(status.paused_why) - 1);
    memset(status.queue, 'q', sizeof(status.queue) - 1);
    memset(status.release, '"', sizeof(status.release) - 1);
    status_write(&text, &ticket, &status);
    ck_assert(!text.is_cut);
    json_t *root = json_loadb(text.at, text.len, 0, NULL);
    ck_assert_ptr_nonnull(root);
    ck_assert_uint_eq(json_object_size(root), 15);
    json_decref(root);
}
END_TEST

START_TEST(what_is_not_known_is_left_out)
{
    static const struct ticket_status status = {.position = -1, .queue = "q"};
    static const struct ticket ticket;
    char storage[STATUS_SIZE];
    struct text text = text_over(storage, sizeof(storage));

    status_write(&text, &ticket, &status);
    json_t *root = json_loadb(text.at, text.len, 0, NULL);
    ck_assert_ptr_nonnull(root);
    ck_assert_str_eq(json_string_value(json_object_get(root, "state")),
                     "queued");
    ck_assert_uint_eq(json_object_size(root), 5);
    json_decref(root);
}
END_TEST

/* The member of the document of status, which is a string; "" if absent. */
static const char *
member(const struct ticket_status *status, const char *name)
{
    static const struct ticket ticket;
    static char value[300];
    char storage[STATUS_SIZE];
    struct text text = text_over(storage, sizeof(storage));

    status_write(&text, &ticket, status);
    json_t *root = json_loadb(text.at, text.len, 0, NULL);
    ck_assert_ptr_nonnull(root);
    const char *found = json_string_value(json_object_get(root, name));
    snprintf(value, sizeof(value), "%s", found == NULL ? "" : found);
    json_decref(root);
    return value;
}

START_TEST(only_a_queued_ticket_waits_behind_a_pause)
{
    struct ticket_status status = {.position = 3,
                                   .reason = "waits for a retry",
                                   .paused_since = 1000,
                                   .paused_why = "f\u00fcr \"v2\""};

    ck_assert_str_eq(member(&status, "reason"), "paused");
    ck_assert_str_eq(member(&status, "paused_since"),
                     "1970-01-01T00:00:01.000Z");
    ck_assert_str_eq(member(&status, "paused_why"), "f\u00fcr \"v2\"");
    status.state = TICKET_RUNNING;
    ck_assert_str_eq(member(&status, "reason"), "waits for a retry");
    ck_assert_str_eq(member(&status, "paused_since"), "");
    ck_assert_str_eq(member(&status, "paused_why"), "");
    status.state = TICKET_QUEUED;
    status.paused_since = 0;
    ck_assert_str_eq(member(&status, "paused_since"), "");
}
END_TEST

TESTS("ingress", "status", text_that_does_not_fit_is_left_out_whole,
      numbers_are_written_to_their_ends, json_text_is_escaped,
      utf_8_stands_for_itself_and_what_is_none_does_not,
      nothing_in_html_text_is_markup, the_longest_document_fits_and_is_json,
      what_is_not_known_is_left_out, only_a_queued_ticket_waits_behind_a_pause)
