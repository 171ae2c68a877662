/* target_test.c - request targets and hosts. */
#include "ingress/target.h"

#include <errno.h>

#include "tests/unit/test.h"

static int
parse(const char *method, const char *text, struct target *target)
{
    struct refusal refusal;

    return target_parse(slice_of(method), slice_of(text), target, &refusal);
}

START_TEST(the_forms_of_a_target_are_read)
{
    struct target target;

    ck_assert_int_eq(parse("GET", "/a/b?c=/d", &target), 0);
    ck_assert(slice_is(target.origin, "/a/b?c=/d"));
    ck_assert(slice_is(target.path, "/a/b"));
    ck_assert_uint_eq(target.host.len, 0);
    ck_assert_int_eq(parse("GET", "http://h:80/a", &target), 0);
    ck_assert(slice_is(target.origin, "/a"));
    ck_assert(slice_is(target.host, "h:80"));
    ck_assert_int_eq(parse("GET", "HTTPS://h", &target), 0);
    ck_assert(slice_is(target.origin, "/"));
    ck_assert_int_eq(parse("OPTIONS", "*", &target), 0);
}
END_TEST

START_TEST(other_targets_are_refused)
{
    static const char *const texts[] = {
        "",           "*",         "a",       "h:80",      "/a b",
        "/a#b",       "/a\x01",    "/a\x7f",  "/%",        "/%4",
        "/%4g",       "/%00",      "/..",     "/a/../b",   "/.",
        "/%2e",       "/a/.%2E/b", "http://", "http:///a", "http://a b/",
        "http://h?x", "ftp://h/a", "/./a"};
    struct target target;

    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        ck_assert_msg(parse("GET", texts[i], &target) == -EINVAL, "%s",
                      texts[i]);
}
END_TEST

START_TEST(paths_with_dots_and_slashes_elsewhere_are_kept)
{
    static const char *const texts[] = {
        "/...", "/a..b", "//a//", "/.a", "/%2e%2e%2e", "/a?/../b", "/\xe9"};
    struct target target;

    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        ck_assert_msg(parse("GET", texts[i], &target) == 0, "%s", texts[i]);
}
END_TEST

START_TEST(hosts_are_told_from_what_is_none)
{
    static const char *const good[] = {
        "h", "h:80", "a.b-c_d", "[::1]", "[::1]:8", "1.2.3.4:", "h%20"};
    static const char *const bad[] = {"",    ":80",    "h:x",     "h:123456",
                                      "a/b", "a b",    "a@b",     "[::1",
                                      "[]",  "[::1]x", "a,b\x01", "[::1%25e]"};

    for (size_t i = 0; i < ARRAY_LEN(good); i++)
        ck_assert_msg(target_is_host(slice_of(good[i])), "%s", good[i]);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        ck_assert_msg(!target_is_host(slice_of(bad[i])), "%s", bad[i]);
    ck_assert(slice_is(target_host_name(SLICE("[::1]:8")), "[::1]"));
    ck_assert(slice_is(target_host_name(SLICE("h:8")), "h"));
    ck_assert(slice_is(target_host_name(SLICE("h")), "h"));
}
END_TEST

TESTS("ingress", "target", the_forms_of_a_target_are_read,
      other_targets_are_refused, paths_with_dots_and_slashes_elsewhere_are_kept,
      hosts_are_told_from_what_is_none)
