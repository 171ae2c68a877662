/* follow_priv.h - the parts of a follower.
 *
 *     callers --> box --> the follower's thread: the consumer, the view
 *                  ^            |         |
 *                  |            v         v
 *                  +-- asker: where logs end    clerk: bodies, dead letters,
 *                  +-- deliveries               what the log is cut by
 *
 * A query is one call. It goes from thread to thread; its `step` is what the
 * follower does when it has it next. Every query is answered exactly once.
 *
 * Private to follow.c, query.c, look.c, claim.c and upkeep.c.
 */
#ifndef BROKER_KAFKA_FOLLOW_PRIV_H
#define BROKER_KAFKA_FOLLOW_PRIV_H

#include "broker/kafka/follow.h"
#include "broker/kafka/kafka_priv.h"
#include "broker/kafka/view.h"

struct query;
struct upkeep;

/* A thread for what blocks: runs jobs in their order. */
struct job {
    struct mail mail;
    void (*run)(struct follow *follow, struct job *job);
};
struct helper {
    struct follow *follow;
    pthread_t thread;
    struct mailbox box;
    sem_t bell;
    _Atomic bool closing;
    bool started;
};
void helper_post(struct helper *helper, struct job *job);

/* What is read by one consumer. */
struct source {
    rd_kafka_t *consumer;
    rd_kafka_queue_t *queue;
};

struct follow {
    struct kafka *kafka;
    struct view *view;
    /* Facts are read at once, as clients wait for what they say. Requests are
     * read many together: nobody waits for those but who looks for a ticket. */
    struct source facts, requests;
    pthread_t thread;
    bool started;
    int bell;
    struct mailbox box; /* of queries */
    struct helper asker, clerk;
    _Atomic bool closing, has_waits;
    /* Of requests: the queues of the settings, then those of others that were
     * there at the start. */
    char **topics;
    bool *is_gone; /* such another one was deleted since */
    size_t topics_len;
    size_t logs; /* follow_log */
    /* What others read: by log, and by queue of the settings. */
    _Atomic int64_t *next;
    _Atomic int64_t *expected; /* the next of what this process knows of */
    _Atomic uint64_t *depth, *ahead;
    /* The follower's thread alone. */
    unsigned *lanes;     /* of the topics, in the view */
    struct query *waits; /* until something was read */
    mono_ms
        failing; /* the view fails; when it is tried again. 0: it does not */
    struct upkeep *upkeep; /* NULL: not an ingress's */
    /* About the start. */
    int64_t *goals;               /* where the logs ended */
    _Atomic uint64_t total, left; /* records to be read */
    _Atomic bool is_behind;
    _Atomic int broken; /* why nothing was written to the view since; 0 */
    /* Queries and jobs that other threads have. */
    pthread_mutex_t lock; /* guards out */
    pthread_cond_t back;
    unsigned out;
};

/* ---- queries (query.c)
 * --------------------------------------------------------
 */

typedef void query_step_fn(struct follow *follow, struct query *query);

struct query {
    struct mail mail;
    struct query *next;   /* in waits */
    query_step_fn *step;  /* what the follower does when it gets it */
    query_step_fn *later; /* query_wait_own's */
    query_step_fn *then;  /* and what, once it has waited */
    /* Gives the result and frees it. */
    void (*answer)(struct follow *follow, struct query *query, int r);
    struct ticket ticket;
    int32_t partition; /* -1: all */
    uint64_t *sent;    /* by partition: this process's facts at the call */
    int64_t offset;    /* of its partition of facts: waits until that is next */
    int64_t *ends;     /* the same by log; 0: does not wait for it */
    bool is_hoping;    /* waits for a row of `ticket`, or the time */
    bool is_sure;      /* the view has read what was the end after the call */
    bool is_blind;     /* but there are requests that it does not follow */
    mono_ms until;     /* then it is given up */
    wall_ms at;
    struct follow *follow;
    struct delivery delivery;
    struct job job;
    void *call; /* lookup, cancellation, key_claim or operator's call */
};

struct query *query_new(struct follow *follow, const struct ticket *ticket,
                        query_step_fn *step,
                        void (*answer)(struct follow *, struct query *, int),
                        void *call);
void query_free(struct query *query);
/* To the follower, from any thread. */
void query_post(struct query *query);

/* The rest on the follower's thread. then, once query->offset or query->ends,
 * or what it hopes for, was read; -ENOTCONN when its time is over. */
void query_wait(struct follow *follow, struct query *query,
                query_step_fn *then);
/* then, once all was read that this process had sent before the call; of its
 * partition or all. */
void query_wait_own(struct follow *follow, struct query *query,
                    query_step_fn *then);
/* then, once all was read that is in the log now, of its partition or all. */
void query_catch_up(struct follow *follow, struct query *query,
                    query_step_fn *then);
/* then, once the fact is stored and was read. */
void query_send(struct follow *follow, struct query *query, int32_t partition,
                const struct fact *fact, query_step_fn *then);
/* Those that wait, after something was read. */
void query_wake(struct follow *follow, mono_ms now);
/* All of them; the threads are gone. */
void query_end_all(struct follow *follow);
/* When the first one's time is over. */
mono_ms query_next(const struct follow *follow, mono_ms until);

/* Another thread has something that it will give back. */
void follow_give(struct follow *follow);
void follow_back(struct follow *follow);

/* ---- (follow.c) ---------------------------------------------------------- */

/* Where a log is to be read on; -1: it was not found out. */
int64_t follow_place(const struct follow *follow, size_t log);
/* Its topic and partition are added to the list. */
void follow_add_log(const struct follow *follow,
                    rd_kafka_topic_partition_list_t *list, size_t log);
/* Which log an element of such a list is. */
size_t follow_log_of(const struct follow *follow, const char *topic,
                     int32_t partition);

/* Asks: are all topics of requests there that are followed? *others: there are
 * some, or may be, that are not. Any thread; blocks. */
bool follow_all_there(const struct follow *follow, span_ms limit, bool *others);

/* The view has failed: nothing of it is to be used until it goes on. Returns
 * the code for an answer. */
int follow_fails(struct follow *follow, int r);
/* The queue of the settings that a row is of; -1: none. */
int follow_queue(const struct follow *follow, const struct view_row *row);

/* ---- (look.c) ------------------------------------------------------------ */

/* A ticket that this process waits for has ended. */
void follow_tell(struct follow *follow, const struct view_row *row);

#endif
