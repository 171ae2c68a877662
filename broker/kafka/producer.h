/* producer.h - produces records, and tells what became of each.
 *
 * A produce is acknowledged by all in-sync replicas (acks=all), or it is not
 * known whether it was stored: what timed out on its way may have been. Records
 * of one producer stand in a partition in the order in which they were
 * produced. A producer that a fatal error ended is made anew.
 *
 * A few records are sent at once. Where more are on their way each waits up to
 * a millisecond for others of its partition, as one request to a broker costs
 * as much as many records.
 *
 * Threads: any; deliveries come on the producer's own thread, which must not
 * be blocked.
 */
#ifndef BROKER_KAFKA_PRODUCER_H
#define BROKER_KAFKA_PRODUCER_H

#include <librdkafka/rdkafka.h>

#include "broker/broker.h"

struct producer;

/* What became of one record. on_delivered is called exactly once, after which
 * it is the caller's again. */
struct delivery {
    void (*on_delivered)(struct delivery *delivery);
    int r; /* 0: acknowledged. -ENOTCONN: nothing was stored. -ECOMM: it is not
            * known. -EMSGSIZE: too large for the topic. -ESHUTDOWN: as
            * -ENOTCONN, the producer is closed */
    int32_t partition;
    int64_t offset;
};

/* timeout: after it a record that is not acknowledged is given up. */
int producer_open(const struct settings *settings, span_ms timeout,
                  struct producer **out, struct error *err);
/* Waits for what was produced, at most for the timeout. */
void producer_close(struct producer *producer);

/* Asks who leads these topics' partitions, so that their first records do not
 * wait until librdkafka gets round to it (up to 1 s). Waits for the answer, at
 * most for the limit; without one nothing is lost but that second. */
void producer_know(struct producer *producer, const char *const *topics,
                   size_t len, span_ms limit);

/* key and value are copied; headers are taken (NULL: none). delivery may be
 * NULL. Never blocks: where there is no room on_delivered comes with -ENOTCONN,
 * and of a closed producer with -ESHUTDOWN, mostly before this returns. */
void producer_send(struct producer *producer, const char *topic,
                   int32_t partition, const char *key, struct slice value,
                   rd_kafka_headers_t *headers, struct delivery *delivery);

/* The same, but value is not copied: it is lent until on_delivered. */
void producer_lend(struct producer *producer, const char *topic,
                   int32_t partition, const char *key, struct slice value,
                   rd_kafka_headers_t *headers, struct delivery *delivery);

/* Sends and waits for it. The offset, or the delivery's r. */
int64_t producer_send_wait(struct producer *producer, const char *topic,
                           int32_t partition, const char *key,
                           struct slice value, rd_kafka_headers_t *headers);

/* 0: brokers can be reached, as far as is known. -ENOTCONN with words. */
int producer_ready(struct producer *producer, struct error *err);

#endif
