/* idempotency_test.c - keys, scopes and fingerprints. */
#include "ingress/idempotency.h"

#include <sodium.h>
#include <string.h>

#include "tests/unit/test.h"

static void
is_key(const char *value, const char *decoded)
{
    struct idempotency_key key;

    ck_assert_msg(idempotency_parse(slice_of(value), &key) == 0, "%s", value);
    ck_assert_msg(slice_is((struct slice){key.text, key.len}, decoded), "%s",
                  value);
}

START_TEST(quoted_and_bare_mean_the_same)
{
    is_key("\"8e03\"", "8e03");
    is_key("8e03", "8e03");
    is_key("  8e03 ", "8e03");
    is_key("\"a b\"", "a b");
    is_key("\"a\\\"b\\\\c\"", "a\"b\\c");
    is_key("\"a\";p=1", "a");
    is_key("YWJj/+==", "YWJj/+==");
}
END_TEST

START_TEST(what_is_no_key_is_refused)
{
    static const char *const values[] = {
        "",     "  ",       "\"\"",     "\"a",      "\"a\"b", "a b",  "a,b",
        "a\"b", "\"a\\x\"", "\"\x01\"", "\"\xe9\"", "\xe9",   "\"a\\"};
    struct idempotency_key key;
    char longest[258];

    for (size_t i = 0; i < ARRAY_LEN(values); i++)
        ck_assert_msg(idempotency_parse(slice_of(values[i]), &key) == -EINVAL,
                      "%s", values[i]);
    memset(longest, 'k', sizeof(longest));
    ck_assert_int_eq(
        idempotency_parse((struct slice){longest, IDEMPOTENCY_KEY_MAX}, &key),
        0);
    ck_assert_int_eq(
        idempotency_parse((struct slice){longest, IDEMPOTENCY_KEY_MAX + 1},
                          &key),
        -EINVAL);
}
END_TEST

START_TEST(each_part_of_the_scope_counts)
{
    static const char *const parts[][4] = {
        {"p", "POST", "h", "/x"}, {"q", "POST", "h", "/x"},
        {"p", "PUT", "h", "/x"},  {"p", "POST", "i", "/x"},
        {"p", "POST", "h", "/y"}, {"pP", "OST", "h", "/x"},
        {"", "pPOST", "h", "/x"},
    };
    struct idempotency_key key = {.len = 1, .text = "k"};
    uint8_t scopes[ARRAY_LEN(parts)][KEY_BYTES];

    ck_assert_int_ge(sodium_init(), 0);
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        idempotency_scope(scopes[i], slice_of(parts[i][0]),
                          slice_of(parts[i][1]), slice_of(parts[i][2]),
                          slice_of(parts[i][3]), &key);
        for (size_t k = 0; k < i; k++)
            ck_assert_mem_ne(scopes[i], scopes[k], KEY_BYTES);
    }
}
END_TEST

START_TEST(each_part_of_the_fingerprint_counts)
{
    static const char *const parts[][4] = {
        {"POST", "/x", "a/b", "1"},  {"PUT", "/x", "a/b", "1"},
        {"POST", "/x?", "a/b", "1"}, {"POST", "/x", "", "1"},
        {"POST", "/x", "a/b", "2"},  {"POST", "/x", "a/b1", ""},
    };
    uint8_t prints[ARRAY_LEN(parts)][KEY_BYTES];

    ck_assert_int_ge(sodium_init(), 0);
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        idempotency_fingerprint(prints[i], slice_of(parts[i][0]),
                                slice_of(parts[i][1]), slice_of(parts[i][2]),
                                slice_of(parts[i][3]));
        for (size_t k = 0; k < i; k++)
            ck_assert_mem_ne(prints[i], prints[k], KEY_BYTES);
    }
}
END_TEST

TESTS("ingress", "idempotency", quoted_and_bare_mean_the_same,
      what_is_no_key_is_refused, each_part_of_the_scope_counts,
      each_part_of_the_fingerprint_counts)
