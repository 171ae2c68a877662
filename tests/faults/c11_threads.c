/* c11_threads.c - C11's threads by way of POSIX's, for the thread sanitizer.
 *
 * It knows of threads and locks what it intercepts, which is pthread_*;
 * librdkafka uses thrd_*, mtx_* and cnd_*, and a thread that the sanitizer has
 * not seen crashes in it. In the program itself these go in front of libc's. In
 * glibc both kinds are of one size and layout.
 */
#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <threads.h>

/* What librdkafka orders by atomic operations the sanitizer cannot see. */
const char *__tsan_default_options(void);
const char *
__tsan_default_options(void)
{
    return "ignore_noninstrumented_modules=1";
}

struct start {
    thrd_start_t run;
    void *argument;
};

static void *
run(void *opaque)
{
    const struct start start = *(struct start *)opaque;

    free(opaque);
    return (void *)(intptr_t)start.run(start.argument);
}

static int
result_of(int error)
{
    switch (error) {
    case 0:
        return thrd_success;
    case EBUSY:
        return thrd_busy;
    case ETIMEDOUT:
        return thrd_timedout;
    default:
        return thrd_error;
    }
}

int
thrd_create(thrd_t *thread, thrd_start_t function, void *argument)
{
    struct start *start = malloc(sizeof(*start));

    if (start == NULL)
        return thrd_nomem;
    *start = (struct start){function, argument};
    int r = pthread_create(thread, NULL, run, start);
    if (r != 0)
        free(start);
    return result_of(r);
}

int
thrd_join(thrd_t thread, int *result)
{
    void *returned = NULL;
    int r = pthread_join(thread, &returned);

    if (result != NULL)
        *result = (int)(intptr_t)returned;
    return result_of(r);
}

int
thrd_detach(thrd_t thread)
{
    return result_of(pthread_detach(thread));
}

int
mtx_init(mtx_t *mutex, int type)
{
    pthread_mutexattr_t attributes;

    pthread_mutexattr_init(&attributes);
    if (type & mtx_recursive)
        pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_RECURSIVE);
    return result_of(pthread_mutex_init((pthread_mutex_t *)mutex, &attributes));
}

void
mtx_destroy(mtx_t *mutex)
{
    pthread_mutex_destroy((pthread_mutex_t *)mutex);
}

int
mtx_lock(mtx_t *mutex)
{
    return result_of(pthread_mutex_lock((pthread_mutex_t *)mutex));
}

int
mtx_trylock(mtx_t *mutex)
{
    return result_of(pthread_mutex_trylock((pthread_mutex_t *)mutex));
}

int
mtx_unlock(mtx_t *mutex)
{
    return result_of(pthread_mutex_unlock((pthread_mutex_t *)mutex));
}

int
cnd_init(cnd_t *condition)
{
    return result_of(pthread_cond_init((pthread_cond_t *)condition, NULL));
}

void
cnd_destroy(cnd_t *condition)
{
    pthread_cond_destroy((pthread_cond_t *)condition);
}

int
cnd_signal(cnd_t *condition)
{
    return result_of(pthread_cond_signal((pthread_cond_t *)condition));
}

int
cnd_broadcast(cnd_t *condition)
{
    return result_of(pthread_cond_broadcast((pthread_cond_t *)condition));
}

int
cnd_wait(cnd_t *condition, mtx_t *mutex)
{
    return result_of(pthread_cond_wait((pthread_cond_t *)condition,
                                       (pthread_mutex_t *)mutex));
}

int
cnd_timedwait(cnd_t *condition, mtx_t *mutex, const struct timespec *until)
{
    return result_of(pthread_cond_timedwait((pthread_cond_t *)condition,
                                            (pthread_mutex_t *)mutex, until));
}
