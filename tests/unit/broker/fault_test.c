/* fault_test.c - writes and syncs that fail, processes killed in a commit or
 * stopped in one, a full disk: nothing that was told is lost. */
#include "common/fault.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "broker/embedded/db.h"
#include "tests/conformance/rig.h"
#include "tests/unit/test.h"

#define EXIT_OPEN 3 /* the store did not open */

/* What a child was told, as it happened. */
struct told {
    struct ticket ticket;
    bool has_ended;
    enum ticket_state state;
    char response[100];
};

/* Runs in a process of its own with a fault armed; nothing of ours is open. */
static pid_t
start(void (*run)(struct rig *rig, int fd), struct rig *rig, const char *fault,
      int *out)
{
    int fds[2];

    ck_assert_int_eq(pipe(fds), 0);
    pid_t pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        close(fds[0]);
        setenv("CLOAKROOM_FAULT", fault, 1);
        fault_init();
        run(rig, fds[1]);
        _exit(0);
    }
    close(fds[1]);
    *out = fds[0];
    return pid;
}

static void
tell(int fd, const struct told *told)
{
    REQUIRE(write(fd, told, sizeof(*told)) == sizeof(*told), "write");
}

static struct broker *
open_or_exit(struct rig *rig)
{
    const struct broker_options options = {
        .settings = &rig->settings, .role = BROKER_INGRESS, .create = true};
    struct error err;

    if (broker_open(&options, &rig->broker, &err) < 0)
        _exit(EXIT_OPEN);
    return rig->broker;
}

static void
tell_end(struct broker *broker, int fd, const struct ticket *ticket)
{
    struct told told = {.ticket = *ticket, .has_ended = true};

    told.state = wait_end(broker, ticket);
    snprintf(told.response, sizeof(told.response), "%s",
             response(broker, ticket));
    tell(fd, &told);
}

/* A little of everything: answers, a failure, a put-back, a cancellation, and
 * enough bytes for the log to be written back. */
static void
live(struct rig *rig, int fd)
{
    struct broker *broker = open_or_exit(rig);
    struct taker taker;
    struct told told[6] = {0};
    char *large = malloc(5 << 20);

    memset(large, 'x', 5 << 20);
    large[(5 << 20) - 1] = '\0';
    for (int i = 0; i < 6; i++) {
        const struct ask ask = {.text = i == 5 ? large : "a"};
        int r;
        do
            r = submit(broker, ask, &told[i].ticket);
        while (r == -ENOSPC);
        REQUIRE(r == 0, "submit: %d", r);
        tell(fd, &told[i]);
    }
    if (cancel(broker, &told[3].ticket) == 0)
        tell_end(broker, fd, &told[3].ticket);
    taker_open(&taker, broker, 0, "1", 1);
    taker_answer(&taker, taker_next(&taker), "b", true);
    tell_end(broker, fd, &told[0].ticket);
    taker_end(&taker, taker_next(&taker), OUTCOME_CRASHED, "crash", true);
    tell_end(broker, fd, &told[1].ticket);
    taker_end(&taker, taker_next(&taker), OUTCOME_NOT_STARTED, "not", true);
    taker_close(&taker);
    broker_close(broker);
}

/* Everything that was told is so, and everything that was accepted ends. */
static void
check_told(struct rig *rig, int fd)
{
    struct broker *broker = rig_open(rig);
    struct ticket_status status;
    struct ticket tickets[6];
    struct taker taker;
    struct told told;
    size_t len = 0;

    while (read(fd, &told, sizeof(told)) == sizeof(told)) {
        ck_assert_int_eq(lookup(broker, &told.ticket, &status), 0);
        if (!told.has_ended) {
            tickets[len++] = told.ticket;
            continue;
        }
        ck_assert_int_eq(status.state, told.state);
        ck_assert(strncmp(response(broker, &told.ticket), told.response,
                          sizeof(told.response) - 1) == 0);
    }
    taker_open(&taker, broker, 0, "1", 1);
    for (size_t i = 0; i < len;) {
        ck_assert_int_eq(lookup(broker, &tickets[i], &status), 0);
        if (ticket_state_is_final(status.state)) {
            i++;
            continue;
        }
        struct attempt *attempt = taker_try(&taker, 10);
        if (attempt == NULL)
            continue; /* the session of the dead is not swept yet */
        const struct ticket ticket = attempt->ticket;
        taker_answer(&taker, attempt, "c", true);
        wait_end(broker, &ticket);
    }
    taker_close(&taker);
    rig_close(rig);
}

