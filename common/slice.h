/* slice.h - a view of bytes that somebody else owns.
 *
 * Threads: any. A slice is a value; it is not terminated by NUL.
 */
#ifndef COMMON_SLICE_H
#define COMMON_SLICE_H

#include <stdbool.h>
#include <stddef.h>

struct slice {
    const char *at;
    size_t len;
};

#define SLICE_ARG(s)   (int)(s).len, (s).at /* for "%.*s" */
#define SLICE(literal) ((struct slice){(literal), sizeof(literal) - 1})

struct slice slice_of(const char *text); /* NULL gives the empty slice */
bool slice_is(struct slice s, const char *text);
bool slice_is_nocase(struct slice s, const char *text); /* ASCII only */
bool slice_eq(struct slice a, struct slice b);
bool slice_eq_nocase(struct slice a, struct slice b);
bool slice_starts(struct slice s, struct slice prefix);
struct slice slice_trim(struct slice s); /* without SP and HTAB at both ends */
struct slice slice_from(struct slice s, size_t start); /* start <= len */

/* Cuts the next part of *rest up to sep (which is dropped) into *part. False
 * when *rest was used up (at == NULL). "a,,b" gives "a", "" and "b". */
bool slice_cut(struct slice *rest, char sep, struct slice *part);

#endif
