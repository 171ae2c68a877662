/* client.c - producers and consumers from the settings; errors in our words. */
#include "broker/kafka/client.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/mem.h"
#include "common/nearest.h"

/* ---- errors -------------------------------------------------------------- */

int
client_errno(rd_kafka_resp_err_t error)
{
    switch (error) {
    case RD_KAFKA_RESP_ERR_NO_ERROR:
        return 0;
    case RD_KAFKA_RESP_ERR__TIMED_OUT:
    case RD_KAFKA_RESP_ERR__TIMED_OUT_QUEUE:
    case RD_KAFKA_RESP_ERR__MSG_TIMED_OUT:
    case RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT:
        return -ETIMEDOUT;
    case RD_KAFKA_RESP_ERR__TRANSPORT:
    case RD_KAFKA_RESP_ERR__RESOLVE:
    case RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN:
    case RD_KAFKA_RESP_ERR__WAIT_COORD:
    case RD_KAFKA_RESP_ERR__ISR_INSUFF:
    case RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE:
    case RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION:
    case RD_KAFKA_RESP_ERR_BROKER_NOT_AVAILABLE:
    case RD_KAFKA_RESP_ERR_REPLICA_NOT_AVAILABLE:
    case RD_KAFKA_RESP_ERR_NETWORK_EXCEPTION:
    case RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS:
    case RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE:
    case RD_KAFKA_RESP_ERR_NOT_COORDINATOR:
    case RD_KAFKA_RESP_ERR_NOT_CONTROLLER:
    case RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS:
    case RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS_AFTER_APPEND:
        return -ENOTCONN;
    case RD_KAFKA_RESP_ERR__QUEUE_FULL:
        return -ENOBUFS;
    case RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE:
    case RD_KAFKA_RESP_ERR_RECORD_LIST_TOO_LARGE:
    case RD_KAFKA_RESP_ERR_INVALID_MSG_SIZE:
    case RD_KAFKA_RESP_ERR_OFFSET_METADATA_TOO_LARGE:
        return -EMSGSIZE;
    case RD_KAFKA_RESP_ERR__FENCED:
    case RD_KAFKA_RESP_ERR__ASSIGNMENT_LOST:
    case RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION:
    case RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID:
    case RD_KAFKA_RESP_ERR_REBALANCE_IN_PROGRESS:
    case RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID:
        return -ESTALE;
    case RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC:
    case RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION:
    case RD_KAFKA_RESP_ERR__PARTITION_EOF:
    case RD_KAFKA_RESP_ERR__NO_OFFSET:
    case RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET:
    case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:
    case RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE:
    case RD_KAFKA_RESP_ERR_GROUP_ID_NOT_FOUND:
        return -ENOENT;
    case RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS:
        return -EALREADY;
    case RD_KAFKA_RESP_ERR__AUTHENTICATION:
    case RD_KAFKA_RESP_ERR__SSL:
    case RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED:
    case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED:
        return -EACCES;
    case RD_KAFKA_RESP_ERR__INVALID_ARG:
    case RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION:
    case RD_KAFKA_RESP_ERR_INVALID_PARTITIONS:
    case RD_KAFKA_RESP_ERR_INVALID_REPLICATION_FACTOR:
    case RD_KAFKA_RESP_ERR_INVALID_CONFIG:
    case RD_KAFKA_RESP_ERR_INVALID_SESSION_TIMEOUT:
    case RD_KAFKA_RESP_ERR_POLICY_VIOLATION:
        return -EINVAL;
    case RD_KAFKA_RESP_ERR__DESTROY:
        return -ESHUTDOWN;
    default:
        return -EIO;
    }
}

int
client_fails(struct error *err, rd_kafka_resp_err_t error, const char *format,
             ...)
{
    char purpose[400];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(purpose, sizeof(purpose), format, arguments);
    va_end(arguments);
    return error_set(err, client_errno(error), "%s: %s", purpose,
                     rd_kafka_err2str(error));
}

int
client_fatal(rd_kafka_t *client, struct error *err)
{
    char reason[512];
    const rd_kafka_resp_err_t error =
        rd_kafka_fatal_error(client, reason, sizeof(reason));

    if (error == RD_KAFKA_RESP_ERR_NO_ERROR)
        return 0;
    return error_set(err, -EIO, "%s: %s", rd_kafka_err2name(error), reason);
}

/* ---- what librdkafka has to say ------------------------------------------ */

static void
tell(enum log_event event, const char *facility, const char *text)
{
    char quoted[600];

    log_event(event, "facility=%s text=%s", facility,
              log_quote(slice_of(text), quoted, sizeof(quoted)));
}

