/* requests.c - what clients may rely on. */
#include "tests/conformance/rig.h"
#include "tests/conformance/suites.h"

#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ASK(...) ((struct ask){__VA_ARGS__})

/* ---- accepting ---------------------------------------------------------- */

START_TEST(an_accepted_request_is_queued_at_once)
{
    struct rig rig;
    struct ticket ticket;
    struct ticket_status status;

    rig_init(&rig);
    struct broker *broker = rig_open(&rig);
    ck_assert_int_eq(submit(broker, ASK(.text = "a"), &ticket), 0);
    ck_assert_int_eq(lookup(broker, &ticket, &status), 0);
    ck_assert_int_eq(status.state, TICKET_QUEUED);
    ck_assert_str_eq(status.queue, "one");
    ck_assert_int_eq(status.position, 0);
    ck_assert_uint_eq(status.attempts, 0);
    ck_assert_int_gt(status.submitted, 0);
    ck_assert_int_eq(status.started, 0);
    ck_assert_int_eq(status.ended, 0);
    ck_assert_str_eq(response(broker, &ticket), "");
    ck_assert_uint_eq(stats(broker, 0).queued, 1);
    ck_assert_uint_eq(stats(broker, 0).accepted, 1);
    ck_assert_uint_eq(stats(broker, 1).queued, 0);
    rig_fini(&rig);
}
END_TEST

START_TEST(an_accepted_request_is_there_after_a_reopen)
{
    struct rig rig;
    struct ticket ticket;
    struct ticket_status status;

    rig_init(&rig);
    struct broker *broker = rig_open(&rig);
    ck_assert_int_eq(submit(broker, ASK(.text = "a"), &ticket), 0);
    rig_close(&rig);
    broker = rig_open(&rig);
    ck_assert_int_eq(lookup(broker, &ticket, &status), 0);
    ck_assert_int_eq(status.state, TICKET_QUEUED);
    serve_one(broker, 0, "b");
    ck_assert_int_eq(wait_end(broker, &ticket), TICKET_DONE);
    rig_fini(&rig);
}
END_TEST

START_TEST(a_ticket_of_nothing_is_unknown)
{
    struct rig rig;
    struct ticket_status status;

    rig_init(&rig);
    struct broker *broker = rig_open(&rig);
    const struct ticket ticket =
        ticket_make(broker_secret(broker), clock_wall(), TICKET_RANDOM_SLOT);
    ck_assert_int_eq(lookup(broker, &ticket, &status), -ENOENT);
    ck_assert_int_eq(cancel(broker, &ticket), -ENOENT);
    rig_fini(&rig);
}
END_TEST

START_TEST(the_position_tells_how_many_are_ahead)
{
    struct rig rig;
    struct taker taker;
    struct ticket tickets[5];
    struct ticket_status status;

    rig_init(&rig);
    struct broker *broker = rig_open(&rig);
    for (int i = 0; i < 5; i++)
        ck_assert_int_eq(submit(broker, ASK(.text = "a"), &tickets[i]), 0);
    ck_assert_int_eq(lookup(broker, &tickets[4], &status), 0);
    ck_assert_int_eq(status.position, 4);
    taker_open(&taker, broker, 0, "1", 2);
    struct attempt *first = taker_next(&taker);
    struct attempt *second = taker_next(&taker);
    ck_assert_int_eq(lookup(broker, &tickets[4], &status), 0);
    ck_assert_int_eq(status.position, 2);
    ck_assert_int_eq(lookup(broker, &tickets[0], &status), 0);
    ck_assert_int_eq(status.position, -1);
    taker_answer(&taker, first, "b", false);
    taker_answer(&taker, second, "b", false);
    taker_close(&taker);
    rig_fini(&rig);
}
END_TEST

START_TEST(a_full_queue_refuses_and_the_other_does_not)
{
    struct rig rig;
    struct ticket ticket;

    rig_init(&rig);
    rig.queues[0].max_depth = 3;
    struct broker *broker = rig_open(&rig);
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(submit(broker, ASK(.text = "a"), &ticket), 0);
    ck_assert_int_eq(submit(broker, ASK(.text = "a"), &ticket), -ENOBUFS);
    ck_assert_int_eq(submit(broker, ASK(.queue = 1, .text = "a"), &ticket), 0);
    serve_one(broker, 0, "b");
    ck_assert_uint_eq(stats(broker, 0).queued, 2); /* it knows by now */
    ck_assert_int_eq(submit(broker, ASK(.text = "a"), &ticket), 0);
    rig_fini(&rig);
}
END_TEST