/* Makes the n-th pass over a place fail, for each n until none is hit (in
 * growing steps where there are many: the pages of a checkpoint). The child
 * must end with the status that is_right says. */
static void
fail_each(const char *place, bool (*is_right)(int status))
{
    for (int n = 1;; n += 1 + n / 6) {
        struct rig rig;
        char fault[60];
        int fd, status = 0;

        ck_assert_int_lt(n, 10000);
        snprintf(fault, sizeof(fault), "%s:%d", place, n);
        rig_init(&rig);
        waitpid(start(live, &rig, fault, &fd), &status, 0);
        const bool passed = WIFEXITED(status) && WEXITSTATUS(status) == 0;
        ck_assert_msg(passed || is_right(status), "%s: status %#x", fault,
                      (unsigned)status);
        check_told(&rig, fd);
        close(fd);
        rig_fini(&rig);
        if (passed)
            return;
    }
}

static bool
is_broken(int status)
{
    return WIFEXITED(status) &&
           (WEXITSTATUS(status) == 74 || WEXITSTATUS(status) == EXIT_OPEN);
}

static bool
is_killed(int status)
{
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
}

START_TEST(a_failed_sync_ends_the_process_and_loses_nothing)
{
    fail_each("store.sync", is_broken);
}
END_TEST

START_TEST(a_failed_write_ends_the_process_and_loses_nothing)
{
    fail_each("store.write", is_broken);
}
END_TEST

START_TEST(a_kill_before_a_commit_loses_nothing)
{
    fail_each("store.commit", is_killed);
}
END_TEST

START_TEST(a_kill_after_a_commit_loses_nothing)
{
    fail_each("store.committed", is_killed);
}
END_TEST

START_TEST(a_moment_without_space_loses_nothing)
{
    for (int n = 1; n < 120; n += 13) {
        struct rig rig;
        char fault[60];
        int fd, status = 0;

        snprintf(fault, sizeof(fault), "store.full:%d", n);
        rig_init(&rig);
        waitpid(start(live, &rig, fault, &fd), &status, 0);
        ck_assert(WIFEXITED(status));
        ck_assert(WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == EXIT_OPEN);
        check_told(&rig, fd);
        close(fd);
        rig_fini(&rig);
    }
}
END_TEST

/* ---- full for longer ---------------------------------------------------- */

/* The first submissions are stored; then there is no room for a while. */
static void
fill_up(struct rig *rig, int fd)
{
    struct broker *broker = open_or_exit(rig);
    struct told told = {0};
    struct ticket ticket;
    struct error err;

    for (int i = 0; submit(broker, (struct ask){.text = "a"}, &ticket) == 0;
         i++) {
        REQUIRE(i < 1000, "the fault was not met");
        told.ticket = ticket;
    }
    tell(fd, &told);
    REQUIRE(submit(broker, (struct ask){.text = "a"}, &ticket) == -ENOSPC,
            "a full disk accepts");
    REQUIRE(broker_ready(broker, &err) == -ENOSPC, "a full disk is ready");
    struct ticket_status status;
    REQUIRE(lookup(broker, &told.ticket, &status) == 0, "a look fails");
    const mono_ms until = clock_mono() + RIG_LIMIT;
    while (broker_ready(broker, &err) != 0)
        REQUIRE(clock_mono() < until, "it does not mend: %s", err.text);
    REQUIRE(submit(broker, (struct ask){.text = "a"}, &ticket) == 0,
            "it does not accept again");
    broker_close(broker);
}

START_TEST(a_full_disk_refuses_and_mends_itself)
{
    struct rig rig;
    int fd, status = 0;

    rig_init(&rig);
    rig_open(&rig);
    rig_close(&rig);
    waitpid(start(fill_up, &rig, "store.full:100,store.no-room:1", &fd),
            &status, 0);
    ck_assert_int_eq(status, 0);
    close(fd);
    rig_fini(&rig);
}
END_TEST

