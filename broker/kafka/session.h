/* session.h - a worker's session: its share of a queue's partitions, and what
 * it runs of them.
 *
 *     share.c  which partitions are ours; claims; facts; requests fetched
 *     run.c    takes and starts requests; what becomes of attempts
 *     load.c   reads messages again, or from `bodies`, beside the thread
 *     probe.c  a session that runs one request of a drained queue
 *     session.c  the thread that does all this, open and close
 *
 * Private to broker/kafka/. Threads: what is not marked is the session
 * thread's.
 */
#ifndef BROKER_KAFKA_SESSION_H
#define BROKER_KAFKA_SESSION_H

#include "broker/kafka/control_log.h"
#include "broker/kafka/kafka_priv.h"
#include "broker/kafka/partition.h"

#define READY_BYTES (16 << 20) /* of messages in memory, not started */

/* One partition of the queue. It is kept, and its facts are followed, while it
 * is ours or one of our attempts is of it. */
struct share {
    struct partition partition;
    bool is_used;     /* followed */
    bool is_owned;    /* the group gave it to us */
    bool is_active;   /* our claim is in force: requests may be started */
    bool is_claiming; /* our claim is on its way */
    bool is_cut;      /* its facts begin later by now: to be begun again */
    int64_t claim;    /* where our newest claim stands; -1 */
    mono_ms claim_at; /* claim again then; 0: no need to */
    rd_kafka_queue_t *queue;     /* of its requests; NULL */
    unsigned helds;              /* messages of it that somebody holds */
    int64_t committed, position; /* the newest commit that is known */
};

/* A request's message in memory, and the attempt that runs it. */
struct held {
    struct attempt attempt; /* first: attempt_free frees the whole */
    struct kafka_session *session;
    struct share *share;
    struct mail mail; /* to the session: a load or an ending's step is done */
    bool is_listed;
    bool is_out;    /* the worker has it */
    bool is_ended;  /* its ending is on its way */
    bool is_void;   /* what comes of it does not count: only freed */
    bool is_lent;   /* the session closes, the worker still has it */
    bool is_orphan; /* another session's run, which we decide */
    bool is_loaded; /* the message is all there */
    bool is_untold; /* its `started` was not sent so far */
    mono_ms begun;  /* when it was handed out */
    int load_r;
    int64_t offset; /* of its request */
    uint64_t run;
    unsigned flags, put_backs;
    wall_ms submitted;
    bool has_replays;
    struct ticket replays;
    struct body_ref body;
    struct ending *ending; /* run.c */
    struct held *prev, *next;
};

struct loader {
    pthread_t thread;
    bool is_started;
    struct mailbox jobs;
    int bell;
    _Atomic bool stop;
};

struct kafka_session {
    struct session base;
    struct kafka *kafka;
    struct session_options options;
    const struct queue_settings *settings;
    char *name, *release;
    struct log_member *member;
    uint64_t id;
    pthread_t thread;
    int bell;
    struct mailbox finishes;  /* attempts, from the worker */
    struct mailbox delivered; /* struct sent, from the producer */
    struct mailbox loaded;    /* struct held, from the loader and bodies */
    _Atomic unsigned want;    /* free slots */
    _Atomic bool stopping, closing;
    _Atomic(void (*)(void *)) on_drained;
    _Atomic bool moved, lost, kill; /* said by the control log */
    _Atomic int64_t lease;          /* boot_ms; 0: none so far */
    _Atomic unsigned running;       /* out, for heartbeats */
    /* the thread's */
    rd_kafka_t *group, *facts;
    bool is_joining;      /* the group has not answered yet */
    mono_ms leave_at;     /* without an answer; 0: we do not want to leave */
    struct share *shares; /* kafka->partitions of them */
    struct control control;
    bool is_lost;
    bool is_probe, is_kept; /* of one request; its answer is the ticket's */
    uint64_t probe_epoch;
    struct held *helds; /* that are not an entry's: out, or ending */
    unsigned out;       /* attempts that the worker has */
    unsigned untold;    /* of those */
    unsigned asked;     /* that wait for their `started` */
    unsigned ending;    /* whose ending is not acknowledged */
    unsigned notes;     /* other facts that are not acknowledged */
    bool is_owing;      /* one of them never was */
    unsigned loading;   /* messages that are being read */
    size_t bytes;       /* of messages in memory that are not started */
    uint64_t acknowledged;
    struct barrier_counts counts; /* since the pause */
    mono_ms trim_at, commit_at, missing_at, join_at;
    struct loader loader;
};

