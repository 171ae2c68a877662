/* ledger_test.c - what the records of `control` come to. */
#include "broker/kafka/ledger.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/test.h"

/* A log under a ledger; each record goes through its text. */
struct log {
    struct ledger ledger;
    int64_t end;
    struct error err;
};

static int
add(struct log *log, struct entry entry)
{
    struct entry read;

    entry.at = entry.at == 0 ? 1000 + log->end : entry.at;
    char *text = entry_write(&entry);
    int r = entry_read(slice_of(text), &read, &log->err);
    ck_assert_msg(r == 0, "%s: %s", text, log->err.text);
    r = ledger_apply(&log->ledger, log->end++, &read, &log->err);
    entry_fini(&read);
    entry_fini(&entry);
    free(text);
    return r;
}

#define ENTRY_OF(queue, ...)                                                   \
    ({                                                                         \
        struct entry entry_ = {__VA_ARGS__};                                   \
        entry_set_queue(&entry_, queue);                                       \
        entry_;                                                                \
    })

static int
change(struct log *log, const char *queue, struct entry entry)
{
    entry.kind = ENTRY_CHANGE;
    snprintf(entry.by, sizeof(entry.by), "test");
    entry_set_queue(&entry, queue);
    return add(log, entry);
}
#define CHANGE(log, queue, ...)                                                \
    change(log, queue, (struct entry){.change = __VA_ARGS__})

/* Its session. */
static uint64_t
hello(struct log *log, const char *queue, const char *release)
{
    struct entry entry = {.kind = ENTRY_HELLO, .lease = 500, .pid = 7};

    snprintf(entry.name, sizeof(entry.name), "host:7");
    snprintf(entry.release, sizeof(entry.release), "%s", release);
    if (queue != NULL)
        entry_set_queue(&entry, queue);
    ck_assert_int_eq(add(log, entry), 0);
    return (uint64_t)log->end;
}

static int
acknowledge(struct log *log, uint64_t session, uint64_t epoch)
{
    return add(log, (struct entry){.kind = ENTRY_ACKNOWLEDGE,
                                   .session = session,
                                   .epoch = epoch,
                                   .counts = {.ended = 2, .killed = 1}});
}

static int
goodbye(struct log *log, uint64_t session)
{
    return add(log, (struct entry){.kind = ENTRY_GOODBYE, .session = session});
}

static int
lapsed(struct log *log, uint64_t session, enum member_state state)
{
    return add(log, (struct entry){.kind = ENTRY_LAPSED,
                                   .session = session,
                                   .state = state,
                                   .counts = {.waited_out = 3}});
}

static int
drained(struct log *log, const char *queue, uint64_t epoch)
{
    return add(log, ENTRY_OF(queue, .kind = ENTRY_DRAINED, .epoch = epoch,
                             .bound = 500));
}

static struct control
control_of(const struct log *log, const char *queue)
{
    return ledger_control(&log->ledger,
                          (unsigned)ledger_find(&log->ledger, queue));
}

static const struct ledger_queue *
queue_of(const struct log *log, const char *queue)
{
    return &log->ledger.queues[ledger_find(&log->ledger, queue)];
}

static void
log_init_queues(struct log *log)
{
    memset(log, 0, sizeof(*log));
    ledger_init(&log->ledger);
    ck_assert_int_eq(
        add(log, ENTRY_OF("one", .kind = ENTRY_QUEUE, .release = "1")), 0);
    ck_assert_int_eq(
        add(log, ENTRY_OF("two", .kind = ENTRY_QUEUE, .release = "1")), 0);
}

/* ---- queues -------------------------------------------------------------- */

START_TEST(the_first_record_of_a_queue_says_its_release)
{
    struct log log;

    log_init_queues(&log);
    ck_assert_int_eq(
        add(&log, ENTRY_OF("one", .kind = ENTRY_QUEUE, .release = "2")),
        -EALREADY);
    ck_assert_str_eq(control_of(&log, "one").release, "1");
    ck_assert_uint_eq(control_of(&log, "one").epoch, 1);
    ck_assert_int_eq(CHANGE(&log, "three", CHANGE_PAUSE), -ENOENT);
    ledger_fini(&log.ledger);
}
END_TEST

