/* drop_topics.c - deletes the topics and groups of a test's own prefix, so that
 * the tests' Kafka stays small: drop_topics SERVERS PREFIX [groups]
 *
 * With `groups` the topics stay, and only what was committed is gone.
 * What is not there any more, or still in use, is no failure.
 */
#include <librdkafka/rdkafka.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PATIENCE 20000 /* ms */
#define NAMES    1000

static bool
has_prefix(const char *name, const char *prefix)
{
    const size_t len = strlen(prefix);

    return strncmp(name, prefix, len) == 0 && name[len] == '.';
}

static void
await(rd_kafka_queue_t *queue)
{
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, PATIENCE);

    if (event == NULL)
        fputs("drop_topics: no answer\n", stderr);
    rd_kafka_event_destroy(event);
}

static void
drop_groups(rd_kafka_t *client, rd_kafka_queue_t *queue, const char *prefix)
{
    const struct rd_kafka_group_list *list;
    rd_kafka_DeleteGroup_t *drops[NAMES];
    size_t len = 0;

    if (rd_kafka_list_groups(client, NULL, &list, PATIENCE) != 0)
        return;
    for (int i = 0; i < list->group_cnt && len < NAMES; i++) {
        if (has_prefix(list->groups[i].group, prefix))
            drops[len++] = rd_kafka_DeleteGroup_new(list->groups[i].group);
    }
    rd_kafka_group_list_destroy(list);
    if (len > 0) {
        rd_kafka_DeleteGroups(client, drops, len, NULL, queue);
        await(queue);
        rd_kafka_DeleteGroup_destroy_array(drops, len);
    }
}

static void
drop_topics(rd_kafka_t *client, rd_kafka_queue_t *queue, const char *prefix)
{
    const struct rd_kafka_metadata *metadata;
    rd_kafka_DeleteTopic_t *drops[NAMES];
    size_t len = 0;

    if (rd_kafka_metadata(client, 1, NULL, &metadata, PATIENCE) != 0)
        return;
    for (int i = 0; i < metadata->topic_cnt && len < NAMES; i++) {
        if (has_prefix(metadata->topics[i].topic, prefix))
            drops[len++] = rd_kafka_DeleteTopic_new(metadata->topics[i].topic);
    }
    rd_kafka_metadata_destroy(metadata);
    if (len > 0) {
        rd_kafka_DeleteTopics(client, drops, len, NULL, queue);
        await(queue);
        rd_kafka_DeleteTopic_destroy_array(drops, len);
    }
}

int
main(int argc, char **argv)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_queue_t *queue;
    rd_kafka_t *client;
    char why[512];

    if (argc < 3) {
        fputs("usage: drop_topics SERVERS PREFIX [groups]\n", stderr);
        return 2;
    }
    rd_kafka_conf_set(conf, "bootstrap.servers", argv[1], NULL, 0);
    client = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, sizeof(why));
    if (client == NULL) {
        fprintf(stderr, "drop_topics: %s\n", why);
        return 1;
    }
    queue = rd_kafka_queue_new(client);
    drop_groups(client, queue, argv[2]);
    if (argc == 3)
        drop_topics(client, queue, argv[2]);
    rd_kafka_queue_destroy(queue);
    rd_kafka_destroy(client);
    return 0;
}
