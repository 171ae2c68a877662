/* own.h - ownership in the types: OWNED, TAKE and checked casts.
 *
 * struct x * lends until return; struct x ** moves. x_free(NULL) is fine.
 */
#ifndef COMMON_OWN_H
#define COMMON_OWN_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

/* After `void x_free(struct x *)`: lets `OWNED(x) x = x_new();` free it at
 * every exit of the block. */
#define OWNED_DEFINE(name)                                                     \
    static inline void name##_owned_(struct name **owned_)                     \
    {                                                                          \
        name##_free(*owned_);                                                  \
    }
#define OWNED(name) __attribute__((cleanup(name##_owned_))) struct name *

/* Gives p and leaves NULL behind. */
#define TAKE(p)                                                                \
    ({                                                                         \
        __typeof__(p) taken_ = (p);                                            \
        (p) = NULL;                                                            \
        taken_;                                                                \
    })

/* A pointer that comes back from void *: the struct's first member is
 * `uint32_t magic`, set to NAME_MAGIC at birth and cleared at the end. */
#define OBJ_CAST(name, magic_value, opaque)                                    \
    ({                                                                         \
        struct name *cast_ = (opaque);                                         \
        assert(cast_ != NULL && cast_->magic == (magic_value));                \
        cast_;                                                                 \
    })

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

/* The struct whose member `member` p points at. */
#define CONTAINER_OF(p, type, member)                                          \
    ((type *)(void *)((char *)(p)-offsetof(type, member)))

#endif
