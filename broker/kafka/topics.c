/* topics.c - names of topics, how they must be; nothing here asks Kafka. */
#include "broker/kafka/topics.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/kafka/topics_priv.h"
#include "common/mem.h"

#define DAY    (24 * 3600 * 1000LL)
#define HOUR   (3600 * 1000LL)
#define MINUTE (60 * 1000LL)

enum owner { QUEUE, ALL };
enum spread { SLOTS, ONE };
enum retention { FOREVER, DEAD, BEATS };

static const struct topic_info {
    const char *word;
    enum owner owner;
    enum spread spread;
    enum retention retention;
    const char *kept, *why;
} infos[TOPIC_KINDS] = {
#define TOPIC(name, word, owner, spread, retention, kept, why)                 \
    {word, owner, spread, retention, kept, why},
#include "broker/kafka/topics.def"
#undef TOPIC
};

/* ---- names --------------------------------------------------------------- */

char *
topics_name(const struct settings *settings, enum topic_kind kind,
            unsigned queue)
{
    const bool of_queue = infos[kind].owner == QUEUE;

    return mem_printf("%s.%s%s%s", settings->kafka.prefix, infos[kind].word,
                      of_queue ? "." : "",
                      of_queue ? settings->queues[queue].name : "");
}

char *
topics_group(const struct settings *settings, unsigned queue)
{
    return mem_printf("%s.%s", settings->kafka.prefix,
                      settings->queues[queue].name);
}

unsigned
topics_partitions(const struct settings *settings)
{
    return settings->kafka.partitions;
}

bool
topics_is_spread(enum topic_kind kind)
{
    return infos[kind].spread == SLOTS;
}

/* ---- specs --------------------------------------------------------------- */

static span_ms
retention_of(const struct settings *settings, enum topic_kind kind,
             unsigned queue)
{
    switch (infos[kind].retention) {
    case FOREVER:
        return -1;
    case DEAD:
        return settings->queues[queue].retention_age + DAY;
    case BEATS:
        return HOUR;
    }
    return -1;
}

static struct topic_spec
spec_of(const struct settings *settings, enum topic_kind kind, unsigned queue)
{
    return (struct topic_spec){
        .name = topics_name(settings, kind, queue),
        .kind = kind,
        .queue = queue,
        .partitions = topics_is_spread(kind) ? topics_partitions(settings) : 1,
        .retention = retention_of(settings, kind, queue),
        .kept = infos[kind].kept,
        .why = infos[kind].why,
    };
}

struct topic_spec *
topics_specs(const struct settings *settings, size_t *len)
{
    struct topic_spec *specs =
        mem_zalloc(TOPIC_KINDS * (settings->queues_len + 1) * sizeof(*specs));

    *len = 0;
    for (unsigned queue = 0; queue < settings->queues_len; queue++)
        for (enum topic_kind kind = 0; kind < TOPIC_KINDS; kind++)
            if (infos[kind].owner == QUEUE)
                specs[(*len)++] = spec_of(settings, kind, queue);
    for (enum topic_kind kind = 0; kind < TOPIC_KINDS; kind++)
        if (infos[kind].owner == ALL)
            specs[(*len)++] = spec_of(settings, kind, 0);
    return specs;
}

void
topics_specs_free(struct topic_spec *specs, size_t len)
{
    for (size_t i = 0; i < len; i++)
        free(specs[i].name);
    free(specs);
}

/* ---- configurations ------------------------------------------------------ */

#define REPLICATION_DEFAULT 3

unsigned
topics_replication(const struct settings *settings, unsigned brokers)
{
    const unsigned wanted = settings->kafka.replication;

    if (wanted > 0)
        return wanted;
    return brokers < REPLICATION_DEFAULT ? brokers : REPLICATION_DEFAULT;
}

unsigned
topics_min_insync(const struct settings *settings, unsigned replication)
{
    const unsigned wanted = settings->kafka.min_insync;

    if (wanted > 0)
        return wanted;
    return replication > 1 ? replication - 1 : 1;
}

static struct topic_config
config_of(const char *name, enum topic_rule rule, long long value)
{
    struct topic_config config = {.name = name, .rule = rule};

    snprintf(config.value, sizeof(config.value), "%lld", value);
    return config;
}

size_t
topics_configs(const struct settings *settings, const struct topic_spec *spec,
               unsigned replication,
               struct topic_config configs[TOPIC_CONFIGS_MAX])
{
    const enum topic_rule age = spec->retention < 0 ? RULE_IS : RULE_AT_LEAST;
    size_t len = 0;

    configs[len++] = (struct topic_config){"cleanup.policy", RULE_IS, "delete"};
    configs[len++] = config_of("retention.ms", age, spec->retention);
    configs[len++] = config_of("retention.bytes", RULE_IS, -1);
    configs[len++] =
        config_of("max.message.bytes", RULE_AT_LEAST, KAFKA_RECORD_MAX);
    configs[len++] = config_of("min.insync.replicas", RULE_AT_LEAST,
                               topics_min_insync(settings, replication));
    /* A copy that lacks what was acknowledged never becomes the log. */
    configs[len++] = (struct topic_config){"unclean.leader.election.enable",
                                           RULE_IS, "false"};
    /* The broker's clock: one is enough to go wrong, and times then grow along
     * a log, so that one can look for them. */
    configs[len++] = (struct topic_config){"message.timestamp.type", RULE_IS,
                                           "LogAppendTime"};
    /* Only whole segments go by age. */
    if (spec->kind == TOPIC_WORKERS)
        configs[len++] = config_of("segment.ms", RULE_AT_MOST, 10 * MINUTE);
    assert(len <= TOPIC_CONFIGS_MAX);
    return len;
}

/* Kafka's -1 is no limit at all. */
static bool
read_limit(const char *text, int64_t *value)
{
    char *rest;

    errno = 0;
    *value = strtoll(text, &rest, 10);
    if (*value < 0)
        *value = INT64_MAX;
    return errno == 0 && rest != text && *rest == '\0';
}

bool
topic_config_is_met(const struct topic_config *config, const char *value)
{
    int64_t is, must;

    if (value == NULL)
        return false;
    if (config->rule == RULE_IS)
        return strcmp(config->value, value) == 0;
    if (!read_limit(value, &is) || !read_limit(config->value, &must))
        return false;
    return config->rule == RULE_AT_LEAST ? is >= must : is <= must;
}

/* ---- groups -------------------------------------------------------------- */

enum stand
standing_judge(const struct standing *standing)
{
    const bool is_empty = standing->low == standing->end;
    const bool is_whole = standing->low == 0 && standing->facts_low == 0;

    if (standing->committed >= standing->low &&
        standing->committed <= standing->end)
        return standing->has_position ? STAND_GOOD : STAND_POSITION;
    return is_empty || is_whole ? STAND_BEGIN : STAND_LOST;
}
