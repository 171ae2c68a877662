/* kafka_client_test.c - clients from settings, against librdkafka's own mock
 * of a broker where one is needed.
 */
#include "tests/unit/test.h"

#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
#include <string.h>

#include "broker/kafka/client.h"
#include "common/mem.h"

#define LIMIT 10000 /* ms; for what takes a few */

/* A mock, and settings that name it; both end with the process of the test. */
static const struct settings *
mock_settings(void)
{
    static struct pair none[1];
    static char path[] = "/etc/x.yaml", prefix[] = "p", name[] = "client.id",
                value[] = "test";
    static struct settings settings = {.path = path,
                                       .kafka = {.prefix = prefix}};
    rd_kafka_t *host =
        rd_kafka_new(RD_KAFKA_PRODUCER, rd_kafka_conf_new(), NULL, 0);
    rd_kafka_mock_cluster_t *mock = rd_kafka_mock_cluster_new(host, 1);

    none[0] = (struct pair){name, value, 1, 1};
    rd_kafka_mock_topic_create(mock, "log", 2, 1);
    settings.kafka.servers = mem_strdup(rd_kafka_mock_cluster_bootstraps(mock));
    settings.kafka.properties = none;
    settings.kafka.properties_len = 1;
    return &settings;
}

static void
check_refused(const char *name, const char *value, const char *why)
{
    char servers[] = "127.0.0.1:1", prefix[] = "p", path[] = "/x.yaml";
    char name_copy[64], value_copy[64];
    struct pair property = {name_copy, value_copy, 7, 9};
    const struct settings settings = {.path = path,
                                      .kafka = {.servers = servers,
                                                .prefix = prefix,
                                                .properties = &property,
                                                .properties_len = 1}};
    struct error err;

    strcpy(name_copy, name);
    strcpy(value_copy, value);
    ck_assert_int_eq(client_check(&settings, &err), -EINVAL);
    ck_assert_msg(strstr(err.text, why) != NULL, "%s", err.text);
}

START_TEST(a_wrong_property_is_refused_with_its_line)
{
    check_refused("securty.protocol", "SSL",
                  "/x.yaml:7:9: broker.kafka.properties.securty.protocol: is "
                  "no property of librdkafka");
    check_refused("securty.protocol", "SSL",
                  "; did you mean `security.protocol`?");
    check_refused("security.protocol", "TLS",
                  "/x.yaml:7:9: broker.kafka.properties.security.protocol: "
                  "Invalid value");
}
END_TEST

START_TEST(what_the_promises_rest_on_is_not_for_properties_to_set)
{
    static const char *const names[] = {"acks",
                                        "request.required.acks",
                                        "enable.idempotence",
                                        "group.id",
                                        "auto.offset.reset",
                                        "enable.auto.commit",
                                        "auto.commit.enable",
                                        "bootstrap.servers",
                                        "session.timeout.ms",
                                        "transactional.id"};

    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        check_refused(names[i], "1", "is set by Cloakroom; take it out");
}
END_TEST

START_TEST(versions_that_are_known_to_be_bad_are_refused)
{
    ck_assert_ptr_nonnull(client_version_fault(0x010900ff));
    ck_assert_ptr_null(client_version_fault(0x020002ff));
    ck_assert_ptr_nonnull(client_version_fault(0x020100ff));
    ck_assert_ptr_nonnull(client_version_fault(0x020200ff));
    ck_assert_ptr_null(client_version_fault(0x020300ff));
    ck_assert_ptr_null(client_version_fault(0x020a00ff));
    ck_assert_ptr_null(client_version_fault(rd_kafka_version()));
}
END_TEST

START_TEST(an_unknown_fate_is_no_refusal)
{
    ck_assert_int_eq(client_errno(RD_KAFKA_RESP_ERR__MSG_TIMED_OUT),
                     -ETIMEDOUT);
    ck_assert_int_eq(client_errno(RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS),
                     -ENOTCONN);
    ck_assert_int_eq(client_errno(RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE),
                     -EMSGSIZE);
    ck_assert_int_eq(client_errno(RD_KAFKA_RESP_ERR__QUEUE_FULL), -ENOBUFS);
    ck_assert_int_eq(client_errno(RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET),
                     -ENOENT);
    ck_assert_int_eq(client_errno(RD_KAFKA_RESP_ERR_NO_ERROR), 0);
    ck_assert_int_eq(client_errno(RD_KAFKA_RESP_ERR_UNKNOWN), -EIO);
}
END_TEST

