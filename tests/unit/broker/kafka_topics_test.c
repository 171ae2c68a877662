/* kafka_topics_test.c - what topics there are, how they must be, and what a
 * group's offset is worth. */
#include "tests/unit/test.h"

#include <string.h>

#include "broker/kafka/topics_priv.h"
#include "common/mem.h"

#define HOUR (3600 * 1000LL)

static char shop[] = "shop", hits[] = "hits", mail[] = "a.b";

static const struct settings *
two_queues(void)
{
    static struct queue_settings *queues;
    static struct settings settings;

    if (queues == NULL)
        queues = mem_zalloc(2 * sizeof(*queues));
    queues[0] = (struct queue_settings){.name = hits, .retention_age = HOUR};
    queues[1] = (struct queue_settings){.name = mail, .retention_age = 1};
    settings = (struct settings){
        .kafka = {.prefix = shop, .partitions = 7},
        .queues = queues,
        .queues_len = 2,
    };
    return &settings;
}

static void
check_spec(const struct topic_spec *spec, const char *name, unsigned partitions,
           span_ms retention)
{
    ck_assert_str_eq(spec->name, name);
    ck_assert_uint_eq(spec->partitions, partitions);
    ck_assert_int_eq(spec->retention, retention);
}

START_TEST(each_queue_has_two_topics_and_all_have_four)
{
    size_t len;
    struct topic_spec *specs = topics_specs(two_queues(), &len);

    ck_assert_uint_eq(len, 8);
    check_spec(&specs[0], "shop.requests.hits", 7, -1);
    check_spec(&specs[1], "shop.dead.hits", 7, 25 * HOUR);
    check_spec(&specs[2], "shop.requests.a.b", 7, -1);
    check_spec(&specs[3], "shop.dead.a.b", 7, 24 * HOUR + 1);
    check_spec(&specs[4], "shop.tickets", 7, -1);
    check_spec(&specs[5], "shop.bodies", 7, -1);
    check_spec(&specs[6], "shop.control", 1, -1);
    check_spec(&specs[7], "shop.workers", 1, HOUR);
    topics_specs_free(specs, len);
}
END_TEST

START_TEST(a_group_has_the_name_of_its_queue)
{
    char *group = topics_group(two_queues(), 1);

    ck_assert_str_eq(group, "shop.a.b");
    free(group);
}
END_TEST

START_TEST(copies_follow_the_brokers_unless_they_are_said)
{
    struct settings settings = {.kafka = {.partitions = 1}};

    ck_assert_uint_eq(topics_replication(&settings, 1), 1);
    ck_assert_uint_eq(topics_replication(&settings, 2), 2);
    ck_assert_uint_eq(topics_replication(&settings, 9), 3);
    ck_assert_uint_eq(topics_min_insync(&settings, 1), 1);
    ck_assert_uint_eq(topics_min_insync(&settings, 3), 2);
    settings.kafka.replication = 5;
    settings.kafka.min_insync = 1;
    ck_assert_uint_eq(topics_replication(&settings, 1), 5);
    ck_assert_uint_eq(topics_min_insync(&settings, 5), 1);
}
END_TEST

static bool
is_met(enum topic_rule rule, const char *must, const char *is)
{
    struct topic_config config = {.name = "x", .rule = rule};

    strcpy(config.value, must);
    return topic_config_is_met(&config, is);
}

START_TEST(a_limit_that_is_wider_will_do)
{
    ck_assert(is_met(RULE_AT_LEAST, "100", "100"));
    ck_assert(is_met(RULE_AT_LEAST, "100", "101"));
    ck_assert(is_met(RULE_AT_LEAST, "100", "-1")); /* no limit */
    ck_assert(!is_met(RULE_AT_LEAST, "100", "99"));
    ck_assert(!is_met(RULE_AT_LEAST, "100", ""));
    ck_assert(!is_met(RULE_AT_LEAST, "100", "100x"));
    ck_assert(is_met(RULE_AT_MOST, "100", "99"));
    ck_assert(!is_met(RULE_AT_MOST, "100", "101"));
    ck_assert(!is_met(RULE_AT_MOST, "100", "-1"));
    ck_assert(is_met(RULE_IS, "delete", "delete"));
    ck_assert(!is_met(RULE_IS, "delete", "compact,delete"));
    ck_assert(!is_met(RULE_IS, "delete", NULL));
}
END_TEST

START_TEST(what_is_asked_of_a_new_topic_is_what_is_checked)
{
    struct topic_config configs[TOPIC_CONFIGS_MAX];
    size_t specs_len;
    struct topic_spec *specs = topics_specs(two_queues(), &specs_len);

    for (size_t i = 0; i < specs_len; i++) {
        const size_t len = topics_configs(two_queues(), &specs[i], 3, configs);
        ck_assert_uint_gt(len, 0);
        for (size_t j = 0; j < len; j++)
            ck_assert(topic_config_is_met(&configs[j], configs[j].value));
    }
    topics_specs_free(specs, specs_len);
}
END_TEST

static enum stand
judge(int64_t committed, bool has_position, int64_t low, int64_t end,
      int64_t facts_low)
{
    return standing_judge(&(struct standing){.committed = committed,
                                             .has_position = has_position,
                                             .low = low,
                                             .end = end,
                                             .facts_low = facts_low});
}

START_TEST(an_offset_within_the_log_stands)
{
    ck_assert_int_eq(judge(0, true, 0, 0, 0), STAND_GOOD);
    ck_assert_int_eq(judge(5, true, 5, 9, 3), STAND_GOOD);
    ck_assert_int_eq(judge(9, true, 5, 9, 3), STAND_GOOD);
    ck_assert_int_eq(judge(9, false, 5, 9, 3), STAND_POSITION);
}
END_TEST

START_TEST(a_group_begins_only_where_nothing_can_be_forgotten)
{
    ck_assert_int_eq(judge(-1, false, 0, 0, 0), STAND_BEGIN);
    ck_assert_int_eq(judge(-1, false, 0, 9, 0), STAND_BEGIN);
    ck_assert_int_eq(judge(-1, false, 7, 7, 3), STAND_BEGIN);
    ck_assert_int_eq(judge(-1, false, 0, 9, 1), STAND_LOST);
    ck_assert_int_eq(judge(-1, false, 1, 9, 0), STAND_LOST);
    ck_assert_int_eq(judge(4, true, 5, 9, 3), STAND_LOST);
    ck_assert_int_eq(judge(10, true, 5, 9, 3), STAND_LOST);
}
END_TEST

TESTS("broker", "kafka_topics", each_queue_has_two_topics_and_all_have_four,
      a_group_has_the_name_of_its_queue,
      copies_follow_the_brokers_unless_they_are_said,
      a_limit_that_is_wider_will_do,
      what_is_asked_of_a_new_topic_is_what_is_checked,
      an_offset_within_the_log_stands,
      a_group_begins_only_where_nothing_can_be_forgotten)
