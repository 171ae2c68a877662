/* attempts.c - what workers may rely on, and what is relied on of them. */
#include "tests/conformance/rig.h"
#include "tests/conformance/suites.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ASK(...) ((struct ask){__VA_ARGS__})

/* ---- taking ------------------------------------------------------------- */

START_TEST(a_request_is_answered_once_by_its_handler)
{
    struct rig rig;
    struct taker taker;
    struct ticket ticket;
    struct ticket_status status;

    rig_init(&rig);
    struct broker *broker = rig_open(&rig);
    ck_assert_int_eq(submit(broker, ASK(.text = "a"), &ticket), 0);
    follow(&rig, &ticket);
    taker_open(&taker, broker, 0, "1", 1);
    struct attempt *attempt = taker_next(&taker);
    ck_assert(ticket_eq(&attempt->ticket, &ticket));
    ck_assert(slice_is(attempt->message, "a"));
    ck_assert(slice_is(attempt->origin.peer, "192.0.2.1:50000"));
    ck_assert(slice_is(attempt->origin.route, "/hits"));
    ck_assert(slice_is(attempt->origin.principal, ""));
    ck_assert_uint_eq(attempt->number, 1);
    ck_assert(!attempt->repeatable);
    ck_assert_int_eq(lookup(broker, &ticket, &status), 0);
    ck_assert_int_eq(status.state, TICKET_RUNNING);
    ck_assert_int_gt(status.started, 0);
    taker_answer(&taker, attempt, "answer", false);
    ck_assert_str_eq(wait_followed(&rig, &ticket), "answer");
    ck_assert_str_eq(response(broker, &ticket), "answer");
    ck_assert_str_eq(response(broker, &ticket), "answer");
    ck_assert_int_eq(lookup(broker, &ticket, &status), 0);
    ck_assert_int_eq(status.state, TICKET_DONE);
    ck_assert_str_eq(status.release, "1");
    ck_assert_uint_eq(status.attempts, 1);
    ck_assert_int_gt(status.ended, 0);
    ck_assert_uint_eq(followed_count(&rig, &ticket), 1);
    ck_assert_uint_eq(stats(broker, 0).done, 1);
    ck_assert_uint_eq(stats(broker, 0).done_minute, 1);
    ck_assert_uint_eq(stats(broker, 0).running, 0);
    taker_close(&taker);
    rig_fini(&rig);
}
END_TEST

START_TEST(requests_are_taken_in_their_order)
{
    struct rig rig;
    struct taker taker;
    struct ticket tickets[20];

    rig_init(&rig);
    struct broker *broker = rig_open(&rig);
    for (int i = 0; i < 20; i++)
        ck_assert_int_eq(submit(broker, ASK(.text = "a"), &tickets[i]), 0);
    taker_open(&taker, broker, 0, "1", 3);
    for (int i = 0; i < 20; i++) {
        struct attempt *attempt = taker_next(&taker);
        ck_assert(ticket_eq(&attempt->ticket, &tickets[i]));
        taker_answer(&taker, attempt, "b", true);
    }
    taker_close(&taker);
    rig_fini(&rig);
}
END_TEST

START_TEST(no_more_are_taken_than_slots_are_free)
{
    struct rig rig;
    struct taker taker;
    struct ticket ticket;

    rig_init(&rig);
    struct broker *broker = rig_open(&rig);
    for (int i = 0; i < 5; i++)
        ck_assert_int_eq(submit(broker, ASK(.text = "a"), &ticket), 0);
    taker_open(&taker, broker, 0, "1", 2);
    struct attempt *first = taker_next(&taker);
    struct attempt *second = taker_next(&taker);
    ck_assert(taker_gets_nothing(&taker, 50));
    taker_answer(&taker, first, "b", false);
    ck_assert(taker_gets_nothing(&taker, 50));
    taker_answer(&taker, second, "b", true);
    taker_answer(&taker, taker_next(&taker), "b", false);
    ck_assert(taker_gets_nothing(&taker, 50));
    session_want(taker.session, 1);
    taker_answer(&taker, taker_next(&taker), "b", false);
    taker_close(&taker);
    ck_assert_uint_eq(stats(broker, 0).queued, 1);
    rig_fini(&rig);
}
END_TEST

