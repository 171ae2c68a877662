/* processes.c - several processes on one store, killed and stopped. */
#include "tests/conformance/rig.h"
#include "tests/conformance/suites.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define ASK(...) ((struct ask){__VA_ARGS__})

/* Another process running this program; what it prints is read line by line. */
struct child {
    pid_t pid;
    FILE *out;
};

static void
child_start(struct child *child, const char *role, const char *directory)
{
    int fds[2];

    ck_assert_int_eq(pipe(fds), 0);
    child->pid = fork();
    ck_assert_int_ge(child->pid, 0);
    if (child->pid == 0) {
        dup2(fds[1], STDOUT_FILENO);
        close(fds[0]);
        close(fds[1]);
        execl("/proc/self/exe", "conformance", "--child", role, directory,
              (char *)NULL);
        _exit(127);
    }
    close(fds[1]);
    child->out = fdopen(fds[0], "r");
}

static bool
child_read(struct child *child, char line[100])
{
    if (fgets(line, 100, child->out) == NULL)
        return false;
    line[strcspn(line, "\n")] = '\0';
    return true;
}

/* Reads a whole ticket that the child was told of. */
static bool
child_ticket(struct child *child, struct broker *broker, struct ticket *ticket)
{
    char line[100];

    return child_read(child, line) &&
           ticket_parse(broker_secret(broker), slice_of(line), ticket) == 0;
}

static int
child_wait(struct child *child)
{
    int status = 0;

    waitpid(child->pid, &status, 0);
    fclose(child->out);
    return status;
}

static void
child_kill(struct child *child)
{
    kill(child->pid, SIGKILL);
    child_wait(child);
}

/* ---- what the children do ----------------------------------------------- */

/* Submits without end, and prints each ticket that was accepted. */
static int
run_submitter(struct rig *rig)
{
    struct broker *broker = rig_worker(rig);
    char text[TICKET_TEXT + 1];
    struct ticket ticket;

    while (submit(broker, ASK(.text = "a", .idempotent = true, .spread = true),
                  &ticket) == 0) {
        ticket_format(&ticket, text);
        printf("%s\n", text);
        fflush(stdout);
    }
    return EXIT_FAILURE;
}

/* Takes and answers without end. */
static int
run_worker(struct rig *rig)
{
    struct broker *broker = rig_worker(rig);
    struct taker taker;

    taker_open(&taker, broker, 0, "1", 4);
    printf("ready\n");
    fflush(stdout);
    for (struct attempt *attempt; (attempt = taker_wait(&taker)) != NULL;)
        taker_answer(&taker, attempt, "done", true);
    return EXIT_FAILURE;
}

/* Takes one, and waits for its killer. */
static int
run_holder(struct rig *rig)
{
    struct broker *broker = rig_worker(rig);
    struct taker taker;

    taker_open(&taker, broker, 0, "1", 1);
    struct attempt *attempt = taker_next(&taker);
    wait_state(broker, &attempt->ticket, TICKET_RUNNING); /* recorded */
    printf("taken\n");
    fflush(stdout);
    pause();
    return EXIT_FAILURE;
}

/* Takes one, is stopped past its lease, and answers when it is woken. */
static int
run_sleeper(struct rig *rig)
{
    struct broker *broker = rig_worker(rig);
    struct taker taker;

    taker_open(&taker, broker, 0, "1", 1);
    struct attempt *attempt = taker_next(&taker);
    wait_state(broker, &attempt->ticket, TICKET_RUNNING); /* recorded */
    printf("taken\n");
    fflush(stdout);
    raise(SIGSTOP);
    taker_answer(&taker, attempt, "late", false);
    taker_wait_lost(&taker);
    taker_close(&taker);
    broker_close(broker);
    return EXIT_SUCCESS;
}

int
child_main(int argc, char **argv)
{
    static const struct {
        const char *role;
        int (*run)(struct rig *rig);
    } roles[] = {
        {"submitter", run_submitter},
        {"worker", run_worker},
        {"holder", run_holder},
        {"sleeper", run_sleeper},
    };
    struct rig rig;

    if (argc != 2)
        return EXIT_FAILURE;
    rig_join(&rig, argv[1]);
    rig.queues[0].lease = rig_lease(500);
    for (size_t i = 0; i < ARRAY_LEN(roles); i++) {
        if (strcmp(argv[0], roles[i].role) == 0)
            return roles[i].run(&rig);
    }
    return EXIT_FAILURE;
}

/* ---- the tests ---------------------------------------------------------- */

