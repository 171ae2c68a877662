/* lock.h - LOCKED: a mutex held to the end of the block.
 *
 * A lock guards one struct for a few lines, in one file, never across a call
 * out, a callback or a blocking call.
 */
#ifndef COMMON_LOCK_H
#define COMMON_LOCK_H

#include <assert.h>
#include <pthread.h>

static inline pthread_mutex_t *
lock_acquire(pthread_mutex_t *lock)
{
    int r = pthread_mutex_lock(lock);
    assert(r == 0);
    return lock;
}

static inline void
lock_release(pthread_mutex_t **lock)
{
    int r = pthread_mutex_unlock(*lock);
    assert(r == 0);
}

#define LOCKED(lock)                                                           \
    __attribute__((cleanup(lock_release))) pthread_mutex_t *locked_ =          \
        lock_acquire(lock);                                                    \
    (void)locked_

#endif