START_TEST(a_session_takes_of_its_own_queue_only)
{
    struct rig rig;
    struct taker taker;
    struct ticket ticket;

    rig_init(&rig);
    struct broker *broker = rig_open(&rig);
    ck_assert_int_eq(submit(broker, ASK(.queue = 1, .text = "a"), &ticket), 0);
    taker_open(&taker, broker, 0, "1", 1);
    ck_assert(taker_gets_nothing(&taker, 50));
    taker_close(&taker);
    serve_one(broker, 1, "b");
    ck_assert_int_eq(wait_end(broker, &ticket), TICKET_DONE);
    rig_fini(&rig);
}
END_TEST

START_TEST(what_a_queue_holds_outlives_its_absence_from_the_settings)
{
    struct rig rig;
    struct ticket ticket;
    struct ticket_status status;

    rig_init(&rig);
    rig_open(&rig);
    ck_assert_int_eq(submit(rig.broker, ASK(.text = "a", .queue = 1), &ticket),
                     0);
    rig_close(&rig);

    rig.settings.queues_len = 1;
    rig_open(&rig);
    ck_assert_int_eq(lookup(rig.broker, &ticket, &status), 0);
    ck_assert_int_eq(status.state, TICKET_QUEUED);
    rig_close(&rig);

    rig.settings.queues_len = 2;
    rig_open(&rig);
    serve_one(rig.broker, 1, "b");
    ck_assert_int_eq(wait_end(rig.broker, &ticket), TICKET_DONE);
    rig_fini(&rig);
}
END_TEST

START_TEST(no_request_is_taken_twice)
{
    enum { COUNT = 200 };
    struct rig rig;
    struct taker takers[3];
    struct ticket tickets[COUNT];
    unsigned seen[COUNT] = {0};

    rig_init(&rig);
    struct broker *broker = rig_open(&rig);
    struct broker *other = rig_worker(&rig);
    for (int i = 0; i < 3; i++)
        taker_open(&takers[i], i == 0 ? broker : other, 0, "1", COUNT);
    for (int i = 0; i < COUNT; i++)
        ck_assert_int_eq(
            submit(broker, ASK(.text = "a", .spread = true), &tickets[i]), 0);
    wait_taken(takers, 3, COUNT);
    for (int i = 0; i < 3; i++) {
        while (takers[i].first != NULL) {
            struct attempt *attempt = taker_next(&takers[i]);
            for (int j = 0; j < COUNT; j++)
                seen[j] += ticket_eq(&tickets[j], &attempt->ticket);
            taker_answer(&takers[i], attempt, "b", false);
        }
    }
    for (int j = 0; j < COUNT; j++)
        ck_assert_uint_eq(seen[j], 1);
    for (int i = 0; i < 3; i++)
        taker_close(&takers[i]);
    ck_assert_uint_eq(stats(broker, 0).done, COUNT);
    broker_close(other);
    rig_fini(&rig);
}
END_TEST

/* ---- again -------------------------------------------------------------- */

START_TEST(a_crash_is_repeated_until_the_attempts_are_used_up)
{
    struct rig rig;
    struct taker taker;
    struct ticket ticket;
    struct ticket_status status;
    struct dead_letter *letters;
    size_t len;

    rig_init(&rig);
    struct broker *broker = rig_open(&rig);
    ck_assert_int_eq(
        submit(broker, ASK(.text = "a", .idempotent = true), &ticket), 0);
    taker_open(&taker, broker, 0, "1", 1);
    for (unsigned n = 1; n <= 3; n++) {
        struct attempt *attempt = taker_next(&taker);
        ck_assert_uint_eq(attempt->number, n);
        ck_assert(attempt->repeatable);
        taker_end(&taker, attempt, OUTCOME_CRASHED, "ended by signal 11", true);
    }
    ck_assert_int_eq(wait_end(broker, &ticket), TICKET_FAILED);
    ck_assert_ptr_nonnull(strstr(response(broker, &ticket), " 502 "));
    ck_assert_ptr_nonnull(
        strstr(response(broker, &ticket), "ended by signal 11"));
    ck_assert_int_eq(lookup(broker, &ticket, &status), 0);
    ck_assert_uint_eq(status.attempts, 3);
    ck_assert_str_eq(status.reason, "ended by signal 11");
    ck_assert(taker_gets_nothing(&taker, 100));
    ck_assert_int_eq(broker_dead_list(broker, 0, 10, &letters, &len, NULL), 0);
    ck_assert_uint_eq(len, 1);
    ck_assert(ticket_eq(&letters[0].ticket, &ticket));
    ck_assert_uint_eq(letters[0].attempts, 3);
    ck_assert_str_eq(letters[0].queue, "one");
    free(letters);
    ck_assert_uint_eq(stats(broker, 0).failed, 1);
    ck_assert_uint_eq(stats(broker, 0).dead, 1);
    taker_close(&taker);
    rig_fini(&rig);
}
END_TEST