#define SYSLOG_WARNING 4 /* syslog.h's names are those of our own levels */

static void
on_log(const rd_kafka_t *client, int level, const char *facility,
       const char *text)
{
    (void)client;
    /* That a property is a consumer's is no news: all clients get all. */
    if (strcmp(facility, "CONFWARN") != 0)
        tell(level <= SYSLOG_WARNING ? EVENT_KAFKA : EVENT_KAFKA_DEBUG,
             facility, text);
}

static void
on_error(rd_kafka_t *client, int code, const char *reason, void *opaque)
{
    const rd_kafka_resp_err_t error = (rd_kafka_resp_err_t)code;
    struct error err;

    (void)opaque;
    if (error == RD_KAFKA_RESP_ERR__FATAL && client_fatal(client, &err) < 0)
        tell(EVENT_KAFKA_ERROR, "FATAL", err.text);
    else if (error == RD_KAFKA_RESP_ERR__TRANSPORT ||
             error == RD_KAFKA_RESP_ERR__RESOLVE) /* of one broker */
        tell(EVENT_KAFKA_DEBUG, rd_kafka_err2name(error), reason);
    else
        tell(EVENT_KAFKA_ERROR, rd_kafka_err2name(error), reason);
}

/* ---- configurations ------------------------------------------------------ */

#define HEARTBEAT_MAX 500 /* ms; of a member of a group */

enum role {
    PRODUCER = 1,
    CONSUMER = 2,
    MEMBER = 4, /* of a group; a consumer too */
    ADMIN = 8,
    BULK = 16, /* beside CONSUMER or PRODUCER: for many records */
};
#define ANY_ROLE (PRODUCER | CONSUMER | MEMBER | ADMIN)

/* What is not said here is librdkafka's default. */
struct preset {
    const char *name;
    const char *value; /* NULL: set where the client is made */
    unsigned roles;
    bool fixed; /* `properties` may not set it */
};

static const struct preset presets[] = {
    {"bootstrap.servers", NULL, ANY_ROLE, true},
    {"metadata.broker.list", NULL, 0, true}, /* the same */
    {"client.id", "cloakroom", ANY_ROLE, false},
    {"socket.nagle.disable", "true", ANY_ROLE, false},
    {"socket.keepalive.enable", "true", ANY_ROLE, false},
    /* A broker that is cut off is found out, and tried again soon. */
    {"socket.timeout.ms", "10000", ANY_ROLE, false},
    {"socket.connection.setup.timeout.ms", "5000", ANY_ROLE, false},
    {"reconnect.backoff.ms", "50", ANY_ROLE, false},
    {"reconnect.backoff.max.ms", "1000", ANY_ROLE, false},

    {"enable.idempotence", "true", PRODUCER, true},
    {"acks", "all", PRODUCER, true},
    {"request.required.acks", NULL, 0, true}, /* the same */
    {"transactional.id", NULL, 0, true},
    {"message.timeout.ms", NULL, PRODUCER, true},
    {"delivery.timeout.ms", NULL, 0, true}, /* the same */
    {"delivery.report.only.error", "false", PRODUCER, true},
    {"message.max.bytes", NULL, PRODUCER, true},
    {"queue.buffering.max.kbytes", NULL, PRODUCER, false},
    {"linger.ms", "0", PRODUCER, false},

    {"group.id", NULL, CONSUMER | MEMBER, true},
    {"enable.auto.commit", "false", CONSUMER | MEMBER, true},
    {"auto.commit.enable", NULL, 0, true}, /* the same, of old */
    {"enable.auto.offset.store", "false", CONSUMER | MEMBER, true},
    {"auto.offset.reset", "error", CONSUMER | MEMBER, true},
    {"allow.auto.create.topics", "false", CONSUMER | MEMBER, true},
    {"enable.partition.eof", "false", CONSUMER, true},
    {"enable.partition.eof", "true", MEMBER, true},
    /* We use no transactions, and nobody else's are to hold us up. */
    {"isolation.level", "read_uncommitted", CONSUMER | MEMBER, true},
    {"check.crcs", "true", CONSUMER | MEMBER, false},
    {"fetch.wait.max.ms", "500", CONSUMER | MEMBER, false},
    {"fetch.error.backoff.ms", "50", CONSUMER | MEMBER, false},
    {"queued.max.messages.kbytes", NULL, CONSUMER | MEMBER, false},

    {"partition.assignment.strategy", "range", MEMBER, true},
    {"session.timeout.ms", NULL, MEMBER, true},
    {"heartbeat.interval.ms", NULL, MEMBER, true},
    {"max.poll.interval.ms", "86400000", MEMBER, true}, /* its largest */
    {"group.instance.id", NULL, 0, true},
};