/* Whoever changes a queue is told what to do, not what SQLite calls it. */
static void
pause_when_full(struct rig *rig, int fd)
{
    const struct change change = {.kind = CHANGE_PAUSE, .by = "a test"};
    struct broker *broker = open_or_exit(rig);
    const unsigned queue = 0;
    struct error err;

    (void)fd;
    setenv("CLOAKROOM_FAULT", "store.full:1+", 1);
    fault_init();
    int r = broker_change(broker, &queue, 1, &change, NULL, &err);
    REQUIRE(r == -ENOSPC, "a pause on a full disk: %d", r);
    REQUIRE(strstr(err.text, "no space left for ") == err.text &&
                strstr(err.text, rig->directory) != NULL &&
                strstr(err.text, ": free some, then try again") != NULL,
            "it says: %s", err.text);
    unsetenv("CLOAKROOM_FAULT");
    fault_init();
    broker_close(broker);
}

START_TEST(a_change_that_finds_no_room_says_what_to_do)
{
    struct rig rig;
    int fd, status = 0;

    rig_init(&rig);
    rig_open(&rig);
    rig_close(&rig);
    waitpid(start(pause_when_full, &rig, "store.none:1", &fd), &status, 0);
    ck_assert_int_eq(status, 0);
    close(fd);
    rig_fini(&rig);
}
END_TEST