/* ---- messages ----------------------------------------------------------- */

START_TEST(a_large_message_comes_out_byte_for_byte)
{
    const size_t len = 5 << 20;
    char *text = malloc(len + 1);
    struct rig rig;
    struct taker taker;
    struct ticket ticket;

    ck_assert_ptr_nonnull(text);
    for (size_t i = 0; i < len; i++)
        text[i] = (char)('a' + i * 7 % 26);
    text[len] = '\0';
    rig_init(&rig);
    struct broker *broker = rig_open(&rig);
    ck_assert_int_eq(submit(broker, ASK(.text = text), &ticket), 0);
    taker_open(&taker, broker, 0, "1", 1);
    struct attempt *attempt = taker_next(&taker);
    ck_assert_uint_eq(attempt->message.len, len);
    ck_assert(memcmp(attempt->message.at, text, len) == 0);
    taker_answer(&taker, attempt, text, false);
    ck_assert_int_eq(wait_end(broker, &ticket), TICKET_DONE);
    ck_assert_uint_eq(response_size(broker, &ticket), len);
    taker_close(&taker);
    rig_fini(&rig);
    free(text);
}
END_TEST

START_TEST(an_empty_message_is_a_message)
{
    struct rig rig;
    struct taker taker;
    struct ticket ticket;

    rig_init(&rig);
    struct broker *broker = rig_open(&rig);
    ck_assert_int_eq(submit(broker, ASK(.text = ""), &ticket), 0);
    taker_open(&taker, broker, 0, "1", 1);
    struct attempt *attempt = taker_next(&taker);
    ck_assert_uint_eq(attempt->message.len, 0);
    taker_answer(&taker, attempt, "", false);
    ck_assert_int_eq(wait_end(broker, &ticket), TICKET_DONE);
    taker_close(&taker);
    rig_fini(&rig);
}
END_TEST

/* ---- keys --------------------------------------------------------------- */

START_TEST(the_same_key_and_request_join_the_first)
{
    struct rig rig;
    struct ticket first, second;
    bool joined = true;

    rig_init(&rig);
    struct broker *broker = rig_open(&rig);
    const struct ask ask = {.text = "a", .key = "k"};
    ck_assert_int_eq(submit_joined(broker, ask, &first, &joined), 0);
    ck_assert(!joined);
    ck_assert_int_eq(submit_joined(broker, ask, &second, &joined), 0);
    ck_assert(joined);
    ck_assert(ticket_eq(&first, &second));
    ck_assert_uint_eq(stats(broker, 0).queued, 1);
    rig_fini(&rig);
}
END_TEST

START_TEST(the_same_key_joins_a_request_that_has_ended)
{
    struct rig rig;
    struct ticket first, second;

    rig_init(&rig);
    struct broker *broker = rig_open(&rig);
    const struct ask ask = {.text = "a", .key = "k"};
    ck_assert_int_eq(submit(broker, ask, &first), 0);
    serve_one(broker, 0, "b");
    ck_assert_int_eq(wait_end(broker, &first), TICKET_DONE);
    ck_assert_int_eq(submit(broker, ask, &second), 0);
    ck_assert(ticket_eq(&first, &second));
    ck_assert_str_eq(response(broker, &second), "b");
    rig_fini(&rig);
}
END_TEST

START_TEST(another_request_under_a_key_is_refused)
{
    struct rig rig;
    struct ticket ticket;

    rig_init(&rig);
    struct broker *broker = rig_open(&rig);
    ck_assert_int_eq(submit(broker, ASK(.text = "a", .key = "k"), &ticket), 0);
    ck_assert_int_eq(submit(broker, ASK(.text = "b", .key = "k"), &ticket),
                     -EEXIST);
    ck_assert_int_eq(submit(broker, ASK(.text = "b", .key = "l"), &ticket), 0);
    rig_fini(&rig);
}
END_TEST

START_TEST(a_full_queue_still_joins_by_key)
{
    struct rig rig;
    struct ticket first, second;

    rig_init(&rig);
    rig.queues[0].max_depth = 1;
    struct broker *broker = rig_open(&rig);
    ck_assert_int_eq(submit(broker, ASK(.text = "a", .key = "k"), &first), 0);
    ck_assert_int_eq(submit(broker, ASK(.text = "a", .key = "k"), &second), 0);
    ck_assert(ticket_eq(&first, &second));
    rig_fini(&rig);
}
END_TEST

