/* entry.h - the records of the topic `control`.
 *
 * Each is one JSON object: {"v":1, "kind", "at", "id", ...} with the members
 * below that its kind has, those left out that are 0 or empty. Times are
 * milliseconds since 1970 by the writer's clock. Queues are named by name.
 *
 * Threads: any; pure. Source: docs/kafka.md, "Control".
 */
#ifndef BROKER_KAFKA_ENTRY_H
#define BROKER_KAFKA_ENTRY_H

#include "broker/broker.h"
#include "broker/kafka/control_log.h"

enum entry_kind {
#define ENTRY(name, word) ENTRY_##name,
#include "broker/kafka/entry.def"
#undef ENTRY
    ENTRIES
};

#define ENTRY_ID     56
#define ENTRY_QUEUES 1024

struct entry_queue {
    char name[65];
    uint64_t expected; /* CHANGE: the epoch that its writer saw */
};

/* The machine and network namespace of a process, and the abstract address that
 * its guard holds there (guard.h). */
struct place {
    char boot[37];
    char net[24];
    char guard[64]; /* "": it has none */
};

/* Which members a kind has is said at it; others are 0. */
struct entry {
    enum entry_kind kind;
    wall_ms at;
    char id[ENTRY_ID]; /* unique: "PROCESS.NUMBER" */
    /* CHANGE: one or more. QUEUE, DRAINED, KILL: one. HELLO: one, or none of
     * the process that runs an upgrade. */
    struct entry_queue *queues;
    size_t queues_len;
    uint64_t session; /* ACKNOWLEDGE, GOODBYE, LAPSED: whose. CHANGE: of a
                       * PROBE, that of the prober */
    uint64_t epoch;   /* ACKNOWLEDGE, KILL: of the pause. GOODBYE: of the pause
                       * that its counts are of. DRAINED: of the barrier */
    struct barrier_counts counts; /* ACKNOWLEDGE, GOODBYE; LAPSED: waited_out */
    enum member_state state;      /* LAPSED: LAPSED or DIED */
    span_ms bound;                /* DRAINED: for the receipt */
    /* HELLO */
    char name[128];
    int pid;
    unsigned concurrency;
    span_ms lease;
    struct place place;
    char release[RELEASE_SIZE]; /* HELLO, QUEUE; CHANGE: of a RESUME, "" for the
                                 * same */
    /* CHANGE */
    enum change_kind change;
    char by[BY_SIZE];
    char why[WHY_SIZE];
    span_ms ramp;
    bool force;
    char upgrade[UPGRADE_SIZE]; /* "": none asks */
    enum upgrade_step step;
    char to[RELEASE_SIZE];
    uint64_t owner; /* session of the upgrade's process */
    /* SECRET */
    char fingerprint[80];
};

const char *entry_word(enum entry_kind kind);

/* Of one queue. */
void entry_set_queue(struct entry *entry, const char *name);
void entry_fini(struct entry *entry);

/* The text, malloc'ed. */
char *entry_write(const struct entry *entry);
/* 0: entry_fini is due. -EPROTO: not a record of ours, or damaged; -ENOTSUP: of
 * a newer format. */
int entry_read(struct slice text, struct entry *entry, struct error *err);

#endif
