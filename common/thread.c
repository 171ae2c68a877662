/* thread.c - starts threads that no signal is delivered to. */
#include "common/thread.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"

void
thread_start(pthread_t *thread, void *(*run)(void *), void *opaque)
{
    sigset_t all, before;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int r = pthread_create(thread, NULL, run, opaque);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (r != 0) {
        log_event(EVENT_FAILED, "text=\"no thread to be had: %s\"",
                  strerror(r));
        abort();
    }
}
