/* kafka_tamper.c - does to Kafka what Cloakroom must notice.
 *
 *     kafka_tamper SERVERS create TOPIC PARTITIONS
 *     kafka_tamper SERVERS delete TOPIC
 *     kafka_tamper SERVERS configure TOPIC NAME VALUE   (and nothing else)
 *     kafka_tamper SERVERS produce TOPIC PARTITION TEXT
 *     kafka_tamper SERVERS truncate TOPIC PARTITION OFFSET
 *     kafka_tamper SERVERS forget GROUP TOPIC PARTITION
 *     kafka_tamper SERVERS commit GROUP TOPIC PARTITION OFFSET
 *     kafka_tamper SERVERS committed GROUP TOPIC PARTITION
 *
 * `committed` prints "OFFSET METADATA", or "none". Exits with 1 after a
 * sentence on stderr.
 */
#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LIMIT 20000 /* ms */

static rd_kafka_t *client;
static rd_kafka_queue_t *queue;

static void
check(rd_kafka_resp_err_t error, const char *what)
{
    if (error == RD_KAFKA_RESP_ERR_NO_ERROR)
        return;
    fprintf(stderr, "kafka_tamper: %s: %s\n", what, rd_kafka_err2str(error));
    exit(1);
}

static rd_kafka_event_t *
await(const char *what)
{
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, LIMIT);

    check(event == NULL ? RD_KAFKA_RESP_ERR__TIMED_OUT
                        : rd_kafka_event_error(event),
          what);
    return event;
}

static rd_kafka_topic_partition_list_t *
one_partition(char **words, int64_t offset)
{
    rd_kafka_topic_partition_list_t *list =
        rd_kafka_topic_partition_list_new(1);

    rd_kafka_topic_partition_list_add(list, words[0], atoi(words[1]))->offset =
        offset;
    return list;
}

static void
create(char **words)
{
    char reason[200];
    size_t len;
    rd_kafka_NewTopic_t *topic = rd_kafka_NewTopic_new(
        words[0], atoi(words[1]), 1, reason, sizeof(reason));

    rd_kafka_CreateTopics(client, &topic, 1, NULL, queue);
    rd_kafka_event_t *event = await("create");
    check(rd_kafka_topic_result_error(rd_kafka_CreateTopics_result_topics(
              rd_kafka_event_CreateTopics_result(event), &len)[0]),
          "create");
    rd_kafka_event_destroy(event);
    rd_kafka_NewTopic_destroy(topic);
}

static void
delete_topic(char **words)
{
    size_t len;
    rd_kafka_DeleteTopic_t *topic = rd_kafka_DeleteTopic_new(words[0]);

    rd_kafka_DeleteTopics(client, &topic, 1, NULL, queue);
    rd_kafka_event_t *event = await("delete");
    check(rd_kafka_topic_result_error(rd_kafka_DeleteTopics_result_topics(
              rd_kafka_event_DeleteTopics_result(event), &len)[0]),
          "delete");
    rd_kafka_event_destroy(event);
    rd_kafka_DeleteTopic_destroy(topic);
}

static void
configure(char **words)
{
    size_t len;
    rd_kafka_ConfigResource_t *topic =
        rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, words[0]);

    rd_kafka_ConfigResource_set_config(topic, words[1], words[2]);
    rd_kafka_AlterConfigs(client, &topic, 1, NULL, queue);
    rd_kafka_event_t *event = await("configure");
    check(rd_kafka_ConfigResource_error(rd_kafka_AlterConfigs_result_resources(
              rd_kafka_event_AlterConfigs_result(event), &len)[0]),
          "configure");
    rd_kafka_event_destroy(event);
    rd_kafka_ConfigResource_destroy(topic);
}

static void
on_delivered(rd_kafka_t *producer, const rd_kafka_message_t *message,
             void *opaque)
{
    (void)producer;
    (void)opaque;
    check(message->err, "produce");
}

static void
produce(char **words)
{
    check(rd_kafka_producev(client, RD_KAFKA_V_TOPIC(words[0]),
                            RD_KAFKA_V_PARTITION(atoi(words[1])),
                            RD_KAFKA_V_VALUE(words[2], strlen(words[2])),
                            RD_KAFKA_V_END),
          "produce");
    check(rd_kafka_flush(client, LIMIT), "produce");
}

static void
truncate_log(char **words)
{
    rd_kafka_topic_partition_list_t *list =
        one_partition(words, atoll(words[2]));
    rd_kafka_DeleteRecords_t *request = rd_kafka_DeleteRecords_new(list);

    rd_kafka_DeleteRecords(client, &request, 1, NULL, queue);
    rd_kafka_event_t *event = await("truncate");
    check(rd_kafka_DeleteRecords_result_offsets(
              rd_kafka_event_DeleteRecords_result(event))
              ->elems[0]
              .err,
          "truncate");
    rd_kafka_event_destroy(event);
    rd_kafka_DeleteRecords_destroy(request);
    rd_kafka_topic_partition_list_destroy(list);
}

