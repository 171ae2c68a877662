/* controls.c - pause, the barrier, releases, probes, upgrades. */
#include "tests/conformance/rig.h"
#include "tests/conformance/suites.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#define ASK(...)    ((struct ask){__VA_ARGS__})
#define CHANGE(...) ((struct change){.by = "test", .kind = __VA_ARGS__})

static int
change(struct broker *broker, unsigned queue, struct change change)
{
    return broker_change(broker, &queue, 1, &change, NULL, NULL);
}

static void
must_change(struct broker *broker, unsigned queue, struct change wish)
{
    struct error err;
    int r = broker_change(broker, &queue, 1, &wish, NULL, &err);

    REQUIRE(r == 0, "%s: %s", change_word(wish.kind), err.text);
}

static void
resume_queue(struct broker *broker, unsigned queue, const char *release)
{
    must_change(broker, queue, CHANGE(CHANGE_RESUME, .release = release));
}

static void
drain_queue(struct broker *broker, unsigned queue)
{
    pause_queue(broker, queue);
    wait_queue(broker, queue, CONTROL_DRAINED);
}

/* ---- pause ----------------------------------------------------------------
 */

START_TEST(a_paused_queue_accepts_and_starts_nothing)
{
    struct rig rig;
    struct taker taker;
    struct ticket ticket;
    struct ticket_status status;

    rig_init(&rig);
    struct broker *broker = rig_open(&rig);
    taker_open(&taker, broker, 0, "1", 4);
    pause_queue(broker, 0);
    ck_assert_int_eq(submit(broker, ASK(.text = "a"), &ticket), 0);
    ck_assert(taker_gets_nothing(&taker, 50));
    ck_assert_int_eq(lookup(broker, &ticket, &status), 0);
    ck_assert_int_eq(status.state, TICKET_QUEUED);
    ck_assert_str_eq(status.reason, "paused");
    ck_assert_str_eq(status.paused_why, "words");
    ck_assert_int_gt(status.paused_since, 0);

    resume_queue(broker, 0, NULL);
    taker_answer(&taker, taker_next(&taker), "b", false);
    ck_assert_int_eq(wait_end(broker, &ticket), TICKET_DONE);
    taker_close(&taker);
    rig_fini(&rig);
}
END_TEST

START_TEST(a_pause_is_of_one_queue)
{
    struct rig rig;
    struct ticket ticket;

    rig_init(&rig);
    struct broker *broker = rig_open(&rig);
    pause_queue(broker, 0);
    ck_assert_int_eq(submit(broker, ASK(.queue = 1, .text = "a"), &ticket), 0);
    serve_one(broker, 1, "b");
    ck_assert_int_eq(wait_end(broker, &ticket), TICKET_DONE);
    rig_fini(&rig);
}
END_TEST

START_TEST(a_queue_without_workers_is_drained_by_its_pause)
{
    struct rig rig;
    struct change wish = CHANGE(CHANGE_PAUSE);
    const unsigned queue = 0;
    struct control after;

    rig_init(&rig);
    struct broker *broker = rig_open(&rig);
    ck_assert_int_eq(broker_change(broker, &queue, 1, &wish, &after, NULL), 0);
    ck_assert_uint_eq(after.epoch, 2);
    const struct control control = control_of(broker, 0);
    ck_assert_int_eq(control.state, CONTROL_DRAINED);
    ck_assert_uint_eq(control.epoch, after.epoch);
    ck_assert_uint_eq(control.paused_epoch, after.epoch);
    rig_fini(&rig);
}
END_TEST

START_TEST(a_queue_is_drained_when_what_runs_has_ended_and_not_before)
{
    struct rig rig;
    struct taker taker;
    struct ticket ticket;
    struct barrier barrier;

    rig_init(&rig);
    struct broker *broker = rig_open(&rig);
    ck_assert_int_eq(submit(broker, ASK(.text = "a"), &ticket), 0);
    taker_open(&taker, broker, 0, "1", 2);
    struct attempt *attempt = taker_next(&taker);
    ck_assert_uint_eq(attempt->epoch, 1);
    pause_queue(broker, 0);
    wait_ms(50);
    ck_assert_int_eq(queue_state(broker, 0), CONTROL_PAUSED);
    ck_assert_int_eq(broker_barrier(broker, 0, &barrier, NULL), 0);
    ck_assert_uint_eq(barrier.len, 1);
    ck_assert_int_eq(barrier.members[0].state, MEMBER_EXPECTED);
    barrier_fini(&barrier);

    taker_answer(&taker, attempt, "b", true);
    ck_assert_int_eq(wait_end(broker, &ticket), TICKET_DONE);
    wait_queue(broker, 0, CONTROL_DRAINED);
    ck_assert_int_eq(broker_barrier(broker, 0, &barrier, NULL), 0);
    ck_assert_int_eq(barrier.members[0].state, MEMBER_ACKNOWLEDGED);
    ck_assert_uint_eq(barrier.ended, 1);
    ck_assert_uint_eq(barrier.killed + barrier.waited_out, 0);
    barrier_fini(&barrier);
    taker_close(&taker);
    rig_fini(&rig);
}
END_TEST

