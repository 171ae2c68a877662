/* shared_test.c - bells, seats, the store's clock and rates. */
#include "broker/embedded/shared.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "broker/embedded/directory.h"
#include "tests/conformance/rig.h"
#include "tests/unit/test.h"

/* ---- bells -------------------------------------------------------------- */

#define RINGS 20000

static struct bell bells[2];
static _Atomic unsigned rung;

/* Answers each ring with one; a lost one would stop both. */
static void *
answer(void *opaque)
{
    for (unsigned i = 0; i < RINGS; i++) {
        uint32_t seen = bell_seen(&bells[1]);
        while (rung <= i) {
            bell_wait(&bells[1], seen, 60000);
            seen = bell_seen(&bells[1]);
        }
        bell_ring(&bells[0]);
    }
    return opaque;
}

START_TEST(no_ring_is_lost)
{
    pthread_t thread;

    pthread_create(&thread, NULL, answer, NULL);
    for (unsigned i = 0; i < RINGS; i++) {
        const uint32_t seen = bell_seen(&bells[0]);
        rung++;
        bell_ring(&bells[1]);
        bell_wait(&bells[0], seen, 60000);
    }
    pthread_join(thread, NULL);
}
END_TEST

START_TEST(a_bell_that_nobody_rings_waits_for_its_limit)
{
    struct bell bell = {0};
    const mono_ms since = clock_mono();

    bell_wait(&bell, bell_seen(&bell), 30);
    ck_assert_int_ge(clock_mono() - since, 29);
    const uint32_t seen = bell_seen(&bell);
    bell_ring(&bell);
    bell_wait(&bell, seen, 60000); /* returns at once */
    bell_wait(&bell, bell_seen(&bell), 0);
}
END_TEST

/* ---- seats -------------------------------------------------------------- */

static int
open_lock(const struct rig *rig)
{
    char path[300];

    snprintf(path, sizeof(path), "%s/lock", rig->directory);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    ck_assert_int_ge(fd, 0);
    return fd;
}

START_TEST(a_seat_lives_as_long_as_its_lock)
{
    struct rig rig;
    struct shared *first, *second;
    unsigned seats[2];
    struct error err;

    rig_init(&rig);
    int fds[2] = {open_lock(&rig), open_lock(&rig)};
    ck_assert_int_eq(
        shared_open(rig.directory, fds[0], &first, &seats[0], &err), 0);
    ck_assert(shared_is_alone(fds[0], seats[0]));
    ck_assert_int_eq(
        shared_open(rig.directory, fds[1], &second, &seats[1], &err), 0);
    ck_assert_uint_ne(seats[0], seats[1]);
    ck_assert(!shared_is_alone(fds[0], seats[0]));

    const uint32_t turn = atomic_load(&first->seats[seats[1]].turn);
    ck_assert(shared_is_alive(first, fds[0], seats[0], seats[1], turn));
    ck_assert(!shared_is_alive(first, fds[0], seats[0], seats[1], turn - 1));
    shared_close(second, seats[1]);
    close(fds[1]);
    ck_assert(!shared_is_alive(first, fds[0], seats[0], seats[1], turn));
    ck_assert(shared_is_alone(fds[0], seats[0]));
    shared_close(first, seats[0]);
    close(fds[0]);
    rig_fini(&rig);
}
END_TEST

START_TEST(who_comes_alone_begins_anew)
{
    struct rig rig;
    struct shared *shared;
    unsigned seat;
    struct error err;

    rig_init(&rig);
    int fd = open_lock(&rig);
    ck_assert_int_eq(shared_open(rig.directory, fd, &shared, &seat, &err), 0);
    atomic_store(&shared->broken, true);
    shared_close(shared, seat);
    close(fd);
    fd = open_lock(&rig);
    ck_assert_int_eq(shared_open(rig.directory, fd, &shared, &seat, &err), 0);
    ck_assert(!atomic_load(&shared->broken));
    shared_close(shared, seat);
    close(fd);
    rig_fini(&rig);
}
END_TEST

/* A worker and its spawner: of the one lock_fd is closed, of the other guard.
 */
static int
open_guarded(const struct rig *rig, struct shared **shared, unsigned *seat,
             int *guard)
{
    struct error err;
    const int fd = open_lock(rig);

    ck_assert_int_eq(shared_open(rig->directory, fd, shared, seat, &err), 0);
    *guard = shared_guard(fd, *seat, &err);
    ck_assert_int_ge(*guard, 0);
    ck_assert_int_ne(fcntl(*guard, F_GETFD) & FD_CLOEXEC, 0);
    return fd;
}

START_TEST(a_guard_lives_on_for_a_worker_that_was_killed)
{
    struct rig rig;
    struct shared *first, *worker, *third;
    unsigned seats[3];
    struct error err;
    int guard;

    rig_init(&rig);
    const int fd = open_lock(&rig);
    ck_assert_int_eq(shared_open(rig.directory, fd, &first, &seats[0], &err),
                     0);
    int worker_fd = open_guarded(&rig, &worker, &seats[1], &guard);
    const uint32_t turn = atomic_load(&first->seats[seats[1]].turn);
    shared_close(worker, seats[1]);
    close(worker_fd);
    ck_assert(shared_is_alive(first, fd, seats[0], seats[1], turn));
    ck_assert(shared_is_alone(fd, seats[0]));
    ck_assert_int_eq(directory_try_lock(fd), 0); /* a guard is no write lock */
    directory_unlock(fd);

    /* Nobody gets its seat meanwhile. */
    const int third_fd = open_lock(&rig);
    ck_assert_int_eq(
        shared_open(rig.directory, third_fd, &third, &seats[2], &err), 0);
    ck_assert_uint_ne(seats[2], seats[1]);
    ck_assert(shared_is_alive(first, fd, seats[0], seats[1], turn));
    ck_assert(shared_is_alive(third, third_fd, seats[2], seats[1], turn));
    shared_close(third, seats[2]);
    close(third_fd);

    close(guard);
    ck_assert(!shared_is_alive(first, fd, seats[0], seats[1], turn));
    worker_fd = open_guarded(&rig, &worker, &seats[2], &guard);
    ck_assert_uint_eq(seats[2], seats[1]);
    ck_assert(!shared_is_alive(first, fd, seats[0], seats[1], turn));
    close(guard);
    shared_close(worker, seats[2]);
    close(worker_fd);
    shared_close(first, seats[0]);
    close(fd);
    rig_fini(&rig);
}
END_TEST

