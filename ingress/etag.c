/* etag.c - does If-Match name this epoch? */
#include "ingress/etag.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* Cuts the first tag off the list, with its quotes. False: there is none. */
static bool
next_tag(struct slice *list, struct slice *tag, bool *is_weak)
{
    while (list->len > 0 && strchr(" \t,", list->at[0]) != NULL)
        *list = slice_from(*list, 1);
    *is_weak = list->len > 2 && memcmp(list->at, "W/", 2) == 0;
    if (*is_weak)
        *list = slice_from(*list, 2);
    if (list->len < 2 || list->at[0] != '"')
        return false;
    const char *end = memchr(list->at + 1, '"', list->len - 1);
    if (end == NULL)
        return false;
    *tag = (struct slice){list->at, (size_t)(end - list->at) + 1};
    *list = slice_from(*list, tag->len);
    return true;
}

bool
etag_names(struct slice list, uint64_t epoch)
{
    char mine[24];
    struct slice tag;
    bool is_weak;

    list = slice_trim(list);
    if (slice_is(list, "*"))
        return true;
    snprintf(mine, sizeof(mine), "\"%" PRIu64 "\"", epoch);
    while (next_tag(&list, &tag, &is_weak)) {
        if (slice_is(tag, mine) && !is_weak)
            return true;
    }
    return false;
}
