/* cgi_test.c - CGI programs from the request to the stored response. */
#include "tests/unit/test.h"
#include "tests/unit/workers/fixture.h"

#include <errno.h>
#include <signal.h>
#include <sys/resource.h>

#define MIB ((size_t)1024 * 1024)

START_TEST(a_program_answers)
{
    struct fixture it;

    fixture_init(&it, "hello.sh");
    fixture_open(&it);
    struct message response = response_of(fixture_get(&it, "/run"));
    ck_assert_int_eq(response.status, 200);
    ck_assert(slice_is(response.body, "hello\n"));
    ck_assert(slice_is(message_field(&response, "Content-Type"), "text/plain"));
    message_fini(&response);
    fixture_close(&it);
}
END_TEST

static void
check_failure(const char *program, const char *target, enum outcome outcome,
              const char *reason)
{
    struct fixture it;

    fixture_init(&it, program);
    it.queue.timeout = 500;
    fixture_open(&it);
    const struct attempt *ended = fixture_get(&it, target);
    ck_assert_msg(ended->outcome == outcome, "%s: %s, %s", program,
                  outcome_word(ended->outcome), ended->reason);
    ck_assert_msg(strstr(ended->reason, reason) != NULL, "%s", ended->reason);
    ck_assert_uint_eq(ended->response.len, 0);
    fixture_close(&it);
}

#define PF_EXITING 4 /* linux/sched.h */

/* There is no such process any more, but perhaps as a zombie, or as one that is
 * being taken apart: it runs nothing of its program. */
static void
check_gone(pid_t pid)
{
    char path[40], text[200] = "";
    unsigned flags = 0;

    snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return;
    size_t len = fread(text, 1, sizeof(text) - 1, file);
    fclose(file);
    const char *state = strrchr(text, ')'); /* proc(5): flags is the ninth */
    if (state != NULL)
        sscanf(state, ") %*c %*d %*d %*d %*d %*d %u", &flags);
    ck_assert_msg(len == 0 || strstr(text, ") Z") != NULL ||
                      (flags & PF_EXITING) != 0,
                  "%d lives: %s", (int)pid, text);
}

static struct slice
make_body(size_t len)
{
    char *at = malloc(len);

    for (size_t i = 0; i < len; i++)
        at[i] = (char)(i * 2654435761u >> 13);
    return (struct slice){at, len};
}

START_TEST(a_body_of_any_size_comes_back)
{
    static const size_t sizes[] = {1,      65535,   65536,    65537,
                                   200000, 5 * MIB, 100 * MIB};
    struct fixture it;

    fixture_init(&it, "cat.sh");
    it.queue.max_response = 128 * MIB;
    fixture_open(&it);
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        struct slice body = make_body(sizes[i]);
        struct message response =
            response_of(fixture_run(&it, "POST", "/run", "", body));
        ck_assert(slice_eq(response.body, body));
        message_fini(&response);
        char *at = (char *)(uintptr_t)body.at;
        free(at);
    }
    fixture_close(&it);
}
END_TEST

START_TEST(a_program_need_not_read_its_input)
{
    static const char *const programs[] = {"deaf.sh", "shut.sh"};
    struct slice body = make_body(20 * MIB);

    for (size_t i = 0; i < ARRAY_LEN(programs); i++) {
        struct fixture it;
        fixture_init(&it, programs[i]);
        fixture_open(&it);
        struct message response =
            response_of(fixture_run(&it, "POST", "/run", "", body));
        ck_assert_int_eq(response.status, 200);
        message_fini(&response);
        fixture_close(&it);
    }
    char *at = (char *)(uintptr_t)body.at;
    free(at);
}
END_TEST

START_TEST(a_child_has_three_files_and_nothing_of_ours)
{
    struct fixture it;

    fixture_init(&it, "files.sh");
    fixture_open(&it);
    struct message response = response_of(fixture_get(&it, "/run"));
    ck_assert(body_has(&response, "fd=0\n"));
    ck_assert(body_has(&response, "fd=1\n"));
    ck_assert(body_has(&response, "fd=2\n"));
    /* dash keeps its script open at 10 */
    ck_assert(body_has(&response, "fd=2\nfd=10\nend\n"));
    ck_assert(body_has(&response, "SigBlk:\t0000000000000000"));
    ck_assert(body_has(&response, "SigIgn:\t0000000000000000"));
    ck_assert(body_has(&response, "limit=1024"));
    message_fini(&response);
    fixture_close(&it);
}
END_TEST

