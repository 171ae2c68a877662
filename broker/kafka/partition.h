/* partition.h - what a session knows of one partition of its queue: the
 * requests that it fetched, and what the facts about them came to.
 *
 * An entry is a ticket of which something is known that matters: it was
 * fetched, or a fact of it was read. A node is a stretch of offsets in
 * `requests`: one request that goes on, or ones that are all done.
 *
 *     watermark          fetched
 *         v                 v
 *     ----|#|###|#|#####|#|#|....|###|....
 *          a  d  b   d   c d       d        a, b, c: go on; d: done, of which
 *                                           some ahead of what was fetched
 *
 * I1: everything below the watermark is done: its ending was read back, and no
 *     copy of it can be on its way any more (`linger` after its ticket).
 * I2: `position` is where a successor begins to read facts: nothing that counts
 *     of a request at or above the watermark stands before it, but for what
 *     the claim at it stands on.
 * I3: memory: done nodes that touch are one; a done request has no entry.
 *
 * Threads: the session's. Source: docs/design.md, section 4.
 */
#ifndef BROKER_KAFKA_PARTITION_H
#define BROKER_KAFKA_PARTITION_H

#include <uthash.h>
#include <utlist.h>

#include "broker/kafka/fold.h"

struct held;

enum entry_place {
    PLACE_NONE,    /* in no list: it runs, ended, or was not fetched */
    PLACE_READY,   /* may be started: in ready */
    PLACE_DELAYED, /* may be started when it is due: in delayed */
    PLACE_LOADING, /* its message is being read */
    PLACE_ASKED,   /* our `started` is on its way, and is waited for */
    PLACE_OUT,     /* our attempt is out */
};

struct node {
    int64_t from, to;    /* offsets: from <= o < to */
    struct entry *entry; /* NULL: done */
    int64_t base;        /* done: the lowest base of its entries */
    struct node *prev, *next;
};

struct entry {
    struct ticket ticket;
    struct fold_ticket fold;
    int64_t base;    /* claim in force at its first fact; NO_BASE: none */
    unsigned nodes;  /* that are it, copies too */
    unsigned flags;  /* of its request, once that was fetched */
    wall_ms at;      /* submitted */
    wall_ms ended;   /* when its ending was read; 0: it has none */
    int64_t offset;  /* of its first request fetched; -1 */
    uint64_t run;    /* ours: of PLACE_ASKED and PLACE_OUT */
    bool is_decided; /* orphan: our retry or failure is on its way */
    enum entry_place place;
    struct held *held;           /* its message in memory; NULL: it is not */
    struct entry *prev, *next;   /* in ready or delayed */
    struct entry *older, *newer; /* by base; those with one */
    struct entry *ended_prev, *ended_next; /* by ended */
    UT_hash_handle hh;
};
#define NO_BASE INT64_MAX

struct partition {
    int32_t id;
    struct fold_claim claim; /* in force, as read so far */
    int64_t read;            /* the next fact */
    struct entry *entries;
    struct entry *by_base;
    struct entry *ended;
    struct entry *ready, *delayed; /* delayed: by due */
    unsigned ready_len;
    struct node *window; /* fetched, from the watermark on */
    unsigned done;       /* nodes of those that are done */
    struct node *ahead;  /* done ones that were not fetched */
    int64_t fetched;     /* the next request */
    unsigned pending;    /* fetched requests that go on */
    wall_ms at_end;      /* when all was fetched that there was, last */
};

void partition_init(struct partition *partition, int32_t id);
/* free_held: for what entries hold. */
void partition_fini(struct partition *partition,
                    void (*free_held)(struct held *));

/* Where a commit says that one begins: watermark and position. Entries are
 * kept if there are some: offsets below the watermark are done. */
void partition_begin(struct partition *partition, int64_t watermark,
                     int64_t position);

/* Folds a fact of the queue, or an OVER (then *entry is NULL, and the caller
 * looks through entries for orphans). True: it counts. *entry: of the ticket;
 * NULL: nothing is known of it and nothing need be. */
bool partition_fold(struct partition *partition, const struct fact *fact,
                    int64_t offset, wall_ms now, struct entry **entry);

/* A request was fetched. NULL: it is done, or was done before. Else its
 * entry; *is_copy: it was known before, by another offset. */
struct entry *partition_fetch(struct partition *partition, int64_t offset,
                              const struct ticket *ticket, bool *is_copy);
/* A record that is no request of ours was fetched, and is done. */
void partition_skip(struct partition *partition, int64_t offset);

/* Moves it between the lists; due of the delayed from its fold. */
void partition_place(struct partition *partition, struct entry *entry,
                     enum entry_place place);

/* Drops what is not needed any more. linger: how long after its ticket was
 * made a copy of a request may still come. It looks at what is so old, not at
 * all there is: what stands behind something younger is kept as long as that.
 */
void partition_trim(struct partition *partition, wall_ms now, span_ms linger);

int64_t partition_watermark(const struct partition *partition);
int64_t partition_position(const struct partition *partition);

#endif
