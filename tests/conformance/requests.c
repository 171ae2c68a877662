/* requests.c - what clients may rely on. */
#include "tests/conformance/rig.h"
#include "tests/conformance/suites.h"

#include <stdio.h>
#include <string.h>

START_TEST(an_accepted_request_is_queued_at_once)
{
    struct rig rig;
    struct ticket ticket;
    struct ticket_status status;

    rig_init(&rig);
    struct broker *broker = rig_open(&rig);
    ck_assert_int_eq(submit(broker, (struct ask){.text = "a"}, &ticket), 0);
    ck_assert_int_eq(lookup(broker, &ticket, &status), 0);
    ck_assert_int_eq(status.state, TICKET_QUEUED);
    ck_assert_str_eq(status.queue, "one");
    ck_assert_int_eq(status.position, 0);
    ck_assert_uint_eq(status.attempts, 0);
    ck_assert_int_gt(status.submitted, 0);
    ck_assert_int_eq(status.ended, 0);
    ck_assert_uint_eq(stats(broker, 0).queued, 1);
    rig_fini(&rig);
}
END_TEST

START_TEST(a_request_is_answered_once_by_its_handler)
{
    struct rig rig;
    struct taker taker;
    struct ticket ticket;
    struct ticket_status status;

    rig_init(&rig);
    struct broker *broker = rig_open(&rig);
    ck_assert_int_eq(submit(broker, (struct ask){.text = "a"}, &ticket), 0);
    follow(&rig, &ticket);
    taker_open(&taker, broker, 0, "1", 1);
    struct attempt *attempt = taker_next(&taker);
    ck_assert(ticket_eq(&attempt->ticket, &ticket));
    ck_assert(slice_is(attempt->message, "a"));
    ck_assert(slice_is(attempt->origin.peer, "192.0.2.1:50000"));
    ck_assert(slice_is(attempt->origin.route, "/hits"));
    ck_assert_uint_eq(attempt->number, 1);
    ck_assert_int_eq(lookup(broker, &ticket, &status), 0);
    ck_assert_int_eq(status.state, TICKET_RUNNING);
    taker_answer(&taker, attempt, "answer", false);
    ck_assert_str_eq(wait_followed(&rig, &ticket), "answer");
    ck_assert_str_eq(response(broker, &ticket), "answer");
    ck_assert_str_eq(response(broker, &ticket), "answer");
    ck_assert_int_eq(lookup(broker, &ticket, &status), 0);
    ck_assert_int_eq(status.state, TICKET_DONE);
    ck_assert_str_eq(status.release, "1");
    ck_assert_uint_eq(status.attempts, 1);
    ck_assert_uint_eq(stats(broker, 0).done, 1);
    taker_close(&taker);
    rig_fini(&rig);
}
END_TEST

CASE(requests, an_accepted_request_is_queued_at_once,
     a_request_is_answered_once_by_its_handler)
