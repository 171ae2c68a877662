/* slice.c - a view of bytes that somebody else owns. */
#include "common/slice.h"

#include <assert.h>
#include <string.h>
#include <strings.h>

struct slice
slice_of(const char *text)
{
    return (struct slice){text, text == NULL ? 0 : strlen(text)};
}

bool
slice_eq(struct slice a, struct slice b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.at, b.at, a.len) == 0);
}

bool
slice_eq_nocase(struct slice a, struct slice b)
{
    return a.len == b.len &&
           (a.len == 0 || strncasecmp(a.at, b.at, a.len) == 0);
}

bool
slice_is(struct slice s, const char *text)
{
    return slice_eq(s, slice_of(text));
}

bool
slice_is_nocase(struct slice s, const char *text)
{
    return slice_eq_nocase(s, slice_of(text));
}

bool
slice_starts(struct slice s, struct slice prefix)
{
    return s.len >= prefix.len &&
           slice_eq((struct slice){s.at, prefix.len}, prefix);
}

struct slice
slice_trim(struct slice s)
{
    while (s.len > 0 && (s.at[0] == ' ' || s.at[0] == '\t')) {
        s.at++;
        s.len--;
    }
    while (s.len > 0 && (s.at[s.len - 1] == ' ' || s.at[s.len - 1] == '\t'))
        s.len--;
    return s;
}

struct slice
slice_from(struct slice s, size_t start)
{
    assert(start <= s.len);
    if (s.at == NULL)
        return s;
    return (struct slice){s.at + start, s.len - start};
}

bool
slice_cut(struct slice *rest, char sep, struct slice *part)
{
    if (rest->at == NULL)
        return false;
    const char *end = memchr(rest->at, sep, rest->len);
    if (end == NULL) {
        *part = *rest;
        *rest = (struct slice){NULL, 0};
        return true;
    }
    size_t len = (size_t)(end - rest->at);
    *part = (struct slice){rest->at, len};
    *rest = slice_from(*rest, len + 1);
    return true;
}