START_TEST(a_timeout_that_is_given_up_is_a_504)
{
    struct rig rig;
    struct taker taker;
    struct ticket ticket;

    rig_init(&rig);
    struct broker *broker = rig_open(&rig);
    ck_assert_int_eq(submit(broker, ASK(.text = "a"), &ticket), 0);
    taker_open(&taker, broker, 0, "1", 1);
    taker_end(&taker, taker_next(&taker), OUTCOME_TIMED_OUT, "30 s", false);
    ck_assert_int_eq(wait_end(broker, &ticket), TICKET_FAILED);
    ck_assert_ptr_nonnull(strstr(response(broker, &ticket), " 504 "));
    taker_close(&taker);
    rig_fini(&rig);
}
END_TEST

/* How many times a request that always crashes is run. */
static unsigned
runs_of(enum redeliver redeliver, struct ask ask)
{
    struct rig rig;
    struct taker taker;
    struct ticket ticket;

    rig_init(&rig);
    rig.queues[0].redeliver = redeliver;
    struct broker *broker = rig_open(&rig);
    ck_assert_int_eq(submit(broker, ask, &ticket), 0);
    taker_open(&taker, broker, 0, "1", 1);
    struct ticket_status status;
    unsigned runs = 0;
    do {
        struct attempt *attempt = taker_try(&taker, 5);
        runs += attempt != NULL;
        if (attempt != NULL)
            taker_end(&taker, attempt, OUTCOME_CRASHED, "crash", true);
        ck_assert_int_eq(lookup(broker, &ticket, &status), 0);
    } while (!ticket_state_is_final(status.state));
    ck_assert_uint_eq(status.attempts, runs);
    taker_close(&taker);
    rig_fini(&rig);
    return runs;
}

START_TEST(only_what_may_be_repeated_is_repeated)
{
    const struct ask plain = {.text = "a"};
    const struct ask idempotent = {.text = "a", .idempotent = true};
    const struct ask keyed = {.text = "a", .key = "k"};

    ck_assert_uint_eq(runs_of(REDELIVER_IDEMPOTENT, plain), 1);
    ck_assert_uint_eq(runs_of(REDELIVER_IDEMPOTENT, idempotent), 3);
    ck_assert_uint_eq(runs_of(REDELIVER_IDEMPOTENT, keyed), 3);
    ck_assert_uint_eq(runs_of(REDELIVER_ALWAYS, plain), 3);
    ck_assert_uint_eq(runs_of(REDELIVER_NEVER, keyed), 1);
}
END_TEST

