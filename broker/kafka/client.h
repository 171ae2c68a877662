/* client.h - librdkafka as everything in broker/kafka/ uses it.
 *
 * Makes producers and consumers from the settings, says what Kafka's errors are
 * in our words, and asks what must be asked at once: where a log ends, what
 * stands at one offset.
 *
 *     settings --> client_producer        records, acknowledged by all in sync
 *              --> client_consumer        partitions that the caller names
 *              --> client_group_consumer  partitions that a group deals out
 *              --> client_admin           topics, groups, watermarks
 *              --> client_reader_open     single records
 *
 * I1: no client creates a topic, commits or stores an offset by itself, or
 *     begins anywhere but where it was told to: an offset that is not there is
 *     an error (_AUTO_OFFSET_RESET), never "the newest".
 * I2: what the promises rest on cannot be changed by `properties`: such a name
 *     is refused. Everything else there is passed on as it is.
 * I3: what a consumer holds in memory and has not given out is bounded by
 *     CLIENT_FETCHED_MAX (CLIENT_BULK: CLIENT_BULK_MAX), what a producer has
 * not sent by CLIENT_UNSENT_MAX, unless `properties` say another bound.
 *
 * What librdkafka logs becomes the event `kafka`, and what it reports as an
 * error of the client `kafka-error`; the latter is told in the thread that
 * polls the client.
 *
 * Threads: any, one at a time for a reader; the clients as librdkafka says.
 * Source: librdkafka's CONFIGURATION.md, and its CHANGELOG for the versions.
 */
#ifndef BROKER_KAFKA_CLIENT_H
#define BROKER_KAFKA_CLIENT_H

#include <librdkafka/rdkafka.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/clock.h"
#include "common/error.h"
#include "common/own.h"
#include "common/settings.h"

#define CLIENT_FETCHED_MAX (4 * 1024 * 1024)
#define CLIENT_BULK_MAX    (32 * 1024 * 1024)
#define CLIENT_UNSENT_MAX  (128 * 1024 * 1024)

/* The largest record that a client sends and a topic of ours takes, and the
 * largest message that stands in one: a larger one goes to `bodies`, in pieces
 * of at most as much. The rest is room for headers. */
#define KAFKA_RECORD_MAX   ((1024 + 64) * 1024)
#define KAFKA_INLINE_MAX   (900 * 1024)

/* ---- errors ------------------------------------------------------------- */

/* What an error of Kafka or librdkafka is in the list of common/error.def:
 * 0: none. -ENOTCONN: out of reach, no leader, too few copies in sync.
 * -ETIMEDOUT: no answer in time; of a produced record: its fate is unknown.
 * -ENOBUFS: the producer's queue is full. -EMSGSIZE: too large. -ESTALE: no
 * longer a member or an owner. -ENOENT: no such topic, partition, group or
 * offset. -EALREADY: the topic is there. -EACCES: not allowed to, or not known
 * to Kafka. -EINVAL: Kafka does not take these values. -ESHUTDOWN: the client
 * is being closed. Else -EIO. */
int client_errno(rd_kafka_resp_err_t error);

