/* control_log_test.c - several processes' control logs, in one process, against
 * librdkafka's own mock of a broker. */
#include "tests/unit/test.h"

#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "broker/kafka/control_priv.h"
#include "common/mem.h"

#define LIMIT      ((span_ms)10000) /* ms; for what takes a few */
#define LEASE      ((span_ms)1500)
#define PARTITIONS 3

/* ---- a mock, and processes on it ------------------------------------------
 */

static rd_kafka_mock_cluster_t *mock;
static struct settings settings;
static char name_one[] = "one", name_two[] = "two", release[] = "1",
            prefix[] = "p", tickets[] = "p.tickets";
static struct queue_settings queues[2] = {
    {.name = name_one, .lease = LEASE, .release = release},
    {.name = name_two, .lease = LEASE, .release = release},
};

/* The mock leaves a fetch waiting even when there is something to fetch. */
static char fetch_wait[] = "fetch.wait.max.ms", five[] = "5";
static struct pair properties[] = {{fetch_wait, five, 1, 1}};

static void
mock_start(void)
{
    rd_kafka_t *host =
        rd_kafka_new(RD_KAFKA_PRODUCER, rd_kafka_conf_new(), NULL, 0);

    mock = rd_kafka_mock_cluster_new(host, 1);
    rd_kafka_mock_topic_create(mock, "p.control", 1, 1);
    rd_kafka_mock_topic_create(mock, "p.workers", 1, 1);
    rd_kafka_mock_topic_create(mock, tickets, PARTITIONS, 1);
    settings = (struct settings){
        .path = name_one,
        .queues = queues,
        .queues_len = 2,
        .kafka = {.servers = mem_strdup(rd_kafka_mock_cluster_bootstraps(mock)),
                  .prefix = prefix,
                  .properties = properties,
                  .properties_len = 1,
                  .timeout = 2000},
    };
}

static struct kafka *
process_open(void)
{
    struct kafka *kafka = mem_new(struct kafka);
    struct error err = {0};

    kafka->settings = &settings;
    kafka->options.role = BROKER_WORKER;
    kafka->partitions = PARTITIONS;
    kafka->tickets_topic = tickets;
    int r = producer_open(&settings, 2000, &kafka->keeper, &err);
    ck_assert_msg(r == 0, "%s", err.text);
    r = client_admin(&settings, &kafka->asker, &err);
    ck_assert_msg(r == 0, "%s", err.text);
    r = control_log_open(kafka, &kafka->control, &err);
    ck_assert_msg(r == 0, "%s", err.text);
    return kafka;
}

static void
process_close(struct kafka *kafka)
{
    control_log_close(kafka->control);
    producer_close(kafka->keeper);
    rd_kafka_destroy(kafka->asker);
    free(kafka);
}

/* ---- a worker, and what it was told ---------------------------------------
 */

struct worker {
    struct log_member *member;
    uint64_t epoch; /* of its probe */
    _Atomic boot_ms until;
    _Atomic unsigned controls, losses, kills;
};

static void
on_control(void *opaque)
{
    atomic_fetch_add(&((struct worker *)opaque)->controls, 1);
}

static void
on_lease(void *opaque, boot_ms until)
{
    atomic_store(&((struct worker *)opaque)->until, until);
}

static void
on_lost(void *opaque)
{
    atomic_fetch_add(&((struct worker *)opaque)->losses, 1);
}

static void
on_kill(void *opaque)
{
    atomic_fetch_add(&((struct worker *)opaque)->kills, 1);
}

static unsigned
running(void *opaque)
{
    (void)opaque;
    return 2;
}

static int
worker_open(struct worker *worker, struct kafka *kafka,
            const struct probe *probe)
{
    const struct session_options session = {
        .queue = 0,
        .name = "host:1",
        .release = "1",
        .concurrency = 4,
        .probe = probe,
    };
    const struct member_options options = {
        .session = &session,
        .on_control = on_control,
        .on_lease = on_lease,
        .on_lost = on_lost,
        .on_kill = on_kill,
        .running = running,
        .opaque = worker,
    };

    memset(worker, 0, sizeof(*worker));
    return control_log_hello(kafka->control, &options, &worker->epoch,
                             &worker->member, NULL);
}

