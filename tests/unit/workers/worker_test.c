/* worker_test.c - the life of a worker, with a broker that the test plays. */
#include "tests/unit/test.h"
#include "tests/unit/workers/fake_broker.h"

#include <dirent.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>

#include "common/asked.h"

static struct queue_settings queue = {
    .concurrency = 2,
    .timeout = 20000,
    .max_response = 100000,
    .lease = 10000,
};

/* Runs a worker with a program of the zoo. */
static int
run_worker(const char *program, void *(*script)(void *), struct error *err)
{
    char *command[2] = {program == NULL ? NULL : zoo(program), NULL};
    static char name[] = "tests", release[] = "v1", body[] = "in {release}";

    queue.name = name;
    queue.release = release;
    queue.handler.type = program == NULL ? HANDLER_RESPOND : HANDLER_CGI;
    queue.handler.cgi.command = command;
    queue.handler.respond.status = 200;
    queue.handler.respond.body = body;
    int r = fake_worker(&queue, script, err);
    free(command[0]);
    return r;
}

static void *
serve_and_stop(void *unused)
{
    for (int i = 0; i < 5; i++) {
        const struct attempt *attempt = fake_run("/run");
        ck_assert_int_eq(attempt->outcome, OUTCOME_ANSWERED);
        ck_assert(attempt->again);
    }
    kill(getpid(), SIGTERM);
    return unused;
}

START_TEST(a_worker_serves_until_it_is_asked_to_stop)
{
    struct error err;

    ck_assert_int_eq(run_worker("hello.sh", serve_and_stop, &err), 0);
    ck_assert_uint_eq(fake.hellos, 1);
    ck_assert_uint_eq(fake.goodbyes, 1);
}
END_TEST

START_TEST(a_fixed_answer_comes_at_once)
{
    struct error err;

    ck_assert_int_eq(run_worker(NULL, serve_and_stop, &err), 0);
}
END_TEST

static void *
see_the_release(void *unused)
{
    struct message response = response_of(fake_run("/run"));

    ck_assert_str_eq(fake.session.options.release, "v2");
    ck_assert(slice_is(response.body, "in v2"));
    message_fini(&response);
    kill(getpid(), SIGTERM);
    return unused;
}

START_TEST(a_worker_may_be_of_another_release_than_its_queue)
{
    struct error err;

    fake.release = "v2";
    ck_assert_int_eq(run_worker(NULL, see_the_release, &err), 0);
}
END_TEST

static void *
stop_while_it_runs(void *unused)
{
    fake_give(make_attempt("POST", "/run", "", SLICE("Content-Type: a/b\n\n")));
    kill(getpid(), SIGTERM);
    FAKE_AWAIT(fake.stopping);
    /* One that was on its way is given back. */
    struct attempt *late = make_attempt("GET", "/run", "", SLICE(""));
    pthread_mutex_lock(&fake.lock);
    bool drained = fake.drained;
    fake.out += !drained;
    pthread_mutex_unlock(&fake.lock);
    if (drained) {
        free_attempt(late);
        return unused;
    }
    fake.session.options.on_take(fake.session.options.opaque, &late);
    FAKE_AWAIT(fake.finished == 2);
    return unused;
}

START_TEST(what_runs_may_end_and_nothing_is_kept)
{
    struct error err;

    ck_assert_int_eq(run_worker("parrot.sh", stop_while_it_runs, &err), 0);
    ck_assert_uint_eq(fake.out, 0);
}
END_TEST

/* Until the worker has read the signal. */
static void
await_no_signal(void)
{
    sigset_t pending;

    do {
        sched_yield();
        sigpending(&pending);
    } while (sigismember(&pending, SIGTERM));
}