static bool
is_fixed(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(presets); i++)
        if (presets[i].fixed && strcmp(presets[i].name, name) == 0)
            return true;
    return false;
}

/* Of ours: that it is taken is our business. */
static void
set(rd_kafka_conf_t *conf, const char *name, const char *value)
{
    char reason[300];
    const rd_kafka_conf_res_t r =
        rd_kafka_conf_set(conf, name, value, reason, sizeof(reason));

    assert(r == RD_KAFKA_CONF_OK);
}

static void
set_number(rd_kafka_conf_t *conf, const char *name, int64_t value)
{
    char text[24];

    snprintf(text, sizeof(text), "%lld", (long long)value);
    set(conf, name, text);
}

/* "; did you mean `x`?", or nothing. */
static void
hint_at_property(const rd_kafka_conf_t *conf, const char *wrong, char *hint,
                 size_t room)
{
    rd_kafka_conf_t *copy = rd_kafka_conf_dup(conf);
    size_t len = 0;
    const char **pairs = rd_kafka_conf_dump(copy, &len);
    const char **names = mem_zalloc((len / 2 + 1) * sizeof(*names));

    for (size_t i = 0; i < len / 2; i++)
        names[i] = pairs[2 * i];
    const char *near = nearest_word(wrong, names, len / 2);
    if (near == NULL)
        hint[0] = '\0';
    else
        snprintf(hint, room, "; did you mean `%s`?", near);
    free(names);
    rd_kafka_conf_dump_free(pairs, len);
    rd_kafka_conf_destroy(copy);
}

static int
set_property(rd_kafka_conf_t *conf, const struct settings *settings,
             const struct pair *property, struct error *err)
{
    char reason[300], hint[150];
    rd_kafka_conf_res_t r;

    if (is_fixed(property->name)) {
        snprintf(reason, sizeof(reason), "is set by Cloakroom; take it out");
        r = RD_KAFKA_CONF_INVALID;
    } else
        r = rd_kafka_conf_set(conf, property->name, property->value, reason,
                              sizeof(reason));
    if (r == RD_KAFKA_CONF_OK)
        return 0;
    if (r == RD_KAFKA_CONF_UNKNOWN) {
        hint_at_property(conf, property->name, hint, sizeof(hint));
        snprintf(reason, sizeof(reason), "is no property of librdkafka %s%s",
                 rd_kafka_version_str(), hint);
    }
    return error_set(err, -EINVAL,
                     "%s:%d:%d: broker.kafka.properties.%.100s: %s",
                     settings->path, property->line, property->column,
                     property->name, reason);
}

/* NULL after an error. */
static rd_kafka_conf_t *
conf_new(const struct settings *settings, unsigned role, struct error *err)
{
    const struct kafka_settings *kafka = &settings->kafka;
    const char *fault = client_version_fault(rd_kafka_version());
    rd_kafka_conf_t *conf;

    if (fault != NULL) {
        error_set(err, -EINVAL, "librdkafka %s %s", rd_kafka_version_str(),
                  fault);
        return NULL;
    }
    conf = rd_kafka_conf_new();
    rd_kafka_conf_set_log_cb(conf, on_log);
    rd_kafka_conf_set_error_cb(conf, on_error);
    for (size_t i = 0; i < ARRAY_LEN(presets); i++)
        if (presets[i].value != NULL && (presets[i].roles & role) != 0)
            set(conf, presets[i].name, presets[i].value);
    set_number(conf, "message.max.bytes", KAFKA_RECORD_MAX);
    set_number(conf, "queue.buffering.max.kbytes", CLIENT_UNSENT_MAX / 1024);
    if ((role & PRODUCER) != 0 && (role & BULK) != 0)
        set(conf, "linger.ms", "0.5");
    set_number(conf, "queued.max.messages.kbytes",
               ((role & BULK) != 0 ? CLIENT_BULK_MAX : CLIENT_FETCHED_MAX) /
                   1024);
    for (size_t i = 0; i < kafka->properties_len; i++)
        if (set_property(conf, settings, &kafka->properties[i], err) < 0) {
            rd_kafka_conf_destroy(conf);
            return NULL;
        }
    set(conf, "bootstrap.servers", kafka->servers);
    return conf;
}