START_TEST(nothing_accepted_is_lost_when_the_submitter_is_killed)
{
    enum { ROUNDS = 5, EACH = 40 };
    struct rig rig;
    struct taker taker;
    struct child child;
    struct ticket tickets[ROUNDS * EACH * 10];
    size_t len = 0;

    rig_init(&rig);
    struct broker *broker = rig_open(&rig);
    for (int round = 0; round < ROUNDS; round++) {
        child_start(&child, "submitter", rig.directory);
        for (int i = 0; i < EACH; i++)
            ck_assert(child_ticket(&child, broker, &tickets[len++]));
        kill(child.pid, SIGKILL);
        /* What it still had printed was accepted as well. */
        while (len < ARRAY_LEN(tickets) &&
               child_ticket(&child, broker, &tickets[len]))
            len++;
        child_wait(&child);
    }
    taker_open(&taker, broker, 0, "1", 4);
    for (size_t i = 0; i < len; i++) {
        struct ticket_status status;
        ck_assert_int_eq(lookup(broker, &tickets[i], &status), 0);
    }
    for (uint64_t left = stats(broker, 0).accepted; left > 0; left--)
        taker_answer(&taker, taker_next(&taker), "b", true);
    for (size_t i = 0; i < len; i++)
        ck_assert_int_eq(wait_end(broker, &tickets[i]), TICKET_DONE);
    taker_close(&taker);
    rig_fini(&rig);
}
END_TEST

START_TEST(the_attempt_of_a_killed_worker_is_lost_and_repeated)
{
    struct rig rig;
    struct taker taker;
    struct child child;
    struct ticket ticket;
    char line[100];

    rig_init(&rig);
    struct broker *broker = rig_open(&rig);
    ck_assert_int_eq(
        submit(broker, ASK(.text = "a", .idempotent = true), &ticket), 0);
    child_start(&child, "holder", rig.directory);
    ck_assert(child_read(&child, line));
    child_kill(&child);
    taker_open(&taker, broker, 0, "1", 1);
    struct attempt *attempt = taker_next(&taker);
    ck_assert(ticket_eq(&attempt->ticket, &ticket));
    ck_assert_uint_eq(attempt->number, 2);
    taker_answer(&taker, attempt, "b", false);
    ck_assert_int_eq(wait_end(broker, &ticket), TICKET_DONE);
    taker_close(&taker);
    rig_fini(&rig);
}
END_TEST

START_TEST(what_may_not_be_repeated_fails_when_its_worker_is_killed)
{
    struct rig rig;
    struct child child;
    struct ticket ticket;
    struct ticket_status status;
    char line[100];

    rig_init(&rig);
    struct broker *broker = rig_open(&rig);
    ck_assert_int_eq(submit(broker, ASK(.text = "a"), &ticket), 0);
    child_start(&child, "holder", rig.directory);
    ck_assert(child_read(&child, line));
    child_kill(&child);
    ck_assert_int_eq(wait_end(broker, &ticket), TICKET_FAILED);
    ck_assert_int_eq(lookup(broker, &ticket, &status), 0);
    ck_assert_uint_eq(status.attempts, 1);
    ck_assert_ptr_nonnull(strstr(response(broker, &ticket), " 502 "));
    ck_assert_uint_eq(stats(broker, 0).dead, 1);
    rig_fini(&rig);
}
END_TEST

START_TEST(the_answer_of_a_lapsed_lease_is_never_seen)
{
    struct rig rig;
    struct taker taker;
    struct child child;
    struct ticket ticket;
    char line[100];
    int status;

    rig_init(&rig);
    struct broker *broker = rig_open(&rig);
    ck_assert_int_eq(
        submit(broker, ASK(.text = "a", .idempotent = true), &ticket), 0);
    follow(&rig, &ticket);
    child_start(&child, "sleeper", rig.directory);
    ck_assert(child_read(&child, line));
    waitpid(child.pid, &status, WUNTRACED);
    ck_assert(WIFSTOPPED(status));
    taker_open(&taker, broker, 0, "1", 1);
    struct attempt *attempt = taker_next(&taker);
    ck_assert_uint_eq(attempt->number, 2);
    kill(child.pid, SIGCONT);
    ck_assert_int_eq(child_wait(&child), 0); /* it was told of its loss */
    taker_answer(&taker, attempt, "timely", false);
    ck_assert_str_eq(wait_followed(&rig, &ticket), "timely");
    ck_assert_str_eq(response(broker, &ticket), "timely");
    ck_assert_uint_eq(followed_count(&rig, &ticket), 1);
    taker_close(&taker);
    rig_fini(&rig);
}
END_TEST