static void *
stop_twice(void *unused)
{
    fake_give(make_attempt("GET", "/run", "", SLICE("")));
    kill(getpid(), SIGTERM);
    FAKE_AWAIT(fake.stopping);
    kill(getpid(), SIGTERM); /* an echo */
    await_no_signal();
    ck_assert_uint_eq(fake.finished, 0);
    clock_shift(ASKED_ECHO_SPAN);
    kill(getpid(), SIGTERM);
    FAKE_AWAIT(fake.finished == 1);
    ck_assert_int_eq(fake.last->outcome, OUTCOME_LOST);
    return unused;
}

START_TEST(a_second_signal_kills_the_handlers)
{
    struct error err;

    ck_assert_int_eq(run_worker("stubborn.sh", stop_twice, &err), 0);
}
END_TEST

static void *
hang_up(void *unused)
{
    FAKE_AWAIT(fake.wanted == 2);
    kill(getpid(), SIGHUP);
    return unused;
}

static void *
stop_supervised_twice(void *unused)
{
    fake_give(make_attempt("GET", "/run", "", SLICE("")));
    kill(getpid(), SIGTERM);
    FAKE_AWAIT(fake.stopping);
    clock_shift(ASKED_ECHO_SPAN);
    kill(getpid(), SIGTERM);
    await_no_signal();
    FAKE_AWAIT(fake.finished == 1);
    ck_assert_int_eq(fake.last->outcome, OUTCOME_ANSWERED);
    return unused;
}

START_TEST(a_closed_terminal_is_a_wish_to_stop)
{
    struct error err;

    ck_assert_int_eq(run_worker("hello.sh", hang_up, &err), 0);
    ck_assert_uint_eq(fake.goodbyes, 1);
}
END_TEST

START_TEST(a_supervised_worker_leaves_the_second_signal_to_up)
{
    struct error err;

    fake.supervised = true;
    ck_assert_int_eq(run_worker("slow.sh", stop_supervised_twice, &err), 0);
}
END_TEST

/* It can be started, for it is there to be killed. */
static void
stop_the_next_one(void)
{
    unsigned count = fake.finished;

    fake_give(make_attempt("GET", "/run", "", SLICE("")));
    kill(getpid(), SIGTERM);
    FAKE_AWAIT(fake.stopping);
    clock_shift(ASKED_ECHO_SPAN);
    kill(getpid(), SIGTERM);
    FAKE_AWAIT(fake.finished > count);
    ck_assert_int_eq(fake.last->outcome, OUTCOME_LOST);
}

static void *
lose_the_lease(void *unused)
{
    fake_give(make_attempt("GET", "/run", "", SLICE("")));
    fake.session.options.on_lost(fake.session.options.opaque);
    FAKE_AWAIT(fake.finished == 1);
    ck_assert_int_eq(fake.last->outcome, OUTCOME_LOST);
    FAKE_AWAIT(fake.hellos == 2);
    ck_assert_uint_eq(fake.goodbyes, 1);
    /* The new session works: its spawner starts again. */
    stop_the_next_one();
    return unused;
}

START_TEST(a_lost_lease_kills_and_a_new_hello_follows)
{
    struct error err;

    ck_assert_int_eq(run_worker("stubborn.sh", lose_the_lease, &err), 0);
    ck_assert_uint_eq(fake.hellos, 2);
}
END_TEST

/* The lease is renewed, but the news of it comes too late for the spawner. */
static void *
lapse(void *unused)
{
    fake_give(make_attempt("GET", "/run", "", SLICE("")));
    fake.session.options.on_lease(fake.session.options.opaque, clock_boot());
    FAKE_AWAIT(fake.finished == 1);
    ck_assert_int_eq(fake.last->outcome, OUTCOME_LOST);
    FAKE_AWAIT(fake.hellos == 2);
    ck_assert_uint_eq(fake.goodbyes, 1);
    stop_the_next_one();
    return unused;
}

START_TEST(a_lapse_of_the_spawners_clock_ends_the_session)
{
    struct error err;

    ck_assert_int_eq(run_worker("stubborn.sh", lapse, &err), 0);
    ck_assert_uint_eq(fake.hellos, 2);
}
END_TEST