START_TEST(a_worker_that_comes_in_a_pause_is_not_waited_for_and_takes_nothing)
{
    struct rig rig;
    struct taker early, late;
    struct ticket tickets[2];

    rig_init(&rig);
    struct broker *broker = rig_open(&rig);
    for (int i = 0; i < 2; i++)
        ck_assert_int_eq(submit(broker, ASK(.text = "a"), &tickets[i]), 0);
    taker_open(&early, broker, 0, "1", 1);
    struct attempt *attempt = taker_next(&early);
    pause_queue(broker, 0);
    taker_open(&late, broker, 0, "1", 1);
    ck_assert(taker_gets_nothing(&late, 50));
    ck_assert_int_eq(queue_state(broker, 0), CONTROL_PAUSED);
    taker_answer(&early, attempt, "b", true);
    wait_queue(broker, 0, CONTROL_DRAINED);
    resume_queue(broker, 0, NULL);
    ck_assert_int_eq(wait_end(broker, &tickets[0]), TICKET_DONE);
    taker_close(&early);
    taker_close(&late);
    rig_fini(&rig);
}
END_TEST

START_TEST(a_goodbye_accounts_for_a_worker)
{
    struct rig rig;
    struct taker taker;
    struct ticket ticket;
    struct barrier barrier;

    rig_init(&rig);
    struct broker *broker = rig_open(&rig);
    ck_assert_int_eq(
        submit(broker, ASK(.text = "a", .idempotent = true), &ticket), 0);
    taker_open(&taker, broker, 0, "1", 1);
    struct attempt *attempt = taker_next(&taker);
    pause_queue(broker, 0);
    taker_close(&taker);
    attempt_free(attempt);
    wait_queue(broker, 0, CONTROL_DRAINED);
    ck_assert_int_eq(broker_barrier(broker, 0, &barrier, NULL), 0);
    ck_assert_int_eq(barrier.members[0].state, MEMBER_LEFT);
    ck_assert_uint_eq(barrier.waited_out, 1);
    barrier_fini(&barrier);
    rig_fini(&rig);
}
END_TEST

START_TEST(a_pause_of_a_paused_queue_changes_nothing)
{
    struct rig rig;

    rig_init(&rig);
    struct broker *broker = rig_open(&rig);
    pause_queue(broker, 0);
    const struct control first = control_of(broker, 0);
    ck_assert_int_eq(change(broker, 0, CHANGE(CHANGE_PAUSE, .why = "other")),
                     -EALREADY);
    const struct control second = control_of(broker, 0);
    ck_assert_uint_eq(second.epoch, first.epoch);
    ck_assert_str_eq(second.why, "words");
    rig_fini(&rig);
}
END_TEST

START_TEST(a_pause_outlives_every_process)
{
    struct rig rig;

    rig_init(&rig);
    struct broker *broker = rig_open(&rig);
    drain_queue(broker, 0);
    rig_close(&rig);
    broker = rig_open(&rig);
    ck_assert_int_eq(queue_state(broker, 0), CONTROL_DRAINED);
    ck_assert_str_eq(control_of(broker, 0).why, "words");
    rig_fini(&rig);
}
END_TEST

START_TEST(a_change_on_an_old_epoch_is_refused)
{
    struct rig rig;

    rig_init(&rig);
    struct broker *broker = rig_open(&rig);
    pause_queue(broker, 0);
    ck_assert_int_eq(change(broker, 0, CHANGE(CHANGE_RESUME, .expected = 1)),
                     -ESTALE);
    ck_assert_int_eq(change(broker, 0, CHANGE(CHANGE_RESUME, .expected = 2)),
                     0);
    rig_fini(&rig);
}
END_TEST

START_TEST(several_queues_change_together_or_not_at_all)
{
    struct rig rig;
    const unsigned both[] = {1, 0};
    struct change wish = CHANGE(CHANGE_PAUSE);
    struct control after[2];
    struct error err;

    rig_init(&rig);
    struct broker *broker = rig_open(&rig);
    pause_queue(broker, 0);
    ck_assert_int_eq(broker_change(broker, both, 2, &wish, after, &err),
                     -EALREADY);
    ck_assert_ptr_nonnull(strstr(err.text, "queue one"));
    ck_assert_int_eq(queue_state(broker, 1), CONTROL_OPEN);
    wish.kind = CHANGE_REFUSE;
    ck_assert_int_eq(broker_change(broker, both, 2, &wish, after, &err), 0);
    ck_assert_uint_eq(after[0].epoch, 2);
    ck_assert_uint_eq(after[1].epoch, 3);
    ck_assert(!control_of(broker, 0).accepting);
    ck_assert(!control_of(broker, 1).accepting);
    rig_fini(&rig);
}
END_TEST

