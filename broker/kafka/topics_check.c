/* topics_check.c - what about the topics is not as it must be, and the command
 * that mends it.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/kafka/topics_priv.h"
#include "common/mem.h"

struct checker {
    struct live *live;
    const char *path, *servers;
    fault_fn *on_fault;
    void *opaque;
    bool enough;
};

/* code: -ENOENT or -EINVAL. */
__attribute__((format(printf, 3, 4))) static void
tell(struct checker *checker, int code, const char *format, ...)
{
    char text[900];
    va_list arguments;

    if (checker->enough)
        return;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    checker->enough = checker->on_fault(code, text, checker->opaque);
}

/* ---- partitions and copies ----------------------------------------------- */

/* Have all topics with a partition for each slot as many as this one, so that
 * it is the settings that are wrong? */
static bool
is_common_number(const struct live *live, unsigned partitions)
{
    for (size_t i = 0; i < live->len; i++)
        if (topics_is_spread(live->specs[i].kind) &&
            live->topics[i].partitions > 0 &&
            live->topics[i].partitions != partitions)
            return false;
    return true;
}

static void
check_partitions(struct checker *checker, const struct topic_spec *spec,
                 const struct live_topic *topic)
{
    if (topic->partitions == spec->partitions)
        return;
    if (topics_is_spread(spec->kind) &&
        is_common_number(checker->live, topic->partitions)) {
        if (spec->kind == TOPIC_TICKETS) /* once is enough */
            tell(checker, -EINVAL,
                 "topic %s and the others have %u partitions, and the "
                 "settings say %u; a topic keeps its number: write "
                 "broker.kafka.topics.partitions: %u into %s",
                 spec->name, topic->partitions, spec->partitions,
                 topic->partitions, checker->path);
        return;
    }
    tell(checker, -EINVAL,
         "topic %s has %u partition%s and must have %u; when nothing in it is "
         "needed: kafka-topics.sh --bootstrap-server %s --delete --topic %s, "
         "then: cloakroom topics apply -c %s",
         spec->name, topic->partitions, topic->partitions == 1 ? "" : "s",
         spec->partitions, checker->servers, spec->name, checker->path);
}

/* Where the settings leave it open, it is as it was made: that a cluster grew
 * is no reason to stop. */
static void
check_replication(struct checker *checker, const struct topic_spec *spec,
                  const struct live_topic *topic)
{
    const unsigned must = checker->live->settings->kafka.replication;

    if (topic->replication < must)
        tell(checker, -EINVAL,
             "topic %s has %u cop%s of each partition and must have %u; add "
             "them: kafka-reassign-partitions.sh --bootstrap-server %s, or "
             "write broker.kafka.topics.replication: %u into %s",
             spec->name, topic->replication,
             topic->replication == 1 ? "y" : "ies", must, checker->servers,
             topic->replication, checker->path);
}

/* ---- configurations ------------------------------------------------------ */

static void
check_configs(struct checker *checker, const struct topic_spec *spec,
              const struct live_topic *topic)
{
    struct topic_config configs[TOPIC_CONFIGS_MAX];
    const size_t len = topics_configs(checker->live->settings, spec,
                                      topic->replication, configs);
    static const char *const words[] = {[RULE_IS] = "",
                                        [RULE_AT_LEAST] = "at least ",
                                        [RULE_AT_MOST] = "at most "};

    for (size_t i = 0; i < len; i++) {
        const char *value = live_value(topic, configs[i].name);
        if (!topic_config_is_met(&configs[i], value))
            tell(checker, -EINVAL,
                 "topic %s has %s=%s and must have %s%s; run: cloakroom topics "
                 "apply -c %s",
                 spec->name, configs[i].name, value == NULL ? "?" : value,
                 words[configs[i].rule], configs[i].value, checker->path);
    }
    const char *insync = live_value(topic, "min.insync.replicas");
    if (insync != NULL && strtoul(insync, NULL, 10) > topic->replication)
        tell(checker, -EINVAL,
             "topic %s wants %s copies in sync and has %u, so that nothing can "
             "be written; run: kafka-configs.sh --bootstrap-server %s --alter "
             "--topic %s --add-config min.insync.replicas=%u",
             spec->name, insync, topic->replication, checker->servers,
             spec->name,
             topics_min_insync(checker->live->settings, topic->replication));
}

/* ---- groups -------------------------------------------------------------- */

/* "3, 4 and 7 more" partitions of one stand, or "" for none. */
static void
list_partitions(const struct standing *standings, size_t len, enum stand stand,
                char *text, size_t room)
{
    const size_t shown_max = 8;
    size_t shown = 0, more = 0, at = 0;

    text[0] = '\0';
    for (size_t p = 0; p < len; p++) {
        if (standing_judge(&standings[p]) != stand)
            continue;
        if (shown == shown_max)
            more++;
        else
            at += (size_t)snprintf(text + at, room - at, "%s%zu",
                                   shown++ == 0 ? "" : ", ", p);
    }
    if (more > 0)
        snprintf(text + at, room - at, " and %zu more", more);
}

