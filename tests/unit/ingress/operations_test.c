/* operations_test.c - commands that are started, followed and ended. */
#include "ingress/operations.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/log.h"
#include "tests/unit/test.h"

#define LIMIT 20000 /* ms; longer than anything here may take */

static struct operations *
make(void)
{
    struct operations *operations;
    struct error err;

    log_init("test", LOG_ERROR);
    ck_assert_int_eq(operations_new("/bin/sh", &operations, &err), 0);
    return operations;
}

static void
unmake(struct operations *operations)
{
    operations_stop(operations, LIMIT);
    operations_free(operations);
}

static int
start(struct operations *operations, const char *script,
      char id[OPERATION_ID_SIZE])
{
    const struct operation what = {.command = "pause", .queue = "q"};
    char *argv[] = {strdup("sh"), strdup("-c"), strdup(script), NULL};
    struct error err;
    int r = operations_start(operations, &what, argv, id, &err);

    for (int i = 0; i < 3; i++)
        free(argv[i]);
    return r;
}

/* Its output once it has ended, until the next call. */
static const char *
await(struct operations *operations, const char *id, struct operation *out)
{
    static char *output;
    const mono_ms until = clock_mono() + LIMIT;

    do {
        free(output);
        output = NULL;
        ck_assert_int_eq(operations_find(operations, id, out, &output), 0);
        ck_assert_int_lt(clock_mono(), until);
        poll(NULL, 0, 2);
    } while (out->state == OPERATION_RUNNING);
    return output;
}

START_TEST(what_it_printed_and_how_it_ended_is_told)
{
    struct operations *operations = make();
    char id[OPERATION_ID_SIZE];
    struct operation operation;

    ck_assert_int_eq(start(operations, "echo out; echo err >&2; exit 3", id),
                     0);
    ck_assert_str_eq(await(operations, id, &operation), "out\nerr\n");
    ck_assert_int_eq(operation.state, OPERATION_FAILED);
    ck_assert_int_eq(operation.exit_code, 3);
    ck_assert_int_eq(operation.signal, 0);
    ck_assert_str_eq(operation.queue, "q");
    ck_assert_int_ge(operation.ended, operation.started);
    ck_assert_int_eq(start(operations, "kill -KILL $$", id), 0);
    await(operations, id, &operation);
    ck_assert_int_eq(operation.signal, SIGKILL);
    ck_assert_int_eq(operation.exit_code, 128 + SIGKILL);
    unmake(operations);
}
END_TEST

START_TEST(of_long_output_the_last_lines_are_kept)
{
    struct operations *operations = make();
    char id[OPERATION_ID_SIZE], first[32];
    struct operation operation;

    ck_assert_int_eq(start(operations,
                           "i=0; while [ $i -lt 20000 ]; do echo line $i; "
                           "i=$((i+1)); done",
                           id),
                     0);
    const char *output = await(operations, id, &operation);
    ck_assert_uint_le(strlen(output), OPERATION_OUTPUT);
    ck_assert_uint_gt(strlen(output), OPERATION_OUTPUT - 32);
    ck_assert_int_eq(strncmp(output, "line ", 5), 0);
    snprintf(first, sizeof(first), "line %d\n", 19999);
    ck_assert_str_eq(output + strlen(output) - strlen(first), first);
    unmake(operations);
}
END_TEST

START_TEST(a_line_that_is_too_long_keeps_its_end)
{
    struct operations *operations = make();
    char id[OPERATION_ID_SIZE];
    struct operation operation;

    ck_assert_int_eq(start(operations, "printf '%20000s' x; echo the end", id),
                     0);
    const char *output = await(operations, id, &operation);
    ck_assert_uint_eq(strlen(output), OPERATION_OUTPUT);
    ck_assert_ptr_nonnull(strstr(output, "xthe end\n"));
    unmake(operations);
}
END_TEST

START_TEST(output_goes_on_behind_a_nul)
{
    struct operations *operations = make();
    char id[OPERATION_ID_SIZE];
    struct operation operation;

    ck_assert_int_eq(start(operations, "printf 'a\\0b\\n'; echo c", id), 0);
    ck_assert_str_eq(await(operations, id, &operation), "a?b\nc\n");
    unmake(operations);
}
END_TEST

START_TEST(it_inherits_nothing_but_what_it_prints_to)
{
    struct operations *operations = make();
    char id[OPERATION_ID_SIZE];
    struct operation operation;
    sigset_t set;

    int leaks = open("/etc/passwd", O_RDONLY); /* not CLOEXEC */
    ck_assert_int_ge(leaks, 3);
    sigfillset(&set);
    sigprocmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
    ck_assert_int_eq(start(operations,
                           "ls -l /proc/$$/fd 2>/dev/null | grep /etc/passwd; "
                           "grep ^SigBlk /proc/self/status; "
                           "(kill -PIPE $(sh -c 'echo $PPID'); echo ignored); "
                           "[ $(ps -o pgid= $$) = $$ ] && echo group",
                           id),
                     0);
    ck_assert_str_eq(await(operations, id, &operation),
                     "SigBlk:\t0000000000000000\ngroup\n");
    close(leaks);
    unmake(operations);
}
END_TEST