START_TEST(a_key_is_forgotten_after_its_time)
{
    struct rig rig;
    struct ticket first, second;

    rig_init(&rig);
    rig.queues[0].keys = 1;
    struct broker *broker = rig_open(&rig);
    ck_assert_int_eq(submit(broker, ASK(.text = "a", .key = "k"), &first), 0);
    wait_ms(20);
    ck_assert_int_eq(submit(broker, ASK(.text = "b", .key = "k"), &second), 0);
    ck_assert(!ticket_eq(&first, &second));
    rig_fini(&rig);
}
END_TEST

struct duplicate {
    pthread_t thread;
    struct broker *broker;
    struct ticket ticket;
    int r;
};

static void *
submit_duplicate(void *opaque)
{
    struct duplicate *duplicate = opaque;

    duplicate->r = submit(duplicate->broker, ASK(.text = "a", .key = "k"),
                          &duplicate->ticket);
    return NULL;
}

START_TEST(duplicates_at_the_same_time_get_one_ticket)
{
    struct rig rig;
    struct duplicate duplicates[20];

    rig_init(&rig);
    struct broker *broker = rig_open(&rig);
    struct broker *other = rig_worker(&rig);
    for (int i = 0; i < 20; i++) {
        duplicates[i].broker = i % 2 ? broker : other;
        pthread_create(&duplicates[i].thread, NULL, submit_duplicate,
                       &duplicates[i]);
    }
    for (int i = 0; i < 20; i++) {
        pthread_join(duplicates[i].thread, NULL);
        ck_assert_int_eq(duplicates[i].r, 0);
        ck_assert(ticket_eq(&duplicates[i].ticket, &duplicates[0].ticket));
    }
    ck_assert_uint_eq(stats(broker, 0).accepted, 1);
    broker_close(other);
    rig_fini(&rig);
}
END_TEST

/* ---- cancelling --------------------------------------------------------- */

START_TEST(a_queued_request_is_cancelled_at_once)
{
    struct rig rig;
    struct taker taker;
    struct ticket ticket, next;

    rig_init(&rig);
    struct broker *broker = rig_open(&rig);
    ck_assert_int_eq(submit(broker, ASK(.text = "a"), &ticket), 0);
    ck_assert_int_eq(submit(broker, ASK(.text = "b"), &next), 0);
    follow(&rig, &ticket);
    ck_assert_int_eq(cancel(broker, &ticket), 0);
    ck_assert_int_eq(wait_end(broker, &ticket), TICKET_CANCELLED);
    ck_assert_ptr_nonnull(strstr(wait_followed(&rig, &ticket), " 410 "));
    ck_assert_int_eq(cancel(broker, &ticket), -EALREADY);
    taker_open(&taker, broker, 0, "1", 2);
    struct attempt *attempt = taker_next(&taker);
    ck_assert(ticket_eq(&attempt->ticket, &next));
    taker_answer(&taker, attempt, "c", false);
    taker_close(&taker);
    ck_assert_uint_eq(stats(broker, 0).queued, 0);
    rig_fini(&rig);
}
END_TEST

START_TEST(a_running_request_is_cancelled_by_its_worker)
{
    struct rig rig;
    struct taker taker;
    struct ticket ticket;

    rig_init(&rig);
    struct broker *broker = rig_open(&rig);
    struct broker *other = rig_worker(&rig);
    ck_assert_int_eq(submit(broker, ASK(.text = "a"), &ticket), 0);
    taker_open(&taker, other, 0, "1", 1);
    struct attempt *attempt = taker_next(&taker);
    ck_assert_int_eq(cancel(broker, &ticket), -EAGAIN);
    taker_wait_cancel(&taker);
    ck_assert(ticket_eq(&taker.cancelled, &ticket));
    ck_assert_int_eq(taker.why, OUTCOME_CANCELLED);
    taker_end(&taker, attempt, OUTCOME_CANCELLED, "killed", false);
    ck_assert_int_eq(wait_end(broker, &ticket), TICKET_CANCELLED);
    ck_assert_ptr_nonnull(strstr(response(broker, &ticket), " 410 "));
    taker_close(&taker);
    broker_close(other);
    rig_fini(&rig);
}
END_TEST

