/* buf.c - bytes that grow up to a cap given at birth. */
#include "common/buf.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void
buf_init(struct buf *buf, size_t cap)
{
    *buf = (struct buf){.cap = cap};
}

void
buf_fini(struct buf *buf)
{
    free(buf->at);
    buf_init(buf, buf->cap);
}

/* The next power of two that holds need, at least 256, at most the cap. */
static size_t
room_for(const struct buf *buf, size_t need)
{
    size_t room = buf->room < 256 ? 256 : buf->room;

    while (room < need)
        room = room > buf->cap / 2 ? buf->cap : room * 2;
    return room < buf->cap ? room : buf->cap;
}

char *
buf_reserve(struct buf *buf, size_t len)
{
    assert(buf->len <= buf->cap);
    if (len > buf->cap - buf->len)
        return NULL;
    if (buf->len + len > buf->room || buf->at == NULL) {
        size_t room = room_for(buf, buf->len + len);
        char *at = realloc(buf->at, room > 0 ? room : 1);
        if (at == NULL)
            return NULL;
        buf->at = at;
        buf->room = room;
    }
    return buf->at + buf->len;
}

int
buf_add(struct buf *buf, const void *at, size_t len)
{
    char *end = buf_reserve(buf, len);

    if (end == NULL)
        return -EMSGSIZE;
    if (len > 0)
        memcpy(end, at, len);
    buf->len += len;
    return 0;
}

int
buf_add_slice(struct buf *buf, struct slice s)
{
    return buf_add(buf, s.at, s.len);
}

int
buf_add_text(struct buf *buf, const char *text)
{
    return buf_add(buf, text, strlen(text));
}

int
buf_addf(struct buf *buf, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    int len = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (len < 0)
        return -EMSGSIZE;
    if (buf->len + (size_t)len > buf->cap)
        return -EMSGSIZE;
    char *text = malloc((size_t)len + 1);
    if (text == NULL)
        return -EMSGSIZE;
    va_start(args, format);
    vsnprintf(text, (size_t)len + 1, format, args);
    va_end(args);
    int r = buf_add(buf, text, (size_t)len);
    free(text);
    return r;
}

void
buf_clear(struct buf *buf)
{
    buf->len = 0;
}

void
buf_drop(struct buf *buf, size_t len)
{
    assert(len <= buf->len);
    buf->len -= len;
    if (buf->len > 0)
        memmove(buf->at, buf->at + len, buf->len);
}

void
buf_move(struct buf *to, struct buf *from)
{
    assert(to->at == NULL);
    *to = *from;
    buf_init(from, from->cap);
}

struct slice
buf_slice(const struct buf *buf)
{
    return (struct slice){buf->at, buf->len};
}