START_TEST(what_did_not_start_is_put_back_and_costs_nothing)
{
    struct rig rig;
    struct taker taker;
    struct ticket ticket;
    struct ticket_status status;

    rig_init(&rig);
    struct broker *broker = rig_open(&rig);
    ck_assert_int_eq(submit(broker, ASK(.text = "a"), &ticket), 0);
    taker_open(&taker, broker, 0, "1", 1);
    for (int i = 0; i < 5; i++) {
        struct attempt *attempt = taker_next(&taker);
        ck_assert_uint_eq(attempt->number, 1);
        taker_end(&taker, attempt, OUTCOME_NOT_STARTED, "no such program",
                  true);
    }
    ck_assert_str_eq(stats(broker, 0).trouble, "no such program");
    struct attempt *attempt = taker_next(&taker);
    ck_assert_uint_eq(attempt->number, 1);
    taker_answer(&taker, attempt, "b", false);
    ck_assert_int_eq(wait_end(broker, &ticket), TICKET_DONE);
    ck_assert_int_eq(lookup(broker, &ticket, &status), 0);
    ck_assert_uint_eq(status.attempts, 1);
    ck_assert_str_eq(stats(broker, 0).trouble, "");
    taker_close(&taker);
    rig_fini(&rig);
}
END_TEST

START_TEST(what_a_pause_kills_goes_back_at_once_and_costs_nothing)
{
    struct rig rig;
    struct taker taker, other;
    struct ticket ticket;
    struct ticket_status status;

    rig_init(&rig);
    rig.queues[0].attempts = 1;
    rig.queues[0].backoff_first = rig.queues[0].backoff_max = 3600000;
    struct broker *broker = rig_open(&rig);
    ck_assert_int_eq(
        submit(broker, ASK(.text = "a", .idempotent = true), &ticket), 0);
    taker_open(&taker, broker, 0, "1", 1);
    for (int i = 0; i < 3; i++)
        taker_end(&taker, taker_next(&taker), OUTCOME_KILLED, "paused", true);
    taker_end(&taker, taker_next(&taker), OUTCOME_KILLED, "paused", false);
    ck_assert_int_eq(wait_state(broker, &ticket, TICKET_QUEUED), TICKET_QUEUED);
    ck_assert_str_eq(stats(broker, 0).trouble, "");
    ck_assert_uint_eq(stats(broker, 0).queued, 1);
    ck_assert_uint_eq(stats(broker, 0).delayed, 0);
    ck_assert_int_eq(lookup(broker, &ticket, &status), 0);
    ck_assert_int_eq(status.state, TICKET_QUEUED);
    ck_assert_uint_eq(status.attempts, 0);
    ck_assert_str_eq(status.reason, "paused");

    if (rig_is_distributed()) /* else its partitions stay with it */
        taker_close(&taker);
    struct broker *elsewhere = rig_worker(&rig);
    taker_open(&other, elsewhere, 0, "1", 1);
    struct attempt *attempt = taker_next(&other);
    ck_assert_uint_eq(attempt->number, 1);
    taker_answer(&other, attempt, "b", false);
    ck_assert_int_eq(wait_end(broker, &ticket), TICKET_DONE);
    taker_close(&other);
    if (!rig_is_distributed())
        taker_close(&taker);
    broker_close(elsewhere);
    rig_fini(&rig);
}
END_TEST

START_TEST(what_a_pause_kills_and_may_not_be_repeated_is_a_dead_letter)
{
    struct rig rig;
    struct taker taker;
    struct ticket ticket;

    rig_init(&rig);
    struct broker *broker = rig_open(&rig);
    ck_assert_int_eq(submit(broker, ASK(.text = "a"), &ticket), 0);
    taker_open(&taker, broker, 0, "1", 1);
    taker_end(&taker, taker_next(&taker), OUTCOME_KILLED, "paused", false);
    ck_assert_int_eq(wait_end(broker, &ticket), TICKET_FAILED);
    ck_assert_ptr_nonnull(strstr(response(broker, &ticket), " 502 "));
    ck_assert_ptr_nonnull(strstr(response(broker, &ticket), "\"killed\""));
    ck_assert_uint_eq(stats(broker, 0).dead, 1);
    taker_close(&taker);
    rig_fini(&rig);
}
END_TEST