START_TEST(a_cancelled_attempt_that_crashes_is_not_repeated)
{
    struct rig rig;
    struct taker taker;
    struct ticket ticket;

    rig_init(&rig);
    struct broker *broker = rig_open(&rig);
    ck_assert_int_eq(
        submit(broker, ASK(.text = "a", .idempotent = true), &ticket), 0);
    taker_open(&taker, broker, 0, "1", 1);
    struct attempt *attempt = taker_next(&taker);
    ck_assert_int_eq(cancel(broker, &ticket), -EAGAIN);
    taker_end(&taker, attempt, OUTCOME_CRASHED, "signal 9", false);
    ck_assert_int_eq(wait_end(broker, &ticket), TICKET_CANCELLED);
    taker_close(&taker);
    rig_fini(&rig);
}
END_TEST

START_TEST(an_answer_given_before_the_kill_stands)
{
    struct rig rig;
    struct taker taker;
    struct ticket ticket;

    rig_init(&rig);
    struct broker *broker = rig_open(&rig);
    ck_assert_int_eq(submit(broker, ASK(.text = "a"), &ticket), 0);
    taker_open(&taker, broker, 0, "1", 1);
    struct attempt *attempt = taker_next(&taker);
    ck_assert_int_eq(cancel(broker, &ticket), -EAGAIN);
    taker_answer(&taker, attempt, "b", false);
    ck_assert_int_eq(wait_end(broker, &ticket), TICKET_DONE);
    taker_close(&taker);
    rig_fini(&rig);
}
END_TEST

START_TEST(a_request_between_two_attempts_is_cancelled)
{
    struct rig rig;
    struct taker taker;
    struct ticket ticket;

    rig_init(&rig);
    rig.queues[0].backoff_first = rig.queues[0].backoff_max = 3600000;
    struct broker *broker = rig_open(&rig);
    ck_assert_int_eq(
        submit(broker, ASK(.text = "a", .idempotent = true), &ticket), 0);
    taker_open(&taker, broker, 0, "1", 1);
    taker_end(&taker, taker_next(&taker), OUTCOME_CRASHED, "signal 11", false);
    ck_assert_int_eq(wait_state(broker, &ticket, TICKET_QUEUED), TICKET_QUEUED);
    ck_assert_uint_eq(stats(broker, 0).delayed, 1);
    ck_assert_int_eq(cancel(broker, &ticket), 0);
    ck_assert_int_eq(wait_end(broker, &ticket), TICKET_CANCELLED);
    ck_assert_uint_eq(stats(broker, 0).delayed, 0);
    taker_close(&taker);
    rig_fini(&rig);
}
END_TEST

/* ---- time --------------------------------------------------------------- */

START_TEST(a_request_expires_after_its_ttl)
{
    struct rig rig;
    struct ticket ticket;

    rig_init(&rig);
    rig.queues[0].ttl = 30;
    struct broker *broker = rig_open(&rig);
    ck_assert_int_eq(submit(broker, ASK(.text = "a"), &ticket), 0);
    follow(&rig, &ticket);
    ck_assert_int_eq(wait_end(broker, &ticket), TICKET_EXPIRED);
    ck_assert_ptr_nonnull(strstr(wait_followed(&rig, &ticket), " 504 "));
    ck_assert_uint_eq(stats(broker, 0).queued, 0);
    rig_fini(&rig);
}
END_TEST

START_TEST(a_request_past_its_ttl_is_not_run)
{
    struct rig rig;
    struct taker taker;
    struct ticket ticket;

    rig_init(&rig);
    rig.queues[0].ttl = 10;
    struct broker *broker = rig_open(&rig);
    ck_assert_int_eq(submit(broker, ASK(.text = "a"), &ticket), 0);
    wait_ms(20);
    taker_open(&taker, broker, 0, "1", 1);
    ck_assert_int_eq(wait_end(broker, &ticket), TICKET_EXPIRED);
    ck_assert(taker_gets_nothing(&taker, 0));
    taker_close(&taker);
    rig_fini(&rig);
}
END_TEST

START_TEST(an_answer_is_dropped_after_its_retention)
{
    struct rig rig;
    struct ticket ticket;

    rig_init(&rig);
    rig.queues[0].retention_age = 30;
    struct broker *broker = rig_open(&rig);
    ck_assert_int_eq(submit(broker, ASK(.text = "a"), &ticket), 0);
    serve_one(broker, 0, "b");
    wait_gone(broker, &ticket);
    ck_assert_uint_eq(stats(broker, 0).retained_bytes, 0);
    ck_assert_uint_eq(stats(broker, 0).done, 1);
    rig_fini(&rig);
}
END_TEST

