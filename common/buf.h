/* buf.h - bytes that grow up to a cap given at birth.
 *
 * I1: len <= cap, always; what would pass the cap is refused whole.
 * Threads: owner.
 */
#ifndef COMMON_BUF_H
#define COMMON_BUF_H

#include <stdarg.h>
#include <stddef.h>

#include "common/slice.h"

struct buf {
    char *at;
    size_t len;
    size_t room; /* allocated */
    size_t cap;  /* the limit */
};

void buf_init(struct buf *buf, size_t cap); /* allocates nothing yet */
void buf_fini(struct buf *buf);             /* frees, and may be repeated */

/* 0, or -EMSGSIZE when the cap would be passed (or memory for it is not to be
 * had); the buffer is unchanged then. */
int buf_add(struct buf *buf, const void *at, size_t len);
int buf_add_slice(struct buf *buf, struct slice s);
int buf_add_text(struct buf *buf, const char *text);
int buf_addf(struct buf *buf, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Room for len bytes at the end, to be filled by the caller, who then adds to
 * buf->len what was used. NULL where buf_add would say -EMSGSIZE. */
char *buf_reserve(struct buf *buf, size_t len);

void buf_clear(struct buf *buf);                 /* keeps the memory */
void buf_drop(struct buf *buf, size_t len);      /* the first len bytes */
void buf_move(struct buf *to, struct buf *from); /* `to` must be empty */
struct slice buf_slice(const struct buf *buf);   /* until the next add */

#endif