START_TEST(a_refusing_queue_takes_no_request_and_goes_on_working)
{
    struct rig rig;
    struct ticket before, refused;

    rig_init(&rig);
    struct broker *broker = rig_open(&rig);
    ck_assert_int_eq(submit(broker, ASK(.text = "a", .key = "k"), &before), 0);
    must_change(broker, 0, CHANGE(CHANGE_REFUSE));
    ck_assert_int_eq(submit(broker, ASK(.text = "a"), &refused), -ECONNREFUSED);
    bool joined = false; /* who repeats an old one is answered */
    ck_assert_int_eq(
        submit_joined(broker, ASK(.text = "a", .key = "k"), &refused, &joined),
        0);
    ck_assert(joined);
    serve_one(broker, 0, "b");
    ck_assert_int_eq(wait_end(broker, &before), TICKET_DONE);
    must_change(broker, 0, CHANGE(CHANGE_ACCEPT));
    ck_assert_int_eq(submit(broker, ASK(.text = "a"), &refused), 0);
    rig_fini(&rig);
}
END_TEST

START_TEST(no_ttl_runs_in_a_pause)
{
    struct rig rig;
    struct ticket ticket;

    rig_init(&rig);
    rig.queues[0].ttl = 2000;
    struct broker *broker = rig_open(&rig);
    struct broker *worker = rig_worker(&rig);
    ck_assert_int_eq(submit(broker, ASK(.text = "a"), &ticket), 0);
    pause_queue(broker, 0);
    wait_ms(3200); /* more than the ttl, and a sweep */
    resume_queue(broker, 0, NULL);
    serve_one(broker, 0, "b");
    ck_assert_int_eq(wait_end(broker, &ticket), TICKET_DONE);
    broker_close(worker);
    rig_fini(&rig);
}
END_TEST

START_TEST(a_clock_that_is_set_ends_no_pause_and_no_lease)
{
    struct rig rig;
    struct taker taker;
    struct ticket tickets[2];
    struct barrier barrier;
    static const span_ms steps[] = {3600000, -7200000, 3600000};

    rig_init(&rig);
    rig.queues[0].ttl = 60000;
    struct broker *broker = rig_open(&rig);
    for (int i = 0; i < 2; i++)
        ck_assert_int_eq(submit(broker, ASK(.text = "a"), &tickets[i]), 0);
    taker_open(&taker, broker, 0, "1", 1);
    struct attempt *attempt = taker_next(&taker);
    pause_queue(broker, 0);
    for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
        clock_set_wall(steps[i]);
        wait_ms(1100); /* a sweep, and more than a lease */
        ck_assert_int_ne(taker_lease(&taker), 0);
        ck_assert_int_eq(queue_state(broker, 0), CONTROL_PAUSED);
    }
    taker_answer(&taker, attempt, "b", true);
    wait_queue(broker, 0, CONTROL_DRAINED);
    ck_assert_int_eq(broker_barrier(broker, 0, &barrier, NULL), 0);
    ck_assert_int_eq(barrier.members[0].state, MEMBER_ACKNOWLEDGED);
    barrier_fini(&barrier);
    clock_set_wall(3600000);
    resume_queue(broker, 0, NULL);
    taker_answer(&taker, taker_next(&taker), "c", true);
    ck_assert_int_eq(wait_end(broker, &tickets[1]), TICKET_DONE);
    taker_close(&taker);
    rig_fini(&rig);
}
END_TEST

/* ---- killing --------------------------------------------------------------
 */

START_TEST(what_is_killed_goes_back_if_it_may_and_is_lost_if_not)
{
    struct rig rig;
    struct taker taker;
    struct ticket again, once;
    struct ticket_status status;
    struct barrier barrier;

    rig_init(&rig);
    rig.queues[0].attempts = 1;
    struct broker *broker = rig_open(&rig);
    ck_assert_int_eq(
        submit(broker, ASK(.text = "a", .idempotent = true), &again), 0);
    ck_assert_int_eq(submit(broker, ASK(.text = "b"), &once), 0);
    taker_open(&taker, broker, 0, "1", 2);
    struct attempt *first = taker_next(&taker);
    struct attempt *second = taker_next(&taker);
    pause_queue(broker, 0);
    ck_assert_int_eq(broker_kill(broker, 0, 7, NULL), -ECANCELED);
    ck_assert_int_eq(broker_kill(broker, 0, 2, NULL), 0);
    taker_wait_cancel(&taker);
    ck_assert_int_eq(taker.why, OUTCOME_KILLED);
    taker_end(&taker, first, OUTCOME_KILLED, "killed", true);
    taker_end(&taker, second, OUTCOME_KILLED, "killed", true);
    wait_queue(broker, 0, CONTROL_DRAINED);

    ck_assert_int_eq(broker_barrier(broker, 0, &barrier, NULL), 0);
    ck_assert_uint_eq(barrier.killed, 2);
    ck_assert_uint_eq(barrier.put_back, 1);
    ck_assert_uint_eq(barrier.ended, 0);
    barrier_fini(&barrier);
    ck_assert_int_eq(wait_end(broker, &once), TICKET_FAILED);
    ck_assert_int_eq(lookup(broker, &again, &status), 0);
    ck_assert_int_eq(status.state, TICKET_QUEUED);
    ck_assert_uint_eq(status.attempts, 0);
    resume_queue(broker, 0, NULL);
    taker_answer(&taker, taker_next(&taker), "c", false);
    ck_assert_int_eq(wait_end(broker, &again), TICKET_DONE);
    taker_close(&taker);
    rig_fini(&rig);
}
END_TEST

