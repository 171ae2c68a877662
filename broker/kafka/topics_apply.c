/* topics_apply.c - makes the topics as they must be.
 *
 *     read --> make what is missing, change configurations --> read until it
 *     shows --> commit the offsets that groups lack --> check
 *
 * Kafka's brokers hear of a new topic one after the other: until the one that
 * is asked knows it, it is asked again.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/kafka/topics_priv.h"
#include "common/mem.h"

struct apply {
    struct live live;
    bool from_oldest;
    topics_line_fn *on_done;
    void *opaque;
};

__attribute__((format(printf, 2, 3))) static void
tell(struct apply *apply, const char *format, ...)
{
    char text[900];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    apply->on_done(text, apply->opaque);
}

/* ---- making -------------------------------------------------------------- */

static rd_kafka_NewTopic_t *
new_topic(const struct live *live, const struct topic_spec *spec,
          struct error *err)
{
    const unsigned replication =
        topics_replication(live->settings, live->brokers);
    struct topic_config configs[TOPIC_CONFIGS_MAX];
    const size_t len =
        topics_configs(live->settings, spec, replication, configs);
    char reason[300];
    rd_kafka_NewTopic_t *topic =
        rd_kafka_NewTopic_new(spec->name, (int)spec->partitions,
                              (int)replication, reason, sizeof(reason));

    if (topic == NULL) {
        error_set(err, -EINVAL, "topic %s: %s", spec->name, reason);
        return NULL;
    }
    for (size_t i = 0; i < len; i++)
        rd_kafka_NewTopic_set_config(topic, configs[i].name, configs[i].value);
    return topic;
}

static int
tell_made(struct apply *apply, rd_kafka_event_t *event, struct error *err)
{
    const unsigned copies =
        topics_replication(apply->live.settings, apply->live.brokers);
    size_t len;
    const rd_kafka_topic_result_t **results =
        rd_kafka_CreateTopics_result_topics(
            rd_kafka_event_CreateTopics_result(event), &len);
    int r = 0;

    for (size_t i = 0; i < len; i++) {
        const char *name = rd_kafka_topic_result_name(results[i]);
        const rd_kafka_resp_err_t error =
            rd_kafka_topic_result_error(results[i]);
        if (error == RD_KAFKA_RESP_ERR_NO_ERROR)
            tell(apply, "topic %s: made, %u cop%s of each partition", name,
                 copies, copies == 1 ? "y" : "ies");
        else if (error != RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS && r == 0)
            r = error_set(err, client_errno(error), "making topic %s: %s", name,
                          rd_kafka_topic_result_error_string(results[i]));
    }
    return r;
}

static int
make_missing(struct apply *apply, struct error *err)
{
    struct live *live = &apply->live;
    rd_kafka_NewTopic_t **topics =
        mem_zalloc((live->len + 1) * sizeof(rd_kafka_NewTopic_t *));
    rd_kafka_event_t *event = NULL;
    size_t len = 0;
    int r = 0;

    for (size_t i = 0; r == 0 && i < live->len; i++) {
        if (live->topics[i].partitions > 0)
            continue;
        topics[len] = new_topic(live, &live->specs[i], err);
        r = topics[len] == NULL ? -EINVAL : 0;
        len += r == 0;
    }
    if (r == 0 && len > 0) {
        rd_kafka_CreateTopics(live->client, topics, len, live->options,
                              live->queue);
        r = client_await(live->queue, TOPICS_LIMIT, &event, err);
    }
    if (event != NULL) {
        r = tell_made(apply, event, err);
        rd_kafka_event_destroy(event);
    }
    rd_kafka_NewTopic_destroy_array(topics, len);
    free(topics);
    return r;
}

/* ---- changing ------------------------------------------------------------ */

static bool
is_met(const struct live *live, size_t at)
{
    const struct live_topic *topic = &live->topics[at];
    struct topic_config configs[TOPIC_CONFIGS_MAX];
    const size_t len = topics_configs(live->settings, &live->specs[at],
                                      topic->replication, configs);

    for (size_t i = 0; i < len; i++)
        if (!topic_config_is_met(&configs[i],
                                 live_value(topic, configs[i].name)))
            return false;
    return true;
}

/* What must be set, NULL if that is not named or is so already. */
static const struct topic_config *
find_unmet(const struct topic_config *configs, size_t len, const char *name,
           const char *value)
{
    for (size_t i = 0; i < len; i++)
        if (strcmp(configs[i].name, name) == 0 &&
            !topic_config_is_met(&configs[i], value))
            return &configs[i];
    return NULL;
}

/* The call replaces all that a topic has of its own, and takes no name twice:
 * what it has stays, but for what must be otherwise. */
