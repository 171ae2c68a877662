/* topics_live.c - what Kafka says of our topics and groups. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "broker/kafka/topics_priv.h"
#include "common/mem.h"

#define AGAIN 50 /* ms until what does not show yet is asked for again */

int
live_open(struct live *live, const struct settings *settings, struct error *err)
{
    int r;

    *live = (struct live){.settings = settings};
    live->specs = topics_specs(settings, &live->len);
    live->topics = mem_zalloc(live->len * sizeof(*live->topics));
    r = client_admin(settings, &live->client, err);
    if (r < 0)
        return r;
    live->queue = rd_kafka_queue_new(live->client);
    live->options =
        rd_kafka_AdminOptions_new(live->client, RD_KAFKA_ADMIN_OP_ANY);
    rd_kafka_AdminOptions_set_request_timeout(live->options, TOPICS_PATIENCE,
                                              NULL, 0);
    return 0;
}

void
live_close(struct live *live)
{
    if (live->described != NULL)
        rd_kafka_event_destroy(live->described);
    if (live->client != NULL) {
        rd_kafka_AdminOptions_destroy(live->options);
        rd_kafka_queue_destroy(live->queue);
        rd_kafka_destroy(live->client);
    }
    free(live->topics);
    topics_specs_free(live->specs, live->len);
}

size_t
live_spec(const struct live *live, enum topic_kind kind, unsigned queue)
{
    for (size_t i = 0; i < live->len; i++)
        if (live->specs[i].kind == kind && live->specs[i].queue == queue)
            return i;
    assert(!"a spec for each");
    return 0;
}

void
topics_pause(void)
{
    nanosleep(&(struct timespec){.tv_nsec = AGAIN * 1000000L}, NULL);
}

/* ---- topics -------------------------------------------------------------- */

static size_t
find(const struct live *live, const char *name)
{
    size_t i = 0;

    while (i < live->len && strcmp(live->specs[i].name, name) != 0)
        i++;
    return i;
}

static void
take_topic(struct live_topic *topic, const rd_kafka_metadata_topic_t *from)
{
    /* Just made, or just deleted, is not there. */
    if (from->err != RD_KAFKA_RESP_ERR_NO_ERROR || from->partition_cnt == 0)
        return;
    topic->partitions = (unsigned)from->partition_cnt;
    topic->replication = (unsigned)from->partitions[0].replica_cnt;
    for (int p = 1; p < from->partition_cnt; p++)
        if ((unsigned)from->partitions[p].replica_cnt < topic->replication)
            topic->replication = (unsigned)from->partitions[p].replica_cnt;
}

static int
read_topics(struct live *live, struct error *err)
{
    const struct rd_kafka_metadata *metadata;
    const rd_kafka_resp_err_t error = rd_kafka_metadata(
        live->client, 1, NULL, &metadata, (int)live->settings->kafka.timeout);

    if (error != RD_KAFKA_RESP_ERR_NO_ERROR)
        return client_fails(err, error, "no broker of %.200s answers",
                            live->settings->kafka.servers);
    live->brokers = (unsigned)metadata->broker_cnt;
    if (metadata->broker_cnt > 0)
        live->broker = metadata->brokers[0].id;
    for (int i = 0; i < metadata->topic_cnt; i++) {
        const size_t at = find(live, metadata->topics[i].topic);
        if (at < live->len)
            take_topic(&live->topics[at], &metadata->topics[i]);
    }
    rd_kafka_metadata_destroy(metadata);
    return 0;
}

static const char *
value_of(const rd_kafka_ConfigResource_t *config, const char *name)
{
    size_t len;
    const rd_kafka_ConfigEntry_t **entries =
        rd_kafka_ConfigResource_configs(config, &len);

    for (size_t i = 0; i < len; i++)
        if (strcmp(rd_kafka_ConfigEntry_name(entries[i]), name) == 0)
            return rd_kafka_ConfigEntry_value(entries[i]);
    return NULL;
}

const char *
live_value(const struct live_topic *topic, const char *name)
{
    return topic->config == NULL ? NULL : value_of(topic->config, name);
}