/* Nothing ran when the clock ran down: what comes then is given back. */
static void *
lapse_idly(void *unused)
{
    FAKE_AWAIT(fake.wanted == 2);
    fake.session.options.on_lease(fake.session.options.opaque, clock_boot());
    const struct attempt *attempt = fake_run("/run");
    ck_assert_int_eq(attempt->outcome, OUTCOME_NOT_STARTED);
    FAKE_AWAIT(fake.hellos == 2);
    attempt = fake_run("/run");
    ck_assert_int_eq(attempt->outcome, OUTCOME_ANSWERED);
    kill(getpid(), SIGTERM);
    return unused;
}

START_TEST(a_lapse_costs_what_comes_then_no_attempt)
{
    struct error err;

    ck_assert_int_eq(run_worker("hello.sh", lapse_idly, &err), 0);
}
END_TEST

/* Ends one that runs, and sees how it ended. */
static void
end_it(enum outcome why, const char *reason)
{
    struct attempt *attempt = make_attempt("GET", "/run", "", SLICE(""));
    struct ticket ticket = attempt->ticket;
    uint64_t id = attempt->id;
    unsigned count = fake.finished;

    fake_give(attempt);
    fake.session.options.on_cancel(fake.session.options.opaque, &ticket, id,
                                   why);
    FAKE_AWAIT(fake.finished == count + 1);
    ck_assert_int_eq(fake.last->outcome, why);
    ck_assert_str_eq(fake.last->reason, reason);
    ck_assert(fake.last->again);
}

static void *
cancel_it(void *unused)
{
    end_it(OUTCOME_CANCELLED, "the client cancelled it");
    end_it(OUTCOME_KILLED, "an operator's pause ended it");
    kill(getpid(), SIGTERM);
    return unused;
}

START_TEST(a_cancel_or_a_pause_ends_the_handler)
{
    struct error err;

    ck_assert_int_eq(run_worker("hang.sh", cancel_it, &err), 0);
}
END_TEST

/* The pid of this process's only child. */
static pid_t
child_pid(void)
{
    char path[64];
    int pid = 0;

    snprintf(path, sizeof(path), "/proc/self/task/%d/children", (int)getpid());
    FILE *file = fopen(path, "re");
    ck_assert_ptr_nonnull(file);
    ck_assert_int_eq(fscanf(file, "%d", &pid), 1);
    fclose(file);
    return pid;
}

static void *
kill_the_spawner(void *unused)
{
    fake_give(make_attempt("GET", "/run", "", SLICE("")));
    kill(child_pid(), SIGKILL);
    FAKE_AWAIT(fake.finished == 1);
    ck_assert_int_eq(fake.last->outcome, OUTCOME_LOST);
    return unused;
}

START_TEST(without_its_spawner_a_worker_ends_with_an_error)
{
    struct error err = {0};

    ck_assert_int_eq(run_worker("hang.sh", kill_the_spawner, &err), -EIO);
    ck_assert_ptr_nonnull(strstr(err.text, "spawner"));
    ck_assert_uint_eq(fake.goodbyes, 1);
}
END_TEST

/* A spawner that does not do what it is told is killed. */
static void *
stop_the_spawner(void *unused)
{
    fake_give(make_attempt("GET", "/run", "", SLICE("")));
    kill(child_pid(), SIGSTOP);
    FAKE_AWAIT(fake.finished == 1);
    ck_assert_int_eq(fake.last->outcome, OUTCOME_TIMED_OUT);
    return unused;
}

START_TEST(a_spawner_that_hangs_is_given_up)
{
    struct error err = {0};

    queue.timeout = 10;
    ck_assert_int_eq(run_worker("hang.sh", stop_the_spawner, &err), -EIO);
    ck_assert_ptr_nonnull(strstr(err.text, "spawner"));
}
END_TEST