START_TEST(what_runs_is_listed_with_its_worker_and_ticket)
{
    struct rig rig;
    struct taker taker;
    struct ticket ticket;
    struct running *list;
    size_t len;

    rig_init(&rig);
    struct broker *broker = rig_open(&rig);
    ck_assert_int_eq(submit(broker, ASK(.text = "a"), &ticket), 0);
    taker_open(&taker, broker, 0, "1", 1);
    struct attempt *attempt = taker_next(&taker);
    ck_assert_int_eq(broker_running(broker, 0, 10, &list, &len, NULL), 0);
    ck_assert_uint_eq(len, 1);
    ck_assert(ticket_eq(&list[0].ticket, &ticket));
    ck_assert_str_eq(list[0].worker, "test:1");
    ck_assert_str_eq(list[0].release, "1");
    ck_assert_uint_eq(list[0].attempt, 1);
    free(list);
    taker_answer(&taker, attempt, "b", false);
    taker_close(&taker);
    rig_fini(&rig);
}
END_TEST

/* ---- releases -------------------------------------------------------------
 */

START_TEST(a_worker_of_another_release_waits_and_costs_no_attempt)
{
    struct rig rig;
    struct taker new;
    struct ticket ticket;

    rig_init(&rig);
    struct broker *broker = rig_open(&rig);
    ck_assert_int_eq(submit(broker, ASK(.text = "a"), &ticket), 0);
    taker_open(&new, broker, 0, "2", 1);
    ck_assert(taker_gets_nothing(&new, 50));
    ck_assert_ptr_nonnull(strstr(stats(broker, 0).trouble, "release 2"));
    drain_queue(broker, 0);
    resume_queue(broker, 0, "2");
    struct attempt *attempt = taker_next(&new);
    ck_assert_uint_eq(attempt->number, 1);
    ck_assert_uint_eq(attempt->epoch, 3);
    taker_answer(&new, attempt, "b", false);
    ck_assert_int_eq(wait_end(broker, &ticket), TICKET_DONE);
    ck_assert_str_eq(stats(broker, 0).trouble, "");
    taker_close(&new);
    rig_fini(&rig);
}
END_TEST

START_TEST(the_release_changes_only_in_a_drained_queue)
{
    struct rig rig;
    struct taker taker;
    struct ticket ticket;
    const struct change to_2 = CHANGE(CHANGE_RESUME, .release = "2");

    rig_init(&rig);
    struct broker *broker = rig_open(&rig);
    ck_assert_int_eq(submit(broker, ASK(.text = "a"), &ticket), 0);
    taker_open(&taker, broker, 0, "1", 1);
    struct attempt *attempt = taker_next(&taker);
    ck_assert_int_eq(change(broker, 0, to_2), -ENOTEMPTY);
    pause_queue(broker, 0);
    ck_assert_int_eq(change(broker, 0, to_2), -ENOTEMPTY);
    ck_assert_str_eq(control_of(broker, 0).release, "1");
    taker_answer(&taker, attempt, "b", true);
    wait_queue(broker, 0, CONTROL_DRAINED);
    ck_assert_int_eq(change(broker, 0, to_2), 0);
    ck_assert_str_eq(control_of(broker, 0).release, "2");
    ck_assert_int_eq(submit(broker, ASK(.text = "c"), &ticket), 0);
    ck_assert(taker_gets_nothing(&taker, 50));
    taker_close(&taker);
    rig_fini(&rig);
}
END_TEST