static void
keep_configs(const struct live_topic *topic, const struct topic_config *configs,
             size_t len, rd_kafka_ConfigResource_t *changed)
{
    size_t own;
    const rd_kafka_ConfigEntry_t **entries =
        rd_kafka_ConfigResource_configs(topic->config, &own);

    for (size_t i = 0; i < own; i++) {
        const char *name = rd_kafka_ConfigEntry_name(entries[i]);
        const char *value = rd_kafka_ConfigEntry_value(entries[i]);
        if (rd_kafka_ConfigEntry_source(entries[i]) ==
                RD_KAFKA_CONFIG_SOURCE_DYNAMIC_TOPIC_CONFIG &&
            find_unmet(configs, len, name, value) == NULL)
            rd_kafka_ConfigResource_set_config(changed, name, value);
    }
}

static rd_kafka_ConfigResource_t *
changed_configs(struct apply *apply, size_t at)
{
    const struct live_topic *topic = &apply->live.topics[at];
    const struct topic_spec *spec = &apply->live.specs[at];
    rd_kafka_ConfigResource_t *changed =
        rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, spec->name);
    struct topic_config configs[TOPIC_CONFIGS_MAX];
    const size_t len =
        topics_configs(apply->live.settings, spec, topic->replication, configs);

    keep_configs(topic, configs, len, changed);
    for (size_t i = 0; i < len; i++) {
        const char *value = live_value(topic, configs[i].name);
        if (topic_config_is_met(&configs[i], value))
            continue;
        rd_kafka_ConfigResource_set_config(changed, configs[i].name,
                                           configs[i].value);
        tell(apply, "topic %s: %s=%s, was %s", spec->name, configs[i].name,
             configs[i].value, value == NULL ? "not there" : value);
    }
    return changed;
}

static int
first_refused(rd_kafka_event_t *event, struct error *err)
{
    size_t len;
    const rd_kafka_ConfigResource_t **resources =
        rd_kafka_AlterConfigs_result_resources(
            rd_kafka_event_AlterConfigs_result(event), &len);

    for (size_t i = 0; i < len; i++) {
        const rd_kafka_resp_err_t error =
            rd_kafka_ConfigResource_error(resources[i]);
        if (error != RD_KAFKA_RESP_ERR_NO_ERROR)
            return error_set(
                err, client_errno(error), "configuring topic %s: %s",
                rd_kafka_ConfigResource_name(resources[i]),
                rd_kafka_ConfigResource_error_string(resources[i]));
    }
    return 0;
}

static int
change_configs(struct apply *apply, struct error *err)
{
    struct live *live = &apply->live;
    rd_kafka_ConfigResource_t **changed =
        mem_zalloc((live->len + 1) * sizeof(rd_kafka_ConfigResource_t *));
    rd_kafka_event_t *event = NULL;
    size_t len = 0;
    int r = 0;

    for (size_t i = 0; i < live->len; i++)
        if (live->topics[i].partitions > 0 && !is_met(live, i))
            changed[len++] = changed_configs(apply, i);
    if (len > 0) {
        rd_kafka_AlterConfigs(live->client, changed, len, live->options,
                              live->queue);
        r = client_await(live->queue, TOPICS_LIMIT, &event, err);
    }
    if (event != NULL) {
        r = first_refused(event, err);
        rd_kafka_event_destroy(event);
    }
    rd_kafka_ConfigResource_destroy_array(changed, len);
    free(changed);
    return r;
}

/* ---- until it shows ------------------------------------------------------ */

static bool
shows(const struct live *live)
{
    for (size_t i = 0; i < live->len; i++)
        if (live->topics[i].partitions == 0 || !is_met(live, i))
            return false;
    return true;
}

/* What does not show in the end is told by the check. */
static int
settle(struct live *live, struct error *err)
{
    const mono_ms until = clock_mono() + TOPICS_LIMIT;
    int r;

    while ((r = live_read(live, err)) == 0 && !shows(live) &&
           clock_mono() < until)
        topics_pause();
    return r;
}

/* ---- groups -------------------------------------------------------------- */

static void
add_offset(rd_kafka_topic_partition_list_t *list, const char *topic, size_t p,
           int64_t offset, int64_t position)
{
    rd_kafka_topic_partition_t *one =
        rd_kafka_topic_partition_list_add(list, topic, (int32_t)p);

    one->offset = offset;
    client_set_position(one, position);
}

static void
list_offsets(const struct apply *apply, const char *topic,
             const struct standing *standings, size_t len,
             rd_kafka_topic_partition_list_t *list)
{
    for (size_t p = 0; p < len; p++) {
        const struct standing *standing = &standings[p];
        const enum stand stand = standing_judge(standing);
        if (stand == STAND_GOOD || (stand == STAND_LOST && !apply->from_oldest))
            continue;
        add_offset(list, topic, p,
                   stand == STAND_POSITION ? standing->committed
                                           : standing->low,
                   standing->facts_low);
    }
}