START_TEST(a_child_that_holds_the_output_open_does_not_delay_the_end)
{
    struct operations *operations = make();
    char id[OPERATION_ID_SIZE];
    struct operation operation;
    long pid;

    ck_assert_int_eq(start(operations, "sleep 60 & echo $!", id), 0);
    const char *output = await(operations, id, &operation);
    pid = strtol(output, NULL, 10);
    ck_assert_int_gt(pid, 1);
    ck_assert_int_eq(operation.state, OPERATION_DONE);
    ck_assert_int_eq(kill((pid_t)pid, SIGKILL), 0);
    unmake(operations);
}
END_TEST

START_TEST(so_many_run_at_a_time_and_no_more)
{
    struct operations *operations = make();
    struct operation list[OPERATIONS_KEPT];
    char id[OPERATION_ID_SIZE];

    for (int i = 0; i < OPERATIONS_AT_ONCE; i++)
        ck_assert_int_eq(start(operations, "exec sleep 60", id), 0);
    ck_assert_int_eq(start(operations, "exit 0", id), -EAGAIN);
    ck_assert_uint_eq(operations_list(operations, list), OPERATIONS_AT_ONCE);
    operations_close(operations);
    ck_assert_int_eq(start(operations, "exit 0", id), -ESHUTDOWN);
    unmake(operations);
}
END_TEST

START_TEST(the_oldest_that_has_ended_is_forgotten)
{
    struct operations *operations = make();
    struct operation list[OPERATIONS_KEPT], operation;
    char first[OPERATION_ID_SIZE], second[OPERATION_ID_SIZE],
        id[OPERATION_ID_SIZE];
    char *output = NULL;

    ck_assert_int_eq(start(operations, "exec sleep 60", first), 0);
    ck_assert_int_eq(start(operations, "exit 0", second), 0);
    await(operations, second, &operation);
    for (int i = 0; i < OPERATIONS_KEPT - 1; i++) {
        ck_assert_int_eq(start(operations, "exit 0", id), 0);
        await(operations, id, &operation);
    }
    ck_assert_uint_eq(operations_list(operations, list), OPERATIONS_KEPT);
    ck_assert_str_eq(list[0].id, id);
    ck_assert_str_eq(list[OPERATIONS_KEPT - 1].id, first);
    ck_assert_int_eq(operations_find(operations, second, &operation, &output),
                     -ENOENT);
    unmake(operations);
}
END_TEST

START_TEST(one_that_does_not_end_is_killed)
{
    struct operations *operations = make();
    char id[OPERATION_ID_SIZE];
    struct operation operation;
    char *output = NULL;

    ck_assert_int_eq(
        start(operations, "trap '' TERM; echo deaf; while :; do sleep 60; done",
              id),
        0);
    do { /* until the trap is set */
        free(output);
        ck_assert_int_eq(operations_find(operations, id, &operation, &output),
                         0);
        poll(NULL, 0, 2);
    } while (strcmp(output, "deaf\n") != 0);
    free(output);
    operations_stop(operations, 10);
    ck_assert_int_eq(operations_find(operations, id, &operation, &output), 0);
    ck_assert_int_eq(operation.signal, SIGKILL);
    free(output);
    operations_free(operations);
}
END_TEST

START_TEST(a_program_that_is_not_there_is_told)
{
    struct operations *operations;
    struct operation list[OPERATIONS_KEPT];
    char id[OPERATION_ID_SIZE];
    struct error err;

    ck_assert_int_eq(operations_new("/nowhere/x", &operations, &err), 0);
    ck_assert_int_eq(start(operations, "", id), -EIO);
    ck_assert_uint_eq(operations_list(operations, list), 0);
    unmake(operations);
}
END_TEST

TESTS("ingress", "operations", what_it_printed_and_how_it_ended_is_told,
      of_long_output_the_last_lines_are_kept,
      a_line_that_is_too_long_keeps_its_end, output_goes_on_behind_a_nul,
      it_inherits_nothing_but_what_it_prints_to,
      a_child_that_holds_the_output_open_does_not_delay_the_end,
      so_many_run_at_a_time_and_no_more, the_oldest_that_has_ended_is_forgotten,
      one_that_does_not_end_is_killed, a_program_that_is_not_there_is_told)