START_TEST(a_ramp_lets_slots_open_one_by_one)
{
    struct rig rig;
    struct taker taker;
    struct ticket tickets[4];
    struct attempt *attempts[4];

    rig_init(&rig);
    struct broker *broker = rig_open(&rig);
    drain_queue(broker, 0);
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(submit(broker, ASK(.text = "a"), &tickets[i]), 0);
    taker_open(&taker, broker, 0, "1", 4);
    const mono_ms start = clock_mono();
    must_change(broker, 0, CHANGE(CHANGE_RESUME, .ramp = 800));
    for (int i = 0; i < 4; i++) {
        attempts[i] = taker_next(&taker);
        ck_assert_int_ge(clock_mono() - start, i * 200);
    }
    for (int i = 0; i < 4; i++)
        taker_answer(&taker, attempts[i], "b", false);
    taker_close(&taker);
    rig_fini(&rig);
}
END_TEST

/* Of this process, whose threads wait. */
static span_ms
cpu_used(void)
{
    return (span_ms)(clock() * 1000 / CLOCKS_PER_SEC);
}

START_TEST(workers_that_may_take_nothing_rest)
{
    struct rig rig;
    struct taker taker;
    struct ticket tickets[2];

    rig_init(&rig);
    rig.queues[0].backoff_first = 1;
    struct broker *broker = rig_open(&rig);
    ck_assert_int_eq(submit(broker, ASK(.text = "a"), &tickets[0]), 0);
    taker_open(&taker, broker, 0, "1", 2);
    struct attempt *attempt = taker_next(&taker);
    pause_queue(broker, 0);
    taker_end(&taker, attempt, OUTCOME_NOT_STARTED, "no", true);
    wait_queue(broker, 0, CONTROL_DRAINED);
    wait_ms(10); /* it is due by now, and stands in the way of the pause */
    span_ms used = cpu_used();
    wait_ms(500);
    ck_assert_int_lt(cpu_used() - used, 100);

    ck_assert_int_eq(submit(broker, ASK(.text = "b"), &tickets[1]), 0);
    must_change(broker, 0, CHANGE(CHANGE_RESUME, .ramp = 100000));
    attempt = taker_next(&taker);
    used = cpu_used();
    wait_ms(500); /* the other slot is not there for a long time */
    ck_assert_int_lt(cpu_used() - used, 100);
    taker_answer(&taker, attempt, "c", false);
    taker_close(&taker);
    rig_fini(&rig);
}
END_TEST

/* ---- probes ---------------------------------------------------------------
 */

START_TEST(a_discarded_probe_leaves_the_request_in_its_place)
{
    struct rig rig;
    struct taker prober, taker;
    struct ticket tickets[2];
    struct ticket_status status;
    const struct probe probe = {.ticket = &tickets[1], .end = PROBE_DISCARD};

    rig_init(&rig);
    struct broker *broker = rig_open(&rig);
    for (int i = 0; i < 2; i++)
        ck_assert_int_eq(submit(broker, ASK(.text = "a"), &tickets[i]), 0);
    drain_queue(broker, 0);
    ck_assert_int_eq(taker_probe(&prober, broker, 0, "2", &probe), 0);
    struct attempt *attempt = taker_next(&prober);
    ck_assert(ticket_eq(&attempt->ticket, &tickets[1]));
    ck_assert_int_eq(queue_state(broker, 0), CONTROL_PROBING);
    ck_assert_uint_eq(attempt->epoch, 3);
    ck_assert_int_eq(lookup(broker, &tickets[1], &status), 0);
    if (!rig_is_distributed()) { /* there the log knows of kept ones only */
        ck_assert_int_eq(status.state, TICKET_RUNNING);
        ck_assert_str_eq(status.release, "2");
    }
    taker_answer(&prober, attempt, "probed", false);
    taker_close(&prober);
    ck_assert_int_eq(queue_state(broker, 0), CONTROL_DRAINED);
    ck_assert_int_eq(lookup(broker, &tickets[1], &status), 0);
    ck_assert_int_eq(status.state, TICKET_QUEUED);
    ck_assert_uint_eq(status.attempts, 0);
    ck_assert_int_eq(status.position, 1);

    resume_queue(broker, 0, NULL);
    taker_open(&taker, broker, 0, "1", 1);
    for (int i = 0; i < 2; i++) {
        attempt = taker_next(&taker);
        ck_assert(ticket_eq(&attempt->ticket, &tickets[i]));
        ck_assert_uint_eq(attempt->number, 1);
        taker_answer(&taker, attempt, "b", true);
    }
    ck_assert_int_eq(wait_end(broker, &tickets[1]), TICKET_DONE);
    ck_assert_ptr_null(strstr(response(broker, &tickets[1]), "probed"));
    taker_close(&taker);
    rig_fini(&rig);
}
END_TEST

