/* kafka_priv.h - the parts of an open Kafka broker.
 *
 * Threads: the control log's, the view's (of an ingress), one for each session,
 * and librdkafka's. Each sleeps on one eventfd, its bell, that mailboxes ring
 * and librdkafka's queues (rd_kafka_queue_io_event_enable).
 *
 * Private to broker/kafka/.
 */
#ifndef BROKER_KAFKA_KAFKA_PRIV_H
#define BROKER_KAFKA_KAFKA_PRIV_H

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>

#include "broker/backend.h"
#include "broker/kafka/client.h"
#include "broker/kafka/producer.h"
#include "broker/kafka/record.h"

struct admission;
struct body_store;
struct client_reader;
struct control_log;
struct follow;

/* Large messages on their way through one producer; see bodies.h. */
struct body_lane {
    struct kafka *kafka;
    struct producer *producer;
    pthread_mutex_t lock;     /* guards all below, and the stores' progress */
    struct body_store *first; /* has pieces that were not sent */
    struct body_store **last;
    size_t out;   /* bytes that are on their way */
    bool sending; /* some thread is at it */
};

#define KAFKA_READERS 4

struct kafka {
    struct broker base;
    const struct settings *settings;
    struct broker_options options;
    struct ticket_secret *secret;
    bool has_made_secret;  /* it was missing */
    int32_t partitions;    /* of every requests topic and of tickets */
    char *tickets_topic;   /* "PREFIX.tickets" */
    char **request_topics; /* "PREFIX.requests.QUEUE", by queue index */
    char **dead_topics;
    char *bodies_topic;
    struct producer *producer; /* of submissions: broker.kafka.timeout */
    struct producer *keeper;   /* of sessions and control: does not give up
                                * before a lease would be over anyway */
    struct body_lane lanes[2]; /* of the producer, of the keeper */
    /* Where logs end is asked through a client of its own: a broker answers
     * each connection in turn, and on a consumer's it would wait behind a fetch
     * for which there is nothing, half a second. */
    rd_kafka_t *asker;
    struct client_reader *readers[KAFKA_READERS]; /* idle ones */
    pthread_mutex_t readers_lock;
    struct control_log *control;
    struct follow *_Atomic follow; /* NULL: not opened so far; kafka_follow */
    pthread_mutex_t follow_lock;   /* held while it is opened */
    struct admission *admission;
    /* By partition: facts of this process's sessions, and those of them of
     * which it is known whether they are stored. */
    _Atomic uint64_t *sent, *settled;
    _Atomic bool closing;
};

static inline struct kafka *
kafka_of(struct broker *broker)
{
    return (struct kafka *)broker;
}

/* The view, opened if it is not. Blocks the first time. */
int kafka_follow(struct kafka *kafka, struct follow **out, struct error *err);

static inline int32_t
kafka_partition(const struct kafka *kafka, const struct ticket *ticket)
{
    return (int32_t)(ticket_slot(ticket) % (unsigned)kafka->partitions);
}

/* Lends records of a topic, in order, from shortly before that ticket was made
 * until on_record has what it wanted: as client_reader_read. */
int kafka_search(struct kafka *kafka, const char *topic, int32_t partition,
                 const struct ticket *ticket, client_record_fn *on_record,
                 void *opaque, struct error *err);

/* Reads a record of a `requests` topic: as queued_read; -EPROTO also: its
 * ticket is of another installation or partition. */
int kafka_read_request(const struct kafka *kafka,
                       const rd_kafka_message_t *message,
                       struct queued *request, struct error *err);

/* What a queue's group has committed, as client_commits. */
int kafka_commits(const struct kafka *kafka, const char *queue, span_ms limit,
                  rd_kafka_topic_partition_list_t **out, struct error *err);

/* Produces a fact. */
void kafka_send_fact(struct kafka *kafka, struct producer *producer,
                     int32_t partition, const struct fact *fact,
                     struct delivery *delivery);

/* A session sends a fact; and it was delivered (offset), or not (-1). Who looks
 * in between waits for it: a process knows what it did itself. */
void kafka_sends(struct kafka *kafka, int32_t partition);
void kafka_settled(struct kafka *kafka, int32_t partition, int64_t offset);

/* Of all queues; 0: there is none. */
span_ms kafka_longest_lease(const struct settings *settings);

/* The index in our settings of a queue's name; -1: it is none of ours. */
int kafka_queue(const struct kafka *kafka, struct slice name);

/* submit.c, adopt.c, dead.c */
void kafka_submit_open(struct kafka *kafka);
/* Admits nothing more, and waits until every submission was answered. */
void kafka_submit_stop(struct kafka *kafka);
void kafka_submit_close(struct kafka *kafka);
void kafka_submit(struct broker *broker, struct submission *submission);
int kafka_adopt(struct broker *broker, struct submission *list, size_t len,
                struct error *err);
int kafka_installation(struct broker *broker, char name[INSTALLATION_SIZE],
                       struct error *err);
int kafka_dead_replay(struct broker *broker, const struct ticket *dead,
                      struct ticket *made, struct error *err);
int kafka_dead_drop(struct broker *broker, const struct ticket *dead,
                    struct error *err);

/* session.c */
int kafka_session_open(struct broker *broker,
                       const struct session_options *options,
                       struct session **out, struct error *err);
void kafka_session_want(struct session *session, unsigned slots);
void kafka_session_stop(struct session *session, void (*on_drained)(void *));
void kafka_session_close(struct session *session);
void kafka_session_finish(struct session *session, struct attempt **attempt);

#endif
