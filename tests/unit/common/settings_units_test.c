/* settings_units_test.c - times and sizes, and the form they are shown in. */
#include "tests/unit/test.h"

#include "common/settings.h"

START_TEST(times_are_read_in_every_unit)
{
    static const struct {
        const char *text;
        span_ms span;
    } good[] = {
        {"0s", 0},         {"250ms", 250},
        {"30s", 30000},    {"5m", 300000},
        {"24h", 86400000}, {"7d", 604800000},
        {"007s", 7000},    {"9223372036854775807ms", INT64_MAX},
    };

    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        struct error err = {0};
        span_ms span = -1;
        ck_assert_msg(settings_parse_span(good[i].text, &span, &err) == 0,
                      "%s: %s", good[i].text, err.text);
        ck_assert_int_eq(span, good[i].span);
    }
}
END_TEST

START_TEST(sizes_are_read_in_every_unit)
{
    static const struct {
        const char *text;
        size_t size;
    } good[] = {
        {"0B", 0},
        {"512B", 512},
        {"16KiB", 16384},
        {"16MiB", 16777216},
        {"1GiB", 1073741824},
        {"8589934591GiB", 9223372035781033984u},
    };

    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        struct error err = {0};
        size_t size = 1;
        ck_assert_msg(settings_parse_size(good[i].text, &size, &err) == 0,
                      "%s: %s", good[i].text, err.text);
        ck_assert_uint_eq(size, good[i].size);
    }
}
END_TEST

START_TEST(a_wrong_time_is_shown_its_right_form)
{
    static const char *const bad[][2] = {
        {"30", "`30` has no unit; write 30s (units: ms s m h d)"},
        {"", "`` is no time; write digits and a unit, such as 30s"},
        {"s", "`s` is no time; write digits and a unit, such as 30s"},
        {"+3s", "`+3s` is no time; write digits and a unit, such as 30s"},
        {"0x10s", "`0x10s` has a unit that is not known here; use one of "
                  "ms s m h d"},
        {"-3s", "`-3s` is negative; write a time from 0 up, such as 30s"},
        {"1.5h", "`1.5h` is no whole number; write digits and a unit, such "
                 "as 30s"},
        {"5 m", "`5 m` has a unit that is not known here; write 5m"},
        {"5S", "`5S` has a unit that is not known here; write 5s"},
        {"5min", "`5min` has a unit that is not known here; write 5m"},
        {"5 minutes",
         "`5 minutes` has a unit that is not known here; write 5m"},
        {"5msec", "`5msec` has a unit that is not known here; write 5ms"},
        {"2hours", "`2hours` has a unit that is not known here; write 2h"},
        {"1w", "`1w` has a unit that is not known here; use one of ms s m h "
               "d"},
        {"1h30m", "`1h30m` has a unit that is not known here; write 1h"},
        {"9223372036854775808ms", "`9223372036854775808ms` is too large to "
                                  "be counted; write a smaller time"},
        {"9223372036854775807s", "`9223372036854775807s` is too large to be "
                                 "counted; write a smaller time"},
    };

    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct error err = {0};
        span_ms span = 7;
        ck_assert_int_eq(settings_parse_span(bad[i][0], &span, &err), -EINVAL);
        ck_assert_str_eq(err.text, bad[i][1]);
        ck_assert_int_eq(span, 7);
    }
}
END_TEST

START_TEST(a_wrong_size_is_shown_its_right_form)
{
    static const char *const bad[][2] = {
        {"16", "`16` has no unit; write 16B (units: B KiB MiB GiB)"},
        {"16MB", "`16MB` has a unit that is not known here; write 16MiB"},
        {"16M", "`16M` has a unit that is not known here; write 16MiB"},
        {"16kb", "`16kb` has a unit that is not known here; write 16KiB"},
        {"16gib", "`16gib` has a unit that is not known here; write 16GiB"},
        {"1TiB", "`1TiB` has a unit that is not known here; use one of B KiB "
                 "MiB GiB"},
        {"-1B", "`-1B` is negative; write a size from 0 up, such as 16MiB"},
        {"8589934592GiB", "`8589934592GiB` is too large to be counted; write "
                          "a smaller size"},
    };

    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct error err = {0};
        size_t size = 7;
        ck_assert_int_eq(settings_parse_size(bad[i][0], &size, &err), -EINVAL);
        ck_assert_str_eq(err.text, bad[i][1]);
        ck_assert_uint_eq(size, 7);
    }
}
END_TEST

TESTS("common", "settings_units", times_are_read_in_every_unit,
      sizes_are_read_in_every_unit, a_wrong_time_is_shown_its_right_form,
      a_wrong_size_is_shown_its_right_form)