START_TEST(the_oldest_answers_make_room_for_new_ones)
{
    struct rig rig;
    struct ticket tickets[4];
    char text[1001];

    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    rig_init(&rig);
    rig.queues[0].retention_bytes = 2500;
    struct broker *broker = rig_open(&rig);
    for (int i = 0; i < 4; i++) {
        ck_assert_int_eq(submit(broker, ASK(.text = "a"), &tickets[i]), 0);
        serve_one(broker, 0, text);
    }
    wait_gone(broker, &tickets[1]);
    wait_gone(broker, &tickets[0]);
    ck_assert_str_eq(response(broker, &tickets[2]), text);
    ck_assert_str_eq(response(broker, &tickets[3]), text);
    ck_assert_uint_eq(stats(broker, 0).retained_bytes, 2000);
    rig_fini(&rig);
}
END_TEST

/* ---- several, and the end ----------------------------------------------- */

START_TEST(every_broker_answers_for_every_ticket)
{
    struct rig rig;
    struct ticket ticket;
    struct ticket_status status;

    rig_init(&rig);
    struct broker *broker = rig_open(&rig);
    struct broker *other = rig_worker(&rig);
    ck_assert_int_eq(submit(other, ASK(.text = "a"), &ticket), 0);
    ck_assert_int_eq(lookup(broker, &ticket, &status), 0);
    ck_assert_int_eq(status.state, TICKET_QUEUED);
    follow(&rig, &ticket);
    serve_one(other, 0, "b");
    ck_assert_str_eq(wait_followed(&rig, &ticket), "b");
    ck_assert_str_eq(response(other, &ticket), "b");
    broker_close(other);
    rig_fini(&rig);
}
END_TEST

struct many {
    struct submission submissions[300];
    struct lookup lookups[100];
    _Atomic unsigned answered;
};

static struct many many;

static void
count_submitted(struct submission *submission)
{
    ck_assert(submission->r == 0 || submission->r == -ESHUTDOWN);
    many.answered++;
}

static void
count_found(struct lookup *found)
{
    ck_assert(found->r == -ENOENT || found->r == -ESHUTDOWN);
    many.answered++;
}

START_TEST(closing_answers_every_call)
{
    struct rig rig;

    rig_init(&rig);
    struct broker *broker = rig_open(&rig);
    for (int i = 0; i < 300; i++) {
        many.submissions[i] = (struct submission){
            .ticket = ticket_make(broker_secret(broker), clock_wall(), -1),
            .message = SLICE("a"),
            .on_submitted = count_submitted};
        broker_submit(broker, &many.submissions[i]);
    }
    for (int i = 0; i < 100; i++) {
        many.lookups[i] = (struct lookup){
            .ticket = ticket_make(broker_secret(broker), clock_wall(), -1),
            .on_found = count_found};
        broker_lookup(broker, &many.lookups[i]);
    }
    rig_close(&rig);
    ck_assert_uint_eq(many.answered, 400);
    rig_fini(&rig);
}
END_TEST

START_TEST(an_open_broker_is_ready)
{
    struct rig rig;
    struct error err;

    rig_init(&rig);
    struct broker *broker = rig_open(&rig);
    ck_assert_int_eq(broker_ready(broker, &err), 0);
    rig_fini(&rig);
}
END_TEST

CASE(requests, an_accepted_request_is_queued_at_once,
     an_accepted_request_is_there_after_a_reopen,
     a_ticket_of_nothing_is_unknown, the_position_tells_how_many_are_ahead,
     a_full_queue_refuses_and_the_other_does_not,
     a_large_message_comes_out_byte_for_byte, an_empty_message_is_a_message,
     the_same_key_and_request_join_the_first,
     the_same_key_joins_a_request_that_has_ended,
     another_request_under_a_key_is_refused, a_full_queue_still_joins_by_key,
     a_key_is_forgotten_after_its_time,
     duplicates_at_the_same_time_get_one_ticket,
     a_queued_request_is_cancelled_at_once,
     a_running_request_is_cancelled_by_its_worker,
     a_cancelled_attempt_that_crashes_is_not_repeated,
     an_answer_given_before_the_kill_stands,
     a_request_between_two_attempts_is_cancelled,
     a_request_expires_after_its_ttl, a_request_past_its_ttl_is_not_run,
     an_answer_is_dropped_after_its_retention,
     the_oldest_answers_make_room_for_new_ones,
     every_broker_answers_for_every_ticket, closing_answers_every_call,
     an_open_broker_is_ready)