START_TEST(several_queues_change_together_or_not_at_all)
{
    struct log log;
    struct entry both = {
        .kind = ENTRY_CHANGE, .change = CHANGE_PAUSE, .by = "test"};

    log_init_queues(&log);
    ck_assert_int_eq(CHANGE(&log, "one", CHANGE_PAUSE), 0);
    for (int i = 0; i < 2; i++) {
        both.queues_len = 2;
        both.queues = calloc(2, sizeof(*both.queues));
        strcpy(both.queues[0].name, "two");
        strcpy(both.queues[1].name, "one");
        both.change = i == 0 ? CHANGE_PAUSE : CHANGE_REFUSE;
        ck_assert_int_eq(add(&log, both), i == 0 ? -EALREADY : 0);
    }
    ck_assert_int_eq(control_of(&log, "two").state, CONTROL_OPEN);
    ck_assert_uint_eq(control_of(&log, "two").epoch, 2);
    ck_assert_uint_eq(control_of(&log, "one").epoch, 3);
    ledger_fini(&log.ledger);
}
END_TEST

START_TEST(of_two_changes_of_one_epoch_the_first_counts)
{
    struct log log;

    log_init_queues(&log);
    for (int i = 0; i < 2; i++) {
        struct entry entry = ENTRY_OF("one", .kind = ENTRY_CHANGE,
                                      .change = CHANGE_REFUSE, .by = "test");
        entry.queues[0].expected = 1;
        ck_assert_int_eq(add(&log, entry), i == 0 ? 0 : -ESTALE);
    }
    ck_assert_uint_eq(control_of(&log, "one").epoch, 2);
    ledger_fini(&log.ledger);
}
END_TEST

/* ---- the barrier --------------------------------------------------------- */

START_TEST(a_pause_without_members_is_passed_and_drained_by_its_record)
{
    struct log log;

    log_init_queues(&log);
    ck_assert_int_eq(CHANGE(&log, "one", CHANGE_PAUSE), 0);
    ck_assert(ledger_is_passed(queue_of(&log, "one")));
    ck_assert_int_eq(control_of(&log, "one").state, CONTROL_PAUSED);
    ck_assert_int_eq(drained(&log, "one", 2), 0);
    ck_assert_int_eq(control_of(&log, "one").state, CONTROL_DRAINED);
    ck_assert_int_eq(drained(&log, "one", 2), -ESTALE);
    ledger_fini(&log.ledger);
}
END_TEST

START_TEST(members_are_the_sessions_known_at_the_pause)
{
    struct log log;

    log_init_queues(&log);
    const uint64_t gone = hello(&log, "one", "1");
    const uint64_t there = hello(&log, "one", "1");
    hello(&log, "two", "1");
    hello(&log, NULL, "");
    ck_assert_int_eq(goodbye(&log, gone), 0);
    ck_assert_int_eq(CHANGE(&log, "one", CHANGE_PAUSE), 0);
    const uint64_t late = hello(&log, "one", "1");
    const struct barrier *barrier = &queue_of(&log, "one")->barrier;
    ck_assert_uint_eq(barrier->len, 1);
    ck_assert_uint_eq(barrier->members[0].session, there);
    ck_assert_str_eq(barrier->members[0].name, "host:7");
    ck_assert_int_eq(acknowledge(&log, late, 2), -EALREADY);
    ck_assert_int_eq(drained(&log, "one", 2), -ESTALE);
    ck_assert_int_eq(acknowledge(&log, there, 2), 0);
    ck_assert_int_eq(drained(&log, "one", 2), 0);
    ledger_fini(&log.ledger);
}
END_TEST

START_TEST(each_way_to_be_accounted_for_is_told_once)
{
    struct log log;
    uint64_t sessions[4];
    static const enum member_state states[] = {MEMBER_ACKNOWLEDGED, MEMBER_LEFT,
                                               MEMBER_LAPSED, MEMBER_DIED};

    log_init_queues(&log);
    for (int i = 0; i < 4; i++)
        sessions[i] = hello(&log, "one", "1");
    ck_assert_int_eq(CHANGE(&log, "one", CHANGE_PAUSE), 0);
    ck_assert_int_eq(acknowledge(&log, sessions[0], 2), 0);
    ck_assert_int_eq(acknowledge(&log, sessions[0], 2), -EALREADY);
    ck_assert_int_eq(goodbye(&log, sessions[0]), 0);
    ck_assert_int_eq(goodbye(&log, sessions[1]), 0);
    ck_assert_int_eq(lapsed(&log, sessions[2], MEMBER_LAPSED), 0);
    ck_assert(!ledger_is_passed(queue_of(&log, "one")));
    ck_assert_int_eq(lapsed(&log, sessions[3], MEMBER_DIED), 0);
    ck_assert_int_eq(lapsed(&log, sessions[3], MEMBER_LAPSED), -ENOENT);
    struct barrier barrier = ledger_barrier(queue_of(&log, "one"));
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(barrier.members[i].state, states[i]);
    ck_assert_uint_eq(barrier.ended, 2);
    ck_assert_uint_eq(barrier.killed, 1);
    ck_assert_uint_eq(barrier.waited_out, 6);
    barrier_fini(&barrier);
    ck_assert(ledger_is_passed(queue_of(&log, "one")));
    ledger_fini(&log.ledger);
}
END_TEST