START_TEST(a_program_runs_in_its_directory_with_its_arguments)
{
    static char one[] = "one", two[] = "two words";
    struct fixture it;

    fixture_init(&it, "env.sh");
    it.command[1] = one;
    it.command[2] = two;
    fixture_open(&it);
    struct message response = response_of(fixture_get(&it, "/run"));
    ck_assert(body_has(&response, "argument=one\nargument=two words\n"));
    ck_assert(body_has(&response, "/tests/handlers\n"));
    ck_assert(!body_has(&response, "CK_"));
    ck_assert(!body_has(&response, "HOME="));
    message_fini(&response);
    fixture_close(&it);
}
END_TEST

/* The zoo's folder stands for a release's. */
START_TEST(a_release_runs_what_lies_in_its_folder)
{
    struct pair environment = {.name = mem_strdup("ROOT"),
                               .value = mem_strdup("/{release}")};
    static char argument[] = "of {release}";
    struct fixture it;

    fixture_init(&it, "../{release}/env.sh");
    it.command[1] = argument;
    it.queue.handler.cgi.environment = &environment;
    it.queue.handler.cgi.environment_len = 1;
    free(it.queue.release);
    it.queue.release = mem_strdup("handlers");
    fixture_open(&it);
    struct message response = response_of(fixture_get(&it, "/run"));
    ck_assert(body_has(&response, "argument=of handlers\n"));
    ck_assert(body_has(&response, "ROOT=/handlers\n"));
    ck_assert(body_has(&response, "CLOAKROOM_RELEASE=handlers\n"));
    ck_assert(body_has(&response, "/tests/handlers\n"));
    message_fini(&response);
    fixture_close(&it);
    free(environment.name);
    free(environment.value);
}
END_TEST

START_TEST(a_directory_runs_what_the_path_names)
{
    static const struct {
        const char *target;
        int status;
    } cases[] = {
        {"/run/hello.sh", 200},
        {"/run/env.sh/a/b", 200},
        {"/run/missing", 404},
        {"/run/plain.txt", 404},
        {"/run/", 404},
        {"/run", 404},
        {"/run/.", 400},
        {"/run/../unit", 400},
        {"/run/%2e%2e/unit", 400},
        {"/run/..%2funit", 404},
        {"/run/hello.sh%00", 400},
    };
    struct fixture it;

    fixture_init(&it, NULL);
    fixture_open(&it);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct message response =
            response_of(fixture_get(&it, cases[i].target));
        ck_assert_msg(response.status == cases[i].status, "%s: %d",
                      cases[i].target, response.status);
        message_fini(&response);
    }
    fixture_close(&it);
}
END_TEST

START_TEST(a_failure_says_why)
{
    check_failure("half.sh", "/run", OUTCOME_CRASHED, "signal 11");
    check_failure("status3.sh", "/run", OUTCOME_CRASHED, "status 3");
    check_failure("silent.sh", "/run", OUTCOME_BAD_OUTPUT, "printed nothing");
    check_failure("endless.sh", "/run", OUTCOME_TOO_LARGE, "max_response");
    check_failure("nph-hello.sh", "/run", OUTCOME_BAD_OUTPUT, "NPH");
    check_failure("hang.sh", "/run", OUTCOME_TIMED_OUT, "timeout of 500 ms");
    check_failure("missing", "/run", OUTCOME_NOT_STARTED, "No such file");
    check_failure("plain.txt", "/run", OUTCOME_NOT_STARTED,
                  "Permission denied");
    check_failure("orphan.sh", "/run", OUTCOME_NOT_STARTED, "interpreter");
    check_failure("lineless", "/run", OUTCOME_NOT_STARTED, "#!");
}
END_TEST

START_TEST(who_does_not_heed_sigterm_is_killed)
{
    mono_ms before = clock_mono();

    check_failure("stubborn.sh", "/run", OUTCOME_TIMED_OUT, "timeout");
    ck_assert_int_ge(clock_mono() - before, RUN_GRACE);
}
END_TEST

START_TEST(a_field_injected_by_the_output_is_refused)
{
    struct fixture it;

    fixture_init(&it, "parrot.sh");
    fixture_open(&it);
    const struct attempt *ended =
        fixture_run(&it, "POST", "/run", "",
                    SLICE("Content-Type: a/b\nX: a\rSet-Cookie: b\n\n"));
    ck_assert_int_eq(ended->outcome, OUTCOME_BAD_OUTPUT);
    ended = fixture_run(&it, "POST", "/run", "",
                        SLICE("HTTP/1.1 200 OK\r\nA: b\r\n\r\n"));
    ck_assert_int_eq(ended->outcome, OUTCOME_BAD_OUTPUT);
    fixture_close(&it);
}
END_TEST

