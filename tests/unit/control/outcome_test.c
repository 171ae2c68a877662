/* outcome_test.c - the table of what happens to an attempt. */
#include "tests/unit/test.h"

#include "control/lifecycle.h"
#include "control/outcome.h"

static const struct queue_settings queue = {.attempts = 3};

static void
expect(enum outcome outcome, bool repeatable, unsigned attempts,
       enum action action, int status, bool dead)
{
    struct verdict verdict =
        outcome_decide(outcome, repeatable, attempts, &queue);

    ck_assert_msg(verdict.action == action && verdict.status == status &&
                      verdict.dead_letter == dead,
                  "%s: action %d status %d dead %d", outcome_word(outcome),
                  verdict.action, verdict.status, verdict.dead_letter);
}

START_TEST(an_answer_is_done_whatever_else)
{
    expect(OUTCOME_ANSWERED, true, 1, ACTION_DONE, 0, false);
    expect(OUTCOME_ANSWERED, false, 9, ACTION_DONE, 0, false);
}
END_TEST

START_TEST(what_did_not_start_is_put_back_and_costs_nothing)
{
    expect(OUTCOME_NOT_STARTED, true, 99, ACTION_PUT_BACK, 0, false);
    expect(OUTCOME_NOT_STARTED, false, 1, ACTION_PUT_BACK, 0, false);
}
END_TEST

START_TEST(a_repeatable_one_is_repeated_until_attempts_are_used_up)
{
    static const enum outcome outcomes[] = {OUTCOME_LOST, OUTCOME_CRASHED,
                                            OUTCOME_BAD_OUTPUT};

    for (size_t i = 0; i < ARRAY_LEN(outcomes); i++) {
        expect(outcomes[i], true, 1, ACTION_RETRY, 0, false);
        expect(outcomes[i], true, 2, ACTION_RETRY, 0, false);
        expect(outcomes[i], true, 3, ACTION_FAIL, 502, true);
    }
    expect(OUTCOME_TIMED_OUT, true, 2, ACTION_RETRY, 0, false);
    expect(OUTCOME_TIMED_OUT, true, 3, ACTION_FAIL, 504, true);
}
END_TEST

START_TEST(one_that_may_not_be_repeated_fails_at_once)
{
    expect(OUTCOME_LOST, false, 1, ACTION_FAIL, 502, true);
    expect(OUTCOME_CRASHED, false, 1, ACTION_FAIL, 502, true);
    expect(OUTCOME_BAD_OUTPUT, false, 1, ACTION_FAIL, 502, true);
    expect(OUTCOME_TIMED_OUT, false, 1, ACTION_FAIL, 504, true);
}
END_TEST

START_TEST(what_a_pause_kills_is_put_back_at_once_if_it_may_be)
{
    expect(OUTCOME_KILLED, true, 1, ACTION_RETURN, 0, false);
    expect(OUTCOME_KILLED, true, 99, ACTION_RETURN, 0, false);
    expect(OUTCOME_KILLED, false, 1, ACTION_FAIL, 502, true);
    ck_assert_str_eq(outcome_word(OUTCOME_KILLED), "killed");
}
END_TEST

START_TEST(some_ends_are_final_and_no_dead_letters)
{
    for (int repeatable = 0; repeatable < 2; repeatable++) {
        expect(OUTCOME_CANCELLED, repeatable, 1, ACTION_FAIL, 410, false);
        expect(OUTCOME_EXPIRED, repeatable, 0, ACTION_FAIL, 504, false);
        expect(OUTCOME_TOO_LARGE, repeatable, 1, ACTION_FAIL, 502, false);
    }
}
END_TEST

START_TEST(the_queue_has_the_last_word_on_repeating)
{
    ck_assert(outcome_is_repeatable(true, REDELIVER_IDEMPOTENT));
    ck_assert(!outcome_is_repeatable(false, REDELIVER_IDEMPOTENT));
    ck_assert(outcome_is_repeatable(false, REDELIVER_ALWAYS));
    ck_assert(!outcome_is_repeatable(true, REDELIVER_NEVER));
}
END_TEST

START_TEST(backoff_doubles_to_its_maximum_with_jitter)
{
    for (unsigned random = 0; random < 100000; random += 777) {
        for (unsigned n = 1; n < 70; n++) {
            span_ms whole = n > 6 ? 60000 : 1000 << (n - 1);
            if (whole > 60000)
                whole = 60000;
            span_ms wait = outcome_backoff(1000, 60000, n, random);
            ck_assert_int_ge(wait, whole / 2);
            ck_assert_int_le(wait, whole);
        }
    }
    ck_assert_int_eq(outcome_backoff(0, 0, 1, 5), 0);
}
END_TEST

START_TEST(final_states_never_change)
{
    for (int from = 0; from < TICKET_STATES; from++)
        for (int to = 0; to < TICKET_STATES; to++)
            if (ticket_state_is_final((enum ticket_state)from))
                ck_assert(!ticket_state_may((enum ticket_state)from,
                                            (enum ticket_state)to));
    ck_assert(ticket_state_may(TICKET_QUEUED, TICKET_RUNNING));
    ck_assert(ticket_state_may(TICKET_RUNNING, TICKET_QUEUED));
    ck_assert(!ticket_state_may(TICKET_QUEUED, TICKET_DONE));
    ck_assert(!ticket_state_may(TICKET_RUNNING, TICKET_EXPIRED));
    ck_assert_str_eq(ticket_state_word(TICKET_CANCELLED), "cancelled");
}
END_TEST

TESTS("control", "outcome", an_answer_is_done_whatever_else,
      what_did_not_start_is_put_back_and_costs_nothing,
      a_repeatable_one_is_repeated_until_attempts_are_used_up,
      one_that_may_not_be_repeated_fails_at_once,
      what_a_pause_kills_is_put_back_at_once_if_it_may_be,
      some_ends_are_final_and_no_dead_letters,
      the_queue_has_the_last_word_on_repeating,
      backoff_doubles_to_its_maximum_with_jitter, final_states_never_change)
