/* fold_test.c - what facts come to: fold.h's I1 to I5, each by what breaks it.
 */
#include "broker/kafka/fold.h"

#include "tests/unit/test.h"

enum { INGRESS = 0, MINE = 7, OTHER = 8 }; /* sessions */
enum { RUN = 100, NEWER = 101 };

/* One ticket in its partition. */
struct story {
    struct fold_claim claim;
    struct fold_ticket ticket;
};

static struct story
story_begin(void)
{
    return (struct story){.claim = {.offset = -1},
                          .ticket = fold_ticket_none()};
}

static void
claim(struct story *story, uint64_t session, int64_t offset)
{
    const struct fact fact = {.kind = FACT_CLAIM, .session = session};

    fold_claim(&story->claim, &fact, offset);
}

static void
over(struct story *story, uint64_t session)
{
    fold_over(&story->claim, session);
    fold_orphan(&story->ticket, session);
}

static bool
add(struct story *story, struct fact fact)
{
    const struct fold_ticket before = story->ticket;
    const bool counts = fold_fact(&story->ticket, &story->claim, &fact);

    if (!counts) /* then nothing is changed by it */
        ck_assert_mem_eq(&before, &story->ticket, sizeof(before));
    return counts;
}

static bool
start(struct story *story, uint64_t session, int64_t on, uint64_t run,
      unsigned attempt)
{
    return add(story, (struct fact){.kind = FACT_STARTED,
                                    .session = session,
                                    .claim = on,
                                    .run = run,
                                    .attempt = attempt,
                                    .put_backs = 2,
                                    .request = 55});
}

/* Of an attempt of run RUN, the first; else of no run. */
#define BY(fact_kind, fact_session, ...)                                       \
    ((struct fact){.kind = FACT_##fact_kind,                                   \
                   .session = fact_session,                                    \
                   .state = TICKET_FAILED,                                     \
                   .at = 1000,                                                 \
                   __VA_ARGS__})
