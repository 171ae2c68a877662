/* ending.h - what becomes of a request: its one response, or another attempt.
 *
 * I1: request_end is the only place that stores a response, and it takes the
 * request out of the queue in the same transaction (P2, P3).
 *
 * Threads: the writer, in a transaction.
 */
#ifndef BROKER_EMBEDDED_ENDING_H
#define BROKER_EMBEDDED_ENDING_H

#include "broker/broker.h"
#include "broker/embedded/txn.h"

/* Stored in request_N.flags. */
enum {
    REQUEST_IDEMPOTENT = 1, /* by its method */
    REQUEST_KEYED = 2,      /* by an Idempotency-Key */
    REQUEST_PULLED = 4,     /* a kept probe took it before its turn: it is not
                             * among the untaken, though it stands there */
};

/* A row of request_N; slices are lent until the statement's next step. */
struct request {
    int64_t seq;
    struct ticket ticket;
    wall_ms submitted;
    wall_ms clock; /* of the queue, when it was submitted */
    int format;
    unsigned flags;
    int64_t sum;
    bool has_replays;
    struct ticket replays;
    struct slice origin, message;
};

/* From a row of REQUEST_NEXT or REQUEST_FIND. False: damaged. */
bool request_read(sqlite3_stmt *stmt, struct request *request);
bool request_is_intact(const struct request *request);
bool request_is_repeatable(unsigned flags,
                           const struct queue_settings *settings);

/* A request with what its attempts came to so far. */
struct tried {
    struct ticket ticket;
    int64_t seq;
    unsigned flags;
    unsigned attempts; /* counted, the one that ends included */
    unsigned put_backs;
    wall_ms submitted, started;
    int64_t size;        /* of origin and message */
    const char *release; /* of the attempt; "" for none */
    bool has_replays;
    struct ticket replays;
};

/* Fills in what the request's own row says. 1, 0 for no such row, negative. */
int request_tell(struct txn *txn, struct lane *lane, int64_t seq,
                 struct tried *tried);
/* The same, and takes a request that does not run out of its list. release is
 * where tried->release will point. */
int request_unqueue(struct txn *txn, struct lane *lane, int64_t seq,
                    struct tried *tried, char release[65]);

/* Stores the response of a request that is in no list any more (the caller
 * took it out of the untaken, again or running ones, and the counter). */
int request_end(struct txn *txn, struct lane *lane, const struct tried *tried,
                enum ticket_state state, const char *reason,
                struct slice message, bool dead);

/* The same with a failure of Cloakroom's own: outcome says state and status. */
int request_fail(struct txn *txn, struct lane *lane, const struct tried *tried,
                 enum outcome outcome, int status, const char *reason,
                 bool dead);

/* What an attempt that was taken out of running comes to, by control/outcome.h.
 * response: of OUTCOME_ANSWERED. is_cancelled: the client wished so. */
int attempt_end(struct txn *txn, struct lane *lane, const struct tried *tried,
                enum outcome outcome, const char *reason, struct slice response,
                bool is_cancelled);

#endif