static void *
see_it_hold_back(void *unused)
{
    const struct attempt *attempt = fake_run("/run");

    ck_assert_int_eq(attempt->outcome, OUTCOME_NOT_STARTED);
    ck_assert(!attempt->again);
    FAKE_AWAIT(fake.wanted == 2); /* asked again a little later */
    kill(getpid(), SIGTERM);
    return unused;
}

START_TEST(a_missing_program_does_not_send_the_backlog_round)
{
    struct error err;

    ck_assert_int_eq(run_worker("missing", see_it_hold_back, &err), 0);
}
END_TEST

/* ---- probes ---------------------------------------------------------------
 */

static const struct probe probe = {.end = PROBE_DISCARD};

static int
run_probe(const char *program, void *(*script)(void *), struct error *err)
{
    fake.probe = &probe;
    return run_worker(program, script, err);
}

static void *
probe_one(void *unused)
{
    const struct attempt *attempt = fake_run("/run");

    ck_assert_ptr_eq(fake.session.options.probe, &probe);
    ck_assert_uint_eq(fake.session.options.concurrency, 1);
    ck_assert_uint_eq(fake.wanted, 0);
    ck_assert_int_eq(attempt->outcome, OUTCOME_ANSWERED);
    ck_assert(!attempt->again);
    return unused;
}

START_TEST(a_probe_ends_after_its_one_attempt)
{
    struct error err;

    ck_assert_int_eq(run_probe("hello.sh", probe_one, &err), 0);
    ck_assert_uint_eq(fake.probes, 1);
    ck_assert_int_eq(fake.probed, OUTCOME_ANSWERED);
    ck_assert_uint_eq(fake.hellos, 1);
    ck_assert_uint_eq(fake.goodbyes, 1);
}
END_TEST

START_TEST(a_fixed_answer_can_be_probed)
{
    struct error err;

    ck_assert_int_eq(run_probe(NULL, probe_one, &err), 0);
    ck_assert_uint_eq(fake.probes, 1);
    ck_assert_int_eq(fake.probed, OUTCOME_ANSWERED);
}
END_TEST

static void *
probe_nothing(void *unused)
{
    ck_assert_int_eq(fake_run("/run")->outcome, OUTCOME_NOT_STARTED);
    return unused;
}

START_TEST(a_probe_of_a_missing_program_ends)
{
    struct error err;

    ck_assert_int_eq(run_probe("missing", probe_nothing, &err), 0);
    ck_assert_int_eq(fake.probed, OUTCOME_NOT_STARTED);
}
END_TEST

static void *
stop_the_probe(void *unused)
{
    fake_give(make_attempt("GET", "/run", "", SLICE("")));
    kill(getpid(), SIGTERM);
    FAKE_AWAIT(fake.stopping);
    clock_shift(ASKED_ECHO_SPAN);
    kill(getpid(), SIGTERM);
    FAKE_AWAIT(fake.finished == 1);
    return unused;
}

START_TEST(a_signal_ends_a_probe_and_its_handler)
{
    struct error err;

    ck_assert_int_eq(run_probe("stubborn.sh", stop_the_probe, &err), -EINTR);
    ck_assert_uint_eq(fake.probes, 1);
    ck_assert_int_eq(fake.probed, OUTCOME_KILLED);
}
END_TEST

static void *
stop_before_it_takes(void *unused)
{
    FAKE_AWAIT(fake.wanted == 1);
    kill(getpid(), SIGTERM);
    return unused;
}

START_TEST(a_probe_that_is_stopped_before_it_began_ran_nothing)
{
    struct error err;

    ck_assert_int_eq(run_probe("hello.sh", stop_before_it_takes, &err), -EINTR);
    ck_assert_uint_eq(fake.probes, 0);
    ck_assert_uint_eq(fake.goodbyes, 1);
}
END_TEST

static void *
lose_the_probe(void *unused)
{
    fake_give(make_attempt("GET", "/run", "", SLICE("")));
    fake.session.options.on_lost(fake.session.options.opaque);
    FAKE_AWAIT(fake.finished == 1);
    return unused;
}