static int
take_configs(struct live *live, struct error *err)
{
    size_t len;
    const rd_kafka_ConfigResource_t **resources =
        rd_kafka_DescribeConfigs_result_resources(
            rd_kafka_event_DescribeConfigs_result(live->described), &len);

    for (size_t i = 0; i < len; i++) {
        const char *name = rd_kafka_ConfigResource_name(resources[i]);
        const rd_kafka_resp_err_t error =
            rd_kafka_ConfigResource_error(resources[i]);
        const size_t at = find(live, name);
        if (error == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART && at < live->len)
            live->topics[at].partitions = 0; /* this broker has not heard yet */
        else if (error != RD_KAFKA_RESP_ERR_NO_ERROR)
            return client_fails(err, error, "the configuration of %s", name);
        else if (at < live->len)
            live->topics[at].config = resources[i];
    }
    return 0;
}

static int
read_configs(struct live *live, struct error *err)
{
    rd_kafka_ConfigResource_t **asked =
        mem_zalloc((live->len + 1) * sizeof(rd_kafka_ConfigResource_t *));
    size_t len = 0;
    int r = 0;

    for (size_t i = 0; i < live->len; i++)
        if (live->topics[i].partitions > 0)
            asked[len++] = rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC,
                                                       live->specs[i].name);
    if (len > 0) {
        rd_kafka_DescribeConfigs(live->client, asked, len, live->options,
                                 live->queue);
        r = client_await(live->queue, TOPICS_LIMIT, &live->described, err);
        if (r == 0)
            r = take_configs(live, err);
    }
    rd_kafka_ConfigResource_destroy_array(asked, len);
    free(asked);
    return r;
}

static span_ms
number_of(const rd_kafka_ConfigResource_t *config, const char *name)
{
    const char *value = value_of(config, name);

    return value == NULL ? 0 : strtoll(value, NULL, 10);
}

/* Who may not read a broker's configuration goes without: a group then says
 * itself that it does not take a session. */
static void
read_sessions(struct live *live)
{
    rd_kafka_ConfigResource_t *asked;
    rd_kafka_event_t *event;
    char name[16];
    size_t len;

    snprintf(name, sizeof(name), "%d", (int)live->broker);
    asked = rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_BROKER, name);
    rd_kafka_DescribeConfigs(live->client, &asked, 1, live->options,
                             live->queue);
    rd_kafka_ConfigResource_destroy(asked);
    if (client_await(live->queue, TOPICS_LIMIT, &event, NULL) < 0)
        return;
    const rd_kafka_ConfigResource_t **resources =
        rd_kafka_DescribeConfigs_result_resources(
            rd_kafka_event_DescribeConfigs_result(event), &len);
    if (len > 0) {
        live->session_least =
            number_of(resources[0], "group.min.session.timeout.ms");
        live->session_most =
            number_of(resources[0], "group.max.session.timeout.ms");
    }
    rd_kafka_event_destroy(event);
}

int
live_read(struct live *live, struct error *err)
{
    int r;

    if (live->described != NULL)
        rd_kafka_event_destroy(TAKE(live->described));
    memset(live->topics, 0, live->len * sizeof(*live->topics));
    r = read_topics(live, err);
    if (r == 0)
        r = read_configs(live, err);
    if (r == 0)
        read_sessions(live);
    return r;
}

int
topics_look(const struct settings *settings, struct topic_state **out,
            size_t *len, struct error *err)
{
    struct topic_state *states;
    struct live live;
    int r = live_open(&live, settings, err);

    if (r == 0)
        r = live_read(&live, err);
    if (r == 0) {
        *out = states = mem_zalloc((live.len + 1) * sizeof(*states));
        *len = live.len;
        for (size_t i = 0; i < live.len; i++) {
            const struct live_topic *topic = &live.topics[i];
            const char *age = live_value(topic, "retention.ms");
            const char *insync = live_value(topic, "min.insync.replicas");
            states[i] = (struct topic_state){
                .spec = live.specs[i],
                .partitions = topic->partitions,
                .replication = topic->replication,
                .min_insync =
                    insync == NULL ? 0 : (unsigned)strtoul(insync, NULL, 10),
                .retention = age == NULL ? 0 : strtoll(age, NULL, 10),
            };
            live.specs[i].name = NULL; /* it went with the spec */
        }
    }
    live_close(&live);
    return r;
}

