/* topics_priv.h - what the topics_*.c files share: how a topic must be
 * configured, and what Kafka says of it.
 *
 * Threads: owner.
 */
#ifndef BROKER_KAFKA_TOPICS_PRIV_H
#define BROKER_KAFKA_TOPICS_PRIV_H

#include <stdint.h>

#include "broker/kafka/client.h"
#include "broker/kafka/topics.h"

#define TOPICS_LIMIT    15000 /* ms, for each question to Kafka */
/* For a question that can be asked anew: librdkafka may wait for a broker that
 * has just died, while a new client would be told of another. */
#define TOPICS_PATIENCE 5000
#define TOPICS_TRIES    3

/* ---- how it must be (topics.c) ------------------------------------------ */

enum topic_rule { RULE_IS, RULE_AT_LEAST, RULE_AT_MOST };

/* Of Kafka's configuration of topics; what is not named here is left alone. */
struct topic_config {
    const char *name;
    enum topic_rule rule;
    char value[24];
};
#define TOPIC_CONFIGS_MAX 8

/* Has it a partition for each slot of tickets? */
bool topics_is_spread(enum topic_kind kind);

/* How many copies a new topic gets, and how many of `replication` copies must
 * be there for a record to be taken. */
unsigned topics_replication(const struct settings *settings, unsigned brokers);
unsigned topics_min_insync(const struct settings *settings,
                           unsigned replication);

/* For a topic that has so many copies. How many there are. */
size_t topics_configs(const struct settings *settings,
                      const struct topic_spec *spec, unsigned replication,
                      struct topic_config configs[TOPIC_CONFIGS_MAX]);
/* Does a value that a topic has (NULL: none) do? */
bool topic_config_is_met(const struct topic_config *config, const char *value);

/* ---- what a group has committed (topics.c) ------------------------------ */

struct standing {      /* of a queue's group in one partition of its requests */
    int64_t committed; /* -1: nothing */
    bool has_position; /* the commit says where in `tickets` to read from */
    int64_t low, end;  /* of the requests */
    int64_t facts_low; /* of the partition of tickets */
};

enum stand {
    STAND_GOOD,
    STAND_BEGIN,    /* nothing can be forgotten: begin with the oldest */
    STAND_POSITION, /* reading all of `tickets` that is there will do */
    STAND_LOST,     /* the offset is lost, and with it what has ended */
};
enum stand standing_judge(const struct standing *standing);

/* ---- as it is (topics_live.c) ------------------------------------------- */

struct live_topic {
    unsigned partitions;  /* 0: it is not there */
    unsigned replication; /* of the partition that has the fewest */
    const rd_kafka_ConfigResource_t *config;
};

struct live {
    const struct settings *settings;
    rd_kafka_t *client;
    rd_kafka_queue_t *queue; /* for results of admin calls */
    rd_kafka_AdminOptions_t *options;
    struct topic_spec *specs;
    struct live_topic *topics; /* for each spec */
    size_t len;
    unsigned brokers;
    int32_t broker;                      /* one of them */
    span_ms session_least, session_most; /* 0: it does not tell us */
    rd_kafka_event_t *described;         /* holds what topics[].config lends */
};

/* Whatever it returns, live_close must follow. */
int live_open(struct live *live, const struct settings *settings,
              struct error *err);
void live_close(struct live *live);
/* Reads topics and configurations, again if it did before. */
int live_read(struct live *live, struct error *err);
/* A moment, before what does not show yet is asked for again. */
void topics_pause(void);
/* A value of a topic's configuration, NULL where there is none. */
const char *live_value(const struct live_topic *topic, const char *name);
/* Are the topics there, with their partitions, that tell how a queue's group
 * stands? */
bool live_has_group(const struct live *live, unsigned queue);
/* How it stands in each partition, if so. 0, and the caller frees *out. */
int live_standings(struct live *live, unsigned queue, struct standing **out,
                   size_t *len, struct error *err);
/* The spec of a kind, the queue's own. */
size_t live_spec(const struct live *live, enum topic_kind kind, unsigned queue);

/* ---- (topics_check.c) ---------------------------------------------------- */

/* Faults of what was read. on_fault may say by its result that it has enough.
 */
typedef bool fault_fn(int code, const char *fault, void *opaque);
int live_faults(struct live *live, fault_fn *on_fault, void *opaque,
                struct error *err);

#endif