START_TEST(the_answer_of_a_kept_probe_is_the_tickets)
{
    struct rig rig;
    struct taker prober, taker;
    struct ticket tickets[2];
    const struct probe probe = {.end = PROBE_KEEP};

    rig_init(&rig);
    struct broker *broker = rig_open(&rig);
    for (int i = 0; i < 2; i++)
        ck_assert_int_eq(submit(broker, ASK(.text = "a"), &tickets[i]), 0);
    drain_queue(broker, 0);
    ck_assert_int_eq(taker_probe(&prober, broker, 0, "2", &probe), 0);
    taker_answer(&prober, taker_next(&prober), "probed", false);
    taker_close(&prober);
    ck_assert_int_eq(wait_end(broker, &tickets[0]), TICKET_DONE);
    ck_assert_str_eq(response(broker, &tickets[0]), "probed");
    ck_assert_uint_eq(stats(broker, 0).queued, 1);
    resume_queue(broker, 0, "2");
    taker_open(&taker, broker, 0, "2", 1);
    struct attempt *attempt = taker_next(&taker);
    ck_assert(ticket_eq(&attempt->ticket, &tickets[1]));
    taker_answer(&taker, attempt, "b", true);
    ck_assert_int_eq(wait_end(broker, &tickets[1]), TICKET_DONE);
    ck_assert_uint_eq(stats(broker, 0).queued, 0);
    taker_close(&taker);
    rig_fini(&rig);
}
END_TEST

/* Of three requests the second one is probed, and fails. */
static void
fail_a_kept_probe(struct broker *broker, bool idempotent,
                  struct ticket tickets[3])
{
    const struct probe probe = {.ticket = &tickets[1], .end = PROBE_KEEP};
    struct taker prober, taker;

    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(submit(broker,
                                ASK(.text = "a", .idempotent = idempotent),
                                &tickets[i]),
                         0);
    drain_queue(broker, 0);
    ck_assert_int_eq(taker_probe(&prober, broker, 0, "2", &probe), 0);
    taker_end(&prober, taker_next(&prober), OUTCOME_CRASHED, "crashed", false);
    taker_close(&prober);
    resume_queue(broker, 0, "2");
    taker_open(&taker, broker, 0, "2", 1);
    for (int i = 0; i < 3; i += 2) {
        struct attempt *attempt = taker_next(&taker);
        ck_assert(ticket_eq(&attempt->ticket, &tickets[i]));
        taker_answer(&taker, attempt, "b", true);
        ck_assert_int_eq(wait_end(broker, &tickets[i]), TICKET_DONE);
    }
    taker_close(&taker);
    ck_assert_uint_eq(stats(broker, 0).queued, 0);
}

START_TEST(a_kept_probe_that_fails_is_run_again_after_its_backoff)
{
    struct rig rig;
    struct ticket tickets[3];
    struct ticket_status status;

    rig_init(&rig);
    rig.queues[0].backoff_first = rig.queues[0].backoff_max = 3600000;
    struct broker *broker = rig_open(&rig);
    fail_a_kept_probe(broker, true, tickets);
    ck_assert_uint_eq(stats(broker, 0).delayed, 1);
    ck_assert_int_eq(lookup(broker, &tickets[1], &status), 0);
    ck_assert_int_eq(status.state, TICKET_QUEUED);
    ck_assert_uint_eq(status.attempts, 1);
    rig_fini(&rig);
}
END_TEST

START_TEST(a_kept_probe_that_fails_for_good_is_a_dead_letter_and_never_run)
{
    struct rig rig;
    struct ticket tickets[3], made;
    struct taker taker;
    struct error err;

    rig_init(&rig);
    struct broker *broker = rig_open(&rig);
    fail_a_kept_probe(broker, false, tickets);
    ck_assert_int_eq(wait_end(broker, &tickets[1]), TICKET_FAILED);
    ck_assert_uint_eq(stats(broker, 0).dead, 1);
    ck_assert_int_eq(broker_dead_replay(broker, &tickets[1], &made, &err), 0);
    taker_open(&taker, broker, 0, "2", 1);
    struct attempt *attempt = taker_next(&taker);
    ck_assert(!attempt->repeatable);
    taker_answer(&taker, attempt, "b", true);
    ck_assert_int_eq(wait_end(broker, &made), TICKET_DONE);
    taker_close(&taker);
    rig_fini(&rig);
}
END_TEST

START_TEST(a_kept_probe_that_was_told_to_end_leaves_the_request_in_its_place)
{
    struct rig rig;
    struct taker prober;
    struct ticket tickets[2];
    struct ticket_status status;
    const struct probe probe = {.ticket = &tickets[1], .end = PROBE_KEEP};

    rig_init(&rig);
    struct broker *broker = rig_open(&rig);
    for (int i = 0; i < 2; i++)
        ck_assert_int_eq(
            submit(broker, ASK(.text = "a", .idempotent = true), &tickets[i]),
            0);
    drain_queue(broker, 0);
    ck_assert_int_eq(taker_probe(&prober, broker, 0, "2", &probe), 0);
    taker_end(&prober, taker_next(&prober), OUTCOME_KILLED, "ended", false);
    taker_close(&prober);
    ck_assert_int_eq(queue_state(broker, 0), CONTROL_DRAINED);
    ck_assert_int_eq(lookup(broker, &tickets[1], &status), 0);
    ck_assert_int_eq(status.state, TICKET_QUEUED);
    ck_assert_uint_eq(status.attempts, 0);
    ck_assert_int_eq(status.position, 1);
    rig_fini(&rig);
}
END_TEST