/* Sets err to "FORMAT: what librdkafka says", and returns client_errno. */
int client_fails(struct error *err, rd_kafka_resp_err_t error,
                 const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Is the client beyond repair? Then the fate of all that it had not yet
 * acknowledged is unknown, and it must be destroyed and another made. 0: it
 * goes on. -EIO with the reason. */
int client_fatal(rd_kafka_t *client, struct error *err);

/* ---- clients ------------------------------------------------------------ */

/* Is this version (as rd_kafka_version() gives it) one that keeps I1 and does
 * not lose or flood? NULL: yes. Else why not, and which to take. */
const char *client_version_fault(int version);

/* Are the version and the names and values in `properties` good? 0; -EINVAL,
 * with the file and line of a property. Each maker below checks it as well. */
int client_check(const struct settings *settings, struct error *err);

/* Told once for each record, when its fate is known or given up: message->err
 * is 0 when all copies in sync have it; then message->offset is its offset. In
 * the thread that polls. */
typedef void client_delivered_fn(rd_kafka_t *producer,
                                 const rd_kafka_message_t *message,
                                 void *opaque);

/* All of these: 0, and the caller destroys *out with rd_kafka_destroy. -EINVAL:
 * the settings are not good for librdkafka. None waits for a broker. */

/* Idempotent, acknowledged by all in sync, sent without delay; or in bulk: a
 * record waits for others up to a millisecond, which is what librdkafka makes
 * of less. A record without an acknowledgement after `timeout` is given up (its
 * fate is unknown). The caller polls it. Records of more than KAFKA_RECORD_MAX
 * are refused. */
int client_producer(const struct settings *settings, bool bulk, span_ms timeout,
                    client_delivered_fn *on_delivered, void *opaque,
                    rd_kafka_t **out, struct error *err);

/* For rd_kafka_assign with offsets, in no group (no queue has its group's
 * name). Polled by rd_kafka_consumer_poll alone, errors come there too. */
enum {
    CLIENT_EOF = 1, /* say when a partition is read to its end
                     * (_PARTITION_EOF) */
    /* For reading here and there: a fetch without a record waits no 500 ms,
     * for which the next one, of another offset, would have to wait. */
    CLIENT_BRIEF = 2,
    /* For reading long logs: where its bound is reached, librdkafka fetches
     * nothing for up to a second. */
    CLIENT_BULK = 4,
    /* For what need not be known at once: many records are fetched together. */
    CLIENT_LAZY = 8,
};
int client_consumer(const struct settings *settings, unsigned how,
                    rd_kafka_t **out, struct error *err);

/* One's partitions come and go in on_rebalance, eagerly (range), in the thread
 * that polls by rd_kafka_consumer_poll alone. It is out of the group when it
 * was silent for session_timeout, never for polling too rarely: who polls must
 * watch itself. Kafka refuses a session_timeout that is not within its
 * group.min.session.timeout.ms and group.max.session.timeout.ms. */
typedef void client_rebalance_fn(rd_kafka_t *consumer,
                                 rd_kafka_resp_err_t error,
                                 rd_kafka_topic_partition_list_t *partitions,
                                 void *opaque);
int client_group_consumer(const struct settings *settings, const char *group,
                          span_ms session_timeout,
                          client_rebalance_fn *on_rebalance, void *opaque,
                          rd_kafka_t **out, struct error *err);

/* For the calls below and librdkafka's admin calls; produces nothing. */
int client_admin(const struct settings *settings, rd_kafka_t **out,
                 struct error *err);

/* ---- questions ---------------------------------------------------------- */

/* These wait for a broker's answer, up to limit. -ETIMEDOUT or -ENOTCONN: none
 * came. -ENOENT: there is no such topic or partition. Any client will do. */

/* The offset of the oldest record there is, and the one that the next record
 * gets: equal when there is none. Either may be NULL. */
int client_watermarks(rd_kafka_t *client, const char *topic, int32_t partition,
                      int64_t *low, int64_t *end, span_ms limit,
                      struct error *err);

/* The same for many partitions at once, one request to each of their leaders:
 * the offset of each in the list becomes that of its oldest record, or its end.
 * An error is that of the first partition that has one. */
enum client_where { CLIENT_OLDEST = -2, CLIENT_END = -1 };
int client_offsets(rd_kafka_t *client, rd_kafka_topic_partition_list_t *list,
                   enum client_where where, span_ms limit, struct error *err);

/* The offset of the first record that Kafka took at or after `since`; the end
 * when there is none. */
int client_offset_at(rd_kafka_t *client, const char *topic, int32_t partition,
                     wall_ms since, int64_t *offset, span_ms limit,
                     struct error *err);

/* Forgets all records below these offsets (the list's, which may name several
 * topics; RD_KAFKA_OFFSET_END: all). 0, or the first partition's error: others
 * may have been done. */
int client_delete_records(rd_kafka_t *client,
                          const rd_kafka_topic_partition_list_t *before,
                          span_ms limit, struct error *err);

/* Asks who leads these topics: of one that is new to it librdkafka would ask
 * once a second, and send or read nothing until then. */
void client_know(rd_kafka_t *client, const char *const *topics, size_t len,
                 span_ms limit);

/* Waits for the result of an admin call. 0: the caller destroys *event, and
 * looks for errors of single topics or partitions in it. */
int client_await(rd_kafka_queue_t *queue, span_ms limit,
                 rd_kafka_event_t **event, struct error *err);

/* ---- commits ------------------------------------------------------------ */

/* A commit's metadata is a position: decimal digits, without a NUL. */
void client_set_position(rd_kafka_topic_partition_t *commit, int64_t position);
/* What a group has committed in the first partitions of a topic; the caller's.
 * By a consumer that never joins: the admin call for it, when the coordinator
 * has just died, ends the process by an assertion in librdkafka 2.0.2. */
int client_commits(const struct settings *settings, const char *group,
                   const char *topic, int32_t partitions, span_ms limit,
                   rd_kafka_topic_partition_list_t **out, struct error *err);
/* -1: it has none, as when it was made by somebody else. */
int64_t client_position(const rd_kafka_topic_partition_t *commit);

/* ---- single records ----------------------------------------------------- */

/* Reads where it is told to, and fetches nothing in between. */
struct client_reader;

int client_reader_open(const struct settings *settings,
                       struct client_reader **out, struct error *err);
void client_reader_close(struct client_reader *reader); /* NULL is fine */

/* Lends each record from `offset` on, in order, until on_record says that it
 * has what it wanted. The record at `offset` itself may be gone while later
 * ones are there: message->offset tells. 0: on_record was satisfied. -ENOENT:
 * offset is below the oldest, or the log ended first. -ETIMEDOUT: limit passed.
 */
typedef bool client_record_fn(const rd_kafka_message_t *message, void *opaque);
int client_reader_read(struct client_reader *reader, const char *topic,
                       int32_t partition, int64_t offset,
                       client_record_fn *on_record, void *opaque, span_ms limit,
                       struct error *err);

/* The record at `offset` itself: the caller's, who destroys it before the
 * reader is closed. -ENOENT: it is gone, or never was. */
int client_reader_take(struct client_reader *reader, const char *topic,
                       int32_t partition, int64_t offset,
                       rd_kafka_message_t **out, span_ms limit,
                       struct error *err);

#endif
