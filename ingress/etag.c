/* etag.c - does If-Match name this epoch? */
#include "ingress/etag.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>

/* What a tag has between its quotes: visible, and not a quote. */
static bool
is_inside(char c)
{
    const unsigned char byte = (unsigned char)c;

    return byte > 0x20 && byte != 0x7f && byte != '"';
}

/* Cuts the tag at the start off, with its quotes. False: there is none. */
static bool
cut_tag(struct slice *list, struct slice *tag, bool *is_weak)
{
    size_t len = 1;

    *is_weak = slice_starts(*list, SLICE("W/"));
    if (*is_weak)
        *list = slice_from(*list, 2);
    if (list->len == 0 || list->at[0] != '"')
        return false;
    while (len < list->len && is_inside(list->at[len]))
        len++;
    if (len == list->len || list->at[len] != '"')
        return false;
    *tag = (struct slice){list->at, len + 1};
    *list = slice_from(*list, len + 1);
    return true;
}

int
etag_names(struct slice list, uint64_t epoch)
{
    char mine[24];
    struct slice tag;
    bool is_weak;
    int names = 0;

    list = slice_trim(list);
    if (slice_is(list, "*"))
        return 1;
    snprintf(mine, sizeof(mine), "\"%" PRIu64 "\"", epoch);
    while (list.len > 0) {
        if (list.at[0] != ',') { /* elements may be empty */
            if (!cut_tag(&list, &tag, &is_weak))
                return -EINVAL;
            names |= slice_is(tag, mine) && !is_weak;
            list = slice_trim(list);
            if (list.len > 0 && list.at[0] != ',')
                return -EINVAL;
        }
        list = slice_trim(slice_from(list, list.len > 0));
    }
    return names;
}