START_TEST(a_repetition_waits_for_its_backoff)
{
    struct rig rig;
    struct taker taker;
    struct ticket ticket;
    struct ticket_status status;

    rig_init(&rig);
    rig.queues[0].backoff_first = rig.queues[0].backoff_max = 400;
    struct broker *broker = rig_open(&rig);
    ck_assert_int_eq(
        submit(broker, ASK(.text = "a", .idempotent = true), &ticket), 0);
    taker_open(&taker, broker, 0, "1", 1);
    taker_end(&taker, taker_next(&taker), OUTCOME_LOST, "gone", true);
    const mono_ms since = clock_mono();
    struct attempt *attempt = taker_next(&taker);
    ck_assert_int_ge(clock_mono() - since, 190); /* half of it at least */
    ck_assert_int_lt(clock_mono() - since, 2000);
    ck_assert_int_eq(lookup(broker, &ticket, &status), 0);
    ck_assert_uint_eq(status.attempts, 2);
    taker_answer(&taker, attempt, "b", false);
    taker_close(&taker);
    rig_fini(&rig);
}
END_TEST

START_TEST(a_repetition_stands_before_newer_requests)
{
    struct rig rig;
    struct taker taker;
    struct ticket old, newer, newest;

    rig_init(&rig);
    rig.queues[0].backoff_first = rig.queues[0].backoff_max = 2;
    struct broker *broker = rig_open(&rig);
    ck_assert_int_eq(submit(broker, ASK(.text = "a", .idempotent = true), &old),
                     0);
    ck_assert_int_eq(submit(broker, ASK(.text = "b"), &newer), 0);
    ck_assert_int_eq(submit(broker, ASK(.text = "c"), &newest), 0);
    taker_open(&taker, broker, 0, "1", 1);
    taker_end(&taker, taker_next(&taker), OUTCOME_CRASHED, "crash", false);
    wait_ms(rig_is_distributed() ? 200 : 20); /* it is written and read */
    session_want(taker.session, 1);
    struct attempt *attempt = taker_next(&taker);
    ck_assert(ticket_eq(&attempt->ticket, &old));
    taker_answer(&taker, attempt, "d", true);
    attempt = taker_next(&taker);
    ck_assert(ticket_eq(&attempt->ticket, &newer));
    taker_answer(&taker, attempt, "d", false);
    taker_close(&taker);
    rig_fini(&rig);
}
END_TEST

START_TEST(an_answer_over_the_cap_is_a_failure_and_no_dead_letter)
{
    struct rig rig;
    struct taker taker;
    struct ticket ticket;

    rig_init(&rig);
    struct broker *broker = rig_open(&rig);
    ck_assert_int_eq(
        submit(broker, ASK(.text = "a", .idempotent = true), &ticket), 0);
    taker_open(&taker, broker, 0, "1", 1);
    taker_end(&taker, taker_next(&taker), OUTCOME_TOO_LARGE, "17 MiB", false);
    ck_assert_int_eq(wait_end(broker, &ticket), TICKET_FAILED);
    ck_assert_ptr_nonnull(strstr(response(broker, &ticket), " 502 "));
    ck_assert_uint_eq(stats(broker, 0).dead, 0);
    taker_close(&taker);
    rig_fini(&rig);
}
END_TEST

/* ---- dead letters ------------------------------------------------------- */

static void
make_dead(struct broker *broker, const char *text, struct ticket *ticket)
{
    struct taker taker;

    ck_assert_int_eq(submit(broker, ASK(.text = text), ticket), 0);
    taker_open(&taker, broker, 0, "1", 1);
    taker_end(&taker, taker_next(&taker), OUTCOME_CRASHED, "crash", false);
    ck_assert_int_eq(wait_end(broker, ticket), TICKET_FAILED);
    taker_close(&taker);
}

START_TEST(a_replay_is_a_new_ticket_linked_both_ways)
{
    struct rig rig;
    struct taker taker;
    struct ticket dead, made;
    struct ticket_status status;

    rig_init(&rig);
    struct broker *broker = rig_open(&rig);
    make_dead(broker, "a", &dead);
    ck_assert_int_eq(broker_dead_replay(broker, &dead, &made, NULL), 0);
    taker_open(&taker, broker, 0, "1", 1);
    struct attempt *attempt = taker_next(&taker);
    ck_assert(ticket_eq(&attempt->ticket, &made));
    ck_assert(slice_is(attempt->message, "a"));
    ck_assert(slice_is(attempt->origin.route, "/hits"));
    ck_assert_uint_eq(attempt->number, 1);
    taker_answer(&taker, attempt, "b", false);
    ck_assert_int_eq(wait_end(broker, &made), TICKET_DONE);
    ck_assert_int_eq(lookup(broker, &made, &status), 0);
    ck_assert(status.has_replays);
    ck_assert(ticket_eq(&status.replays, &dead));
    ck_assert_int_eq(lookup(broker, &dead, &status), 0);
    ck_assert_int_eq(status.state, TICKET_FAILED);
    ck_assert(status.has_replayed_by);
    ck_assert(ticket_eq(&status.replayed_by, &made));
    taker_close(&taker);
    rig_fini(&rig);
}
END_TEST

