/* words_test.c - errors, clocks, log lines, problems and faults. */
#include "tests/unit/test.h"

#include <fcntl.h>
#include <jansson.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/error.h"
#include "common/fault.h"
#include "common/log.h"
#include "common/message.h"
#include "common/problem.h"

START_TEST(an_error_carries_its_purposes_in_front)
{
    struct error err;

    ck_assert_int_eq(error_set(&err, -EINVAL, "no %s", "unit"), -EINVAL);
    ck_assert_int_eq(error_wrap(&err, -EIO, "reading %d", 7), -EIO);
    ck_assert_str_eq(err.text, "reading 7: no unit");
    ck_assert_int_eq(err.code, -EIO);
    ck_assert_int_eq(error_system(&err, -ENOENT, "x"), -ENOENT);
    ck_assert_str_eq(err.text, "x: No such file or directory");
    ck_assert_int_eq(error_set(NULL, -EINVAL, "none"), -EINVAL);
}
END_TEST

START_TEST(a_long_error_is_cut)
{
    struct error err;
    char text[3000];

    memset(text, 'a', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    error_set(&err, -EIO, "%s", text);
    ck_assert_uint_eq(strlen(err.text), sizeof(err.text) - 1);
    error_wrap(&err, -EIO, "%s", text);
    ck_assert_uint_eq(strlen(err.text), sizeof(err.text) - 1);
}
END_TEST

START_TEST(codes_have_their_status_and_word)
{
    ck_assert_int_eq(error_http_status(-ENOSPC), 507);
    ck_assert_int_eq(error_http_status(-ENOBUFS), 503);
    ck_assert_int_eq(error_http_status(-EPIPE), 500);
    ck_assert_str_eq(error_word(-EEXIST), "key-reused");
    ck_assert_str_eq(error_word(-EPIPE), "internal");
}
END_TEST

START_TEST(times_are_written_by_the_standards)
{
    char text[CLOCK_TEXT_SIZE], http[CLOCK_HTTP_SIZE];

    clock_format(784111777123, text);
    ck_assert_str_eq(text, "1994-11-06T08:49:37.123Z");
    clock_format_http(784111777123, http);
    ck_assert_str_eq(http, "Sun, 06 Nov 1994 08:49:37 GMT");
    ck_assert_uint_eq(strlen(clock_boot_id()), 36);
    boot_ms before = clock_boot();
    clock_shift(1000000);
    ck_assert_int_ge(clock_boot(), before + 1000000);
    clock_shift(-1000000);
}
END_TEST

START_TEST(a_problem_is_json_and_a_message)
{
    struct message message;
    struct error err;
    struct buf buf;

    buf_init(&buf, 10000);
    ck_assert_int_eq(
        problem_message(&buf, 502, "crashed", "it \"ended\"\n\xff", NULL), 0);
    ck_assert_msg(message_parse(buf_slice(&buf), &message, &err) == 0, "%s",
                  err.text);
    ck_assert_int_eq(message.status, 502);
    ck_assert(slice_is(message_field(&message, "content-type"),
                       "application/problem+json"));
    json_t *json = json_loadb(message.body.at, message.body.len, 0, NULL);
    ck_assert_ptr_nonnull(json);
    ck_assert_str_eq(json_string_value(json_object_get(json, "code")),
                     "crashed");
    ck_assert_str_eq(json_string_value(json_object_get(json, "detail")),
                     "it \"ended\"\n?");
    ck_assert_int_eq(json_integer_value(json_object_get(json, "status")), 502);
    json_decref(json);
    message_fini(&message);
    buf_fini(&buf);
}
END_TEST

START_TEST(log_values_are_quoted)
{
    char text[64], small[8];

    ck_assert_str_eq(log_quote(SLICE("a \"b\"\n"), text, sizeof(text)),
                     "\"a \\\"b\\\"\\x0a\"");
    ck_assert_str_eq(log_quote(SLICE("abcdefgh"), small, sizeof(small)),
                     "\"ab\"");
    ck_assert_str_eq(log_quote(SLICE(""), text, sizeof(text)), "\"\"");
}
END_TEST

/* What is written to stderr by one call of write_log, with a NUL. */
static void
capture(void (*write_log)(void), char *text, size_t room)
{
    int pipes[2], saved = dup(STDERR_FILENO);

    ck_assert_int_eq(pipe(pipes), 0);
    ck_assert_int_eq(dup2(pipes[1], STDERR_FILENO), STDERR_FILENO);
    write_log();
    ck_assert_int_eq(dup2(saved, STDERR_FILENO), STDERR_FILENO);
    close(pipes[1]);
    ssize_t n = read(pipes[0], text, room - 1);
    ck_assert_int_ge(n, 0);
    text[n] = '\0';
    close(pipes[0]);
    close(saved);
}

static void
log_three(void)
{
    struct ticket ticket = {{0}};

    log_init("tester", LOG_INFO);
    log_event(EVENT_TAKEN, "hidden=1");
    log_ticket(EVENT_RETRY, &ticket, "hits", 2, "text=\"a\nb\"");
}

START_TEST(a_log_line_is_one_line_of_pairs)
{
    char text[2000];

    capture(log_three, text, sizeof(text));
    ck_assert_ptr_null(strstr(text, "hidden"));
    ck_assert_ptr_nonnull(strstr(text, "level=warning event=retry "
                                       "process=tester pid="));
    ck_assert_ptr_nonnull(
        strstr(text, " ticket=000000000000000000000000000000000000000 "
                     "queue=hits attempt=2 text=\"a b\"\n"));
    ck_assert_ptr_eq(strchr(text, '\n'), text + strlen(text) - 1);
}
END_TEST

static void
log_flood(void)
{
    log_init("tester", LOG_INFO); /* finds the pipe */
    for (int i = 0; i < 2000; i++)
        log_event(EVENT_NOTE, "text=%0100d", i);
}

START_TEST(a_full_pipe_does_not_block_the_log)
{
    static char text[1 << 20];

    capture(log_flood, text, sizeof(text));
    ck_assert_uint_gt(strlen(text), 1000);
    ck_assert_uint_lt(strlen(text), 2000 * 100);
}
END_TEST

START_TEST(faults_hit_the_call_they_name)
{
    setenv("CLOAKROOM_FAULT", "a:2,b:3+", 1);
    fault_init();
    ck_assert(fault_armed);
    ck_assert(!FAULT("a"));
    ck_assert(FAULT("a"));
    ck_assert(!FAULT("a"));
    ck_assert(!FAULT("b"));
    ck_assert(!FAULT("b"));
    ck_assert(FAULT("b"));
    ck_assert(FAULT("b"));
    ck_assert(!FAULT("c"));
}
END_TEST

TESTS("common", "words", an_error_carries_its_purposes_in_front,
      a_long_error_is_cut, codes_have_their_status_and_word,
      times_are_written_by_the_standards, a_problem_is_json_and_a_message,
      log_values_are_quoted, a_log_line_is_one_line_of_pairs,
      a_full_pipe_does_not_block_the_log, faults_hit_the_call_they_name)