START_TEST(a_prober_that_goes_away_leaves_the_queue_drained)
{
    struct rig rig;
    struct taker prober;
    struct ticket ticket;
    struct ticket_status status;
    const struct probe probe = {.end = PROBE_DISCARD};

    rig_init(&rig);
    struct broker *broker = rig_open(&rig);
    ck_assert_int_eq(submit(broker, ASK(.text = "a"), &ticket), 0);
    drain_queue(broker, 0);
    ck_assert_int_eq(taker_probe(&prober, broker, 0, "2", &probe), 0);
    struct attempt *attempt = taker_next(&prober);
    taker_close(&prober); /* with the attempt in hand */
    attempt_free(attempt);
    ck_assert_int_eq(queue_state(broker, 0), CONTROL_DRAINED);
    ck_assert_int_eq(lookup(broker, &ticket, &status), 0);
    ck_assert_int_eq(status.state, TICKET_QUEUED);
    rig_fini(&rig);
}
END_TEST

START_TEST(a_probe_is_refused_where_it_cannot_be)
{
    struct rig rig;
    struct taker prober, second;
    struct ticket ticket, other;
    const struct probe next = {.end = PROBE_CAREFUL};
    const struct probe of_other = {.ticket = &other, .end = PROBE_DISCARD};
    const struct probe discard = {.end = PROBE_DISCARD};

    rig_init(&rig);
    struct broker *broker = rig_open(&rig);
    ck_assert_int_eq(submit(broker, ASK(.queue = 1, .text = "a"), &other), 0);
    ck_assert_int_eq(taker_probe(&prober, broker, 0, "1", &next), -ENOTEMPTY);
    drain_queue(broker, 0);
    ck_assert_int_eq(taker_probe(&prober, broker, 0, "1", &next), -ENOENT);
    ck_assert_int_eq(taker_probe(&prober, broker, 0, "1", &of_other), -ENOENT);
    ck_assert_int_eq(submit(broker, ASK(.text = "a"), &ticket), 0);
    ck_assert_int_eq(taker_probe(&prober, broker, 0, "1", &next), -EPERM);
    ck_assert_int_eq(queue_state(broker, 0), CONTROL_DRAINED);
    ck_assert_int_eq(taker_probe(&prober, broker, 0, "1", &discard), 0);
    ck_assert_int_eq(taker_probe(&second, broker, 0, "1", &discard),
                     -EINPROGRESS);
    ck_assert_int_eq(change(broker, 0, CHANGE(CHANGE_RESUME)), -EINPROGRESS);
    taker_close(&prober);
    ck_assert_int_eq(change(broker, 0, CHANGE(CHANGE_RESUME)), 0);
    rig_fini(&rig);
}
END_TEST

/* ---- upgrades -------------------------------------------------------------
 */

START_TEST(a_held_queue_is_resumed_by_its_upgrade_or_by_force)
{
    struct rig rig;
    const struct change begin =
        CHANGE(CHANGE_PAUSE, .upgrade = "u1", .step = STEP_PAUSING, .to = "2");

    rig_init(&rig);
    struct broker *broker = rig_open(&rig);
    ck_assert_int_eq(change(broker, 0, begin), 0);
    const struct control held = control_of(broker, 0);
    ck_assert_str_eq(held.upgrade.from, "1");
    ck_assert_str_eq(held.upgrade.to, "2");
    ck_assert_int_ne(held.upgrade.pid, 0);
    ck_assert_int_eq(change(broker, 0, CHANGE(CHANGE_RESUME)), -EBUSY);
    ck_assert_int_eq(change(broker, 0, CHANGE(CHANGE_RESUME, .upgrade = "u2")),
                     -ECANCELED);
    must_change(broker, 0,
                CHANGE(CHANGE_STEP, .upgrade = "u1", .step = STEP_MIGRATING));
    must_change(broker, 0,
                CHANGE(CHANGE_RESUME, .upgrade = "u1", .release = "2"));
    ck_assert_str_eq(control_of(broker, 0).release, "2");
    ck_assert_str_eq(control_of(broker, 0).upgrade.id, "");

    must_change(
        broker, 0,
        CHANGE(CHANGE_PAUSE, .upgrade = "u3", .step = STEP_PAUSING, .to = "3"));
    must_change(broker, 0, CHANGE(CHANGE_RESUME, .force = true));
    ck_assert_int_eq(
        change(broker, 0,
               CHANGE(CHANGE_STEP, .upgrade = "u3", .step = STEP_MIGRATING)),
        -ECANCELED);
    rig_fini(&rig);
}
END_TEST

