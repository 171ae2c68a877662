/* buf_test.c - buffers, slices and their limits. */
#include "tests/unit/test.h"

#include <errno.h>
#include <string.h>

#include "common/buf.h"

START_TEST(it_grows_to_its_cap_and_not_beyond)
{
    struct buf buf;

    buf_init(&buf, 1000);
    for (int i = 0; i < 100; i++)
        ck_assert_int_eq(buf_add(&buf, "0123456789", 10), 0);
    ck_assert_int_eq(buf_add(&buf, "x", 1), -EMSGSIZE);
    ck_assert_uint_eq(buf.len, 1000);
    ck_assert_uint_le(buf.room, 1000);
    buf_fini(&buf);
}
END_TEST

START_TEST(what_does_not_fit_is_refused_whole)
{
    struct buf buf;

    buf_init(&buf, 8);
    ck_assert_int_eq(buf_add_text(&buf, "abcde"), 0);
    ck_assert_int_eq(buf_addf(&buf, "%d", 123456), -EMSGSIZE);
    ck_assert(slice_is(buf_slice(&buf), "abcde"));
    ck_assert_int_eq(buf_addf(&buf, "%d", 123), 0);
    ck_assert(slice_is(buf_slice(&buf), "abcde123"));
    ck_assert_ptr_null(buf_reserve(&buf, SIZE_MAX));
    buf_fini(&buf);
}
END_TEST

START_TEST(dropping_keeps_the_rest)
{
    struct buf buf, other;

    buf_init(&buf, 100);
    buf_init(&other, 100);
    buf_add_text(&buf, "abcdef");
    buf_drop(&buf, 2);
    ck_assert(slice_is(buf_slice(&buf), "cdef"));
    buf_move(&other, &buf);
    ck_assert_uint_eq(buf.len, 0);
    ck_assert_ptr_null(buf.at);
    ck_assert(slice_is(buf_slice(&other), "cdef"));
    buf_fini(&other);
    buf_fini(&buf);
}
END_TEST

START_TEST(an_empty_buffer_is_an_empty_slice)
{
    struct buf buf;

    buf_init(&buf, 0);
    ck_assert_int_eq(buf_add(&buf, NULL, 0), 0);
    ck_assert_uint_eq(buf_slice(&buf).len, 0);
    ck_assert_int_eq(buf_add(&buf, "a", 1), -EMSGSIZE);
    buf_fini(&buf);
}
END_TEST

START_TEST(slices_are_cut_at_every_separator)
{
    struct slice part, rest = SLICE("a,,b");

    ck_assert(slice_cut(&rest, ',', &part) && slice_is(part, "a"));
    ck_assert(slice_cut(&rest, ',', &part) && slice_is(part, ""));
    ck_assert(slice_cut(&rest, ',', &part) && slice_is(part, "b"));
    ck_assert(!slice_cut(&rest, ',', &part));
    ck_assert(slice_is(slice_trim(SLICE(" \t a b\t ")), "a b"));
    ck_assert(slice_is(slice_trim(SLICE("  ")), ""));
    ck_assert(slice_is_nocase(SLICE("AbC"), "aBc"));
    ck_assert(!slice_is(SLICE("AbC"), "aBc"));
    ck_assert(slice_starts(SLICE("/hits/x"), SLICE("/hits")));
    ck_assert(!slice_starts(SLICE("/hi"), SLICE("/hits")));
    ck_assert(slice_is(slice_from(SLICE("abc"), 3), ""));
}
END_TEST

TESTS("common", "buf", it_grows_to_its_cap_and_not_beyond,
      what_does_not_fit_is_refused_whole, dropping_keeps_the_rest,
      an_empty_buffer_is_an_empty_slice, slices_are_cut_at_every_separator)
