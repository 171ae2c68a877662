/* follow.h - a process's own copy of what became of tickets: the view.
 *
 * One thread follows every partition of `tickets` and of the queues' requests
 * and folds them (fold.h) into an SQLite file in the directory
 * `broker.kafka.view` (view.h). It is rebuilt from the log when it is lost or
 * of another installation. What is looked at is looked at by this thread, so
 * that nothing is half done.
 *
 * An ingress opens it at its start; another process when it is first asked
 * for something that needs it.
 *
 * Threads: any, except open and close (the owner, once).
 * Source: docs/design.md, section 4.
 */
#ifndef BROKER_KAFKA_FOLLOW_H
#define BROKER_KAFKA_FOLLOW_H

#include "broker/broker.h"

struct follow;
struct kafka;

int follow_open(struct kafka *kafka, struct follow **out, struct error *err);
void follow_close(struct follow *follow);

/* 0; -EAGAIN with words while the view is behind the log as it was at the
 * start. Does not block. */
int follow_ready(struct follow *follow, struct error *err);

/* 0; -ENOSPC or -EIO while the view cannot be written. */
int follow_broken(struct follow *follow);

/* How many requests wait in a queue, as read so far: for max_depth. */
uint64_t follow_depth(struct follow *follow, unsigned queue);

/* Of how many a fact was read, but the request is still to be. */
uint64_t follow_ahead(struct follow *follow, unsigned queue);

/* A log that is followed: a partition of a queue's requests (its index in the
 * settings), or of `tickets` (FOLLOW_FACTS). */
#define FOLLOW_FACTS (-1)
size_t follow_log(const struct kafka *kafka, int queue, int32_t partition);

/* Where a log is to be read on: what stands below it is in follow_depth. */
int64_t follow_next(struct follow *follow, size_t log);

/* This process knows of a record at that place: looks from now on wait until it
 * was read. */
void follow_expect(struct follow *follow, size_t log, int64_t offset);

/* Something that looks wait for, other than a fact read, may have come. */
void follow_wake(struct follow *follow);

/* ---- keys ---------------------------------------------------------------- */

/* An Idempotency-Key that a submission needs, asked of the log. */
struct key_claim {
    struct mail mail;
    /* in */
    const struct request_key *key;
    const char *queue;
    struct ticket ticket; /* who wants it */
    wall_ms until;
    void (*on_claimed)(struct key_claim *claim); /* on the follower's thread */
    /* out */
    int r;               /* 0; -EEXIST: another request has it; as deliveries */
    struct ticket first; /* whose it is: ours, or the first one's */
    bool is_first;       /* ours */
    bool has_request;    /* the first one's is in the log: join it */
};
/* Looks in the view, else produces a `key` fact and reads it back. Of another's
 * ticket it waits for the request until half of broker.kafka.timeout is over,
 * and what took longer to be told is -ENOTCONN. If has_request stays false,
 * submit it again under that ticket, as a twin. */
void follow_claim_key(struct follow *follow, struct key_claim *claim);
/* The same of a key that the view knows, without a claim: -ENOENT if it does
 * not. */
void follow_find_key(struct follow *follow, struct key_claim *claim);

/* ---- the functions of broker.h that it is -------------------------------- */

void kafka_lookup(struct broker *broker, struct lookup *lookup);
void kafka_cancel(struct broker *broker, struct cancellation *cancellation);
int kafka_running(struct broker *broker, unsigned queue, size_t max,
                  struct running **out, size_t *len, struct error *err);
int kafka_queue_stats(struct broker *broker, unsigned queue,
                      struct queue_stats *stats, struct error *err);
int kafka_dead_list(struct broker *broker, unsigned queue, size_t max,
                    struct dead_letter **out, size_t *len, struct error *err);

/* The request of a queue that waits, of that ticket or (NULL) the oldest one.
 * 0; -ENOENT with words: none does, or that one does not. Blocks. */
int follow_waiting(struct follow *follow, unsigned queue,
                   const struct ticket *wanted, struct ticket *found,
                   unsigned *flags, struct error *err);

/* What a dead letter is, for dead.c: its queue and where its request stands. 0;
 * -ENOENT. Blocks. */
int follow_dead_find(struct follow *follow, const struct ticket *dead,
                     unsigned *queue, int64_t *offset, struct error *err);

#endif