START_TEST(a_probe_that_loses_its_lease_says_no_new_hello)
{
    struct error err;

    ck_assert_int_eq(run_probe("hang.sh", lose_the_probe, &err), -ESTALE);
    ck_assert_int_eq(fake.probed, OUTCOME_LOST);
    ck_assert_uint_eq(fake.hellos, 1);
}
END_TEST

static void *
lapse_in_the_probe(void *unused)
{
    fake_give(make_attempt("GET", "/run", "", SLICE("")));
    fake.session.options.on_lease(fake.session.options.opaque, clock_boot());
    FAKE_AWAIT(fake.finished == 1);
    return unused;
}

START_TEST(a_probe_whose_spawner_lapses_says_no_new_hello)
{
    struct error err;

    ck_assert_int_eq(run_probe("hang.sh", lapse_in_the_probe, &err), -ESTALE);
    ck_assert_int_eq(fake.probed, OUTCOME_LOST);
    ck_assert_uint_eq(fake.hellos, 1);
}
END_TEST

START_TEST(a_probe_waits_until_another_one_is_over)
{
    struct error err;

    fake.refusal = -EINPROGRESS;
    fake.refusals = 3;
    ck_assert_int_eq(run_probe("hello.sh", probe_one, &err), 0);
    ck_assert_uint_eq(fake.hellos, 1);
}
END_TEST

static void *
stop_while_it_waits(void *unused)
{
    FAKE_AWAIT(fake.refusals < UINT_MAX - 1);
    kill(getpid(), SIGTERM);
    return unused;
}

START_TEST(a_signal_ends_the_wait_for_another_probe)
{
    struct error err;

    fake.refusal = -EINPROGRESS;
    fake.refusals = UINT_MAX;
    ck_assert_int_eq(run_probe("hello.sh", stop_while_it_waits, &err), -EINTR);
    ck_assert_uint_eq(fake.hellos, 0);
    ck_assert_uint_eq(fake.goodbyes, 0);
}
END_TEST

static void *
do_nothing(void *unused)
{
    return unused;
}

START_TEST(a_probe_that_is_refused_says_why)
{
    struct error err;

    fake.refusal = -EPERM;
    fake.refusals = 1;
    ck_assert_int_eq(run_probe("hello.sh", do_nothing, &err), -EPERM);
    ck_assert_str_eq(err.text, "refused");
    ck_assert_uint_eq(fake.probes, 0);
}
END_TEST

TESTS("workers", "worker", a_probe_ends_after_its_one_attempt,
      a_fixed_answer_can_be_probed, a_probe_of_a_missing_program_ends,
      a_signal_ends_a_probe_and_its_handler,
      a_probe_that_is_stopped_before_it_began_ran_nothing,
      a_probe_that_loses_its_lease_says_no_new_hello,
      a_probe_whose_spawner_lapses_says_no_new_hello,
      a_probe_waits_until_another_one_is_over,
      a_signal_ends_the_wait_for_another_probe,
      a_probe_that_is_refused_says_why,
      a_worker_serves_until_it_is_asked_to_stop, a_fixed_answer_comes_at_once,
      a_worker_may_be_of_another_release_than_its_queue,
      what_runs_may_end_and_nothing_is_kept, a_second_signal_kills_the_handlers,
      a_closed_terminal_is_a_wish_to_stop,
      a_supervised_worker_leaves_the_second_signal_to_up,
      a_lapse_of_the_spawners_clock_ends_the_session,
      a_lapse_costs_what_comes_then_no_attempt,
      a_spawner_that_hangs_is_given_up,
      a_lost_lease_kills_and_a_new_hello_follows,
      a_cancel_or_a_pause_ends_the_handler,
      without_its_spawner_a_worker_ends_with_an_error,
      a_missing_program_does_not_send_the_backlog_round)
