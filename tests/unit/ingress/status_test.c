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

START_TEST(the_longest_document_fits_and_is_json)
{
    static struct ticket_status status = {
        .state = TICKET_CANCELLED,
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
    memset(status.queue, 'q', sizeof(status.queue) - 1);
    memset(status.release, '"', sizeof(status.release) - 1);
    status_write(&text, &ticket, &status);
    ck_assert(!text.is_cut);
    json_t *root = json_loadb(text.at, text.len, 0, NULL);
    ck_assert_ptr_nonnull(root);
    ck_assert_uint_eq(json_object_size(root), 13);
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

TESTS("ingress", "status", text_that_does_not_fit_is_left_out_whole,
      numbers_are_written_to_their_ends, json_text_is_escaped,
      the_longest_document_fits_and_is_json, what_is_not_known_is_left_out)
