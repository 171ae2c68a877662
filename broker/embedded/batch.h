/* batch.h - what one transaction of the writer does, and whom it tells.
 *
 * batch_fill runs in the transaction and changes nothing else, so it may be run
 * again after a rollback; batch_call_back runs behind the commit.
 *
 * Threads: the writer.
 */
#ifndef BROKER_EMBEDDED_BATCH_H
#define BROKER_EMBEDDED_BATCH_H

#include "broker/embedded/embedded_priv.h"

#define CANCELS_AT_ONCE 32
#define IDLE_LOOK       1000 /* ms; looks for work even if no bell was rung */

/* Lists by mail, and what became of them. */
struct batch {
    struct mail *submissions;
    struct mail *cancellations;
    struct mail *finishes;
    struct mail *calls;
    struct mail *taken;
    struct mail **taken_last;
    bool sweep;
    bool sweep_more;
    struct interrupted {
        struct worker_session *session;
        struct ticket ticket;
        uint64_t attempt;
        enum outcome why; /* CANCELLED or KILLED */
    } interrupted[CANCELS_AT_ONCE];
    unsigned interrupted_len;
};

static inline struct submission *
submission_of(struct mail *mail)
{
    return CONTAINER_OF(mail, struct submission, mail);
}

static inline struct cancellation *
cancellation_of(struct mail *mail)
{
    return CONTAINER_OF(mail, struct cancellation, mail);
}

static inline struct call *
call_of(struct mail *mail)
{
    return CONTAINER_OF(mail, struct call, mail);
}

static inline struct held_attempt *
held_of(struct mail *mail)
{
    return (struct held_attempt *)CONTAINER_OF(mail, struct attempt, mail);
}

/* 0, or why the transaction must be rolled back. */
int batch_fill(struct txn *txn, struct batch *batch);
/* Frees what was taken in a transaction that did not come to be, and has the
 * next one look for cancelled attempts again. */
void batch_undo(struct embedded *store, struct batch *batch);

/* Tells of leases that were renewed though nothing could be stored. */
void batch_tell_leases(struct embedded *store);
/* Tells everyone; every list is empty afterwards. */
void batch_call_back(struct embedded *store, struct batch *batch);
void batch_answer_submissions(struct batch *batch);
void batch_answer_cancellations(struct batch *batch);
void batch_answer_calls(struct embedded *store, struct batch *batch);

#endif