static void
worker_close(struct worker *worker)
{
    control_log_goodbye(worker->member, &(struct barrier_counts){.ended = 1});
}

#define WAIT_FOR(holds)                                                        \
    do {                                                                       \
        const mono_ms until_ = clock_mono() + LIMIT;                           \
        while (!(holds)) {                                                     \
            ck_assert_msg(clock_mono() < until_, "never: " #holds);            \
            usleep(1000);                                                      \
        }                                                                      \
    } while (0)

static int
change(struct kafka *kafka, struct change wish, struct control *after)
{
    const unsigned queue = 0;

    wish.by = "test";
    return kafka_change(&kafka->base, &queue, 1, &wish, after, NULL);
}
#define CHANGE(kafka, ...)                                                     \
    change(kafka, (struct change){.kind = __VA_ARGS__}, NULL)

static struct control
control_of(struct kafka *kafka)
{
    struct control control = {0};

    ck_assert_int_eq(kafka_control(&kafka->base, 0, &control, NULL), 0);
    return control;
}

static enum member_state
member_state(struct kafka *kafka)
{
    struct barrier barrier;

    ck_assert_int_eq(kafka_barrier(&kafka->base, 0, &barrier, NULL), 0);
    ck_assert_uint_eq(barrier.len, 1);
    ck_assert_int_eq(barrier.bound, LEASE);
    const enum member_state state = barrier.members[0].state;
    barrier_fini(&barrier);
    return state;
}

/* A session that never sends a heartbeat. */
static uint64_t
mute_hello(struct kafka *kafka, const struct place *place)
{
    struct entry entry = {
        .kind = ENTRY_HELLO, .name = "mute", .release = "1", .lease = LEASE};
    int64_t offset;

    if (place != NULL)
        entry.place = *place;
    entry_set_queue(&entry, "one");
    ck_assert_int_eq(
        control_write(kafka->control, &entry, NULL, NULL, &offset, NULL), 0);
    entry_fini(&entry);
    return (uint64_t)offset + 1;
}

/* ---- the tests ------------------------------------------------------------
 */

START_TEST(the_first_process_says_with_which_release_a_queue_begins)
{
    static char other[] = "2";

    mock_start();
    struct kafka *first = process_open();
    queues[0].release = other;
    struct kafka *second = process_open();
    ck_assert_str_eq(control_of(second).release, "1");
    process_close(second);
    process_close(first);
}
END_TEST

START_TEST(a_pause_without_workers_is_drained_when_its_change_returns)
{
    struct control after;

    mock_start();
    struct kafka *kafka = process_open();
    ck_assert_int_eq(
        change(kafka, (struct change){.kind = CHANGE_PAUSE}, &after), 0);
    ck_assert_uint_eq(after.epoch, 2);
    control_log_state(kafka->control, 0, &after);
    ck_assert_int_eq(after.state, CONTROL_DRAINED);
    ck_assert_int_eq(CHANGE(kafka, CHANGE_PAUSE), -EALREADY);
    ck_assert_int_eq(CHANGE(kafka, CHANGE_RESUME, .expected = 1), -ESTALE);
    ck_assert_int_eq(CHANGE(kafka, CHANGE_RESUME, .expected = 2), 0);
    process_close(kafka);
}
END_TEST

START_TEST(a_pause_is_drained_by_the_acknowledgement_from_another_process)
{
    struct worker worker;

    mock_start();
    struct kafka *pauser = process_open(), *other = process_open();
    ck_assert_int_eq(worker_open(&worker, other, NULL), 0);
    ck_assert_int_eq(CHANGE(pauser, CHANGE_PAUSE), 0);
    WAIT_FOR(atomic_load(&worker.controls) > 0);
    ck_assert_int_eq(member_state(pauser), MEMBER_EXPECTED);
    ck_assert_int_eq(control_of(pauser).state, CONTROL_PAUSED);
    const uint64_t seen = kafka_control_seen(&pauser->base);
    control_log_acknowledge(worker.member, 2, &(struct barrier_counts){0});
    kafka_control_wait(&pauser->base, seen, LIMIT);
    ck_assert_uint_ne(kafka_control_seen(&pauser->base), seen);
    ck_assert_int_eq(member_state(pauser), MEMBER_ACKNOWLEDGED);
    ck_assert_int_eq(control_of(pauser).state, CONTROL_DRAINED);
    worker_close(&worker);
    process_close(other);
    process_close(pauser);
}
END_TEST

START_TEST(a_goodbye_accounts_for_a_worker_with_what_it_did)
{
    struct worker worker;
    struct barrier barrier;

    mock_start();
    struct kafka *kafka = process_open();
    ck_assert_int_eq(worker_open(&worker, kafka, NULL), 0);
    ck_assert_int_eq(CHANGE(kafka, CHANGE_PAUSE), 0);
    worker_close(&worker);
    struct control control;
    control_log_state(kafka->control, 0, &control);
    ck_assert_int_eq(control.state, CONTROL_DRAINED);
    ck_assert_int_eq(kafka_barrier(&kafka->base, 0, &barrier, NULL), 0);
    ck_assert_int_eq(barrier.members[0].state, MEMBER_LEFT);
    ck_assert_uint_eq(barrier.ended, 1);
    barrier_fini(&barrier);
    process_close(kafka);
}
END_TEST

START_TEST(a_lease_is_renewed_while_its_process_lives)
{
    struct worker worker;

    mock_start();
    struct kafka *kafka = process_open(), *observer = process_open();
    ck_assert_int_eq(worker_open(&worker, kafka, NULL), 0);
    WAIT_FOR(atomic_load(&worker.until) > 0);
    const boot_ms first = atomic_load(&worker.until);
    WAIT_FOR(clock_boot() > first + LEASE);
    ck_assert_int_gt(atomic_load(&worker.until), clock_boot());
    ck_assert_uint_eq(atomic_load(&worker.losses), 0);
    struct worker_info *list;
    size_t len;
    ck_assert_int_eq(kafka_workers(&observer->base, &list, &len, NULL), 0);
    ck_assert_uint_eq(len, 1);
    ck_assert_uint_eq(list[0].session, log_member_id(worker.member));
    ck_assert_str_eq(list[0].queue, "one");
    ck_assert_uint_eq(list[0].running, 2);
    ck_assert_int_gt(list[0].lease_left, 0);
    free(list);
    worker_close(&worker);
    process_close(observer);
    process_close(kafka);
}
END_TEST

START_TEST(a_lease_that_cannot_be_renewed_is_lost_in_time_and_once)
{
    struct worker worker;
    struct control control;

    mock_start();
    struct kafka *kafka = process_open();
    ck_assert_int_eq(worker_open(&worker, kafka, NULL), 0);
    rd_kafka_mock_broker_set_down(mock, 1);
    WAIT_FOR(atomic_load(&worker.losses) > 0);
    ck_assert_int_ge(clock_boot(), atomic_load(&worker.until));
    ck_assert_int_lt(clock_boot(), atomic_load(&worker.until) + 200);
    const mono_ms since = clock_mono();
    ck_assert_int_eq(kafka_control(&kafka->base, 0, &control, NULL), -ENOTCONN);
    ck_assert_int_eq(CHANGE(kafka, CHANGE_PAUSE), -ENOTCONN);
    ck_assert_int_lt(clock_mono() - since, LIMIT);
    rd_kafka_mock_broker_set_up(mock, 1);
    WAIT_FOR(kafka_control(&kafka->base, 0, &control, NULL) == 0);
    ck_assert_uint_eq(atomic_load(&worker.losses), 1);
    worker_close(&worker);
    process_close(kafka);
}
END_TEST

START_TEST(a_silent_session_is_counted_out_after_its_lease_and_is_fenced)
{
    mock_start();
    struct kafka *kafka = process_open();
    const mono_ms since = clock_mono();
    mute_hello(kafka, NULL);
    ck_assert_int_eq(CHANGE(kafka, CHANGE_PAUSE), 0);
    ck_assert_int_eq(member_state(kafka), MEMBER_EXPECTED);
    WAIT_FOR(control_of(kafka).state == CONTROL_DRAINED);
    ck_assert_int_ge(clock_mono() - since, LEASE + LEASE / 4);
    ck_assert_int_eq(member_state(kafka), MEMBER_LAPSED);
    for (int32_t i = 0; i < PARTITIONS; i++) {
        int64_t end;
        ck_assert_int_eq(client_watermarks(kafka->control->consumer, tickets, i,
                                           NULL, &end, LIMIT, NULL),
                         0);
        ck_assert_int_eq(end, 1);
    }
    process_close(kafka);
}
END_TEST

START_TEST(who_was_counted_out_by_another_process_is_told_once)
{
    struct worker worker;
    struct entry entry = {.kind = ENTRY_LAPSED, .state = MEMBER_LAPSED};

    mock_start();
    struct kafka *kafka = process_open(), *other = process_open();
    ck_assert_int_eq(worker_open(&worker, kafka, NULL), 0);
    entry.session = log_member_id(worker.member);
    ck_assert_int_eq(
        control_write(other->control, &entry, NULL, NULL, NULL, NULL), 0);
    ck_assert_int_eq(
        control_write(other->control, &entry, NULL, NULL, NULL, NULL), -ENOENT);
    WAIT_FOR(atomic_load(&worker.losses) > 0);
    WAIT_FOR(clock_boot() > atomic_load(&worker.until) + LEASE);
    ck_assert_uint_eq(atomic_load(&worker.losses), 1);
    worker_close(&worker);
    process_close(other);
    process_close(kafka);
}
END_TEST

START_TEST(who_is_gone_from_this_machine_is_counted_out_when_somebody_looks)
{
    struct place place;

    mock_start();
    struct kafka *kafka = process_open();
    int guard = guard_open(&place);
    ck_assert_int_ge(guard, 0);
    int copy = dup(guard); /* as its spawner has */
    queues[0].lease = 60000;
    mute_hello(kafka, &place);
    queues[0].lease = LEASE;
    ck_assert_int_eq(CHANGE(kafka, CHANGE_PAUSE), 0);
    close(guard);
    ck_assert(!guard_is_gone(&place, &kafka->control->place));
    ck_assert_int_eq(member_state(kafka), MEMBER_EXPECTED);
    close(copy);
    ck_assert(guard_is_gone(&place, &kafka->control->place));
    ck_assert_int_eq(member_state(kafka), MEMBER_DIED);
    ck_assert_int_eq(control_of(kafka).state, CONTROL_DRAINED);
    strcpy(place.net, "1");
    ck_assert(!guard_is_gone(&place, &kafka->control->place));
    process_close(kafka);
}
END_TEST

START_TEST(a_probe_is_over_with_its_session)
{
    const struct probe probe = {.end = PROBE_DISCARD};
    struct worker prober, second;

    mock_start();
    struct kafka *kafka = process_open();
    ck_assert_int_eq(worker_open(&prober, kafka, &probe), -ENOTEMPTY);
    ck_assert_int_eq(CHANGE(kafka, CHANGE_PAUSE), 0);
    ck_assert_int_eq(worker_open(&prober, kafka, &probe), 0);
    ck_assert_uint_eq(prober.epoch, 3);
    ck_assert_int_eq(control_of(kafka).state, CONTROL_PROBING);
    ck_assert_int_eq(worker_open(&second, kafka, &probe), -EINPROGRESS);
    ck_assert_int_eq(CHANGE(kafka, CHANGE_RESUME), -EINPROGRESS);
    worker_close(&prober);
    struct control control;
    control_log_state(kafka->control, 0, &control);
    ck_assert_int_eq(control.state, CONTROL_DRAINED);
    process_close(kafka);
}
END_TEST

START_TEST(a_kill_reaches_the_sessions_of_its_pause_alone)
{
    struct worker worker;

    mock_start();
    struct kafka *kafka = process_open(), *other = process_open();
    ck_assert_int_eq(worker_open(&worker, other, NULL), 0);
    ck_assert_int_eq(CHANGE(kafka, CHANGE_PAUSE), 0);
    ck_assert_int_eq(kafka_kill(&kafka->base, 0, 7, NULL), -ECANCELED);
    ck_assert_int_eq(kafka_kill(&kafka->base, 0, 2, NULL), 0);
    WAIT_FOR(atomic_load(&worker.kills) > 0);
    ck_assert_uint_eq(atomic_load(&worker.kills), 1);
    worker_close(&worker);
    process_close(other);
    process_close(kafka);
}
END_TEST

START_TEST(an_upgrade_is_its_process_alones_until_that_closes)
{
    mock_start();
    struct kafka *first = process_open(), *second = process_open();
    ck_assert_int_eq(CHANGE(first, CHANGE_PAUSE, .upgrade = "u1",
                            .step = STEP_PAUSING, .to = "2"),
                     0);
    ck_assert_int_eq(control_of(second).upgrade.pid, getpid());
    ck_assert_int_eq(
        CHANGE(second, CHANGE_STEP, .upgrade = "u1", .step = STEP_PAUSING),
        -EBUSY);
    ck_assert_int_eq(
        CHANGE(first, CHANGE_STEP, .upgrade = "u1", .step = STEP_MIGRATING), 0);
    process_close(first);
    ck_assert_int_eq(control_of(second).upgrade.pid, 0);
    ck_assert_int_eq(
        CHANGE(second, CHANGE_STEP, .upgrade = "u1", .step = STEP_MIGRATING),
        0);
    ck_assert_int_eq(control_of(second).upgrade.pid, getpid());
    process_close(second);
}
END_TEST

struct toggler {
    struct kafka *kafka;
    _Atomic unsigned done;
};

static void *
toggle(void *opaque)
{
    struct toggler *toggler = opaque;

    for (int i = 0; i < 20; i++) {
        int r = CHANGE(toggler->kafka, i % 2 ? CHANGE_ACCEPT : CHANGE_REFUSE);
        ck_assert(r == 0 || r == -EALREADY);
        atomic_fetch_add(&toggler->done, r == 0);
    }
    return NULL;
}

START_TEST(each_change_that_was_made_is_one_epoch)
{
    struct toggler togglers[2] = {0};
    pthread_t threads[2];

    mock_start();
    for (int i = 0; i < 2; i++) {
        togglers[i].kafka = process_open();
        pthread_create(&threads[i], NULL, toggle, &togglers[i]);
    }
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    const unsigned done =
        atomic_load(&togglers[0].done) + atomic_load(&togglers[1].done);
    for (int i = 0; i < 2; i++) {
        ck_assert_uint_eq(control_of(togglers[i].kafka).epoch, 1 + done);
        process_close(togglers[i].kafka);
    }
}
END_TEST

START_TEST(another_secret_than_the_first_is_refused)
{
    mock_start();
    struct kafka *first = process_open(), *second = process_open();
    ck_assert_int_eq(control_log_check_secret(first->control, "a", NULL), 0);
    ck_assert_int_eq(control_log_check_secret(second->control, "b", NULL),
                     -EINVAL);
    ck_assert_int_eq(control_log_check_secret(second->control, "a", NULL), 0);
    process_close(second);
    process_close(first);
}
END_TEST

TESTS("broker", "control_log",
      the_first_process_says_with_which_release_a_queue_begins,
      a_pause_without_workers_is_drained_when_its_change_returns,
      a_pause_is_drained_by_the_acknowledgement_from_another_process,
      a_goodbye_accounts_for_a_worker_with_what_it_did,
      a_lease_is_renewed_while_its_process_lives,
      a_lease_that_cannot_be_renewed_is_lost_in_time_and_once,
      a_silent_session_is_counted_out_after_its_lease_and_is_fenced,
      who_was_counted_out_by_another_process_is_told_once,
      who_is_gone_from_this_machine_is_counted_out_when_somebody_looks,
      a_probe_is_over_with_its_session,
      a_kill_reaches_the_sessions_of_its_pause_alone,
      an_upgrade_is_its_process_alones_until_that_closes,
      each_change_that_was_made_is_one_epoch,
      another_secret_than_the_first_is_refused)
