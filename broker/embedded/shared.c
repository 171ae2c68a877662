/* shared.c - the small file that all processes of a directory map. */
#include "broker/embedded/shared.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/mem.h"
#include "common/own.h"

#define SMALL_STEP 60000 /* ms; larger steps of the wall clock are jumps */

/* ---- bells -------------------------------------------------------------- */

uint32_t
bell_seen(struct bell *bell)
{
    return atomic_load(&bell->rung);
}

void
bell_wait(struct bell *bell, uint32_t seen, span_ms limit)
{
    const struct timespec timeout = {.tv_sec = limit / 1000,
                                     .tv_nsec = limit % 1000 * 1000000};

    if (limit <= 0)
        return;
    atomic_store(&bell->waiting, 1);
    /* The kernel compares again: a ring from here on makes it return. */
    if (atomic_load(&bell->rung) == seen)
        syscall(SYS_futex, &bell->rung, FUTEX_WAIT, seen, &timeout, NULL, 0);
    atomic_store(&bell->waiting, 0);
}

void
bell_ring(struct bell *bell)
{
    atomic_fetch_add(&bell->rung, 1);
    if (atomic_load(&bell->waiting))
        syscall(SYS_futex, &bell->rung, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

/* For a bell that many may wait for: one that has waited says that none does.
 */
static void
ring_many(struct bell *bell)
{
    atomic_fetch_add(&bell->rung, 1);
    syscall(SYS_futex, &bell->rung, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

/* ---- who ---------------------------------------------------------------- */

/* Fields of /proc/.../stat behind the name, which may hold anything. */
static bool
read_stat(const char *path, char *state, uint64_t *started)
{
    char text[1024];
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return false;
    ssize_t len = read(fd, text, sizeof(text) - 1);
    close(fd);
    if (len <= 0)
        return false;
    text[len] = '\0';
    const char *at = strrchr(text, ')');
    if (at == NULL || at[1] != ' ')
        return false;
    at += 2;
    *state = *at;
    for (int field = 3; field < 22; field++) {
        at = strchr(at, ' ');
        if (at == NULL)
            return false;
        at++;
    }
    *started = strtoull(at, NULL, 10);
    return true;
}

uint64_t
process_started(int pid)
{
    char path[64];
    char state;
    uint64_t started = 0;

    snprintf(path, sizeof(path), "/proc/%d/stat", pid);
    return read_stat(path, &state, &started) ? started : 0;
}

char
process_state(int pid, int tid)
{
    char path[64];
    char state = '\0';
    uint64_t started;

    snprintf(path, sizeof(path), "/proc/%d/task/%d/stat", pid, tid);
    return read_stat(path, &state, &started) ? state : '\0';
}

uint64_t
process_space(void)
{
    struct stat st;

    return stat("/proc/self/ns/pid", &st) == 0 ? (uint64_t)st.st_ino : 0;
}

/* ---- seats -------------------------------------------------------------- */

/* Byte 0 of the file `lock` is the write lock, byte 1 + n is seat n's, byte 1 +
 * GUARD(n) its guard's. */
#define GUARD(seat) (SEATS + (seat))

static struct flock
seat_lock(unsigned first, unsigned len)
{
    return (struct flock){.l_type = F_WRLCK,
                          .l_whence = SEEK_SET,
                          .l_start = 1 + (off_t)first,
                          .l_len = (off_t)len};
}

static bool
others_hold(int lock_fd, unsigned first, unsigned len)
{
    struct flock lock = seat_lock(first, len);

    return len > 0 &&
           (fcntl(lock_fd, F_OFD_GETLK, &lock) < 0 || lock.l_type != F_UNLCK);
}

bool
shared_is_alone(int lock_fd, unsigned seat)
{
    return !others_hold(lock_fd, 0, seat) &&
           !others_hold(lock_fd, seat + 1, SEATS - seat - 1);
}

bool
shared_is_alive(struct shared *shared, int lock_fd, unsigned own, unsigned seat,
                uint32_t turn)
{
    if (seat >= SEATS || atomic_load(&shared->seats[seat].turn) != turn)
        return false;
    return seat == own || others_hold(lock_fd, seat, 1) ||
           others_hold(lock_fd, GUARD(seat), 1);
}

int
shared_guard(int lock_fd, unsigned seat, struct error *err)
{
    struct flock lock = seat_lock(GUARD(seat), 1);
    char path[64];

    /* The same file, whatever its name leads to now, but a description of its
     * own: who has a copy must not hold the other bytes. */
    snprintf(path, sizeof(path), "/proc/self/fd/%d", lock_fd);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return error_system(err, -errno, "opening the lock's file again");
    if (fcntl(fd, F_OFD_SETLK, &lock) == 0)
        return fd;
    int r = error_system(err, -errno, "locking a seat's guard");
    close(fd);
    return r;
}

static void
seat_take(struct shared *shared, unsigned number)
{
    struct seat *seat = &shared->seats[number];

    atomic_fetch_add(&seat->turn, 1);
    atomic_store(&seat->pid, getpid());
    atomic_store(&seat->started, process_started(getpid()));
    atomic_store(&seat->pid_space, process_space());
    atomic_store(&seat->tid, 0);
    atomic_store(&seat->follows, false);
    atomic_store(&seat->wants, 0);
    atomic_store(&seat->cancels, false);
    if (atomic_load(&shared->seats_used) <= number)
        atomic_store(&shared->seats_used, number + 1);
}

static int
find_seat(struct shared *shared, int lock_fd, unsigned *seat, struct error *err)
{
    for (unsigned i = 0; i < SEATS; i++) {
        struct flock lock = seat_lock(i, 1);
        if (others_hold(lock_fd, GUARD(i), 1))
            continue;
        if (fcntl(lock_fd, F_OFD_SETLK, &lock) == 0) {
            seat_take(shared, i);
            *seat = i;
            return 0;
        }
        if (errno != EAGAIN && errno != EACCES)
            return error_system(err, -errno, "locking a seat");
    }
    return error_set(err, -ENOBUFS,
                     "%d processes use this directory already; end some",
                     SEATS);
}

/* ---- the file ----------------------------------------------------------- */

/* What the last process left: not the turns and leases, which say what becomes
 * of its sessions. */
static void
forget(struct shared *shared)
{
    atomic_store(&shared->broken, false);
    atomic_store(&shared->full, false);
    atomic_store(&shared->holder, -1);
    atomic_store(&shared->offset, clock_wall() - clock_boot());
    atomic_store(&shared->offset_warned, false);
}

static void
make_new(struct shared *shared)
{
    /* Turns must not repeat within a boot: a session row names one. */
    uint32_t turn = (uint32_t)clock_wall();

    memset(shared, 0, sizeof(*shared));
    memcpy(shared->magic, SHARED_MAGIC, sizeof(shared->magic));
    shared->version = SHARED_VERSION;
    shared->size = sizeof(*shared);
    forget(shared);
    for (unsigned i = 0; i < SEATS; i++)
        atomic_store(&shared->seats[i].turn, turn);
}

static bool
is_ours(const struct shared *shared)
{
    return memcmp(shared->magic, SHARED_MAGIC, sizeof(shared->magic)) == 0 &&
           shared->version == SHARED_VERSION && shared->size == sizeof(*shared);
}

/* fresh: nobody needs what is in it. */
static int
map(int fd, bool fresh, struct shared **out, struct error *err)
{
    struct stat st;

    if (fstat(fd, &st) < 0)
        return error_system(err, -errno, "shared: stat");
    if (fresh && ftruncate(fd, sizeof(struct shared)) < 0)
        return error_system(err, -errno, "shared: resizing");
    /* Without its blocks a full disk would be a SIGBUS later. */
    int r = fresh ? posix_fallocate(fd, 0, sizeof(struct shared)) : 0;
    if (r != 0)
        return error_system(err, -r, "shared: making room");
    if (!fresh && (size_t)st.st_size < sizeof(struct shared))
        return error_set(err, -EINVAL,
                         "a process of another version of Cloakroom works on "
                         "this directory; stop it first");

    struct shared *shared =
        mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (shared == MAP_FAILED)
        return error_system(err, -errno, "shared: mapping");
    if (fresh)
        make_new(shared);
    if (is_ours(shared)) {
        *out = shared;
        return 0;
    }
    munmap(shared, sizeof(*shared));
    return error_set(err, -EINVAL,
                     "a process of another version of Cloakroom works on this "
                     "directory; stop it first");
}

int
shared_open(const char *directory, int lock_fd, struct shared **out,
            unsigned *seat, struct error *err)
{
    char *path = mem_printf("%s/shared", directory);
    int fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    int r;

    *out = NULL;
    if (fd < 0) {
        r = error_system(err, -errno, "%s", path);
    } else {
        const bool alone = !others_hold(lock_fd, 0, SEATS);
        const bool guarded = others_hold(lock_fd, GUARD(0), SEATS);
        r = map(fd, alone && !guarded, out, err);
        if (r == 0 && alone && guarded)
            forget(*out);
        close(fd);
    }
    free(path);
    if (r == 0) {
        r = find_seat(*out, lock_fd, seat, err);
        if (r < 0) {
            munmap(*out, sizeof(struct shared));
            *out = NULL;
        }
    }
    return r;
}

struct shared *
shared_peek(const char *directory)
{
    char *path = mem_printf("%s/shared", directory);
    int fd = open(path, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
    struct shared *shared = NULL;
    struct error err;

    free(path);
    if (fd >= 0) {
        map(fd, false, &shared, &err);
        close(fd);
    }
    return shared;
}

void
shared_unpeek(struct shared *shared)
{
    if (shared != NULL)
        munmap(shared, sizeof(*shared));
}

void
shared_close(struct shared *shared, unsigned seat)
{
    if (shared == NULL)
        return;
    atomic_store(&shared->seats[seat].follows, false);
    atomic_store(&shared->seats[seat].wants, 0);
    munmap(shared, sizeof(*shared));
}

/* ---- the write lock's holder --------------------------------------------- */

void
shared_hold(struct shared *shared, unsigned seat)
{
    atomic_fetch_add(&shared->holds, 1);
    atomic_store(&shared->holder, (int32_t)seat);
}

void
shared_let_go(struct shared *shared, unsigned seat)
{
    int32_t holder = (int32_t)seat;

    atomic_compare_exchange_strong(&shared->holder, &holder, -1);
}

/* ---- leases -------------------------------------------------------------- */

boot_ms
shared_lease(const struct shared *shared, int64_t session, boot_ms of_row)
{
    const struct renewal *renewal = &shared->renewals[session % RENEWALS];

    if (atomic_load(&renewal->session) != session)
        return of_row;
    const boot_ms until = atomic_load(&renewal->until);
    return until > of_row ? until : of_row;
}

bool
shared_renew(struct shared *shared, int64_t session, boot_ms now, boot_ms until)
{
    struct renewal *renewal = &shared->renewals[session % RENEWALS];

    if (atomic_load(&renewal->session) != session &&
        atomic_load(&renewal->until) > now)
        return false;
    atomic_store(&renewal->session, session);
    atomic_store(&renewal->until, until);
    return true;
}

/* ---- the clock ---------------------------------------------------------- */

wall_ms
shared_now(const struct shared *shared)
{
    return clock_boot() + atomic_load(&shared->offset);
}

bool
shared_follow_clock(struct shared *shared, span_ms *jump)
{
    const int64_t offset = clock_wall() - clock_boot();
    const span_ms step = offset - atomic_load(&shared->offset);

    if (step < SMALL_STEP && step > -SMALL_STEP) {
        atomic_store(&shared->offset, offset);
        atomic_store(&shared->offset_warned, false);
        return false;
    }
    *jump = step;
    return !atomic_exchange(&shared->offset_warned, true);
}

/* ---- ringing ------------------------------------------------------------ */

void
shared_ring_responses(struct shared *shared)
{
    const unsigned used = atomic_load(&shared->seats_used);

    for (unsigned i = 0; i < used; i++) {
        if (atomic_load(&shared->seats[i].follows))
            bell_ring(&shared->seats[i].reader);
    }
}

void
shared_ring_work(struct shared *shared, unsigned lane)
{
    const unsigned used = atomic_load(&shared->seats_used);
    const uint64_t bit = UINT64_C(1) << lane % 64;

    for (unsigned i = 0; i < used; i++) {
        struct seat *seat = &shared->seats[i];
        if ((atomic_load(&seat->wants) & bit) == 0)
            continue;
        atomic_fetch_and(&seat->wants, ~bit);
        bell_ring(&seat->writer);
    }
}

void
shared_ring_control(struct shared *shared)
{
    const unsigned used = atomic_load(&shared->seats_used);

    ring_many(&shared->control);
    for (unsigned i = 0; i < used; i++)
        bell_ring(&shared->seats[i].writer);
}

void
shared_ring_all(struct shared *shared)
{
    for (unsigned i = 0; i < SEATS; i++) {
        bell_ring(&shared->seats[i].writer);
        bell_ring(&shared->seats[i].reader);
    }
}

/* ---- rates -------------------------------------------------------------- */

void
rate_add(struct rate *rate, wall_ms now, unsigned done, unsigned failed)
{
    const int64_t second = now / 1000;
    const size_t i = (size_t)second % RATE_SECONDS;

    if (atomic_load(&rate->second[i]) != second) {
        atomic_store(&rate->done[i], 0);
        atomic_store(&rate->failed[i], 0);
        atomic_store(&rate->second[i], second);
    }
    atomic_fetch_add(&rate->done[i], done);
    atomic_fetch_add(&rate->failed[i], failed);
}

void
rate_minute(const struct rate *rate, wall_ms now, uint64_t *done,
            uint64_t *failed)
{
    const int64_t second = now / 1000;

    *done = *failed = 0;
    for (size_t i = 0; i < RATE_SECONDS; i++) {
        const int64_t age = second - atomic_load(&rate->second[i]);
        if (age < 0 || age >= 60)
            continue;
        *done += atomic_load(&rate->done[i]);
        *failed += atomic_load(&rate->failed[i]);
    }
}
