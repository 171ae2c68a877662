/* settings_units.c - "30s", "16MiB" and "4" as numbers.
 *
 * Whole numbers only: "1.5h" is 90m.
 */
#include <limits.h>
#include <string.h>
#include <strings.h>

#include "common/own.h"
#include "common/settings_priv.h"

struct unit {
    const char *word;
    int64_t is; /* of the smallest one */
};

/* The first is taken for what a number without a unit meant. */
static const struct unit times[] = {
    {"s", 1000},         {"m", 60 * 1000}, {"h", 3600 * 1000},
    {"d", 86400 * 1000}, {"ms", 1},
};

static const struct unit sizes[] = {
    {"B", 1},
    {"KiB", 1024},
    {"MiB", 1024 * 1024},
    {"GiB", 1024 * 1024 * 1024},
};

struct measure {
    const char *noun, *units, *example;
    const struct unit *list;
    size_t len;
};

static const struct measure time_measure = {"time", "ms s m h d", "30s", times,
                                            ARRAY_LEN(times)};
static const struct measure size_measure = {"size", "B KiB MiB GiB", "16MiB",
                                            sizes, ARRAY_LEN(sizes)};

/* Digits at the start of text, and where they end. -EINVAL: none, -ERANGE. */
static int
parse_digits(const char *text, int64_t *value, const char **end)
{
    int64_t sum = 0;

    *end = text + strspn(text, "0123456789");
    if (*end == text)
        return -EINVAL;
    for (; text < *end; text++)
        if (__builtin_mul_overflow(sum, 10, &sum) ||
            __builtin_add_overflow(sum, *text - '0', &sum))
            return -ERANGE;
    *value = sum;
    return 0;
}

static size_t
common_prefix(const char *a, const char *b)
{
    size_t n = 0;

    while (a[n] != '\0' && strncasecmp(a, b, n + 1) == 0)
        n++;
    return n;
}

/* The unit that somebody meant by "MB", "min" or " s". */
static const char *
unit_meant(const struct measure *measure, const char *text)
{
    const char *meant = NULL;
    size_t best = 0;

    text += strspn(text, " ");
    for (size_t i = 0; i < measure->len; i++) {
        size_t n = common_prefix(measure->list[i].word, text);
        if (n > best) {
            best = n;
            meant = measure->list[i].word;
        }
    }
    return meant;
}

static int
refuse_unit(const struct measure *measure, const char *text, const char *unit,
            struct error *err)
{
    const int digits = (int)(unit - text);
    const char *meant = unit_meant(measure, unit);

    if (*unit == '\0')
        return error_set(err, -EINVAL,
                         "`%.40s` has no unit; write %.40s%s (units: %s)", text,
                         text, measure->list[0].word, measure->units);
    if (*unit == '.' || *unit == ',' || *unit == '_')
        return error_set(
            err, -EINVAL,
            "`%.40s` is no whole number; write digits and a unit, such as %s",
            text, measure->example);
    if (meant != NULL)
        return error_set(
            err, -EINVAL,
            "`%.40s` has a unit that is not known here; write %.*s%s", text,
            digits, text, meant);
    return error_set(err, -EINVAL,
                     "`%.40s` has a unit that is not known here; use one of %s",
                     text, measure->units);
}

static int
parse_measure(const struct measure *measure, const char *text, int64_t *value,
              struct error *err)
{
    int64_t number = 0;
    const char *unit;
    int r = parse_digits(text, &number, &unit);

    if (*text == '-')
        return error_set(
            err, -EINVAL,
            "`%.40s` is negative; write a %s from 0 up, such as %s", text,
            measure->noun, measure->example);
    if (r == -EINVAL)
        return error_set(
            err, -EINVAL,
            "`%.40s` is no %s; write digits and a unit, such as %s", text,
            measure->noun, measure->example);
    for (size_t i = 0; i < measure->len; i++) {
        if (strcmp(unit, measure->list[i].word) != 0)
            continue;
        if (r < 0 || __builtin_mul_overflow(number, measure->list[i].is, value))
            return error_set(
                err, -EINVAL,
                "`%.40s` is too large to be counted; write a smaller %s", text,
                measure->noun);
        return 0;
    }
    return refuse_unit(measure, text, unit, err);
}

static int
parse_time(const char *text, int64_t *value, struct error *err)
{
    return parse_measure(&time_measure, text, value, err);
}

static int
parse_size(const char *text, int64_t *value, struct error *err)
{
    return parse_measure(&size_measure, text, value, err);
}

static int
parse_count(const char *text, int64_t *value, struct error *err)
{
    const char *end;
    int r = parse_digits(text, value, &end);

    if (*text == '-')
        return error_set(err, -EINVAL,
                         "`%.40s` is negative; write a number from 0 up", text);
    if (r == -EINVAL || *end != '\0')
        return error_set(err, -EINVAL,
                         "`%.40s` is no whole number; write digits only", text);
    if (r < 0)
        return error_set(
            err, -EINVAL,
            "`%.40s` is too large to be counted; write a smaller number", text);
    return 0;
}

int
settings_parse_span(const char *text, span_ms *span, struct error *err)
{
    int64_t value = 0;
    int r = parse_time(text, &value, err);

    if (r == 0)
        *span = value;
    return r;
}

int
settings_parse_size(const char *text, size_t *size, struct error *err)
{
    int64_t value = 0;
    int r = parse_size(text, &value, err);

    if (r == 0)
        *size = (size_t)value;
    return r;
}

/* ---- the kinds ----------------------------------------------------------- */

static int64_t
limit(const struct setting *setting, const char *text, int64_t otherwise)
{
    int64_t value = otherwise;

    if (text != NULL) {
        int r = setting->kind->parse(text, &value, NULL);
        assert(r == 0);
    }
    return value;
}

static void
store(const struct setting *setting, void *base, int64_t value)
{
    char *at = (char *)base + setting->offset;

    if (setting->size == sizeof(int64_t)) {
        memcpy(at, &value, sizeof(value));
        return;
    }
    assert(setting->size == sizeof(unsigned) && value <= INT_MAX);
    const unsigned narrow = (unsigned)value;
    memcpy(at, &narrow, sizeof(narrow));
}

static void
read_number(struct reader *reader, const struct place *place, void *base)
{
    const struct setting *setting = place->setting;
    const char *text = place->node->text;
    struct error err;
    int64_t value;

    if (setting->kind->parse(text, &value, &err) < 0)
        complain(reader, place, "%s", err.text);
    else if (value < limit(setting, setting->least, 0))
        complain(reader, place, "%.40s is too little; write %s or more", text,
                 setting->least);
    else if (value > limit(setting, setting->most, INT64_MAX))
        complain(reader, place, "%.40s is too much; write %s or less", text,
                 setting->most);
    else
        store(setting, base, value);
}

const struct kind kind_time = {
    .word = "time", .read = read_number, .parse = parse_time};
const struct kind kind_size = {
    .word = "size", .read = read_number, .parse = parse_size};
const struct kind kind_count = {
    .word = "number", .read = read_number, .parse = parse_count};
