/* topics.h - the topics and groups that Cloakroom has in Kafka.
 *
 * topics.def says which there are and why. `cloakroom topics apply` makes them;
 * every process that opens the broker checks them first.
 *
 * I1: a topic's partitions are as many as when it was made: a ticket's slot
 *     names its partition, so another number would be another place. Nothing
 *     here changes it.
 * I2: a queue's group has a committed offset in every partition: its absence
 *     is damage, not a beginning. `apply` commits the first ones, where there
 *     is nothing that could be forgotten by it.
 * I3: nothing here deletes anything.
 *
 * Threads: any. Source: docs/design.md, section 4.
 */
#ifndef BROKER_KAFKA_TOPICS_H
#define BROKER_KAFKA_TOPICS_H

#include <stdbool.h>
#include <stddef.h>

#include "common/error.h"
#include "common/settings.h"

enum topic_kind {
#define TOPIC(name, word, owner, spread, retention, kept, why) TOPIC_##name,
#include "broker/kafka/topics.def"
#undef TOPIC
    TOPIC_KINDS
};

/* "cloakroom.requests.hits". queue is of use for requests and dead letters
 * only. The caller's. */
char *topics_name(const struct settings *settings, enum topic_kind kind,
                  unsigned queue);
/* "cloakroom.hits", the group of a queue's workers. The caller's. */
char *topics_group(const struct settings *settings, unsigned queue);
/* How many partitions requests, tickets, bodies and dead letters have each:
 * after topics_check, in Kafka too. */
unsigned topics_partitions(const struct settings *settings);

/* One topic as it must be. */
struct topic_spec {
    char *name;
    enum topic_kind kind;
    unsigned queue; /* where there is one for each */
    unsigned partitions;
    span_ms retention; /* at least; -1: never deleted by age */
    const char *kept, *why;
};

/* All of them, those of queues first. */
struct topic_spec *topics_specs(const struct settings *settings, size_t *len);
void topics_specs_free(struct topic_spec *specs, size_t len);

/* ---- in Kafka ----------------------------------------------------------- */

/* A line without its end; lent. */
typedef void topics_line_fn(const char *line, void *opaque);

/* Are they all there, and as they must be; does each group stand somewhere?
 * 0: yes. -ENOENT: something is missing; -EINVAL: something is not as it must
 * be; err is the first fault: the topic, what is, what must be, and the command
 * that mends it. -ENOTCONN or -ETIMEDOUT: no broker answers. -EACCES. */
int topics_check(const struct settings *settings, struct error *err);

/* The same, all of them: each is a line. 0 with their number; else as above,
 * when Kafka could not be asked. */
int topics_faults(const struct settings *settings, topics_line_fn *on_fault,
                  void *opaque, size_t *faults, struct error *err);

/* Makes what is missing, changes configurations that differ, commits the first
 * offsets of groups; each is a line. What is as it must be stays untouched, so
 * that a second call changes nothing. Then it is checked: 0, or as
 * topics_check, for what cannot be mended here.
 *
 * from_oldest: where a group's offset is lost, it begins at the oldest request
 * there is. Nothing that waits is lost by it, but what ended so long ago that
 * this is forgotten may run again. No worker of the queue may run. */
int topics_apply(const struct settings *settings, bool from_oldest,
                 topics_line_fn *on_done, void *opaque, struct error *err);

/* One topic as it is. */
struct topic_state {
    struct topic_spec spec;
    unsigned partitions; /* 0: it is not there, nor is what follows */
    unsigned replication;
    unsigned min_insync;
    span_ms retention;
};

/* In the order of topics_specs. */
int topics_look(const struct settings *settings, struct topic_state **out,
                size_t *len, struct error *err);
void topics_states_free(struct topic_state *states, size_t len);

#endif