START_TEST(an_acknowledgement_of_an_earlier_pause_counts_for_nothing)
{
    struct log log;

    log_init_queues(&log);
    const uint64_t session = hello(&log, "one", "1");
    ck_assert_int_eq(CHANGE(&log, "one", CHANGE_PAUSE), 0);
    ck_assert_int_eq(CHANGE(&log, "one", CHANGE_RESUME), 0);
    ck_assert_int_eq(acknowledge(&log, session, 2), -ESTALE);
    ck_assert_int_eq(CHANGE(&log, "one", CHANGE_PAUSE), 0);
    ck_assert_int_eq(acknowledge(&log, session, 2), -ESTALE);
    ck_assert_int_eq(CHANGE(&log, "one", CHANGE_REFUSE), 0);
    ck_assert_int_eq(acknowledge(&log, session, 4), 0);
    ck_assert_int_eq(drained(&log, "one", 2), -ESTALE);
    ck_assert_int_eq(drained(&log, "one", 5), -ESTALE);
    ck_assert_int_eq(drained(&log, "one", 4), 0);
    ck_assert_uint_eq(control_of(&log, "one").paused_epoch, 4);
    ledger_fini(&log.ledger);
}
END_TEST

START_TEST(a_goodbye_brings_no_counts_of_an_earlier_pause)
{
    struct log log;

    log_init_queues(&log);
    for (uint64_t epoch = 2; epoch <= 4; epoch += 2) {
        const uint64_t session = hello(&log, "one", "1");
        ck_assert_int_eq(CHANGE(&log, "one", CHANGE_PAUSE), 0);
        ck_assert_int_eq(add(&log, (struct entry){.kind = ENTRY_GOODBYE,
                                                  .session = session,
                                                  .epoch = 4,
                                                  .counts = {.ended = 5}}),
                         0);
        ck_assert(ledger_is_passed(queue_of(&log, "one")));
        ck_assert_uint_eq(queue_of(&log, "one")->barrier.ended,
                          epoch == 4 ? 5 : 0);
        ck_assert_int_eq(CHANGE(&log, "one", CHANGE_RESUME), 0);
    }
    ledger_fini(&log.ledger);
}
END_TEST

/* ---- probes -------------------------------------------------------------- */

START_TEST(a_late_drained_of_the_pause_ends_no_probe)
{
    struct log log;

    log_init_queues(&log);
    ck_assert_int_eq(CHANGE(&log, "one", CHANGE_PAUSE), 0);
    ck_assert_int_eq(drained(&log, "one", 2), 0);
    const uint64_t prober = hello(&log, "one", "2");
    ck_assert_int_eq(CHANGE(&log, "one", CHANGE_PROBE, .session = prober), 0);
    ck_assert_int_eq(control_of(&log, "one").state, CONTROL_PROBING);
    ck_assert_int_eq(drained(&log, "one", 2), -ESTALE);
    ck_assert_int_eq(drained(&log, "one", 3), -ESTALE);
    ck_assert_int_eq(acknowledge(&log, prober, 2), -ESTALE);
    ck_assert_int_eq(CHANGE(&log, "one", CHANGE_RESUME), -EINPROGRESS);
    ck_assert_int_eq(goodbye(&log, prober), 0);
    ck_assert_int_eq(drained(&log, "one", 2), -ESTALE);
    ck_assert_int_eq(drained(&log, "one", 3), 0);
    ck_assert_int_eq(control_of(&log, "one").state, CONTROL_DRAINED);
    ck_assert_uint_eq(control_of(&log, "one").paused_epoch, 2);
    ledger_fini(&log.ledger);
}
END_TEST

