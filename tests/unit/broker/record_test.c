/* record_test.c - origins come back as they were; sums tell bits apart. */
#include "broker/embedded/record.h"

#include <string.h>

#include "tests/unit/test.h"

static const struct origin origin = {.peer = SLICE("192.0.2.1:50000"),
                                     .local = SLICE("127.0.0.1:8080"),
                                     .scheme = SLICE("http"),
                                     .principal = SLICE(""),
                                     .route = SLICE("/hits")};

START_TEST(an_origin_comes_back_as_it_was)
{
    struct origin parsed;
    struct buf buf;

    buf_init(&buf, ORIGIN_CAP);
    ck_assert_int_eq(record_add_origin(&buf, &origin), 0);
    ck_assert_int_eq(record_parse_origin(buf_slice(&buf), &parsed), 0);
    ck_assert(slice_eq(parsed.peer, origin.peer));
    ck_assert(slice_eq(parsed.local, origin.local));
    ck_assert(slice_eq(parsed.scheme, origin.scheme));
    ck_assert(slice_eq(parsed.principal, origin.principal));
    ck_assert(slice_eq(parsed.route, origin.route));
    buf_fini(&buf);
}
END_TEST

START_TEST(a_cut_or_padded_origin_is_refused)
{
    struct origin parsed;
    struct buf buf;

    buf_init(&buf, ORIGIN_CAP);
    ck_assert_int_eq(record_add_origin(&buf, &origin), 0);
    for (size_t len = 0; len < buf.len; len++)
        ck_assert_int_eq(
            record_parse_origin((struct slice){buf.at, len}, &parsed), -EPROTO);
    ck_assert_int_eq(buf_add_text(&buf, "x"), 0);
    ck_assert_int_eq(record_parse_origin(buf_slice(&buf), &parsed), -EPROTO);
    buf_fini(&buf);
}
END_TEST

START_TEST(a_text_that_is_too_long_is_refused)
{
    static char text[70000];
    struct origin long_origin = origin;
    struct buf buf;

    buf_init(&buf, ORIGIN_CAP);
    long_origin.principal = (struct slice){text, 65536};
    ck_assert_int_eq(record_add_origin(&buf, &long_origin), -EMSGSIZE);
    buf_fini(&buf);
}
END_TEST

START_TEST(a_sum_changes_with_every_part)
{
    struct ticket ticket = {{1}};
    const struct slice a = SLICE("a");
    const struct slice b = SLICE("b");
    const int64_t sum = record_sum(&ticket, a, b);

    ck_assert_int_eq(record_sum(&ticket, a, b), sum);
    ck_assert_int_ne(record_sum(&ticket, b, a), sum);
    ck_assert_int_ne(record_sum(&ticket, a, a), sum);
    ck_assert_int_ne(record_sum(&ticket, b, b), sum);
    ticket.bytes[0] = 2;
    ck_assert_int_ne(record_sum(&ticket, a, b), sum);
}
END_TEST

TESTS("broker", "record", an_origin_comes_back_as_it_was,
      a_cut_or_padded_origin_is_refused, a_text_that_is_too_long_is_refused,
      a_sum_changes_with_every_part)