START_TEST(every_request_ends_once_while_workers_are_killed)
{
    enum { COUNT = 300 };
    struct rig rig;
    struct child children[3];
    struct ticket tickets[COUNT];
    char line[100];

    rig_init(&rig);
    rig.queues[0].attempts = 100;
    rig.queues[0].redeliver = REDELIVER_ALWAYS;
    struct broker *broker = rig_open(&rig);
    for (int i = 0; i < 3; i++)
        child_start(&children[i], "worker", rig.directory);
    for (int i = 0; i < COUNT; i++) {
        ck_assert_int_eq(
            submit(broker, ASK(.text = "a", .idempotent = true, .spread = true),
                   &tickets[i]),
            0);
        if (i % 30 != 29)
            continue;
        struct child *child = &children[i / 30 % 3];
        ck_assert(child_read(child, line)); /* it works */
        child_kill(child);
        child_start(child, "worker", rig.directory);
    }
    for (int i = 0; i < COUNT; i++) {
        ck_assert_int_eq(wait_end(broker, &tickets[i]), TICKET_DONE);
        ck_assert_str_eq(response(broker, &tickets[i]), "done");
    }
    ck_assert_uint_eq(stats(broker, 0).done, COUNT);
    ck_assert_uint_eq(stats(broker, 0).queued, 0);
    ck_assert_uint_eq(stats(broker, 0).running, 0);
    for (int i = 0; i < 3; i++)
        child_kill(&children[i]);
    rig_fini(&rig);
}
END_TEST

START_TEST(a_killed_worker_is_accounted_for_in_a_pause)
{
    struct rig rig;
    struct child child;
    struct ticket ticket;
    struct barrier barrier;
    char line[100];

    rig_init(&rig);
    struct broker *broker = rig_open(&rig);
    ck_assert_int_eq(
        submit(broker, ASK(.text = "a", .idempotent = true), &ticket), 0);
    child_start(&child, "holder", rig.directory);
    ck_assert(child_read(&child, line));
    pause_queue(broker, 0);
    ck_assert_int_eq(queue_state(broker, 0), CONTROL_PAUSED);
    if (rig_is_distributed())
        wait_ms(500); /* its next heartbeat tells that it runs one */
    child_kill(&child);
    if (rig_is_distributed())
        wait_queue(broker, 0, CONTROL_DRAINED);
    /* Else who looks sweeps: long before the lease is over. */
    ck_assert_int_eq(broker_barrier(broker, 0, &barrier, NULL), 0);
    ck_assert_int_eq(queue_state(broker, 0), CONTROL_DRAINED);
    ck_assert_uint_eq(barrier.len, 1);
    ck_assert_int_eq(barrier.members[0].state, MEMBER_DIED);
    ck_assert_uint_eq(barrier.waited_out, 1);
    barrier_fini(&barrier);
    rig_fini(&rig);
}
END_TEST

/* Its process lives, so only its lease says that it runs nothing any more. */
START_TEST(a_stopped_worker_is_waited_for_until_its_lease_is_over)
{
    struct rig rig;
    struct child child;
    struct ticket ticket;
    struct barrier barrier;
    char line[100];
    int status;

    rig_init(&rig);
    struct broker *broker = rig_open(&rig);
    ck_assert_int_eq(
        submit(broker, ASK(.text = "a", .idempotent = true), &ticket), 0);
    child_start(&child, "sleeper", rig.directory);
    ck_assert(child_read(&child, line));
    waitpid(child.pid, &status, WUNTRACED);
    const mono_ms since = clock_mono();
    pause_queue(broker, 0);
    wait_queue(broker, 0, CONTROL_DRAINED);
    ck_assert_int_ge(clock_mono() - since, rig_lease(500) / 2);
    ck_assert_int_eq(broker_barrier(broker, 0, &barrier, NULL), 0);
    ck_assert_int_eq(barrier.members[0].state, MEMBER_LAPSED);
    barrier_fini(&barrier);
    kill(child.pid, SIGCONT);
    ck_assert_int_eq(child_wait(&child), 0); /* it was told of its loss */
    ck_assert_str_eq(response(broker, &ticket), ""); /* its answer was fenced */
    rig_fini(&rig);
}
END_TEST

CASE(processes, nothing_accepted_is_lost_when_the_submitter_is_killed,
     the_attempt_of_a_killed_worker_is_lost_and_repeated,
     what_may_not_be_repeated_fails_when_its_worker_is_killed,
     the_answer_of_a_lapsed_lease_is_never_seen,
     every_request_ends_once_while_workers_are_killed,
     a_killed_worker_is_accounted_for_in_a_pause,
     a_stopped_worker_is_waited_for_until_its_lease_is_over)
