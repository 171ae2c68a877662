/* asked.c - was a process told once or twice to stop? */
#include "common/asked.h"

#include <errno.h>
#include <sys/signalfd.h>

enum asked_how
asked_now(struct asked *asked)
{
    const mono_ms now = clock_mono();

    if (asked->first == 0) {
        asked->first = now;
        return ASKED_FIRST;
    }
    return now - asked->first < ASKED_ECHO_SPAN ? ASKED_ECHO : ASKED_AGAIN;
}

void
asked_signals(sigset_t *set)
{
    sigemptyset(set);
    sigaddset(set, SIGINT);
    sigaddset(set, SIGTERM);
    sigaddset(set, SIGHUP);
}

int
asked_open(void)
{
    sigset_t set;

    asked_signals(&set);
    sigprocmask(SIG_BLOCK, &set, NULL);
    const int fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    return fd >= 0 ? fd : -errno;
}