START_TEST(a_dropped_dead_letter_keeps_its_failure)
{
    struct rig rig;
    struct ticket dead, made;
    struct dead_letter *letters;
    size_t len;

    rig_init(&rig);
    struct broker *broker = rig_open(&rig);
    make_dead(broker, "a", &dead);
    ck_assert_int_eq(broker_dead_drop(broker, &dead, NULL), 0);
    ck_assert_int_eq(broker_dead_drop(broker, &dead, NULL), -ENOENT);
    ck_assert_int_eq(broker_dead_replay(broker, &dead, &made, NULL), -ENOENT);
    ck_assert_int_eq(broker_dead_list(broker, 0, 10, &letters, &len, NULL), 0);
    ck_assert_uint_eq(len, 0);
    free(letters);
    ck_assert_ptr_nonnull(strstr(response(broker, &dead), " 502 "));
    ck_assert_uint_eq(stats(broker, 0).dead, 0);
    rig_fini(&rig);
}
END_TEST

START_TEST(dead_letters_are_listed_oldest_first_and_end_with_retention)
{
    struct rig rig;
    struct ticket first, second;
    struct dead_letter *letters;
    size_t len;

    rig_init(&rig);
    rig.queues[0].retention_age = 1500;
    struct broker *broker = rig_open(&rig);
    make_dead(broker, "a", &first);
    make_dead(broker, "b", &second);
    ck_assert_int_eq(broker_dead_list(broker, 0, 10, &letters, &len, NULL), 0);
    ck_assert_uint_eq(len, 2);
    ck_assert(ticket_eq(&letters[0].ticket, &first));
    ck_assert_str_eq(letters[0].reason, "crash");
    free(letters);
    wait_gone(broker, &second);
    ck_assert_int_eq(broker_dead_list(broker, 0, 10, &letters, &len, NULL), 0);
    ck_assert_uint_eq(len, 0);
    free(letters);
    ck_assert_uint_eq(stats(broker, 0).dead, 0);
    ck_assert_uint_eq(stats(broker, 0).retained_bytes, 0);
    rig_fini(&rig);
}
END_TEST

/* ---- sessions ----------------------------------------------------------- */

START_TEST(a_session_is_listed_with_what_it_runs)
{
    struct rig rig;
    struct taker taker;
    struct ticket ticket;
    struct worker_info *workers;
    size_t len;

    rig_init(&rig);
    struct broker *broker = rig_open(&rig);
    ck_assert_int_eq(submit(broker, ASK(.text = "a"), &ticket), 0);
    taker_open(&taker, broker, 0, "1", 4);
    struct attempt *attempt = taker_next(&taker);
    ck_assert_int_eq(broker_workers(broker, &workers, &len, NULL), 0);
    ck_assert_uint_eq(len, 1);
    ck_assert_str_eq(workers[0].name, "test:1");
    ck_assert_str_eq(workers[0].queue, "one");
    ck_assert_str_eq(workers[0].release, "1");
    ck_assert_uint_eq(workers[0].concurrency, 4);
    ck_assert_uint_eq(workers[0].running, 1);
    ck_assert_int_gt(workers[0].lease_left, 0);
    free(workers);
    taker_answer(&taker, attempt, "b", false);
    taker_close(&taker);
    ck_assert_int_eq(broker_workers(broker, &workers, &len, NULL), 0);
    ck_assert_uint_eq(len, 0);
    free(workers);
    rig_fini(&rig);
}
END_TEST

