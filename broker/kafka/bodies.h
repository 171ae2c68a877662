/* bodies.h - messages that are too large for one record, in pieces.
 *
 * Threads: any. Source: docs/kafka.md, "Large messages".
 */
#ifndef BROKER_KAFKA_BODIES_H
#define BROKER_KAFKA_BODIES_H

#include "broker/kafka/kafka_priv.h"

/* Must the message go there? */
bool bodies_needs(struct slice message);

/* Produces the pieces; on_stored once they are all acknowledged, or one failed
 * and no other is on its way, on the producer's thread (or before the call
 * returns). message and ticket are lent until then, and not copied. Of all
 * messages together so many bytes are given to the producer at a time
 * (BODIES_OUT_MAX); the rest waits its turn. producer: kafka's or its keeper.
 */
#define BODIES_OUT_MAX (32 * 1024 * 1024)
struct body_store {
    struct slice message;
    void (*on_stored)(struct body_store *store);
    void *opaque; /* the caller's */
    int r;        /* as a delivery's */
    struct body_ref ref;
    /* private */
    struct body_store *next;
    const struct ticket *ticket;
    struct body_lane *lane;
    struct body_piece *pieces;
    unsigned sent, delivered;
};
void bodies_store(struct kafka *kafka, struct producer *producer,
                  const struct ticket *ticket, struct body_store *store);

/* Reads the whole into buf (empty, its cap at least ref->size). -EIO: it is
 * damaged or gone; -ENOTCONN, -ETIMEDOUT: Kafka does not answer. Blocks, up to
 * seconds for a large one. */
int bodies_read(struct kafka *kafka, const struct ticket *ticket,
                const struct body_ref *ref, struct buf *buf, struct error *err);

/* Closes what reading needed. Nobody reads any more. */
void bodies_close(struct kafka *kafka);

/* One request of `requests.QUEUE` or `dead.QUEUE`, by its place. *message is
 * the caller's (rd_kafka_message_destroy); request points into it. Blocks. */
int bodies_read_request(struct kafka *kafka, const char *topic,
                        int32_t partition, int64_t offset,
                        rd_kafka_message_t **message, struct queued *request,
                        struct error *err);

#endif