static inline struct kafka_session *
kafka_session_of(struct session *session)
{
    return (struct kafka_session *)session;
}

void session_ring(void *opaque); /* any thread */

/* ---- share.c ------------------------------------------------------------- */

/* Makes the consumers and joins the group. */
int shares_open(struct kafka_session *session, struct error *err);
/* Is our claim in force? Asked when it was acknowledged, and at each fact. */
void share_look(struct kafka_session *session, struct share *share);
/* Rebalances, facts, requests: whatever there is. */
void shares_poll(struct kafka_session *session);
/* What time brings: claims again, commits, forgets. */
void shares_tick(struct kafka_session *session, mono_ms now);
mono_ms shares_next(const struct kafka_session *session);
/* Has that one request and no group: of a probe. Its share becomes active when
 * its claim, or the end of the facts, was read. */
int shares_open_one(struct kafka_session *session, const struct ticket *ticket,
                    int64_t offset, struct error *err);
/* Leaves the group, after a last commit unless all is lost. */
void shares_leave(struct kafka_session *session);
/* Not while it joins: without the group's answer it would leave without a word,
 * and the group would wait for it until its session timed out. Asked again, it
 * says yes when the answer came, or when that took too long. */
bool shares_may_leave(struct kafka_session *session);
void shares_fini(struct kafka_session *session);

/* ---- run.c --------------------------------------------------------------- */

/* A fetched request's message, copied. NULL: it is damaged. */
struct held *held_new(struct kafka_session *session, struct share *share,
                      int64_t offset, const struct queued *queued);
void held_free(struct held *held);
/* Of an entry that goes: its message was one that waits to be started. */
void held_drop(struct held *held);
/* Forgets the messages that wait to be started; they are read again when they
 * are wanted. */
void run_forget(struct kafka_session *session, struct share *share);

/* What the facts made of an entry has changed: puts it where it belongs. */
void run_settle(struct kafka_session *session, struct share *share,
                struct entry *entry);
/* A fact about it: of ours, or a cancel. */
void run_fact(struct kafka_session *session, struct share *share,
              struct entry *entry, const struct fact *fact, bool counts);
/* Our claim is in force: orphans and what was left over are decided. */
void run_activate(struct kafka_session *session, struct share *share);
/* A record that is no request: kept as a dead letter with its raw bytes. */
void run_set_aside(struct kafka_session *session, struct share *share,
                   const rd_kafka_message_t *message, const char *why);

/* Starts what may be started. When to look again; 0: when something comes. */
wall_ms run_take(struct kafka_session *session);
void run_finish(struct kafka_session *session, struct attempt *attempt);
void run_delivered(struct kafka_session *session);
void run_loaded(struct kafka_session *session);
/* Endings that were not acknowledged. When to look again; 0: there is none. */
mono_ms run_send_again(struct kafka_session *session, mono_ms now);
void run_kill(struct kafka_session *session);
/* The session is over: nothing of it counts any more. */
void run_void(struct kafka_session *session);
/* What is still out is lost; its endings are sent. */
void run_give_up(struct kafka_session *session);

/* Sends each `started` that was held back, of one share or of all (NULL): those
 * from before that time. */
void run_tell(struct kafka_session *session, const struct share *share,
              mono_ms before);

/* Sends a claim; share->claim is set when it is acknowledged. */
void run_claim(struct kafka_session *session, struct share *share);

/* ---- probe.c ------------------------------------------------------------- */

/* Finds the request that options->probe means, and whether it may be probed
 * now. Blocks. The errors are those of session_open. */
int probe_find(struct kafka *kafka, const struct session_options *options,
               struct ticket *ticket, int64_t *offset, struct error *err);

/* ---- load.c -------------------------------------------------------------- */

/* Reads its request again (is_loaded false and no message), its body, or
 * whether its twin has ended; posts it to session->loaded with load_r. */
void load_start(struct kafka_session *session, struct held *held);
void load_stop(struct kafka_session *session);

#endif
