/* ledger.h - what the records of `control` come to: control states, sessions,
 * barriers, history.
 *
 * Every reader that folds the log in its order comes to the same verdict on
 * every record. L1: a change is of all its queues or of none, and is made of
 * the state that the records before it left. L2: the members of a pause are
 * the sessions whose hello stands before it and that are not over there; of a
 * probe, the session that it names. L3: an acknowledgement and `drained` name
 * the epoch of the barrier (at which the pause or the probe began), and count
 * only while that one goes on; `drained` only once nobody is expected. L4: a
 * session that is over stays so; its later records count for nothing. L5: who
 * acted for the upgrade last owns it until that session is over.
 *
 * Threads: owner; pure. Source: docs/design.md, section 5; models/pause.pml.
 */
#ifndef BROKER_KAFKA_LEDGER_H
#define BROKER_KAFKA_LEDGER_H

#include "broker/kafka/entry.h"

struct ledger_session {
    uint64_t id; /* offset of its hello + 1 */
    int queue;   /* its index here; -1: it runs an upgrade */
    char name[128];
    char release[RELEASE_SIZE];
    int pid;
    unsigned concurrency;
    span_ms lease;
    wall_ms since;
    struct place place;
};

/* A pause, or a probe within it, that is over. */
struct ledger_pause {
    wall_ms from, to;
};

struct ledger_queue {
    char name[65];
    struct control control; /* but for upgrade.pid: ledger_control */
    uint64_t barrier_epoch; /* at which the pause or probe began whose barrier
                             * it is; 0: OPEN */
    struct barrier barrier; /* bound is 0 */
    uint64_t owner;         /* session of the upgrade's process; 0: none */
    struct ledger_pause *pauses;
    size_t pauses_len;
};

struct ledger {
    struct ledger_queue *queues; /* in the order of their records */
    size_t queues_len;
    struct ledger_session *sessions; /* that are not over, by id */
    size_t sessions_len;
    struct history *history;
    size_t history_len;
    char fingerprint[80]; /* of the secret; "": none was recorded */
};

void ledger_init(struct ledger *ledger);
void ledger_fini(struct ledger *ledger);

/* Folds the record at that offset. 0: it counts. Else it has changed nothing:
 * the errors of control_change; -EBUSY also: the upgrade's process lives and is
 * another one. -ENOENT: no such queue or session. -ENOLINK: the session of the
 * upgrade's process is over. -ESTALE: of a barrier that is over, or it is not
 * passed. -EALREADY: it was so before. -EEXIST: another secret is recorded.
 * -ECANCELED: KILL, the pause is over. */
int ledger_apply(struct ledger *ledger, int64_t offset,
                 const struct entry *entry, struct error *err);
/* What a CHANGE would come to. `next` has room for its queues' states. */
int ledger_plan(const struct ledger *ledger, const struct entry *entry,
                struct control *next, struct error *err);

/* Index of a queue; -1: it is not known. */
int ledger_find(const struct ledger *ledger, const char *name);
const struct ledger_session *ledger_session(const struct ledger *ledger,
                                            uint64_t id);
/* With the upgrade's process. */
struct control ledger_control(const struct ledger *ledger, unsigned queue);
/* Everyone is accounted for and `drained` is not recorded so far. */
bool ledger_is_passed(const struct ledger_queue *queue);
/* Of the time between the two it was open so long. */
span_ms ledger_open_for(const struct ledger_queue *queue, wall_ms since,
                        wall_ms now);
/* Copies, the caller's: barrier_fini, history_free. name: NULL for all queues.
 */
struct barrier ledger_barrier(const struct ledger_queue *queue);
void ledger_history(const struct ledger *ledger, const char *name, size_t max,
                    struct history **out, size_t *len);

#endif