static const rd_kafka_topic_partition_t *
first_of(const rd_kafka_group_result_t **groups, const char *what)
{
    const rd_kafka_error_t *error = rd_kafka_group_result_error(groups[0]);

    if (error != NULL)
        check(rd_kafka_error_code(error), what);
    check(rd_kafka_group_result_partitions(groups[0])->elems[0].err, what);
    return &rd_kafka_group_result_partitions(groups[0])->elems[0];
}

static void
forget(char **words)
{
    size_t len;
    rd_kafka_topic_partition_list_t *list = one_partition(words + 1, 0);
    rd_kafka_DeleteConsumerGroupOffsets_t *request =
        rd_kafka_DeleteConsumerGroupOffsets_new(words[0], list);

    rd_kafka_DeleteConsumerGroupOffsets(client, &request, 1, NULL, queue);
    rd_kafka_event_t *event = await("forget");
    first_of(rd_kafka_DeleteConsumerGroupOffsets_result_groups(
                 rd_kafka_event_DeleteConsumerGroupOffsets_result(event), &len),
             "forget");
    rd_kafka_event_destroy(event);
    rd_kafka_DeleteConsumerGroupOffsets_destroy(request);
    rd_kafka_topic_partition_list_destroy(list);
}

static void
commit(char **words)
{
    size_t len;
    rd_kafka_topic_partition_list_t *list =
        one_partition(words + 1, atoll(words[3]));
    rd_kafka_AlterConsumerGroupOffsets_t *request =
        rd_kafka_AlterConsumerGroupOffsets_new(words[0], list);

    rd_kafka_AlterConsumerGroupOffsets(client, &request, 1, NULL, queue);
    rd_kafka_event_t *event = await("commit");
    first_of(rd_kafka_AlterConsumerGroupOffsets_result_groups(
                 rd_kafka_event_AlterConsumerGroupOffsets_result(event), &len),
             "commit");
    rd_kafka_event_destroy(event);
    rd_kafka_AlterConsumerGroupOffsets_destroy(request);
    rd_kafka_topic_partition_list_destroy(list);
}

static void
committed(char **words)
{
    size_t len;
    rd_kafka_topic_partition_list_t *list = one_partition(words + 1, 0);
    rd_kafka_ListConsumerGroupOffsets_t *request =
        rd_kafka_ListConsumerGroupOffsets_new(words[0], list);

    rd_kafka_ListConsumerGroupOffsets(client, &request, 1, NULL, queue);
    rd_kafka_event_t *event = await("committed");
    const rd_kafka_topic_partition_t *one = first_of(
        rd_kafka_ListConsumerGroupOffsets_result_groups(
            rd_kafka_event_ListConsumerGroupOffsets_result(event), &len),
        "committed");
    if (one->offset < 0)
        printf("none\n");
    else
        printf("%lld %.*s\n", (long long)one->offset, (int)one->metadata_size,
               (const char *)one->metadata);
    rd_kafka_event_destroy(event);
    rd_kafka_ListConsumerGroupOffsets_destroy(request);
    rd_kafka_topic_partition_list_destroy(list);
}

static const struct {
    const char *name;
    int words;
    void (*run)(char **words);
} deeds[] = {
    {"create", 2, create},         {"delete", 1, delete_topic},
    {"configure", 3, configure},   {"produce", 3, produce},
    {"truncate", 3, truncate_log}, {"forget", 3, forget},
    {"commit", 4, commit},         {"committed", 3, committed},
};

int
main(int argc, char **argv)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    char reason[200];

    for (size_t i = 0; i < sizeof(deeds) / sizeof(deeds[0]); i++) {
        if (argc < 3 || strcmp(deeds[i].name, argv[2]) != 0 ||
            argc != deeds[i].words + 3)
            continue;
        rd_kafka_conf_set(conf, "bootstrap.servers", argv[1], NULL, 0);
        rd_kafka_conf_set_dr_msg_cb(conf, on_delivered);
        client = rd_kafka_new(RD_KAFKA_PRODUCER, conf, reason, sizeof(reason));
        if (client == NULL)
            check(RD_KAFKA_RESP_ERR__FAIL, reason);
        queue = rd_kafka_queue_new(client);
        deeds[i].run(argv + 3);
        rd_kafka_queue_destroy(queue);
        rd_kafka_destroy(client);
        return 0;
    }
    rd_kafka_conf_destroy(conf);
    fprintf(stderr, "kafka_tamper: see its first lines for what it takes\n");
    return 2;
}