#define OF_RUN(fact_kind, fact_session, ...)                                   \
    BY(fact_kind, fact_session, .run = RUN, .attempt = 1, ##__VA_ARGS__)

/* MINE has claimed, and runs it. */
static struct story
story_running(void)
{
    struct story story = story_begin();

    claim(&story, MINE, 10);
    ck_assert(start(&story, MINE, 10, RUN, 1));
    return story;
}

/* ---- I1: starting -------------------------------------------------------- */

START_TEST(a_start_on_the_claim_in_force_counts)
{
    const struct story story = story_running();

    ck_assert_int_eq(story.ticket.state, TICKET_RUNNING);
    ck_assert_uint_eq(story.ticket.run, RUN);
    ck_assert_uint_eq(story.ticket.session, MINE);
    ck_assert_uint_eq(story.ticket.attempts, 1);
    ck_assert_uint_eq(story.ticket.put_backs, 2);
    ck_assert_int_eq(story.ticket.request, 55);
}
END_TEST

START_TEST(a_start_without_a_claim_does_not_count)
{
    struct story story = story_begin();

    ck_assert(!start(&story, MINE, 10, RUN, 1));
    ck_assert(!start(&story, MINE, -1, RUN, 1));
}
END_TEST

START_TEST(a_start_on_an_older_claim_does_not_count)
{
    struct story story = story_begin();

    claim(&story, MINE, 10);
    claim(&story, OTHER, 11);
    ck_assert(!start(&story, MINE, 10, RUN, 1));
    ck_assert(start(&story, OTHER, 11, RUN, 1));
}
END_TEST

START_TEST(what_runs_or_has_ended_is_not_started)
{
    struct story story = story_running();

    ck_assert(!start(&story, MINE, 10, NEWER, 2));
    ck_assert(add(&story, OF_RUN(RESPONSE, MINE)));
    ck_assert(!start(&story, MINE, 10, NEWER, 2));
}
END_TEST

/* ---- I2: who may end a run ----------------------------------------------- */

static const enum fact_kind of_runs[] = {FACT_RESPONSE, FACT_FAILED,
                                         FACT_RETRY};

START_TEST(a_run_is_ended_by_its_own_session_alone)
{
    struct fact fact = OF_RUN(RESPONSE, OTHER);

    fact.kind = of_runs[_i];
    struct story story = story_running();
    ck_assert(!add(&story, fact));
    fact.session = INGRESS;
    ck_assert(!add(&story, fact));
    fact.session = MINE;
    fact.run = NEWER;
    ck_assert(!add(&story, fact));
    fact.run = RUN;
    ck_assert(add(&story, fact));
    ck_assert(!add(&story, fact)); /* it goes on no more */
}
END_TEST

START_TEST(an_orphan_is_ended_by_anyone_but_its_own_session)
{
    struct fact fact = OF_RUN(RESPONSE, MINE);

    fact.kind = of_runs[_i];
    struct story story = story_running();
    over(&story, MINE);
    ck_assert_int_eq(story.ticket.state, TICKET_RUNNING);
    ck_assert(story.ticket.is_orphan);
    ck_assert(!add(&story, fact));
    fact.session = _i == 0 ? OTHER : INGRESS;
    fact.run = NEWER;
    ck_assert(!add(&story, fact));
    fact.run = RUN;
    ck_assert(add(&story, fact));
    ck_assert(!story.ticket.is_orphan);
}
END_TEST

START_TEST(nothing_but_a_run_is_retried_or_answered)
{
    struct story story = story_begin();

    ck_assert(!add(&story, OF_RUN(RESPONSE, MINE)));
    ck_assert(!add(&story, OF_RUN(RETRY, MINE)));
    ck_assert(!add(&story, OF_RUN(FAILED, MINE)));
}
END_TEST

/* ---- I3: the first ending stays ------------------------------------------ */

START_TEST(the_first_ending_stays)
{
    static const enum ticket_state states[] = {
        TICKET_DONE, TICKET_FAILED, TICKET_CANCELLED, TICKET_EXPIRED};
    struct story story = story_running();

    story.ticket = fold_ticket_none();
    switch (_i) {
    case 0:
        ck_assert(start(&story, MINE, 10, RUN, 1));
        ck_assert(add(&story, OF_RUN(RESPONSE, MINE)));
        break;
    case 1:
        ck_assert(add(&story, BY(FAILED, INGRESS, .run = 0)));
        break;
    case 2:
        ck_assert(add(&story, BY(CANCEL, INGRESS, .run = 0)));
        break;
    default:
        ck_assert(add(&story, BY(EXPIRED, INGRESS, .run = 0)));
    }
    for (int again = 0; again < 2; again++) {
        ck_assert(!add(&story, OF_RUN(RESPONSE, MINE)));
        ck_assert(!add(&story, OF_RUN(RETRY, MINE)));
        ck_assert(!add(&story, OF_RUN(FAILED, MINE)));
        ck_assert(!add(&story, BY(FAILED, INGRESS, .run = 0)));
        ck_assert(!add(&story, BY(CANCEL, INGRESS, .run = 0)));
        ck_assert(!add(&story, BY(EXPIRED, INGRESS, .run = 0)));
        ck_assert(!start(&story, MINE, 10, NEWER, 2));
        ck_assert_int_eq(story.ticket.state, states[_i]);
        over(&story, MINE); /* and nor does that change anything */
    }
}
END_TEST

START_TEST(what_runs_is_not_expired_nor_failed_as_if_it_had_not_run)
{
    struct story story = story_running();

    ck_assert(!add(&story, BY(EXPIRED, INGRESS, .run = 0)));
    ck_assert(!add(&story, BY(FAILED, INGRESS, .run = 0)));
    over(&story, MINE);
    ck_assert(!add(&story, BY(EXPIRED, INGRESS, .run = 0)));
    ck_assert(!add(&story, BY(FAILED, INGRESS, .run = 0)));
}
END_TEST

/* ---- I4, I5: claims and `over` ------------------------------------------- */

START_TEST(a_later_claim_voids_nothing_before_it)
{
    struct story story = story_running();

    claim(&story, OTHER, 11);
    ck_assert_int_eq(story.ticket.state, TICKET_RUNNING);
    ck_assert(!story.ticket.is_orphan);
    ck_assert(!start(&story, OTHER, 11, NEWER, 1));
    ck_assert(add(&story, OF_RUN(RESPONSE, MINE)));
    ck_assert_int_eq(story.ticket.state, TICKET_DONE);
}
END_TEST

START_TEST(with_a_session_its_claim_is_over)
{
    struct story story = story_begin();

    claim(&story, MINE, 10);
    over(&story, MINE);
    ck_assert(!start(&story, MINE, 10, RUN, 1));
    claim(&story, OTHER, 12);
    ck_assert(start(&story, OTHER, 12, RUN, 1));
}
END_TEST

START_TEST(the_end_of_another_session_changes_nothing)
{
    struct story story = story_running();

    over(&story, OTHER);
    ck_assert(!story.ticket.is_orphan);
    ck_assert(add(&story, OF_RUN(RETRY, MINE)));
    ck_assert(start(&story, MINE, 10, NEWER, 1));
}
END_TEST

/* ---- going back ---------------------------------------------------------- */

START_TEST(a_retry_counts_its_attempt_or_not_and_waits)
{
    struct story story = story_running();

    ck_assert(add(&story, OF_RUN(RETRY, MINE, .counted = true, .delay = 50)));
    ck_assert_int_eq(story.ticket.state, TICKET_QUEUED);
    ck_assert_uint_eq(story.ticket.attempts, 1);
    ck_assert_int_eq(story.ticket.due, 1050);

    ck_assert(start(&story, MINE, 10, NEWER, 2));
    ck_assert_int_eq(story.ticket.due, 0);
    ck_assert_uint_eq(story.ticket.attempts, 2);
    ck_assert(add(&story,
                  BY(RETRY, MINE, .run = NEWER, .attempt = 2, .put_backs = 5)));
    ck_assert_uint_eq(story.ticket.attempts, 1);
    ck_assert_uint_eq(story.ticket.put_backs, 5);
    ck_assert_int_eq(story.ticket.due, 0);
}
END_TEST

/* ---- cancelling ---------------------------------------------------------- */

START_TEST(a_cancel_of_what_runs_is_a_wish)
{
    struct story story = story_running();

    ck_assert(add(&story, BY(CANCEL, INGRESS, .run = 0)));
    ck_assert_int_eq(story.ticket.state, TICKET_RUNNING);
    ck_assert(story.ticket.is_cancelled);
    ck_assert(add(&story, OF_RUN(RETRY, MINE)));
    ck_assert_int_eq(story.ticket.state, TICKET_CANCELLED);

    story = story_running();
    ck_assert(add(&story, BY(CANCEL, INGRESS, .run = 0)));
    ck_assert(add(&story, OF_RUN(FAILED, MINE)));
    ck_assert_int_eq(story.ticket.state, TICKET_CANCELLED);

    story = story_running();
    ck_assert(add(&story, BY(CANCEL, INGRESS, .run = 0)));
    ck_assert(add(&story, OF_RUN(RESPONSE, MINE))); /* it came first */
    ck_assert_int_eq(story.ticket.state, TICKET_DONE);
}
END_TEST

int
main(void)
{
    Suite *suite = suite_create("broker");
    TCase *tcase = tcase_create("fold");

    tcase_add_test(tcase, a_start_on_the_claim_in_force_counts);
    tcase_add_test(tcase, a_start_without_a_claim_does_not_count);
    tcase_add_test(tcase, a_start_on_an_older_claim_does_not_count);
    tcase_add_test(tcase, what_runs_or_has_ended_is_not_started);
    tcase_add_loop_test(tcase, a_run_is_ended_by_its_own_session_alone, 0, 3);
    tcase_add_loop_test(tcase, an_orphan_is_ended_by_anyone_but_its_own_session,
                        0, 3);
    tcase_add_test(tcase, nothing_but_a_run_is_retried_or_answered);
    tcase_add_loop_test(tcase, the_first_ending_stays, 0, 4);
    tcase_add_test(tcase,
                   what_runs_is_not_expired_nor_failed_as_if_it_had_not_run);
    tcase_add_test(tcase, a_later_claim_voids_nothing_before_it);
    tcase_add_test(tcase, with_a_session_its_claim_is_over);
    tcase_add_test(tcase, the_end_of_another_session_changes_nothing);
    tcase_add_test(tcase, a_retry_counts_its_attempt_or_not_and_waits);
    tcase_add_test(tcase, a_cancel_of_what_runs_is_a_wish);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