static span_ms
cpu_time(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Takes one, and keeps its lease though nothing can be stored any more; another
 * one comes due, and it waits for room rather than trying without end. */
static void
hold_when_full(struct rig *rig, int fd)
{
    const span_ms lease = rig->queues[0].lease;
    const mono_ms until = clock_mono() + RIG_LIMIT;
    const struct told told = {0};
    struct taker taker;

    taker_open(&taker, open_or_exit(rig), 0, "1", 2);
    taker_next(&taker);
    taker_end(&taker, taker_next(&taker), OUTCOME_CRASHED, "crash", true);
    while (stats(rig->broker, 0).delayed == 0)
        REQUIRE(clock_mono() < until, "the crash was not stored");
    setenv("CLOAKROOM_FAULT", "store.full:1+", 1);
    fault_init();
    const boot_ms first = taker_lease(&taker);
    const mono_ms since = clock_mono();
    const span_ms cpu = cpu_time();
    while (taker_lease(&taker) < first + 3 * lease) {
        REQUIRE(taker_lease(&taker) != 0, "the lease was lost");
        REQUIRE(clock_mono() < until, "the lease was not renewed");
        wait_ms(5);
    }
    REQUIRE(cpu_time() - cpu < (clock_mono() - since) / 2,
            "it does not rest: %lld ms of processor time in %lld",
            (long long)(cpu_time() - cpu), (long long)(clock_mono() - since));
    tell(fd, &told);
}

START_TEST(a_full_disk_costs_nobody_a_lease)
{
    struct rig rig;
    struct ticket ticket;
    int fd, status = 0;

    rig_init(&rig);
    rig.queues[0].lease = 300;
    rig.queues[0].backoff_first = rig.queues[0].backoff_max = 400;
    rig_open(&rig);
    for (int i = 0; i < 2; i++)
        ck_assert_int_eq(submit(rig.broker,
                                ((struct ask){.text = "a", .idempotent = true}),
                                &ticket),
                         0);
    rig_close(&rig);
    pid_t pid = start(hold_when_full, &rig, "none:1", &fd);
    waitpid(pid, &status, 0);
    ck_assert_int_eq(status, 0);
    close(fd);
    rig_fini(&rig);
}
END_TEST

/* Takes one; the transaction that sees its cancellation finds no room. */
static void
be_cancelled(struct rig *rig, int fd)
{
    const struct told told = {0};
    struct taker taker;

    taker_open(&taker, open_or_exit(rig), 0, "1", 1);
    taker_next(&taker);
    setenv("CLOAKROOM_FAULT", "store.full:1", 1);
    fault_init();
    tell(fd, &told);
    taker_wait_cancel(&taker);
}

START_TEST(a_cancellation_outlives_a_moment_without_space)
{
    struct rig rig;
    struct told told;
    struct ticket ticket;
    int fd, status = 0;

    rig_init(&rig);
    rig_open(&rig);
    ck_assert_int_eq(submit(rig.broker, (struct ask){.text = "a"}, &ticket), 0);
    rig_close(&rig);
    pid_t pid = start(be_cancelled, &rig, "none:1", &fd);
    rig_open(&rig);
    ck_assert_int_eq(read(fd, &told, sizeof(told)), sizeof(told));
    ck_assert_int_eq(cancel(rig.broker, &ticket), -EAGAIN);
    waitpid(pid, &status, 0);
    ck_assert_int_eq(status, 0);
    close(fd);
    rig_fini(&rig);
}
END_TEST

/* ---- a log that cannot be emptied --------------------------------------- */

START_TEST(an_endless_reader_stops_new_requests_until_it_is_gone)
{
    enum { SIZE = 1 << 20, ENOUGH = 300 };
    struct rig rig;
    struct db db;
    struct error err;
    struct ticket ticket;
    char *text = malloc(SIZE);
    int r = 0;

    memset(text, 'x', SIZE);
    text[SIZE - 1] = '\0';
    rig_init(&rig);
    rig_open(&rig);
    ck_assert_int_eq(db_open(&db, rig.directory, DB_READER, false, &err), 0);
    ck_assert_int_eq(db_run_text(&db, "BEGIN; SELECT count(*) FROM request_1"),
                     0);
    for (int i = 0; i < ENOUGH && r == 0; i++)
        r = submit(rig.broker, (struct ask){.text = text}, &ticket);
    ck_assert_int_eq(r, -ENOSPC);
    db_close(&db);
    /* Refused ones, too, must not keep it from seeing that. */
    const mono_ms until = clock_mono() + RIG_LIMIT;
    while ((r = submit(rig.broker, (struct ask){.text = "a"}, &ticket)) != 0)
        ck_assert(r == -ENOSPC && clock_mono() < until);
    free(text);
    rig_fini(&rig);
}
END_TEST

/* ---- responses of Cloakroom's own --------------------------------------- */

/* Takes one, and waits for its killer. */
static void
take_one(struct rig *rig, int fd)
{
    const struct told told = {0};
    struct taker taker;

    taker_open(&taker, open_or_exit(rig), 0, "1", 1);
    taker_next(&taker);
    tell(fd, &told);
    for (;;)
        pause();
}

/* Sees the end of what a dead worker ran; no sync succeeds any more. */
static void
see_lost(struct rig *rig, int fd)
{
    struct told told;
    struct ticket ticket;
    int out;

    pid_t worker = start(take_one, rig, "none:1", &out);
    struct broker *broker = open_or_exit(rig);
    REQUIRE(submit(broker, (struct ask){.text = "a"}, &ticket) == 0, "submit");
    REQUIRE(read(out, &told, sizeof(told)) == sizeof(told), "read");
    setenv("CLOAKROOM_FAULT", "store.sync:1+", 1);
    fault_init();
    kill(worker, SIGKILL);
    waitpid(worker, NULL, 0);
    tell_end(broker, fd, &ticket);
}

START_TEST(a_failure_that_we_store_is_seen_only_when_it_is_synced)
{
    struct rig rig;
    struct told told;
    int fd, status = 0;

    rig_init(&rig);
    rig_open(&rig);
    rig_close(&rig);
    pid_t pid = start(see_lost, &rig, "none:1", &fd);
    waitpid(pid, &status, 0);
    ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 74);
    ck_assert_int_eq(read(fd, &told, sizeof(told)), 0);
    close(fd);
    rig_fini(&rig);
}
END_TEST

/* ---- the others --------------------------------------------------------- */

static void
idle(struct rig *rig, int fd)
{
    const struct told told = {0};

    open_or_exit(rig);
    tell(fd, &told);
    for (;;)
        pause();
}