/* ---- with a mock --------------------------------------------------------- */

struct deliveries {
    unsigned good, bad;
    int64_t last; /* offset */
};

static void
on_delivered(rd_kafka_t *producer, const rd_kafka_message_t *message,
             void *opaque)
{
    struct deliveries *deliveries = opaque;

    (void)producer;
    if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
        deliveries->good++;
        deliveries->last = message->offset;
    } else
        deliveries->bad++;
}

/* Makes partition 1 of `log` hold the texts "0" to "len-1". */
static void
fill(const struct settings *settings, unsigned len)
{
    struct deliveries deliveries = {.good = 0};
    struct error err;
    rd_kafka_t *producer;

    ck_assert_int_eq(client_producer(settings, false, LIMIT, on_delivered,
                                     &deliveries, &producer, &err),
                     0);
    for (unsigned i = 0; i < len; i++) {
        char text[12];
        const int n = snprintf(text, sizeof(text), "%u", i);
        ck_assert_int_eq(rd_kafka_producev(
                             producer, RD_KAFKA_V_TOPIC("log"),
                             RD_KAFKA_V_PARTITION(1),
                             RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
                             RD_KAFKA_V_VALUE(text, (size_t)n), RD_KAFKA_V_END),
                         0);
    }
    ck_assert_int_eq(rd_kafka_flush(producer, LIMIT), 0);
    ck_assert_uint_eq(deliveries.good, len);
    ck_assert_uint_eq(deliveries.bad, 0);
    ck_assert_int_eq(deliveries.last, len - 1);
    ck_assert_int_eq(client_fatal(producer, &err), 0);
    rd_kafka_destroy(producer);
}

struct seen {
    char text[64]; /* values, one after the other */
    unsigned wanted;
};

static bool
on_record(const rd_kafka_message_t *message, void *opaque)
{
    struct seen *seen = opaque;

    strncat(seen->text, message->payload, message->len);
    return --seen->wanted == 0;
}

START_TEST(a_reader_reads_what_stands_at_an_offset)
{
    const struct settings *settings = mock_settings();
    struct client_reader *reader;
    struct seen seen = {.wanted = 1}, run = {.wanted = 3}, late = {.wanted = 2};
    struct error err;

    fill(settings, 8);
    ck_assert_int_eq(client_reader_open(settings, &reader, &err), 0);
    ck_assert_int_eq(
        client_reader_read(reader, "log", 1, 5, on_record, &seen, LIMIT, &err),
        0);
    ck_assert_str_eq(seen.text, "5");
    ck_assert_int_eq(
        client_reader_read(reader, "log", 1, 2, on_record, &run, LIMIT, &err),
        0);
    ck_assert_str_eq(run.text, "234");
    ck_assert_int_eq(
        client_reader_read(reader, "log", 1, 7, on_record, &late, LIMIT, &err),
        -ENOENT);
    ck_assert_str_eq(late.text, "7");
    client_reader_close(reader);
}
END_TEST

START_TEST(a_log_ends_where_the_next_record_goes)
{
    const struct settings *settings = mock_settings();
    int64_t low, end;
    struct error err;
    rd_kafka_t *admin;

    fill(settings, 3);
    ck_assert_int_eq(client_admin(settings, &admin, &err), 0);
    ck_assert_int_eq(
        client_watermarks(admin, "log", 1, &low, &end, LIMIT, &err), 0);
    ck_assert_int_eq(low, 0);
    ck_assert_int_eq(end, 3);
    ck_assert_int_eq(
        client_watermarks(admin, "log", 0, NULL, &end, LIMIT, &err), 0);
    ck_assert_int_eq(end, 0);
    ck_assert_int_eq(client_watermarks(admin, "log", 2, NULL, &end, 2000, &err),
                     -ENOENT);
    rd_kafka_destroy(admin);
}
END_TEST

TESTS("broker", "kafka_client", a_wrong_property_is_refused_with_its_line,
      what_the_promises_rest_on_is_not_for_properties_to_set,
      versions_that_are_known_to_be_bad_are_refused,
      an_unknown_fate_is_no_refusal, a_reader_reads_what_stands_at_an_offset,
      a_log_ends_where_the_next_record_goes)
