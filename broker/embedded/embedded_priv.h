/* embedded_priv.h - the parts of an open embedded broker.
 *
 * Three threads: the writer owns every write transaction, the reader looks and
 * follows, the watch sees to a write lock that does not come. Each of the first
 * two has a connection of its own and a bell in the shared file.
 *
 * Private to broker/embedded/.
 */
#ifndef BROKER_EMBEDDED_EMBEDDED_PRIV_H
#define BROKER_EMBEDDED_EMBEDDED_PRIV_H

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>

#include "broker/backend.h"
#include "broker/embedded/db.h"
#include "broker/embedded/shared.h"
#include "broker/embedded/txn.h"

#define EXIT_BROKEN 74 /* EX_IOERR: a write or sync failed */

/* Something that a caller waits for: run in a transaction of the writer (what
 * it returns fails the transaction; r is the caller's result), or read in one
 * of the reader. */
struct call {
    struct mail mail;
    int (*run)(struct txn *txn, struct call *call);
    int (*read)(struct embedded *store, struct call *call);
    /* On the writer, behind the transaction, whatever came of it. */
    void (*after)(struct embedded *store, struct call *call);
    void *arg;
    int r;
    struct error err;
    sem_t done;
};

/* A session of this process. */
struct worker_session {
    struct session base;
    struct embedded *store;
    struct session_options options;
    char *name, *release;
    int64_t id;
    unsigned lane;
    _Atomic unsigned want; /* free slots */
    _Atomic bool stopping; /* takes nothing more */
    _Atomic bool try_take; /* there may be work */
    _Atomic(void (*)(void *)) on_drained;
    /* the writer's */
    span_ms span;  /* of a lease */
    boot_ms lease; /* until when */
    boot_ms renew_at;
    boot_ms retry_at;            /* the next delayed request is due; 0: none */
    boot_ms look_at;             /* look for work even if nobody rang */
    bool is_shut;                /* its queue lets it take nothing; the control
                                  * bell tells when that has changed */
    unsigned out;                /* attempts handed out and not finished */
    bool lost;                   /* the lease is over; said */
    uint64_t acknowledged;       /* the pause, by its first epoch */
    struct held_attempt *probed; /* of a probe: not handed out so far */
    /* of the transaction that goes on */
    bool holds;               /* the lease is still ours */
    boot_ms renewed;          /* the new lease; 0: not renewed */
    unsigned finished, freed; /* attempts that ended; those with `again` */
    unsigned taken;
    struct worker_session *next;
};

enum held_kind {
    HELD_TAKEN,
    HELD_PROBE,      /* its request stands in its place still, */
    HELD_PROBE_KEEP, /* and goes with this attempt's end */
};

/* An attempt with what the broker remembers of it. */
struct held_attempt {
    struct attempt attempt; /* first: attempt_free frees the whole */
    struct worker_session *session;
    enum held_kind probe;
    int64_t seq;
    unsigned flags; /* REQUEST_... */
    unsigned put_backs;
    wall_ms submitted, started;
    bool has_replays;
    struct ticket replays;
    bool fenced; /* its end did not count */
};

struct writer {
    pthread_t thread;
    struct db db;
    struct mailbox submissions, cancellations, finishes, calls;
    struct worker_session *sessions;
    struct lane *lanes[LANES];
    struct mail *backlog; /* submissions of earlier mail */
    struct mail **backlog_last;
    struct mail *unfinished; /* attempts that the disk had no room for */
    boot_ms retry_at;        /* for those, and for takes */
    int wal_pages;           /* of the log, after the last commit */
    int wal_left;            /* of those when a checkpoint could not do all */
    bool endless;          /* the log is over its bound: nothing is accepted */
    boot_ms checkpoint_at; /* then: the next try */
    uint64_t holds;        /* of the write lock, by us */
    uint64_t batches;
    uint64_t activity;     /* at the last upkeep; see there */
    bool vacuumed;         /* free pages were given back since a checkpoint */
    bool sweep_more;       /* the last sweep left work */
    uint32_t control_seen; /* of the bell: at the last look at our sessions */
    _Atomic int64_t waiting_since; /* mono_ms, for the write lock; 0: not */
    _Atomic bool stop;
};

struct reader {
    pthread_t thread;
    struct db db;
    struct mailbox lookups, calls;
    int64_t seen[LANES]; /* last end that was followed, by queue id */
    _Atomic bool stop;
};

struct watch {
    pthread_t thread;
    struct bell bell;
    _Atomic bool stop;
};

struct embedded {
    struct broker base;
    const struct settings *settings;
    struct broker_options options;
    char *directory;
    int lock_fd;
    int guard_fd; /* of a worker; its spawner has a copy */
    int reserve_fd;
    int64_t reserve_size;
    struct shared *shared;
    struct seat *own; /* our seat */
    unsigned seat;
    struct ticket_secret *secret;
    unsigned *lane_ids; /* by index in the settings */
    struct writer writer;
    struct reader reader;
    struct watch watch;
    _Atomic bool closing;
    _Atomic bool breaking; /* a thread of this process is ending it */
};

static inline struct embedded *
embedded_of(struct broker *broker)
{
    return (struct embedded *)broker;
}

/* The settings of a queue by its id in the store; NULL: not in ours. */
const struct queue_settings *
embedded_lane_settings(const struct embedded *store, unsigned id);

/* A write or a sync failed, or another process says so: ends this process at
 * once, without a checkpoint, and tells the others. */
_Noreturn void embedded_break(struct embedded *store, const char *what);
/* Ends the process if the directory is marked as broken. */
void embedded_check_broken(struct embedded *store);

/* Has the writer or the reader run a call, and waits. */
int embedded_call(struct embedded *store, struct call *call, struct error *err);

/* The table's functions about sessions and operators. */
int worker_session_open(struct broker *broker,
                        const struct session_options *options,
                        struct session **out, struct error *err);
void worker_session_want(struct session *session, unsigned slots);
void worker_session_stop(struct session *session, void (*on_drained)(void *));
void worker_session_close(struct session *session);
void worker_session_finish(struct session *session, struct attempt **attempt);
int operator_control(struct broker *broker, unsigned queue,
                     struct control *control, struct error *err);
int operator_change(struct broker *broker, const unsigned *queues, size_t len,
                    const struct change *change, struct control *after,
                    struct error *err);
int operator_kill(struct broker *broker, unsigned queue, uint64_t paused_epoch,
                  struct error *err);
int operator_barrier(struct broker *broker, unsigned queue, struct barrier *out,
                     struct error *err);
int operator_running(struct broker *broker, unsigned queue, size_t max,
                     struct running **out, size_t *len, struct error *err);
int operator_history(struct broker *broker, int queue, size_t max,
                     struct history **out, size_t *len, struct error *err);
uint64_t operator_control_seen(struct broker *broker);
void operator_control_wait(struct broker *broker, uint64_t seen, span_ms limit);
int operator_queue_stats(struct broker *broker, unsigned queue,
                         struct queue_stats *stats, struct error *err);
int operator_workers(struct broker *broker, struct worker_info **out,
                     size_t *len, struct error *err);
int operator_waiting(struct broker *broker, unsigned queue, int64_t after,
                     waiting_fn *on_waiting, void *opaque, struct error *err);
int operator_dead_list(struct broker *broker, unsigned queue, size_t max,
                       struct dead_letter **out, size_t *len,
                       struct error *err);
int operator_dead_replay(struct broker *broker, const struct ticket *dead,
                         struct ticket *made, struct error *err);
int operator_dead_drop(struct broker *broker, const struct ticket *dead,
                       struct error *err);

#endif