static int
first_not_committed(rd_kafka_event_t *event, const char *group,
                    struct error *err)
{
    size_t groups;
    const rd_kafka_group_result_t **results =
        rd_kafka_AlterConsumerGroupOffsets_result_groups(
            rd_kafka_event_AlterConsumerGroupOffsets_result(event), &groups);
    const rd_kafka_error_t *error =
        groups == 0 ? NULL : rd_kafka_group_result_error(results[0]);
    const rd_kafka_topic_partition_list_t *list =
        groups == 0 ? NULL : rd_kafka_group_result_partitions(results[0]);
    rd_kafka_resp_err_t code =
        error == NULL ? RD_KAFKA_RESP_ERR_NO_ERROR : rd_kafka_error_code(error);

    for (int i = 0; list != NULL && code == 0 && i < list->cnt; i++)
        code = list->elems[i].err;
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR)
        return 0;
    if (client_errno(code) == -ESTALE)
        return error_set(err, -ESTALE,
                         "group %s has members: stop the workers of the queue "
                         "and repeat this",
                         group);
    return client_fails(err, code, "committing offsets of group %s", group);
}

static int
commit(struct live *live, const char *group,
       const rd_kafka_topic_partition_list_t *list, struct error *err)
{
    rd_kafka_AlterConsumerGroupOffsets_t *request =
        rd_kafka_AlterConsumerGroupOffsets_new(group, list);
    rd_kafka_event_t *event = NULL;
    int r;

    rd_kafka_AlterConsumerGroupOffsets(live->client, &request, 1, live->options,
                                       live->queue);
    rd_kafka_AlterConsumerGroupOffsets_destroy(request);
    r = client_await(live->queue, TOPICS_LIMIT, &event, err);
    if (r < 0)
        return error_wrap(err, r, "committing offsets of group %s", group);
    r = first_not_committed(event, group, err);
    rd_kafka_event_destroy(event);
    return r;
}

static int
commit_queue(struct apply *apply, unsigned queue, struct error *err)
{
    const size_t at = live_spec(&apply->live, TOPIC_REQUESTS, queue);
    const char *topic = apply->live.specs[at].name;
    struct standing *standings;
    size_t len;
    int r = live_standings(&apply->live, queue, &standings, &len, err);

    if (r < 0)
        return r;
    rd_kafka_topic_partition_list_t *list =
        rd_kafka_topic_partition_list_new((int)len);
    char *group = topics_group(apply->live.settings, queue);
    list_offsets(apply, topic, standings, len, list);
    if (list->cnt > 0)
        r = commit(&apply->live, group, list, err);
    if (list->cnt > 0 && r == 0)
        tell(apply, "group %s: offsets committed in %d partition%s of %s",
             group, list->cnt, list->cnt == 1 ? "" : "s", topic);
    rd_kafka_topic_partition_list_destroy(list);
    free(standings);
    free(group);
    return r;
}

/* A broker that leads a new topic's partition, or a group, may not know yet. */
static int
commit_groups(struct apply *apply, struct error *err)
{
    const mono_ms until = clock_mono() + TOPICS_LIMIT;
    int r = 0;

    for (unsigned q = 0; r == 0 && q < apply->live.settings->queues_len; q++) {
        if (!live_has_group(&apply->live, q))
            continue;
        while ((r = commit_queue(apply, q, err)) < 0 &&
               (r == -ENOENT || r == -ENOTCONN) && clock_mono() < until)
            topics_pause();
    }
    return r;
}

/* ---- all ----------------------------------------------------------------- */

static int
apply_all(struct apply *apply, struct error *err)
{
    int r = live_read(&apply->live, err);

    rd_kafka_AdminOptions_set_request_timeout(apply->live.options, TOPICS_LIMIT,
                                              NULL, 0);
    if (r == 0)
        r = make_missing(apply, err);
    if (r == 0)
        r = change_configs(apply, err);
    if (r == 0)
        r = settle(&apply->live, err);
    return r < 0 ? r : commit_groups(apply, err);
}

int
topics_apply(const struct settings *settings, bool from_oldest,
             topics_line_fn *on_done, void *opaque, struct error *err)
{
    struct apply apply = {
        .from_oldest = from_oldest, .on_done = on_done, .opaque = opaque};
    int r = live_open(&apply.live, settings, err);

    if (r == 0)
        r = apply_all(&apply, err);
    live_close(&apply.live);
    return r < 0 ? r : topics_check(settings, err);
}
