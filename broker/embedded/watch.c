/* watch.c - sees to a write lock that does not come. */
#include "broker/embedded/watch.h"

#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/log.h"
#include "common/thread.h"

#define LOOK_EVERY 250   /* ms */
#define PATIENCE   2000  /* ms of waiting, before the holder is looked at */
#define HANG_LIMIT 10000 /* ms of holding the lock awake */

/* What was seen of a holder so far. */
struct suspicion {
    uint64_t holds;   /* which holding it is about */
    mono_ms since;    /* when it was first seen, or last slept in the disk */
    unsigned stopped; /* how often in a row it was seen stopped */
};

/* The holder is who it was when it was looked at, also in /proc, where its
 * number may have passed to another process: the pidfd was opened before. */
static bool
is_same(struct shared *shared, const struct suspicion *suspicion,
        const struct seat *seat, int pid)
{
    return atomic_load(&shared->holds) == suspicion->holds &&
           atomic_load(&shared->holder) >= 0 &&
           process_started(pid) == atomic_load(&seat->started);
}

static void
end_holder(struct shared *shared, const struct suspicion *suspicion,
           const struct seat *seat, const char *why)
{
    const int pid = atomic_load(&seat->pid);
    const int fd = (int)syscall(SYS_pidfd_open, pid, 0);

    if (fd < 0)
        return; /* gone already */
    if (pid != getpid() && is_same(shared, suspicion, seat, pid) &&
        syscall(SYS_pidfd_send_signal, fd, SIGKILL, NULL, 0) == 0)
        log_event(EVENT_LOCK_KILL, "holder=%d text=\"it %s\"", pid, why);
    close(fd);
}

static void
look(struct shared *shared, struct suspicion *suspicion)
{
    const int32_t holder = atomic_load(&shared->holder);
    const uint64_t holds = atomic_load(&shared->holds);
    const mono_ms now = clock_mono();

    if (suspicion->holds != holds || suspicion->since == 0)
        *suspicion = (struct suspicion){.holds = holds, .since = now};
    if (holder < 0 || holder >= SEATS)
        return;
    const struct seat *seat = &shared->seats[holder];
    if (atomic_load(&seat->pid_space) != process_space())
        return; /* its pid means nothing here; somebody beside it will see */

    switch (process_state(atomic_load(&seat->pid), atomic_load(&seat->tid))) {
    case 'T':
    case 't': /* a tracer stops for moments: see it twice */
        if (++suspicion->stopped >= 2)
            end_holder(shared, suspicion, seat, "was stopped");
        return;
    case 'D': /* the disk is slow: its commit goes on when the disk does */
        suspicion->since = now;
        break;
    default:
        if (now - suspicion->since > HANG_LIMIT)
            end_holder(shared, suspicion, seat, "hung");
        break;
    }
    suspicion->stopped = 0;
}

static void *
watch_main(void *opaque)
{
    struct embedded *store = opaque;
    struct watch *watch = &store->watch;
    struct suspicion suspicion = {0};

    while (!atomic_load(&watch->stop)) {
        const uint32_t seen = bell_seen(&watch->bell);
        const mono_ms since = atomic_load(&store->writer.waiting_since);
        embedded_check_broken(store);
        if (since != 0 && clock_mono() - since > PATIENCE)
            look(store->shared, &suspicion);
        if (!atomic_load(&watch->stop))
            bell_wait(&watch->bell, seen, LOOK_EVERY);
    }
    return NULL;
}

void
watch_start(struct embedded *store)
{
    thread_start(&store->watch.thread, watch_main, store);
}

void
watch_stop(struct embedded *store)
{
    atomic_store(&store->watch.stop, true);
    bell_ring(&store->watch.bell);
    pthread_join(store->watch.thread, NULL);
    atomic_store(&store->watch.stop, false);
}
