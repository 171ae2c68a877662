/* upgrade_hold.c - an upgrade's hold on its queues: changed, checked, told. */
#include "cli/upgrade_priv.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "cli/tell.h"
#include "common/fault.h"

#define HEED_EVERY 100 /* ms: how soon a signal is seen where we wait */

/* ---- telling ------------------------------------------------------------- */

void
upgrade_say(const struct upgrading *run, const char *format, ...)
{
    va_list arguments;

    printf("%s: ", run->at);
    va_start(arguments, format);
    vprintf(format, arguments);
    va_end(arguments);
    putchar('\n');
    fflush(stdout);
}

const char *
upgrade_name(const struct upgrading *run, size_t i)
{
    return run->options->settings->queues[run->queues->list[i]].name;
}

/* "upgrade of hits to v2 stopped in verify: why; and now", on stderr. */
int
upgrade_tell_stopped(const struct upgrading *run, const char *at,
                     const char *why, const char *now)
{
    return command_fails(run->options->command, END_FAILED,
                         "upgrade of %s to %s stopped in %s: %s; %s",
                         run->names, run->options->wish->to, at, why, now);
}

/* ---- signals ------------------------------------------------------------- */

/* The hold stays for the next run; our commands die with us. */
static void
leave_at_once(const struct upgrading *run)
{
    upgrade_tell_stopped(
        run, run->at, "told twice to stop",
        "its queues stay as they are, and the same upgrade goes on");
    fflush(stdout);
    _exit(END_FAILED);
}

/* 0, or -EINTR: it is to stop, and does not yet. */
int
upgrade_heed(struct upgrading *run, struct error *err)
{
    struct signalfd_siginfo info;

    while (read(run->options->signals, &info, sizeof(info)) == sizeof(info)) {
        switch (asked_now(&run->asked)) {
        case ASKED_FIRST:
            run->signal = (int)info.ssi_signo;
            if (run->undoing)
                upgrade_say(
                    run, "ends what was begun first; a second signal leaves it "
                         "as it is");
            break;
        case ASKED_ECHO:
            break;
        case ASKED_AGAIN:
            leave_at_once(run);
        }
    }
    if (run->asked.first == 0 || run->undoing)
        return 0;
    return error_set(err, -EINTR, "interrupted by SIG%s",
                     sigabbrev_np(run->signal));
}

/* ---- the hold ------------------------------------------------------------ */

/* Are all queues held by us still? -ECANCELED: one was opened by force. */
int
upgrade_check_hold(struct upgrading *run, struct error *err)
{
    struct control control;
    char by[TELL_SIZE];

    for (size_t i = 0; i < run->queues->len; i++) {
        int r = broker_control(run->options->broker, run->queues->list[i],
                               &control, err);
        if (r < 0)
            return r;
        if (strcmp(control.upgrade.id, run->id) != 0)
            return error_set(err, -ECANCELED, "%s was resumed by force (by %s)",
                             upgrade_name(run, i), tell_clean(control.by, by));
    }
    return 0;
}

/* Tests kill us at each of these. */
static void
pass_point(void)
{
    if (FAULT("upgrade.point"))
        raise(SIGKILL);
}

/* Waits while a probe runs, up to the limit. */
int
upgrade_change(struct upgrading *run, struct change wish, span_ms limit,
               struct error *err)
{
    struct broker *broker = run->options->broker;
    const mono_ms start = clock_mono();
    bool told = false;

    wish.by = run->by;
    wish.upgrade = run->id;
    pass_point();
    for (;;) {
        const uint64_t seen = broker_control_seen(broker);
        int r = broker_change(broker, run->queues->list, run->queues->len,
                              &wish, run->controls, err);
        if (r == -ECANCELED)
            upgrade_check_hold(run, err); /* which says who */
        if (r == 0)
            pass_point();
        if (r != -EINPROGRESS)
            return r;
        if (limit >= 0 && clock_mono() - start >= limit)
            return r;
        if (!told)
            upgrade_say(run, "waits for its end: %s", err->text);
        told = true;
        r = upgrade_heed(run, err);
        if (r < 0)
            return r;
        broker_control_wait(broker, seen, HEED_EVERY);
    }
}
