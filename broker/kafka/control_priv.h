/* control_priv.h - the parts of the control log.
 *
 *     reader (control_log.c): what stands in both topics --> ledger, watches;
 *         callbacks of members; ends their leases by the clock; never waits
 *     pulse (pulse.c): rounds, in each of which it asks where the topics end,
 *         waits until the reader is there, sends heartbeats, and looks for who
 *         is silent or gone
 *     callers: write a record and wait until the reader has met it
 *
 * Threads: as above; lock guards all but what is said to be constant, and is
 * never held while a record is sent (its delivery may come at once), or across
 * a callback.
 */
#ifndef BROKER_KAFKA_CONTROL_PRIV_H
#define BROKER_KAFKA_CONTROL_PRIV_H

#include <pthread.h>

#include "broker/kafka/client.h"
#include "broker/kafka/guard.h"
#include "broker/kafka/kafka_priv.h"
#include "broker/kafka/ledger.h"
#include "common/lock.h"

#define BEAT_SPREAD  4 /* a lease is renewed at this part of it */
#define MARGIN_LEAST ((span_ms)200)

/* How a session of the ledger is seen from here. */
struct watch {
    uint64_t session;
    boot_ms heard;    /* when its last heartbeat, or its hello, was read */
    unsigned running; /* as that said */
    span_ms jitter;   /* so that not all observers end it at once */
    enum {
        WATCH_ALIVE,
        WATCH_FENCING, /* `over` is on its way to every partition */
        WATCH_FENCED,  /* `lapsed` is due */
        WATCH_LAPSING, /* and on its way; it is read some time later */
    } phase;
    enum member_state state; /* what it lapses as */
};

enum tell {
    TELL_CONTROL = 1,
    TELL_LEASE = 2,
    TELL_KILL = 4,
    TELL_LOST = 8,
    TELL_BEAT = 16, /* others, by a heartbeat that renews nothing */
};

struct log_member {
    struct log_member *next;
    struct control_log *log;
    struct member_options options; /* all NULL of an upgrade's process */
    int queue;                     /* in the settings; -1: an upgrade's */
    span_ms lease;
    uint64_t id;      /* 0: its hello was not read so far */
    boot_ms until;    /* the lease's end */
    boot_ms renew_at; /* ask again then */
    bool lost;
    bool leaves;    /* its goodbye is on its way: no more heartbeats */
    unsigned tell;  /* enum tell: what the reader is to call */
    unsigned calls; /* callbacks that go on */
    struct {
        bool due;
        boot_ms at; /* not before */
        uint64_t epoch;
        struct barrier_counts counts;
    } acknowledge;
};

/* A record whose verdict somebody waits for. */
struct waiter {
    struct delivery delivery; /* first */
    struct waiter *next;
    struct control_log *log;
    unsigned refs; /* who waits; the delivery */
    char id[ENTRY_ID];
    bool delivered, decided;
    int64_t offset;
    int r;
    struct error err;
    struct control *after;     /* CHANGE, or NULL: of its queues */
    struct log_member *member; /* HELLO, or NULL: gets its id */
};

struct control_log {
    struct kafka *kafka; /* constant, to `process` */
    char *control_topic, *workers_topic;
    rd_kafka_t *consumer;
    rd_kafka_queue_t *queue; /* the consumer's */
    int bell;                /* wakes the reader */
    int guard;
    struct place place;
    char process[33]; /* random; the ids of our records begin with it */
    pthread_t reader, pulse;
    bool has_threads; /* the owner's */

    pthread_mutex_t lock;
    pthread_cond_t moved; /* anything below has changed */
    bool closing;
    struct ledger ledger;
    int64_t control_next, workers_next; /* read up to there */
    uint64_t seen;                      /* control records that were read */
    uint64_t records;                   /* ids given out */
    struct watch *watches;
    size_t watches_len;
    struct log_member *members;
    struct waiter *waiters;
    unsigned flying; /* deliveries of ours that are to come */
    boot_ms *passed; /* by the ledger's queues: `drained` is missing, and to be
                      * recorded by us then; 0: it is not */
    size_t passed_len;
    /* rounds */
    uint64_t round_wanted, round_begun, round_done;
    int round_r;
    struct error round_err;
    /* the session of this process as one that runs upgrades */
    struct log_member *owner;
    bool owning; /* somebody makes one */
};

/* ---- writing (control_write.c) ------------------------------------------- */

/* Gives the entry its id and, if it has none, its time. */
void control_stamp(struct control_log *log, struct entry *entry);
/* Writes it and waits for the ledger's verdict. 0 and *offset (may be NULL), or
 * that of ledger_apply; -ENOTCONN: it was not stored; -ECOMM: it is not known
 * whether it was. */
int control_write(struct control_log *log, struct entry *entry,
                  struct control *after, struct log_member *member,
                  int64_t *offset, struct error *err);
/* Writes it; delivery may be NULL. Does not wait. */
void control_send(struct control_log *log, struct entry *entry,
                  struct delivery *delivery);
void control_send_to(struct control_log *log, const char *topic,
                     const char *text, struct delivery *delivery);

/* Waits until the log was read to its end as of now, and who is gone was
 * counted out. 0, or -ENOTCONN with words. */
int control_catch_up(struct control_log *log, struct error *err);
/* Waits until `drained` is recorded where everyone is accounted for; not for
 * ever. */
void control_settle(struct control_log *log, const char *queue);
/* For `moved`, until then. False: it is past. */
bool control_wait_until(struct control_log *log, mono_ms until);
void control_ring(struct control_log *log);

/* ---- changes (control_change.c) ------------------------------------------ */

/* Writes a CHANGE until it is decided. is_any: of queues in whatever epoch they
 * are; else each has its `expected`. after: of its queues. */
int control_make(struct control_log *log, struct entry *entry, bool is_any,
                 struct control *after, struct error *err);

/* For the receipt of a queue. */
span_ms control_bound(const struct control_log *log, const char *queue);
/* So long others wait for who is to record `drained`. */
span_ms control_repair(void);
/* What a user waits for at most. */
span_ms control_patience(const struct control_log *log);

/* ---- pulse.c ------------------------------------------------------------- */

void *pulse_run(void *log);
/* All with the lock held. */
struct watch *watch_find(struct control_log *log, uint64_t session);
void watch_add(struct control_log *log, uint64_t session);
void watch_drop(struct control_log *log, uint64_t session);
/* A heartbeat; t0: the lease is renewed from there, 0: it is not. Without the
 * lock. */
void pulse_beat(struct control_log *log, uint64_t session, unsigned running,
                boot_ms t0, int64_t control);
/* Send the `lapsed`, and the `drained`, that are due. Without the lock. */
void pulse_lapse(struct control_log *log);
void pulse_drain(struct control_log *log);

/* ---- member.c ------------------------------------------------------------ */

/* Calls what is to be called, and ends leases that are over. When the next one
 * is; INT64_MAX: none. Without the lock; the reader. */
boot_ms member_calls(struct control_log *log);
/* What it runs. Without the lock, and while member->calls > 0. */
unsigned member_running(const struct log_member *member);
/* All members of a queue of the settings; with the lock. */
void member_tell(struct control_log *log, int queue, unsigned tell);
void member_lose(struct log_member *member); /* with the lock */
/* The session by which this process owns upgrades, alive as far as is known. */
int member_own(struct control_log *log, uint64_t *session, struct error *err);
/* Says goodbye for it. */
void member_disown(struct control_log *log);

#endif
