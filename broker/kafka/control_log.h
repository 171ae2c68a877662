/* control_log.h - the `control` topic: changes, sessions, barriers, in one
 * order; and the heartbeats in `workers`.
 *
 * A thread, the reader, reads both to their end before control_log_open returns
 * and follows them from then on. What is read is folded into a ledger
 * (ledger.h); everything here that writes waits until it has read its own
 * record back, and goes by what the ledger made of it.
 *
 * A second one, the pulse, renews the leases of this process's sessions, and
 * declares those over that are silent for too long (of every process, once its
 * silence was read to the end) or whose process is gone (guard.h). Who accounts
 * for the last member of a barrier records `drained`.
 *
 * What blocks waits for Kafka at most as long as broker.kafka.timeout and a
 * little; then it is -ENOTCONN (nothing was recorded) or -ECOMM (it may have
 * been).
 *
 * Threads: any, except open and close (the owner, once). Callbacks come on the
 * reader, but `running` on any, and must only ring bells.
 * Source: docs/design.md, section 5; models/pause.pml.
 */
#ifndef BROKER_KAFKA_CONTROL_LOG_H
#define BROKER_KAFKA_CONTROL_LOG_H

#include "broker/broker.h"

struct kafka;
struct control_log;

int control_log_open(struct kafka *kafka, struct control_log **out,
                     struct error *err);
/* Says goodbye as the process that runs an upgrade. Sessions are closed before,
 * the keeper after it. */
void control_log_close(struct control_log *log);
/* For broker_guard. */
int control_log_guard(const struct control_log *log);

/* ---- control states ------------------------------------------------------ */

/* As read so far. Does not block: what every take and submission asks. */
void control_log_state(struct control_log *log, unsigned queue,
                       struct control *control);
/* How long a queue was open from the wall time `since` until `now`: what counts
 * for a ttl. */
span_ms control_log_open_for(struct control_log *log, unsigned queue,
                             wall_ms since, wall_ms now);

/* ---- sessions of this process -------------------------------------------- */

/* What a session did since the pause; goes with its acknowledgement, or its
 * goodbye, into the barrier. */
struct barrier_counts {
    unsigned ended, killed, put_back, waited_out;
};

struct log_member; /* a session of this process, in the log */

struct member_options {
    const struct session_options *session;
    /* The control state of its queue has changed, or may have. */
    void (*on_control)(void *opaque);
    void (*on_lease)(void *opaque, boot_ms until);
    /* Its lease is over, or was declared over by somebody. Said once. */
    void (*on_lost)(void *opaque);
    /* What runs is to end as OUTCOME_KILLED. */
    void (*on_kill)(void *opaque);
    unsigned (*running)(void *opaque); /* attempts out; for the heartbeats */
    void *opaque;
};

/* Hello: read back when it returns, with a first lease from before it was sent.
 * With options->session->probe the change is recorded behind it, and refused
 * as session_open says; epoch: of the probe. Blocks. */
int control_log_hello(struct control_log *log,
                      const struct member_options *options, uint64_t *epoch,
                      struct log_member **out, struct error *err);
uint64_t log_member_id(const struct log_member *member);
/* It saw the pause (by its paused epoch) and runs nothing; everything that it
 * wrote was acknowledged. Sent once for each pause. Does not block. */
void control_log_acknowledge(struct log_member *member, uint64_t paused_epoch,
                             const struct barrier_counts *counts);
/* Goodbye, if it is not lost; frees it. Callbacks are over on return. Blocks.
 */
void control_log_goodbye(struct log_member *member,
                         const struct barrier_counts *counts);

/* Instead of a goodbye: its lease is to run out, so that others decide what of
 * it is still in the log. Frees it. Callbacks are over on return. */
void control_log_abandon(struct log_member *member);

/* ---- the functions of broker.h that it is ------------------------------- */

int kafka_control(struct broker *broker, unsigned queue,
                  struct control *control, struct error *err);
int kafka_change(struct broker *broker, const unsigned *queues, size_t len,
                 const struct change *change, struct control *after,
                 struct error *err);
int kafka_kill(struct broker *broker, unsigned queue, uint64_t paused_epoch,
               struct error *err);
int kafka_barrier(struct broker *broker, unsigned queue, struct barrier *out,
                  struct error *err);
uint64_t kafka_control_seen(struct broker *broker);
void kafka_control_wait(struct broker *broker, uint64_t seen, span_ms limit);
int kafka_history(struct broker *broker, int queue, size_t max,
                  struct history **out, size_t *len, struct error *err);
int kafka_workers(struct broker *broker, struct worker_info **out, size_t *len,
                  struct error *err);

/* ---- the secret ---------------------------------------------------------- */

/* The fingerprint of ticket.key: the first one recorded is the installation's.
 * -EINVAL: ours is another one. Blocks. */
int control_log_check_secret(struct control_log *log, const char *fingerprint,
                             struct error *err);

#endif
