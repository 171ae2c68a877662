/* shared.h - the small file that all processes of a directory map.
 *
 * Nothing in it must survive a reboot or the last process: who opens the
 * directory alone makes it new. It holds the write lock's holder, the broken
 * mark, the store's clock, and for each process a seat with its bells.
 *
 * A process lives as long as it holds the file lock on its seat's byte of the
 * file `lock`: the kernel lets go of it whatever way the process ends, also in
 * another pid namespace. What it took may outlive it: a worker's spawner still
 * has handlers to kill. So each seat has a second byte, its guard's, locked by
 * a description that the worker and its spawner share; as long as one of them
 * lives the worker's sessions count as alive, and the seat is nobody else's. A
 * spawner alone is no company, for it never touches the store: who comes then
 * comes alone, and only keeps what tells those sessions.
 *
 * A bell is a futex word. I1: bell_wait(bell, seen) returns at once if the bell
 * was rung after `seen` was read; so look for work between bell_seen and
 * bell_wait, and no ring is lost.
 *
 * Threads: any; everything here is atomic or written under the write lock.
 */
#ifndef BROKER_EMBEDDED_SHARED_H
#define BROKER_EMBEDDED_SHARED_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "broker/embedded/db.h"
#include "common/clock.h"
#include "common/error.h"

#define SHARED_MAGIC   "clkshare"
#define SHARED_VERSION 2
#define SEATS          256
#define RATE_SECONDS   64
#define RENEWALS       4096

struct bell {
    _Atomic uint32_t rung;    /* grows at each ring */
    _Atomic uint32_t waiting; /* 1: its owner sleeps and needs a wake-up call */
};

uint32_t bell_seen(struct bell *bell);
void bell_wait(struct bell *bell, uint32_t seen, span_ms limit);
void bell_ring(struct bell *bell);

struct seat {
    _Atomic uint32_t turn; /* grows each time that the seat is taken */
    _Atomic int32_t pid;
    _Atomic uint64_t started;   /* of the process, clock ticks since boot */
    _Atomic uint64_t pid_space; /* inode of its pid namespace */
    _Atomic int32_t tid;        /* the thread that takes the write lock */
    _Atomic bool follows;       /* ring reader when responses were stored */
    _Atomic uint64_t wants; /* bit of a queue (id % 64): ring writer for work */
    _Atomic bool cancels;   /* some of its attempts were cancelled */
    struct bell writer, reader;
};

/* Endings of one queue in the last minute; written under the write lock. */
struct rate {
    _Atomic int64_t second[RATE_SECONDS]; /* which second a place is about */
    _Atomic uint32_t done[RATE_SECONDS];
    _Atomic uint32_t failed[RATE_SECONDS];
};

/* A session's renewed lease, in its id's place; written under the write lock.
 */
struct renewal {
    _Atomic int64_t session;
    _Atomic int64_t until; /* boot_ms */
};

struct shared {
    char magic[8];
    uint32_t version;
    uint32_t size;

    _Atomic bool broken; /* a write or sync failed: everyone stops */
    _Atomic bool full;   /* the reserve was given out: no new requests */

    _Atomic int32_t holder; /* of the write lock: its seat, -1: nobody */
    _Atomic uint64_t holds; /* grows each time it is taken */

    _Atomic int64_t offset; /* the store's wall clock minus CLOCK_BOOTTIME */
    _Atomic bool offset_warned; /* of a jump that is being ignored */
    _Atomic int64_t swept;      /* boot_ms of the last sweep */

    struct bell control; /* rung when control states move; many wait */

    _Atomic uint32_t seats_used;  /* seats at and above it were never taken */
    _Atomic int64_t ended[LANES]; /* last end of each queue */
    struct rate rates[LANES];
    struct seat seats[SEATS];
    struct renewal renewals[RENEWALS];
};

/* Maps directory/shared; lock_fd is the file `lock`, whose write lock we hold.
 * Takes a seat whose guard nobody has. -EINVAL: a process of another version
 * runs here. -ENOBUFS: all seats are taken. An error leaves *out NULL. */
int shared_open(const char *directory, int lock_fd, struct shared **out,
                unsigned *seat, struct error *err);
void shared_close(struct shared *shared, unsigned seat);

/* The guard of our seat, under the write lock: a descriptor, the caller's. It
 * is held until the last copy of it is closed, in whatever process. Or -errno.
 */
int shared_guard(int lock_fd, unsigned seat, struct error *err);

/* A look at the file without taking part; NULL when there is none to read. */
struct shared *shared_peek(const char *directory);
void shared_unpeek(struct shared *shared);

/* Says who has the write lock: right after it was taken, and after it was let
 * go, when somebody else may have it already; so who is stopped in between is
 * told as its holder rather than nobody. */
void shared_hold(struct shared *shared, unsigned seat);
void shared_let_go(struct shared *shared, unsigned seat);

/* Is this process the only one on the directory? */
bool shared_is_alone(int lock_fd, unsigned seat);
/* Does the process that took this seat at that turn live, or who has its guard?
 */
bool shared_is_alive(struct shared *shared, int lock_fd, unsigned own,
                     unsigned seat, uint32_t turn);

/* Until when a session has its lease, which its row says as of its hello. It is
 * renewed here, so that a full disk costs nobody a lease; no session outlives
 * this file. False: its place is a living session's of the same remainder. */
boot_ms shared_lease(const struct shared *shared, int64_t session,
                     boot_ms of_row);
bool shared_renew(struct shared *shared, int64_t session, boot_ms now,
                  boot_ms until);

/* The store's wall clock: runs with CLOCK_BOOTTIME, is led by the wall clock in
 * small steps and ignores its jumps. */
wall_ms shared_now(const struct shared *shared);
/* Follows the wall clock, now and then. True: it jumped, for the first time,
 * by *jump, which is ignored. */
bool shared_follow_clock(struct shared *shared, span_ms *jump);

void shared_ring_responses(struct shared *shared);
void shared_ring_work(struct shared *shared, unsigned lane);
void shared_ring_control(struct shared *shared); /* and every writer */
void shared_ring_all(struct shared *shared);

void rate_add(struct rate *rate, wall_ms now, unsigned done, unsigned failed);
void rate_minute(const struct rate *rate, wall_ms now, uint64_t *done,
                 uint64_t *failed);

/* Of a process, from /proc: its start in clock ticks (0: there is none) and
 * the inode of a pid namespace. */
uint64_t process_started(int pid);
uint64_t process_space(void);
/* The state letter of a thread, '\0' when it is gone. */
char process_state(int pid, int tid);

#endif
