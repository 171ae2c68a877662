/* child.c - follows its parent by PR_SET_PDEATHSIG. */
#include "cli/child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

bool
child_take_flag(struct child_end *end, int flag, const char *value)
{
    switch (flag) {
    case FLAG_UP:
        end->up = (int)strtol(value, NULL, 10);
        return true;
    case FLAG_READY:
        end->ready = (int)strtol(value, NULL, 10);
        fcntl(end->ready, F_SETFD, FD_CLOEXEC);
        return true;
    default:
        return false;
    }
}

int
child_follow(const struct child_end *end)
{
    if (end->up == 0)
        return 0;
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    /* It may have ended before that call. */
    return getppid() == end->up ? 0 : -ESRCH;
}

void
child_say_ready(struct child_end *end)
{
    if (end->ready < 0)
        return;
    /* Where it fails `up` has ended, and its end comes as a signal. */
    const ssize_t told = write(end->ready, "r", 1);
    (void)told;
    close(end->ready);
    end->ready = -1;
}