/* Who runs it is told by its place at the broker: a pid may be somebody else's
 * in another pid namespace. */
START_TEST(an_upgrade_whose_process_lives_is_nobody_elses)
{
    const struct change step =
        CHANGE(CHANGE_STEP, .upgrade = "u1", .step = STEP_PAUSING);
    struct rig rig;

    rig_init(&rig);
    struct broker *broker = rig_open(&rig);
    struct broker *other = rig_worker(&rig);
    must_change(
        broker, 0,
        CHANGE(CHANGE_PAUSE, .upgrade = "u1", .step = STEP_PAUSING, .to = "2"));
    ck_assert_int_eq(change(other, 0, step), -EBUSY);
    /* What is changed beside it leaves it whose it is. */
    must_change(other, 0, CHANGE(CHANGE_REFUSE));
    must_change(broker, 0, step);
    broker_close(other);
    rig_close(&rig);
    broker = rig_open(&rig);
    ck_assert_int_eq(control_of(broker, 0).upgrade.pid, 0);
    must_change(broker, 0, step);
    ck_assert_int_ne(control_of(broker, 0).upgrade.pid, 0);
    rig_fini(&rig);
}
END_TEST

/* ---- history --------------------------------------------------------------
 */

START_TEST(the_history_tells_each_change_with_its_receipt)
{
    struct rig rig;
    struct history *list;
    size_t len;
    static const char *const changes[] = {"pause", "drained", "resume"};

    rig_init(&rig);
    struct broker *broker = rig_open(&rig);
    drain_queue(broker, 0);
    resume_queue(broker, 0, "2");
    pause_queue(broker, 1);
    ck_assert_int_eq(broker_history(broker, 0, 10, &list, &len, NULL), 0);
    ck_assert_uint_eq(len, 3);
    for (size_t i = 0; i < len; i++) {
        ck_assert_str_eq(list[i].change, changes[i]);
        ck_assert_str_eq(list[i].queue, "one");
        ck_assert_str_eq(list[i].by, i == 1 ? "" : "test");
        ck_assert_uint_eq(list[i].epoch, i < 2 ? 2 : 3);
        ck_assert((list[i].receipt != NULL) == (i == 1));
    }
    ck_assert_ptr_nonnull(strstr(list[1].receipt, "\"by\":\"test\""));
    ck_assert_ptr_nonnull(strstr(list[1].receipt, "\"why\":\"words\""));
    ck_assert_str_eq(list[0].why, "words");
    ck_assert_str_eq(list[2].release, "2");
    history_free(list, len);
    ck_assert_int_eq(broker_history(broker, -1, 2, &list, &len, NULL), 0);
    ck_assert_uint_eq(len, 2);
    ck_assert_str_eq(list[0].queue, "two");
    history_free(list, len);
    rig_fini(&rig);
}
END_TEST

CASE(controls, a_paused_queue_accepts_and_starts_nothing,
     a_pause_is_of_one_queue, a_queue_without_workers_is_drained_by_its_pause,
     a_queue_is_drained_when_what_runs_has_ended_and_not_before,
     a_worker_that_comes_in_a_pause_is_not_waited_for_and_takes_nothing,
     a_goodbye_accounts_for_a_worker, a_pause_of_a_paused_queue_changes_nothing,
     a_pause_outlives_every_process, a_change_on_an_old_epoch_is_refused,
     several_queues_change_together_or_not_at_all,
     a_refusing_queue_takes_no_request_and_goes_on_working,
     no_ttl_runs_in_a_pause, a_clock_that_is_set_ends_no_pause_and_no_lease,
     what_is_killed_goes_back_if_it_may_and_is_lost_if_not,
     what_runs_is_listed_with_its_worker_and_ticket,
     a_worker_of_another_release_waits_and_costs_no_attempt,
     the_release_changes_only_in_a_drained_queue,
     a_ramp_lets_slots_open_one_by_one, workers_that_may_take_nothing_rest,
     a_discarded_probe_leaves_the_request_in_its_place,
     the_answer_of_a_kept_probe_is_the_tickets,
     a_kept_probe_that_fails_is_run_again_after_its_backoff,
     a_kept_probe_that_fails_for_good_is_a_dead_letter_and_never_run,
     a_kept_probe_that_was_told_to_end_leaves_the_request_in_its_place,
     a_prober_that_goes_away_leaves_the_queue_drained,
     a_probe_is_refused_where_it_cannot_be,
     a_held_queue_is_resumed_by_its_upgrade_or_by_force,
     an_upgrade_whose_process_lives_is_nobody_elses,
     the_history_tells_each_change_with_its_receipt)