START_TEST(a_lease_is_renewed_while_its_worker_lives)
{
    struct rig rig;
    struct taker taker;
    struct ticket ticket;

    rig_init(&rig);
    rig.queues[0].lease = rig_lease(300);
    struct broker *broker = rig_open(&rig);
    ck_assert_int_eq(submit(broker, ASK(.text = "a"), &ticket), 0);
    taker_open(&taker, broker, 0, "1", 1);
    struct attempt *attempt = taker_next(&taker);
    wait_ms(rig.queues[0].lease * 3);
    ck_assert_int_gt(taker_lease(&taker), clock_boot());
    taker_answer(&taker, attempt, "b", false);
    ck_assert_int_eq(wait_end(broker, &ticket), TICKET_DONE);
    taker_close(&taker);
    rig_fini(&rig);
}
END_TEST

START_TEST(a_stopped_session_takes_nothing_more)
{
    struct rig rig;
    struct taker taker;
    struct ticket ticket;

    rig_init(&rig);
    struct broker *broker = rig_open(&rig);
    ck_assert_int_eq(submit(broker, ASK(.text = "a"), &ticket), 0);
    taker_open(&taker, broker, 0, "1", 2);
    struct attempt *attempt = taker_next(&taker);
    session_stop(taker.session, NULL);
    ck_assert_int_eq(submit(broker, ASK(.text = "b"), &ticket), 0);
    ck_assert(taker_gets_nothing(&taker, 50));
    taker_answer(&taker, attempt, "c", true);
    taker_stop(&taker);
    ck_assert(taker_gets_nothing(&taker, 50));
    taker_close(&taker);
    ck_assert_uint_eq(stats(broker, 0).queued, 1);
    rig_fini(&rig);
}
END_TEST

START_TEST(what_a_closing_session_runs_is_lost)
{
    struct rig rig;
    struct taker taker;
    struct ticket repeatable, single;
    struct ticket_status status;

    rig_init(&rig);
    struct broker *broker = rig_open(&rig);
    ck_assert_int_eq(
        submit(broker, ASK(.text = "a", .idempotent = true), &repeatable), 0);
    ck_assert_int_eq(submit(broker, ASK(.text = "b"), &single), 0);
    taker_open(&taker, broker, 0, "1", 2);
    struct attempt *first = taker_next(&taker);
    struct attempt *second = taker_next(&taker);
    taker_close(&taker);
    attempt_free(first);
    attempt_free(second);
    ck_assert_int_eq(wait_end(broker, &single), TICKET_FAILED);
    ck_assert_int_eq(lookup(broker, &repeatable, &status), 0);
    ck_assert_int_eq(status.state, TICKET_QUEUED);
    ck_assert_uint_eq(status.attempts, 1);
    serve_one(broker, 0, "c");
    ck_assert_int_eq(wait_end(broker, &repeatable), TICKET_DONE);
    rig_fini(&rig);
}
END_TEST

CASE(attempts, a_request_is_answered_once_by_its_handler,
     requests_are_taken_in_their_order, no_more_are_taken_than_slots_are_free,
     a_session_takes_of_its_own_queue_only,
     what_a_queue_holds_outlives_its_absence_from_the_settings,
     no_request_is_taken_twice,
     a_crash_is_repeated_until_the_attempts_are_used_up,
     a_timeout_that_is_given_up_is_a_504, only_what_may_be_repeated_is_repeated,
     what_did_not_start_is_put_back_and_costs_nothing,
     what_a_pause_kills_goes_back_at_once_and_costs_nothing,
     what_a_pause_kills_and_may_not_be_repeated_is_a_dead_letter,
     a_repetition_waits_for_its_backoff,
     a_repetition_stands_before_newer_requests,
     an_answer_over_the_cap_is_a_failure_and_no_dead_letter,
     a_replay_is_a_new_ticket_linked_both_ways,
     a_dropped_dead_letter_keeps_its_failure,
     dead_letters_are_listed_oldest_first_and_end_with_retention,
     a_session_is_listed_with_what_it_runs,
     a_lease_is_renewed_while_its_worker_lives,
     a_stopped_session_takes_nothing_more, what_a_closing_session_runs_is_lost)
