/* view.h - what became of tickets, as folded from the log: rows in a file.
 *
 *     requests, --> rows in memory --> one transaction with --> file
 *     facts               ^            the positions             |
 *                         +--------- what is looked at ----------+
 *
 * I1: positions and the rows of all that stands below them are committed
 *     together, so that a view that is opened again goes on in the middle.
 * I2: rows in memory go before the file's; they are written when view_is_due,
 *     or when a list needs them there.
 * I3: the counters of a queue are the sums over its rows (view_check).
 * I4: a ticket has a row since its request or a fact of it that counts was
 *     read, in whichever order. Requests and facts are different logs.
 *
 * Every result is 0 (or as said) or a negative errno of view_file.h; then the
 * view is not good any more until view_rewind, or view_remake. view_error has
 * the sentence.
 *
 * Threads: the owner's. Source: docs/design.md, section 4.
 */
#ifndef BROKER_KAFKA_VIEW_H
#define BROKER_KAFKA_VIEW_H

#include "broker/kafka/fold.h"

struct view;

/* installation: names the log; a file of another one is not gone on with. The
 * directory is made. *err: why not. */
int view_open(const char *directory, const char *installation,
              int32_t partitions, struct view **out, struct error *err);
/* Writes what is in memory, if it can. */
void view_close(struct view *view);
const char *view_error(const struct view *view);

/* Back to what was committed last; read on from view_next. */
int view_rewind(struct view *view);
/* Empties it; every position is 0. */
int view_remake(struct view *view);

/* Where the facts are to be read on. */
int64_t view_next(const struct view *view, int32_t partition);
/* The same, set: where the log begins, or behind a record that is none of
 * ours. */
void view_move(struct view *view, int32_t partition, int64_t next);
/* The same of the requests of a queue (view_queue); -1: was never set. */
int64_t view_request_next(const struct view *view, unsigned queue,
                          int32_t partition);
void view_request_move(struct view *view, unsigned queue, int32_t partition,
                       int64_t next);

/* ---- rows ---------------------------------------------------------------- */

/* What is known of one ticket. Read-only; lent until the view is written. */
struct view_row {
    struct ticket ticket;
    struct fold_ticket fold;
    unsigned queue; /* in the view: view_queue */
    int32_t partition;
    unsigned flags; /* enum request_flag */
    bool is_kept;   /* it is in the view at all */
    bool is_read;   /* its request was */
    bool is_delayed;
    bool is_dirty;                     /* to be written */
    wall_ms submitted, started, ended; /* 0: not so far */
    wall_ms orphaned; /* when this process read that it is one; 0: it is none */
    int64_t dead;     /* its place in `dead.QUEUE`; -1: no dead letter */
    int64_t first;    /* no fact before that offset matters to it */
    int64_t pieces;   /* the same of `bodies`; -1: it has none there */
    uint64_t size;    /* bytes of the request; 0: not known */
    uint64_t bytes;   /* counted as retained */
    char release[RELEASE_SIZE]; /* of the last attempt */
    char reason[200];
    bool has_replays, has_replayed_by;
    struct ticket replays, replayed_by;
    struct body_ref *body; /* of a large response, else NULL */
    int64_t message;       /* else its place in the file; 0: */
    struct buf text;       /* it is here */
};

/* The reason of one that was cancelled before it ran. */
#define VIEW_CANCELLED_QUEUED "cancelled by the client before it ran"

/* 1: *row is what is known; 0: nothing is. */
int view_find(struct view *view, const struct ticket *ticket,
              const struct view_row **row);
/* Adds the stored response of an ended row that has no body. */
int view_message(struct view *view, const struct view_row *row,
                 struct buf *message);

/* Takes one request in; offsets of a queue's partition only grow. */
int view_request(struct view *view, unsigned queue, int32_t partition,
                 int64_t offset, const struct queued *request);

/* Folds one fact in; offsets of a partition only grow. 1: it counts, and *row
 * (of a fact about a ticket, else NULL) is the ticket after it. 0: it does not
 * count. row may be NULL. */
int view_fact(struct view *view, int32_t partition, int64_t offset,
              const struct fact *fact, const struct view_row **row);

/* Is there so much in memory, or for so long, that it is to be written? */
bool view_is_due(const struct view *view, mono_ms now);
int view_commit(struct view *view);

/* Takes a row out, as its time is over. */
int view_drop(struct view *view, const struct view_row *row);

/* ---- queues -------------------------------------------------------------- */

struct view_queue {
    char name[65];
    uint64_t queued, delayed, running, dead, accepted, done, failed, retained;
    uint64_t ahead;    /* rows by facts whose request is still to be read */
    char trouble[200]; /* why the last one was put back; "" */
    wall_ms trouble_at;
};

/* The number of a queue in the view; a name that was never read gets one. */
unsigned view_queue(struct view *view, struct slice name);
const struct view_queue *view_queue_at(const struct view *view, unsigned queue);
unsigned view_queues(const struct view *view);
/* Endings of the minute before now. */
void view_minute(const struct view *view, unsigned queue, wall_ms now,
                 uint64_t *done, uint64_t *failed);
/* Counts as queued again what was delayed until now. */
int view_promote(struct view *view, wall_ms now);

/* How many requests of its queue wait that were not submitted after it; itself
 * not counted, at most 10,000. */
#define VIEW_AHEAD_MAX 10000
int view_ahead(struct view *view, const struct view_row *row, int64_t *ahead);
/* When the oldest that waits was submitted; 0: none waits. */
int view_oldest(struct view *view, unsigned queue, wall_ms *submitted);

enum view_list {
    VIEW_WAIT,    /* oldest first */
    VIEW_READY,   /* the same, of those that are not delayed */
    VIEW_RUN,     /* by their start */
    VIEW_ORPHANS, /* that are since before `until` */
    VIEW_END,     /* by their end */
    VIEW_LETTERS, /* dead ones, by their end */
};
/* A malloc'ed array of at most max tickets. */
int view_list(struct view *view, enum view_list which, unsigned queue,
              size_t max, wall_ms until, struct ticket **out, size_t *len);

/* ---- keys ---------------------------------------------------------------- */

struct view_key {
    uint8_t fingerprint[KEY_BYTES];
    struct ticket ticket;
    wall_ms until;
    bool is_used; /* its ticket had a row, which is gone since */
};
/* The key of that scope that is in force at that time. 1; 0: there is none. */
int view_key(struct view *view, const uint8_t scope[KEY_BYTES], wall_ms at,
             struct view_key *key);
/* Forgets at most max keys that were in force until now; how many. */
int view_drop_keys(struct view *view, wall_ms now, unsigned max);

/* ---- the log ------------------------------------------------------------- */

/* Nothing in the view rests on a fact below *facts, or a piece of `bodies`
 * below *pieces (INT64_MAX: on none at all). */
int view_floor(struct view *view, int32_t partition, int64_t *facts,
               int64_t *pieces);

/* For tests: are the counters those of the rows? Aborts if not. */
void view_check(struct view *view);

#endif