const char *
client_version_fault(int version)
{
    /* 0xMMmmrrpp. In 2.1 and 2.2 offsets are stored without their leader's
     * epoch and a broker is flooded with requests for it (#4425, #4442). */
    if (version < 0x02000200)
        return "is older than any that is tested; take 2.0.2, or 2.3.0 or "
               "newer";
    if (version >= 0x02010000 && version < 0x02030000)
        return "asks brokers for epochs without end; take 2.3.0 or newer";
    return NULL;
}

int
client_check(const struct settings *settings, struct error *err)
{
    rd_kafka_conf_t *conf = conf_new(settings, ADMIN, err);

    if (conf == NULL)
        return -EINVAL;
    rd_kafka_conf_destroy(conf);
    return 0;
}

/* ---- clients ------------------------------------------------------------- */

/* Takes conf. */
static int
client_new(rd_kafka_type_t type, rd_kafka_conf_t *conf, rd_kafka_t **out,
           struct error *err)
{
    char reason[512];
    rd_kafka_t *client = rd_kafka_new(type, conf, reason, sizeof(reason));

    if (client == NULL) {
        rd_kafka_conf_destroy(conf);
        return error_set(err, -EINVAL, "broker.kafka: %s", reason);
    }
    *out = client;
    return 0;
}

int
client_producer(const struct settings *settings, bool bulk, span_ms timeout,
                client_delivered_fn *on_delivered, void *opaque,
                rd_kafka_t **out, struct error *err)
{
    rd_kafka_conf_t *conf =
        conf_new(settings, PRODUCER | (bulk ? BULK : 0), err);

    if (conf == NULL)
        return -EINVAL;
    set_number(conf, "message.timeout.ms", timeout);
    rd_kafka_conf_set_dr_msg_cb(conf, on_delivered);
    rd_kafka_conf_set_opaque(conf, opaque);
    return client_new(RD_KAFKA_PRODUCER, conf, out, err);
}

static int
consumer_new(rd_kafka_conf_t *conf, rd_kafka_t **out, struct error *err)
{
    int r = client_new(RD_KAFKA_CONSUMER, conf, out, err);

    if (r == 0)
        rd_kafka_poll_set_consumer(*out);
    return r;
}

/* Names of queues begin with a letter or digit, so that none has this group. */
static void
set_no_group(rd_kafka_conf_t *conf, const struct settings *settings)
{
    char *group = mem_printf("%s.-", settings->kafka.prefix);

    set(conf, "group.id", group);
    free(group);
}

int
client_consumer(const struct settings *settings, unsigned how, rd_kafka_t **out,
                struct error *err)
{
    rd_kafka_conf_t *conf = conf_new(
        settings, CONSUMER | ((how & CLIENT_BULK) != 0 ? BULK : 0), err);

    if (conf == NULL)
        return -EINVAL;
    set_no_group(conf, settings);
    if ((how & CLIENT_EOF) != 0)
        set(conf, "enable.partition.eof", "true");
    /* No small queued.min.messages: where it is reached, librdkafka fetches
     * nothing for a second, also for who reads on. */
    if ((how & CLIENT_BRIEF) != 0)
        set(conf, "fetch.wait.max.ms", "10");
    if ((how & CLIENT_LAZY) != 0) {
        set(conf, "fetch.wait.max.ms", "50");
        set(conf, "fetch.min.bytes", "1048576");
    }
    return consumer_new(conf, out, err);
}

int
client_group_consumer(const struct settings *settings, const char *group,
                      span_ms session_timeout,
                      client_rebalance_fn *on_rebalance, void *opaque,
                      rd_kafka_t **out, struct error *err)
{
    rd_kafka_conf_t *conf = conf_new(settings, MEMBER, err);

    if (conf == NULL)
        return -EINVAL;
    set(conf, "group.id", group);
    set_number(conf, "session.timeout.ms", session_timeout);
    /* Its answer tells us that others join or leave: they wait for us. */
    set_number(conf, "heartbeat.interval.ms",
               session_timeout / 3 < HEARTBEAT_MAX ? session_timeout / 3
                                                   : HEARTBEAT_MAX);
    rd_kafka_conf_set_rebalance_cb(conf, on_rebalance);
    rd_kafka_conf_set_opaque(conf, opaque);
    return consumer_new(conf, out, err);
}

int
client_admin(const struct settings *settings, rd_kafka_t **out,
             struct error *err)
{
    rd_kafka_conf_t *conf = conf_new(settings, ADMIN, err);

    if (conf == NULL)
        return -EINVAL;
    return client_new(RD_KAFKA_PRODUCER, conf, out, err);
}