START_TEST(an_answer_may_be_as_large_as_the_queue_says)
{
    struct fixture it;

    fixture_init(&it, "cat.sh");
    it.queue.max_response = 1000;
    fixture_open(&it);
    struct slice body = make_body(1001);
    struct message response = response_of(
        fixture_run(&it, "POST", "/run", "", (struct slice){body.at, 1000}));
    message_fini(&response);
    const struct attempt *ended = fixture_run(&it, "POST", "/run", "", body);
    ck_assert_int_eq(ended->outcome, OUTCOME_TOO_LARGE);
    char *at = (char *)(uintptr_t)body.at;
    free(at);
    fixture_close(&it);
}
END_TEST

START_TEST(local_redirects_are_followed)
{
    struct fixture it;

    fixture_init(&it, "redirect.sh");
    fixture_open(&it);
    struct message response = response_of(
        fixture_run(&it, "POST", "/run/from", "", SLICE("some body")));
    ck_assert(slice_is(response.body, "GET /to a=b none\n"));
    message_fini(&response);
    const struct attempt *ended = fixture_get(&it, "/run/loop");
    ck_assert_int_eq(ended->outcome, OUTCOME_BAD_OUTPUT);
    ck_assert_ptr_nonnull(strstr(ended->reason, "more than 10"));
    ended = fixture_get(&it, "/run/away");
    ck_assert_int_eq(ended->outcome, OUTCOME_BAD_OUTPUT);
    ck_assert_ptr_nonnull(strstr(ended->reason, "/somewhere/else"));
    response = response_of(fixture_get(&it, "/run/bad"));
    ck_assert_int_eq(response.status, 400);
    message_fini(&response);
    fixture_close(&it);
}
END_TEST

START_TEST(a_noisy_stderr_does_not_hold_up_the_answer)
{
    struct fixture it;

    fixture_init(&it, "noisy.sh");
    fixture_open(&it);
    struct message response = response_of(fixture_get(&it, "/run"));
    ck_assert(slice_is(response.body, "noisy\n"));
    message_fini(&response);
    fixture_close(&it);
}
END_TEST

START_TEST(what_a_program_leaves_behind_is_dead_at_its_end)
{
    char directory[] = "/tmp/cloakroom-test-XXXXXX";
    struct pair where = {.name = mem_strdup("PID_FILE"), .value = NULL};
    struct fixture it;
    static const char *const programs[] = {"daemon.sh", "background.sh"};

    ck_assert_ptr_nonnull(mkdtemp(directory));
    where.value = mem_printf("%s/pid", directory);
    for (size_t i = 0; i < ARRAY_LEN(programs); i++) {
        fixture_init(&it, programs[i]);
        it.queue.handler.cgi.environment = &where;
        it.queue.handler.cgi.environment_len = 1;
        fixture_open(&it);
        struct message response = response_of(fixture_get(&it, "/run"));
        char text[20] = "";
        memcpy(text, response.body.at, response.body.len);
        ck_assert_int_gt(atoi(text), 1);
        check_gone(atoi(text));
        message_fini(&response);
        fixture_close(&it);
    }
    char *remove = mem_printf("rm -r %s", directory);
    ck_assert_int_eq(system(remove), 0);
    free(remove);
    free(where.name);
    free(where.value);
}
END_TEST

START_TEST(a_cancelled_run_ends_as_cancelled)
{
    struct fixture it;

    fixture_init(&it, "hang.sh");
    fixture_open(&it);
    struct attempt *attempt = make_attempt("GET", "/run", "", SLICE(""));
    struct ticket ticket = attempt->ticket;
    uint64_t id = attempt->id;
    runs_begin(it.runs, &attempt);
    fixture_turn(&it);
    runs_interrupt(it.runs, &ticket, id + 1, OUTCOME_CANCELLED, "no");
    runs_interrupt(it.runs, &ticket, id, OUTCOME_CANCELLED, "said so");
    fixture_await(&it, 1);
    ck_assert_int_eq(it.ended->outcome, OUTCOME_CANCELLED);
    ck_assert_str_eq(it.ended->reason, "said so");
    fixture_close(&it);
}
END_TEST

START_TEST(many_run_at_a_time)
{
    struct fixture it;

    fixture_init(&it, "cat.sh");
    fixture_open(&it);
    for (unsigned round = 0; round < 5; round++) {
        for (unsigned i = 0; i < it.queue.concurrency; i++)
            fixture_begin(&it, "POST", "/run", "", SLICE("a body"));
        fixture_await(&it, (round + 1) * it.queue.concurrency);
        struct message response = response_of(it.ended);
        ck_assert(slice_is(response.body, "a body"));
        message_fini(&response);
    }
    fixture_close(&it);
}
END_TEST