static void
tell_standings(struct checker *checker, unsigned queue,
               const struct standing *standings, size_t len)
{
    static const struct {
        const char *what, *how;
    } texts[] = {
        [STAND_BEGIN] = {"has no committed offset that is there",
                         "run: cloakroom topics apply"},
        [STAND_POSITION] = {"has a committed offset without a position in "
                            "tickets",
                            "run: cloakroom topics apply"},
        [STAND_LOST] = {"has lost its committed offset",
                        "what waits is all there, but what ended long ago may "
                        "run again; stop the queue's workers and run: "
                        "cloakroom topics apply --from-oldest"},
    };
    char *group = topics_group(checker->live->settings, queue);
    char *topic = topics_name(checker->live->settings, TOPIC_REQUESTS, queue);
    char partitions[200];

    for (enum stand stand = STAND_BEGIN; stand <= STAND_LOST; stand++) {
        list_partitions(standings, len, stand, partitions, sizeof(partitions));
        if (partitions[0] != '\0')
            tell(checker, stand == STAND_POSITION ? -EINVAL : -ENOENT,
                 "group %s %s, in topic %s, partition %s; %s -c %s", group,
                 texts[stand].what, topic, partitions, texts[stand].how,
                 checker->path);
    }
    free(topic);
    free(group);
}

static int
check_group(struct checker *checker, unsigned queue, struct error *err)
{
    struct standing *standings;
    size_t len;
    int r = live_standings(checker->live, queue, &standings, &len, err);

    if (r < 0)
        return r;
    tell_standings(checker, queue, standings, len);
    free(standings);
    return 0;
}

/* A member's session is its lease. */
static void
check_lease(struct checker *checker, const struct queue_settings *queue)
{
    const struct live *live = checker->live;

    if (live->session_most > 0 && (queue->lease < live->session_least ||
                                   queue->lease > live->session_most))
        tell(checker, -EINVAL,
             "queue %s has a lease of %lldms, and Kafka's brokers take %lldms "
             "to %lldms; change it in %s, or group.%s.session.timeout.ms in "
             "server.properties of every broker",
             queue->name, (long long)queue->lease,
             (long long)live->session_least, (long long)live->session_most,
             checker->path, queue->lease < live->session_least ? "min" : "max");
}

/* ---- all ----------------------------------------------------------------- */

static void
check_topic(struct checker *checker, const struct topic_spec *spec,
            const struct live_topic *topic)
{
    if (topic->partitions == 0) {
        tell(checker, -ENOENT,
             "topic %s is not there; run: cloakroom topics apply -c %s",
             spec->name, checker->path);
        return;
    }
    check_partitions(checker, spec, topic);
    check_replication(checker, spec, topic);
    check_configs(checker, spec, topic);
}

int
live_faults(struct live *live, fault_fn *on_fault, void *opaque,
            struct error *err)
{
    struct checker checker = {.live = live,
                              .path = live->settings->path,
                              .servers = live->settings->kafka.servers,
                              .on_fault = on_fault,
                              .opaque = opaque};
    int r = 0;

    for (size_t i = 0; i < live->len; i++)
        check_topic(&checker, &live->specs[i], &live->topics[i]);
    for (unsigned q = 0; r == 0 && q < live->settings->queues_len; q++) {
        check_lease(&checker, &live->settings->queues[q]);
        if (!checker.enough && live_has_group(live, q))
            r = check_group(&checker, q, err);
    }
    return r;
}

static int
with_faults(const struct settings *settings, fault_fn *on_fault, void *opaque,
            struct error *err)
{
    int r = -ETIMEDOUT;

    for (int i = 0; r == -ETIMEDOUT && i < TOPICS_TRIES; i++) {
        struct live live;
        r = live_open(&live, settings, err);
        if (r == 0)
            r = live_read(&live, err);
        /* After its first word there is no beginning again. */
        if (r == 0) {
            r = live_faults(&live, on_fault, opaque, err);
            i = TOPICS_TRIES;
        }
        live_close(&live);
    }
    return r;
}

static bool
keep_first(int code, const char *fault, void *opaque)
{
    error_set(opaque, code, "%s", fault);
    return true;
}

int
topics_check(const struct settings *settings, struct error *err)
{
    struct error fault = {.code = 0};
    int r = with_faults(settings, keep_first, &fault, err);

    return r < 0 || fault.code == 0
               ? r
               : error_set(err, fault.code, "%s", fault.text);
}

struct lines {
    topics_line_fn *on_fault;
    void *opaque;
    size_t len;
};

static bool
pass_on(int code, const char *fault, void *opaque)
{
    struct lines *lines = opaque;

    (void)code;
    lines->len++;
    lines->on_fault(fault, lines->opaque);
    return false;
}

int
topics_faults(const struct settings *settings, topics_line_fn *on_fault,
              void *opaque, size_t *faults, struct error *err)
{
    struct lines lines = {.on_fault = on_fault, .opaque = opaque};
    int r = with_faults(settings, pass_on, &lines, err);

    if (r == 0)
        *faults = lines.len;
    return r;
}