void
topics_states_free(struct topic_state *states, size_t len)
{
    for (size_t i = 0; i < len; i++)
        free(states[i].spec.name);
    free(states);
}

/* ---- groups -------------------------------------------------------------- */

static void
take_committed(const rd_kafka_topic_partition_list_t *list,
               struct standing *standings)
{
    for (int i = 0; i < list->cnt; i++) {
        const rd_kafka_topic_partition_t *one = &list->elems[i];
        if (one->offset < 0)
            continue;
        standings[one->partition].committed = one->offset;
        standings[one->partition].has_position = client_position(one) >= 0;
    }
}

static int
read_committed(struct live *live, unsigned queue, const char *topic,
               struct standing *standings, size_t len, struct error *err)
{
    char *group = topics_group(live->settings, queue);
    rd_kafka_topic_partition_list_t *list;
    int r = client_commits(live->settings, group, topic, (int32_t)len,
                           TOPICS_LIMIT, &list, err);

    if (r == 0) {
        take_committed(list, standings);
        rd_kafka_topic_partition_list_destroy(list);
    }
    free(group);
    return r;
}

bool
live_has_group(const struct live *live, unsigned queue)
{
    const size_t requests = live_spec(live, TOPIC_REQUESTS, queue);
    const size_t tickets = live_spec(live, TOPIC_TICKETS, 0);
    const unsigned must = live->specs[requests].partitions;

    return live->topics[requests].partitions == must &&
           live->topics[tickets].partitions == must;
}

typedef void store_fn(struct standing *standing, int64_t offset);

static void
store_low(struct standing *standing, int64_t offset)
{
    standing->low = offset;
}

static void
store_end(struct standing *standing, int64_t offset)
{
    standing->end = offset;
}

static void
store_facts_low(struct standing *standing, int64_t offset)
{
    standing->facts_low = offset;
}

/* One offset of each partition of a topic. */
static int
read_offsets(struct live *live, const char *topic, enum client_where where,
             store_fn *store, struct standing *standings, size_t len,
             struct error *err)
{
    rd_kafka_topic_partition_list_t *list =
        rd_kafka_topic_partition_list_new((int)len);
    int r;

    rd_kafka_topic_partition_list_add_range(list, topic, 0, (int)len - 1);
    r = client_offsets(live->client, list, where, TOPICS_LIMIT, err);
    for (int i = 0; r == 0 && i < list->cnt; i++)
        store(&standings[list->elems[i].partition], list->elems[i].offset);
    rd_kafka_topic_partition_list_destroy(list);
    return r;
}

int
live_standings(struct live *live, unsigned queue, struct standing **out,
               size_t *len, struct error *err)
{
    const size_t at = live_spec(live, TOPIC_REQUESTS, queue);
    const char *requests = live->specs[at].name;
    const char *tickets = live->specs[live_spec(live, TOPIC_TICKETS, 0)].name;
    const size_t count = live->specs[at].partitions;
    struct standing *standings = mem_zalloc(count * sizeof(*standings));
    int r;

    for (size_t p = 0; p < count; p++)
        standings[p].committed = -1;
    r = read_committed(live, queue, requests, standings, count, err);
    if (r == 0)
        r = read_offsets(live, requests, CLIENT_OLDEST, store_low, standings,
                         count, err);
    if (r == 0)
        r = read_offsets(live, requests, CLIENT_END, store_end, standings,
                         count, err);
    if (r == 0)
        r = read_offsets(live, tickets, CLIENT_OLDEST, store_facts_low,
                         standings, count, err);
    if (r < 0) {
        free(standings);
        return r;
    }
    *out = standings;
    *len = count;
    return 0;
}