START_TEST(who_comes_alone_leaves_guarded_sessions_their_leases)
{
    struct rig rig;
    struct shared *shared;
    unsigned seats[2];
    struct error err;
    int guard;

    rig_init(&rig);
    int fd = open_guarded(&rig, &shared, &seats[0], &guard);
    const uint32_t turn = atomic_load(&shared->seats[seats[0]].turn);
    ck_assert(shared_renew(shared, 7, 50, 200));
    atomic_store(&shared->broken, true);
    shared_close(shared, seats[0]);
    close(fd);

    fd = open_lock(&rig);
    ck_assert_int_eq(shared_open(rig.directory, fd, &shared, &seats[1], &err),
                     0);
    ck_assert(shared_is_alone(fd, seats[1]));
    ck_assert(!atomic_load(&shared->broken));
    ck_assert_uint_ne(seats[1], seats[0]);
    ck_assert(shared_is_alive(shared, fd, seats[1], seats[0], turn));
    ck_assert_int_eq(shared_lease(shared, 7, 100), 200);
    close(guard);
    ck_assert(!shared_is_alive(shared, fd, seats[1], seats[0], turn));
    shared_close(shared, seats[1]);
    close(fd);

    fd = open_lock(&rig);
    ck_assert_int_eq(shared_open(rig.directory, fd, &shared, &seats[1], &err),
                     0);
    ck_assert_int_eq(shared_lease(shared, 7, 100), 100);
    shared_close(shared, seats[1]);
    close(fd);
    rig_fini(&rig);
}
END_TEST

/* ---- the clock and rates ------------------------------------------------ */

START_TEST(the_clock_follows_small_steps_and_ignores_jumps)
{
    static struct shared shared;
    span_ms jump = 0;

    atomic_store(&shared.offset, clock_wall() - clock_boot() - 5000);
    ck_assert(!shared_follow_clock(&shared, &jump));
    ck_assert_int_lt(llabs(shared_now(&shared) - clock_wall()), 1000);

    atomic_store(&shared.offset, clock_wall() - clock_boot() - 3600000);
    ck_assert(shared_follow_clock(&shared, &jump));
    ck_assert_int_gt(jump, 3590000);
    ck_assert(!shared_follow_clock(&shared, &jump)); /* said once */
    ck_assert_int_gt(clock_wall() - shared_now(&shared), 3590000);
}
END_TEST

START_TEST(a_rate_forgets_what_is_older_than_a_minute)
{
    static struct rate rate;
    uint64_t done, failed;

    rate_add(&rate, 1000000, 3, 1);
    rate_add(&rate, 1030000, 2, 0);
    rate_minute(&rate, 1031000, &done, &failed);
    ck_assert_uint_eq(done, 5);
    ck_assert_uint_eq(failed, 1);
    rate_minute(&rate, 1065000, &done, &failed);
    ck_assert_uint_eq(done, 2);
    ck_assert_uint_eq(failed, 0);
}
END_TEST

START_TEST(a_lease_is_renewed_in_a_place_that_no_living_one_has)
{
    static struct shared shared;
    const int64_t other = 7 + RENEWALS;

    ck_assert_int_eq(shared_lease(&shared, 7, 100), 100);
    ck_assert(shared_renew(&shared, 7, 50, 200));
    ck_assert_int_eq(shared_lease(&shared, 7, 100), 200);
    ck_assert(!shared_renew(&shared, other, 199, 300));
    ck_assert_int_eq(shared_lease(&shared, other, 150), 150);
    ck_assert(shared_renew(&shared, other, 200, 300));
    ck_assert_int_eq(shared_lease(&shared, other, 150), 300);
    ck_assert_int_eq(shared_lease(&shared, 7, 100), 100);
}
END_TEST

START_TEST(the_lock_is_let_go_only_by_who_is_told_to_hold_it)
{
    static struct shared shared;

    shared_hold(&shared, 3);
    shared_hold(&shared, 4); /* 3 let go of it, and says so only now */
    shared_let_go(&shared, 3);
    ck_assert_int_eq(shared.holder, 4);
    shared_let_go(&shared, 4);
    ck_assert_int_eq(shared.holder, -1);
}
END_TEST

TESTS("broker", "shared", no_ring_is_lost,
      a_lease_is_renewed_in_a_place_that_no_living_one_has,
      the_lock_is_let_go_only_by_who_is_told_to_hold_it,
      a_bell_that_nobody_rings_waits_for_its_limit,
      a_seat_lives_as_long_as_its_lock, who_comes_alone_begins_anew,
      a_guard_lives_on_for_a_worker_that_was_killed,
      who_comes_alone_leaves_guarded_sessions_their_leases,
      the_clock_follows_small_steps_and_ignores_jumps,
      a_rate_forgets_what_is_older_than_a_minute)