START_TEST(a_probe_is_of_a_session_that_said_hello)
{
    struct log log;

    log_init_queues(&log);
    ck_assert_int_eq(CHANGE(&log, "one", CHANGE_PAUSE), 0);
    ck_assert_int_eq(drained(&log, "one", 2), 0);
    const uint64_t other = hello(&log, "two", "2");
    ck_assert_int_eq(CHANGE(&log, "one", CHANGE_PROBE, .session = other),
                     -ENOLINK);
    const uint64_t prober = hello(&log, "one", "2");
    ck_assert_int_eq(lapsed(&log, prober, MEMBER_LAPSED), 0);
    ck_assert_int_eq(CHANGE(&log, "one", CHANGE_PROBE, .session = prober),
                     -ENOLINK);
    ck_assert_int_eq(control_of(&log, "one").state, CONTROL_DRAINED);
    ledger_fini(&log.ledger);
}
END_TEST

/* ---- upgrades ------------------------------------------------------------ */

START_TEST(an_upgrade_is_nobody_elses_until_its_process_is_over)
{
    struct log log;

    log_init_queues(&log);
    const uint64_t first = hello(&log, NULL, ""),
                   second = hello(&log, NULL, "");
    ck_assert_int_eq(CHANGE(&log, "one", CHANGE_PAUSE, .upgrade = "u1",
                            .step = STEP_PAUSING, .to = "2", .owner = first),
                     0);
    ck_assert_int_eq(control_of(&log, "one").upgrade.pid, 7);
    ck_assert_int_eq(CHANGE(&log, "one", CHANGE_STEP, .upgrade = "u1",
                            .step = STEP_PAUSING, .owner = second),
                     -EBUSY);
    ck_assert_int_eq(CHANGE(&log, "one", CHANGE_REFUSE), 0);
    ck_assert_int_eq(CHANGE(&log, "one", CHANGE_STEP, .upgrade = "u1",
                            .step = STEP_PAUSING, .owner = first),
                     0);
    ck_assert_int_eq(lapsed(&log, first, MEMBER_LAPSED), 0);
    ck_assert_int_eq(control_of(&log, "one").upgrade.pid, 0);
    ck_assert_int_eq(CHANGE(&log, "one", CHANGE_STEP, .upgrade = "u1",
                            .step = STEP_PAUSING, .owner = first),
                     -ENOLINK);
    ck_assert_int_eq(CHANGE(&log, "one", CHANGE_STEP, .upgrade = "u1",
                            .step = STEP_PAUSING, .owner = second),
                     0);
    ck_assert_int_eq(control_of(&log, "one").upgrade.pid, 7);
    ledger_fini(&log.ledger);
}
END_TEST

/* ---- what is told -------------------------------------------------------- */

START_TEST(no_time_counts_in_which_the_queue_was_not_open)
{
    struct log log;

    log_init_queues(&log);
    ck_assert_int_eq(CHANGE(&log, "one", CHANGE_PAUSE, .at = 2000), 0);
    ck_assert_int_eq(ledger_open_for(queue_of(&log, "one"), 1500, 9000), 500);
    ck_assert_int_eq(CHANGE(&log, "one", CHANGE_RESUME, .at = 3000), 0);
    ck_assert_int_eq(ledger_open_for(queue_of(&log, "one"), 1500, 4000), 1500);
    ck_assert_int_eq(ledger_open_for(queue_of(&log, "one"), 2500, 4000), 1000);
    ck_assert_int_eq(ledger_open_for(queue_of(&log, "one"), 3500, 4000), 500);
    ck_assert_int_eq(CHANGE(&log, "one", CHANGE_PAUSE, .at = 5000), 0);
    ck_assert_int_eq(CHANGE(&log, "one", CHANGE_RESUME, .at = 4000), 0);
    ck_assert_int_eq(ledger_open_for(queue_of(&log, "one"), 1000, 6000), 4000);
    ck_assert_int_eq(ledger_open_for(queue_of(&log, "one"), 6000, 5000), 0);
    ledger_fini(&log.ledger);
}
END_TEST

