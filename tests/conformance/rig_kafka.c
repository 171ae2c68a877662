/* rig_kafka.c - the rig's settings and topics on Kafka. */
#include "tests/conformance/rig_kafka.h"

#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "broker/kafka/client.h"
#include "broker/kafka/topics.h"
#include "common/mem.h"

#define SERVERS "CLOAKROOM_TEST_KAFKA"
#define RUN     "CLOAKROOM_TEST_RUN" /* begins the names of all its topics */

void
rig_use_kafka(const char *file)
{
    FILE *in = fopen(file, "r");
    char servers[200], run[40];

    REQUIRE(in != NULL && fgets(servers, sizeof(servers), in) != NULL,
            "%s: no servers", file);
    fclose(in);
    servers[strcspn(servers, "\n")] = '\0';
    snprintf(run, sizeof(run), "conformance-%d-", (int)getpid());
    setenv(SERVERS, servers, true);
    setenv(RUN, run, true);
}

void
rig_use_test_kafka(void)
{
    char *file = mem_printf("%s/kafka/servers", getenv("TEST_BUILD"));

    rig_use_kafka(file);
    free(file);
}

bool
rig_is_on_kafka(void)
{
    return getenv(SERVERS) != NULL;
}

void
rig_kafka_fill(struct rig *rig)
{
    struct kafka_settings *kafka = &rig->settings.kafka;

    rig->settings.directory = NULL;
    snprintf(rig->prefix, sizeof(rig->prefix), "%s%s", getenv(RUN),
             strrchr(rig->directory, '.') + 1);
    snprintf(rig->view, sizeof(rig->view), "%s/view", rig->directory);
    snprintf(rig->secret, sizeof(rig->secret), "%s/ticket.key", rig->directory);
    kafka->servers = getenv(SERVERS);
    kafka->prefix = rig->prefix;
    kafka->view = rig->view;
    kafka->secret_file = rig->secret;
    kafka->timeout = 5000;
    kafka->partitions = 4;
    kafka->replication = 1;
    kafka->min_insync = 1;
}

static void
ignore_line(const char *line, void *opaque)
{
    (void)line;
    (void)opaque;
}

void
rig_kafka_make(struct rig *rig)
{
    struct error err;
    int r = topics_apply(&rig->settings, false, ignore_line, NULL, &err);

    REQUIRE(r == 0, "%s", err.text);
}

/* ---- the end ------------------------------------------------------------- */

/* All topics whose names begin so. */
static void
delete_topics(rd_kafka_t *client, const char *start)
{
    const struct rd_kafka_metadata *metadata = NULL;
    rd_kafka_DeleteTopic_t **topics;
    rd_kafka_event_t *event;
    size_t len = 0;

    REQUIRE(start != NULL, "no name");
    REQUIRE(rd_kafka_metadata(client, 1, NULL, &metadata, RIG_LIMIT) == 0,
            "no metadata");
    topics = mem_zalloc((size_t)(metadata->topic_cnt + 1) * sizeof(*topics));
    for (int i = 0; i < metadata->topic_cnt; i++) {
        const char *name = metadata->topics[i].topic;
        if (name != NULL && strncmp(name, start, strlen(start)) == 0)
            topics[len++] = rd_kafka_DeleteTopic_new(name);
    }
    rd_kafka_metadata_destroy(metadata);
    if (len > 0) {
        rd_kafka_queue_t *queue = rd_kafka_queue_new(client);
        rd_kafka_DeleteTopics(client, topics, len, NULL, queue);
        if (client_await(queue, RIG_LIMIT, &event, NULL) == 0)
            rd_kafka_event_destroy(event);
        rd_kafka_queue_destroy(queue);
    }
    rd_kafka_DeleteTopic_destroy_array(topics, len);
    free(topics);
}

static void
remove_topics(struct rig *rig, const char *start)
{
    rd_kafka_t *client;

    REQUIRE(client_admin(&rig->settings, &client, NULL) == 0, "no client");
    delete_topics(client, start);
    rd_kafka_destroy(client);
}

void
rig_kafka_remove(struct rig *rig)
{
    char start[sizeof(rig->prefix) + 1];

    snprintf(start, sizeof(start), "%s.", rig->prefix);
    remove_topics(rig, start);
}

void
rig_kafka_remove_all(void)
{
    struct rig rig;

    rig_join(&rig, "/nowhere.x");
    remove_topics(&rig, getenv(RUN));
}
