/* follow_test.c - what an ingress makes of the log, and what it leaves of it.
 */
#include <ftw.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "broker/kafka/client.h"
#include "broker/kafka/kafka_priv.h"
#include "tests/conformance/rig.h"
#include "tests/conformance/rig_kafka.h"
#include "tests/unit/test.h"

#define CUT_EVERY 60000 /* ms; as in upkeep.c */

static struct broker *
open_rig(struct rig *rig)
{
    rig_use_test_kafka();
    rig_init(rig);
    rig->settings.queues_len = 1;
    return rig_open(rig);
}

static int
remove_one(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
    (void)st;
    (void)kind;
    (void)ftw;
    return remove(path);
}

static struct broker *
open_without_view(struct rig *rig)
{
    rig_close(rig);
    ck_assert_int_eq(nftw(rig->settings.kafka.view, remove_one, 8, FTW_DEPTH),
                     0);
    return rig_open(rig);
}

/* What the log of facts has lost at its start, in all partitions. */
static int64_t
cut_off(struct broker *broker)
{
    const struct kafka *kafka = kafka_of(broker);
    rd_kafka_t *client;
    int64_t sum = 0, low;

    ck_assert_int_eq(client_admin(kafka->settings, &client, NULL), 0);
    for (int32_t i = 0; i < kafka->partitions; i++) {
        ck_assert_int_eq(client_watermarks(client, kafka->tickets_topic, i,
                                           &low, NULL, RIG_LIMIT, NULL),
                         0);
        sum += low;
    }
    rd_kafka_destroy(client);
    return sum;
}

START_TEST(a_lost_view_is_rebuilt_from_the_log)
{
    struct rig rig;
    struct ticket done, waiting;
    struct ticket_status status;
    struct error err;

    struct broker *broker = open_rig(&rig);
    ck_assert_int_eq(submit(broker, (struct ask){.text = "a"}, &done), 0);
    serve_one(broker, 0, "answer");
    ck_assert_int_eq(wait_end(broker, &done), TICKET_DONE);
    ck_assert_int_eq(submit(broker, (struct ask){.text = "b"}, &waiting), 0);
    broker = open_without_view(&rig);
    ck_assert_str_eq(response(broker, &done), "answer");
    ck_assert_int_eq(lookup(broker, &waiting, &status), 0);
    ck_assert_int_eq(status.state, TICKET_QUEUED);
    ck_assert_uint_eq(stats(broker, 0).done, 1);
    ck_assert_uint_eq(stats(broker, 0).queued, 1);
    ck_assert_int_eq(broker_ready(broker, &err), 0);
    rig_fini(&rig);
}
END_TEST

START_TEST(the_log_loses_what_nothing_rests_on)
{
    struct rig rig;
    struct ticket gone, waiting, other;
    struct ticket_status status;

    struct broker *broker = open_rig(&rig);
    rig.queues[0].retention_age = 30;
    ck_assert_int_eq(submit(broker, (struct ask){.text = "a"}, &gone), 0);
    serve_one(broker, 0, "answer");
    wait_gone(broker, &gone);
    clock_shift(CUT_EVERY / 2); /* no copy of it can come any more */
    ck_assert_int_eq(submit(broker, (struct ask){.text = "b"}, &other), 0);
    serve_one(broker, 0, "answer"); /* by a claim of its own */
    wait_gone(broker, &other);
    ck_assert_int_eq(submit(broker, (struct ask){.text = "c"}, &waiting), 0);
    ck_assert_int_eq(cut_off(broker), 0);
    clock_shift(2 * CUT_EVERY);
    for (int i = 0; i < 100 && cut_off(broker) == 0; i++)
        wait_ms(50);
    ck_assert_int_gt(cut_off(broker), 0);
    broker = open_without_view(&rig);
    ck_assert_int_eq(lookup(broker, &waiting, &status), 0);
    ck_assert_int_eq(status.state, TICKET_QUEUED);
    wait_gone(broker, &gone); /* if the log still had it */
    serve_one(broker, 0, "answer");
    ck_assert_int_eq(wait_end(broker, &waiting), TICKET_DONE);
    rig_fini(&rig);
}
END_TEST

TESTS("broker", "follow", a_lost_view_is_rebuilt_from_the_log,
      the_log_loses_what_nothing_rests_on)