START_TEST(the_history_tells_each_change_with_its_receipt)
{
    struct log log;
    struct history *list;
    size_t len;

    log_init_queues(&log);
    ck_assert_int_eq(CHANGE(&log, "one", CHANGE_PAUSE, .why = "words"), 0);
    ck_assert_int_eq(CHANGE(&log, "two", CHANGE_PAUSE), 0);
    ck_assert_int_eq(drained(&log, "one", 2), 0);
    const uint64_t prober = hello(&log, "one", "2");
    ck_assert_int_eq(CHANGE(&log, "one", CHANGE_PROBE, .session = prober), 0);
    ledger_history(&log.ledger, "one", 10, &list, &len);
    ck_assert_uint_eq(len, 3);
    ck_assert_str_eq(list[0].change, "pause");
    ck_assert_str_eq(list[0].why, "words");
    ck_assert_ptr_null(list[0].receipt);
    ck_assert_str_eq(list[1].change, "drained");
    ck_assert_str_eq(list[1].by, "");
    ck_assert_ptr_nonnull(strstr(list[1].receipt, "\"bound_ms\":500"));
    ck_assert_str_eq(list[2].release, "2");
    history_free(list, len);
    ledger_history(&log.ledger, NULL, 2, &list, &len);
    ck_assert_uint_eq(len, 2);
    ck_assert_str_eq(list[0].change, "drained");
    history_free(list, len);
    ledger_fini(&log.ledger);
}
END_TEST

START_TEST(a_kill_is_of_the_pause_that_goes_on)
{
    struct log log;

    log_init_queues(&log);
    for (uint64_t epoch = 0; epoch < 2; epoch++)
        ck_assert_int_eq(
            add(&log, ENTRY_OF("one", .kind = ENTRY_KILL, .epoch = epoch)),
            -ECANCELED);
    ck_assert_int_eq(CHANGE(&log, "one", CHANGE_PAUSE), 0);
    ck_assert_int_eq(add(&log, ENTRY_OF("one", .kind = ENTRY_KILL, .epoch = 2)),
                     0);
    ledger_fini(&log.ledger);
}
END_TEST

START_TEST(the_first_secret_is_the_installations)
{
    struct log log;

    log_init_queues(&log);
    ck_assert_int_eq(
        add(&log, (struct entry){.kind = ENTRY_SECRET, .fingerprint = "a"}), 0);
    ck_assert_int_eq(
        add(&log, (struct entry){.kind = ENTRY_SECRET, .fingerprint = "b"}),
        -EEXIST);
    ck_assert_str_eq(log.ledger.fingerprint, "a");
    ledger_fini(&log.ledger);
}
END_TEST

START_TEST(what_is_no_record_of_ours_is_told_apart)
{
    struct entry entry;
    static const struct {
        const char *text;
        int r;
    } cases[] = {
        {"", -EPROTO},
        {"[]", -EPROTO},
        {"{\"v\":1}", -EPROTO},
        {"{\"v\":2,\"kind\":\"queue\"}", -ENOTSUP},
        {"{\"v\":1,\"kind\":\"other\"}", -EPROTO},
        {"{\"v\":1,\"kind\":\"change\",\"change\":\"pause\"}", -EPROTO},
        {"{\"v\":1,\"kind\":\"change\",\"change\":\"x\",\"queues\":[\"one\"]}",
         -EPROTO},
        {"{\"v\":1,\"kind\":\"kill\",\"queues\":[\"one\",\"two\"]}", -EPROTO},
        {"{\"v\":1,\"kind\":\"kill\",\"queues\":[1]}", -EPROTO},
        {"{\"v\":1,\"kind\":\"hello\",\"queues\":[\"one\"]}", -EPROTO},
        {"{\"v\":1,\"kind\":\"goodbye\",\"session\":-1}", -EPROTO},
        {"{\"v\":1,\"kind\":\"lapsed\",\"session\":1,\"state\":\"left\"}",
         -EPROTO},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        ck_assert_int_eq(entry_read(slice_of(cases[i].text), &entry, NULL),
                         cases[i].r);
}
END_TEST

TESTS("broker", "ledger", the_first_record_of_a_queue_says_its_release,
      several_queues_change_together_or_not_at_all,
      of_two_changes_of_one_epoch_the_first_counts,
      a_pause_without_members_is_passed_and_drained_by_its_record,
      members_are_the_sessions_known_at_the_pause,
      each_way_to_be_accounted_for_is_told_once,
      an_acknowledgement_of_an_earlier_pause_counts_for_nothing,
      a_goodbye_brings_no_counts_of_an_earlier_pause,
      a_late_drained_of_the_pause_ends_no_probe,
      a_probe_is_of_a_session_that_said_hello,
      an_upgrade_is_nobody_elses_until_its_process_is_over,
      no_time_counts_in_which_the_queue_was_not_open,
      the_history_tells_each_change_with_its_receipt,
      a_kill_is_of_the_pause_that_goes_on,
      the_first_secret_is_the_installations,
      what_is_no_record_of_ours_is_told_apart)