START_TEST(without_descriptors_an_attempt_is_put_back)
{
    struct fixture it;
    struct rlimit limit;
    int files[64];
    size_t len = 0;

    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = ARRAY_LEN(files);
    setrlimit(RLIMIT_NOFILE, &limit);
    fixture_init(&it, "hello.sh");
    fixture_open(&it);
    while (len < ARRAY_LEN(files) && (files[len] = dup(0)) >= 0)
        len++;
    ck_assert_msg(len < ARRAY_LEN(files), "the limit of files is too high");
    const struct attempt *ended = fixture_get(&it, "/run");
    ck_assert_int_eq(ended->outcome, OUTCOME_NOT_STARTED);
    ck_assert_ptr_nonnull(strstr(ended->reason, "ulimit -n"));
    while (len > 0)
        close(files[--len]);
    struct message response = response_of(fixture_get(&it, "/run"));
    message_fini(&response);
    fixture_close(&it);
}
END_TEST

/* The spawner's n-th start will fail. */
static void
fail_start(unsigned n)
{
    const char *faults = getenv("CLOAKROOM_FAULT");
    char more[100];

    snprintf(more, sizeof(more), "%s%sworkers.fork:%u", faults ? faults : "",
             faults ? "," : "", n);
    setenv("CLOAKROOM_FAULT", more, 1);
}

START_TEST(without_processes_an_attempt_is_put_back)
{
    struct fixture it;

    fail_start(1);
    fixture_init(&it, "hello.sh");
    fixture_open(&it);
    const struct attempt *ended = fixture_get(&it, "/run");
    ck_assert_int_eq(ended->outcome, OUTCOME_NOT_STARTED);
    ck_assert_ptr_nonnull(strstr(ended->reason, "ulimit -u"));
    struct message response = response_of(fixture_get(&it, "/run"));
    message_fini(&response);
    fixture_close(&it);
}
END_TEST

/* Put back it would run for a second time what may not be repeated. */
START_TEST(what_ran_before_a_redirect_is_not_put_back)
{
    struct fixture it;

    fail_start(2);
    fixture_init(&it, "redirect.sh");
    fixture_open(&it);
    const struct attempt *ended = fixture_get(&it, "/run/from");
    ck_assert_int_eq(ended->outcome, OUTCOME_CRASHED);
    ck_assert_ptr_nonnull(strstr(ended->reason, "ulimit -u"));
    fixture_close(&it);
}
END_TEST

START_TEST(an_environment_that_is_too_large_is_refused)
{
    struct fixture it;
    char *field = malloc(150000);

    fixture_init(&it, "hello.sh");
    fixture_open(&it);
    struct attempt *attempt = make_attempt("GET", "/run", "", SLICE(""));
    /* One string of an environment may have 128 KiB (execve(2)). */
    memset(field, 'a', 150000);
    memcpy(field, "X: ", 3);
    memcpy(field + 140000, "\r\n", 3);
    buf_fini(&attempt->store);
    buf_init(&attempt->store, 200000);
    buf_addf(&attempt->store, "GET /run HTTP/1.1\r\n%s\r\n", field);
    attempt->message = buf_slice(&attempt->store);
    runs_begin(it.runs, &attempt);
    fixture_await(&it, 1);
    struct message response = response_of(it.ended);
    ck_assert_int_eq(response.status, 431);
    message_fini(&response);
    free(field);
    fixture_close(&it);
}
END_TEST

TESTS("workers", "cgi", a_program_answers, a_body_of_any_size_comes_back,
      a_program_need_not_read_its_input,
      a_child_has_three_files_and_nothing_of_ours,
      a_program_runs_in_its_directory_with_its_arguments,
      a_release_runs_what_lies_in_its_folder,
      a_directory_runs_what_the_path_names, a_failure_says_why,
      who_does_not_heed_sigterm_is_killed,
      a_field_injected_by_the_output_is_refused,
      an_answer_may_be_as_large_as_the_queue_says, local_redirects_are_followed,
      a_noisy_stderr_does_not_hold_up_the_answer,
      what_a_program_leaves_behind_is_dead_at_its_end,
      a_cancelled_run_ends_as_cancelled, many_run_at_a_time,
      without_descriptors_an_attempt_is_put_back,
      without_processes_an_attempt_is_put_back,
      what_ran_before_a_redirect_is_not_put_back,
      an_environment_that_is_too_large_is_refused)