static void
submit_one(struct rig *rig, int fd)
{
    struct told told = {0};
    struct broker *broker = open_or_exit(rig);

    tell(fd, &told);
    for (;;)
        submit(broker, (struct ask){.text = "a"}, &told.ticket);
}

START_TEST(a_failed_sync_stops_every_process_of_the_directory)
{
    struct rig rig;
    struct told told;
    int fds[2], status = 0;

    rig_init(&rig);
    rig_open(&rig);
    rig_close(&rig);
    pid_t idler = start(idle, &rig, "none:1", &fds[0]);
    ck_assert_int_eq(read(fds[0], &told, sizeof(told)), sizeof(told));
    pid_t breaker = start(submit_one, &rig, "store.sync:20", &fds[1]);
    waitpid(breaker, &status, 0);
    ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 74);
    waitpid(idler, &status, 0);
    ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 74);
    rig_open(&rig);
    serve_one(rig.broker, 0, "b");
    rig_fini(&rig);
}
END_TEST

START_TEST(a_holder_of_the_lock_that_is_stopped_is_killed)
{
    struct rig rig;
    struct ticket ticket;
    int fd, status = 0;

    rig_init(&rig);
    rig_open(&rig);
    rig_close(&rig);
    pid_t holder = start(submit_one, &rig, "store.stop:1", &fd);
    waitpid(holder, &status, WUNTRACED);
    ck_assert(WIFSTOPPED(status));
    const mono_ms since = clock_mono();
    rig_open(&rig); /* waits for the lock */
    ck_assert_int_lt(clock_mono() - since, 5000);
    ck_assert_int_eq(submit(rig.broker, (struct ask){.text = "a"}, &ticket), 0);
    waitpid(holder, &status, 0);
    ck_assert(is_killed(status));
    rig_fini(&rig);
}
END_TEST

/* Submits when told to by a byte. */
static int go[2];

static void
submit_when_told(struct rig *rig, int fd)
{
    struct told told = {0};
    struct broker *broker = open_or_exit(rig);
    char byte;

    tell(fd, &told);
    REQUIRE(read(go[0], &byte, 1) == 1, "read");
    REQUIRE(submit(broker, (struct ask){.text = "a"}, &told.ticket) == 0,
            "submit");
    tell(fd, &told);
    broker_close(broker);
}

START_TEST(a_working_process_kills_a_stopped_holder)
{
    struct rig rig;
    struct told told;
    int fds[2], status = 0;

    rig_init(&rig);
    rig_open(&rig);
    rig_close(&rig);
    ck_assert_int_eq(pipe(go), 0);
    pid_t worker = start(submit_when_told, &rig, "none:1", &fds[0]);
    ck_assert_int_eq(read(fds[0], &told, sizeof(told)), sizeof(told));
    pid_t holder = start(submit_one, &rig, "store.stop:1", &fds[1]);
    waitpid(holder, &status, WUNTRACED);
    ck_assert(WIFSTOPPED(status));
    ck_assert_int_eq(write(go[1], "g", 1), 1);
    ck_assert_int_eq(read(fds[0], &told, sizeof(told)), sizeof(told));
    waitpid(holder, &status, 0);
    ck_assert(is_killed(status));
    waitpid(worker, &status, 0);
    ck_assert_int_eq(status, 0);
    rig_fini(&rig);
}
END_TEST

TESTS("broker", "fault", a_failed_sync_ends_the_process_and_loses_nothing,
      a_failed_write_ends_the_process_and_loses_nothing,
      a_kill_before_a_commit_loses_nothing, a_kill_after_a_commit_loses_nothing,
      a_moment_without_space_loses_nothing,
      a_full_disk_refuses_and_mends_itself,
      a_change_that_finds_no_room_says_what_to_do,
      a_full_disk_costs_nobody_a_lease,
      a_cancellation_outlives_a_moment_without_space,
      an_endless_reader_stops_new_requests_until_it_is_gone,
      a_failure_that_we_store_is_seen_only_when_it_is_synced,
      a_failed_sync_stops_every_process_of_the_directory,
      a_holder_of_the_lock_that_is_stopped_is_killed,
      a_working_process_kills_a_stopped_holder)
