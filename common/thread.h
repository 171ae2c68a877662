/* thread.h - starts threads that no signal is delivered to.
 *
 * Threads: any.
 */
#ifndef COMMON_THREAD_H
#define COMMON_THREAD_H

#include <pthread.h>

/* Where there is no thread to be had, it is logged and the process aborts, as
 * without memory (mem.h). */
void thread_start(pthread_t *thread, void *(*run)(void *), void *opaque);

#endif
