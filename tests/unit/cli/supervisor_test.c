/* supervisor_test.c - children that crash, that are stopped, that are lost.
 *
 * The children are shell scripts, which write their notes to $NOTES; each
 * start of one is a line.
 */
#include "cli/supervisor.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "common/log.h"
#include "tests/unit/test.h"

/* Ends at SIGTERM, and leaves a child of its own behind. */
#define UNTIL_TERM(last) "trap '" last "' TERM; echo >&3; sleep 1000 & wait"

static char path[] = "/tmp/cloakroom-supervisor-XXXXXX";
static char notes[400];

static struct supervisor *
begin(void)
{
    struct supervisor *supervisor;
    struct error err;
    const int fd = mkstemp(path);

    ck_assert_int_ge(fd, 0);
    close(fd);
    setenv("NOTES", path, 1);
    log_init("test", LOG_ERROR);
    ck_assert_int_eq(supervisor_new(&supervisor, &err), 0);
    return supervisor;
}

static const char *
end(void)
{
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    const ssize_t len = read(fd, notes, sizeof(notes) - 1);

    ck_assert_int_ge(len, 0);
    notes[len] = '\0';
    close(fd);
    unlink(path);
    return notes;
}

static void
add(struct supervisor *supervisor, unsigned step, unsigned first_starts,
    const char *script)
{
    supervisor_add(supervisor, "/bin/sh",
                   &(struct child_options){
                       .name = "child",
                       .step = step,
                       .patience = 60000,
                       .words = {"-c", script},
                       .first_starts = first_starts,
                   });
}

/* Plays the owner of children that come and go: "add", "dismiss" and "stop" are
 * orders, all lines are noted. */
static struct {
    struct supervisor *supervisor;
    const char *program;
    struct child_options other;
    struct child *child; /* the one that was added */
    char lines[400];
} owner;

static void
on_line(void *opaque, const char *line)
{
    ck_assert_ptr_eq(opaque, &owner);
    strcat(strcat(owner.lines, line), "\n");
    if (strcmp(line, "add") == 0)
        owner.child =
            supervisor_add(owner.supervisor, owner.program, &owner.other);
    if (strcmp(line, "dismiss") == 0) {
        supervisor_dismiss(owner.supervisor, &owner.child);
        ck_assert_ptr_null(owner.child);
    }
    if (strcmp(line, "stop") == 0)
        kill(getpid(), SIGTERM);
}

#define TELLER                                                                 \
    "tell() { echo $1 >&3; }; "                                                \
    "await() { until tr '\\n' ' ' <$NOTES | grep -q \"$1\"; do sleep 0.01; "   \
    "done; }; "

/* script: TELLER and what it says. The other child is for its orders. */
static void
own(struct supervisor *supervisor, const char *script, const char *program,
    const char *other)
{
    owner.supervisor = supervisor;
    owner.program = program;
    owner.other = (struct child_options){
        .name = "other",
        .step = 1,
        .patience = 60000,
        .words = {"-c", other},
    };
    supervisor_add(supervisor, "/bin/sh",
                   &(struct child_options){
                       .name = "teller",
                       .step = 2,
                       .patience = 60000,
                       .words = {"-c", script},
                       .first_starts = 3,
                       .on_line = on_line,
                       .opaque = &owner,
                   });
}

static void
ignore(void *opaque)
{
    (void)opaque;
}

static void
never(void *opaque)
{
    (void)opaque;
    ck_abort_msg("said to be ready");
}

static void
ask_to_stop(void *opaque)
{
    ++*(int *)opaque;
    kill(getpid(), SIGTERM);
}

START_TEST(a_crashed_child_is_started_again)
{
    OWNED(supervisor) supervisor = begin();

    add(supervisor, 0, 0,
        "echo life >>$NOTES; [ $(wc -l <$NOTES) -lt 3 ] || exit 78; "
        "kill -KILL $$");
    ck_assert_int_eq(supervisor_run(supervisor, never, NULL), END_CONFIG);
    ck_assert_str_eq(end(), "life\nlife\nlife\n");
}
END_TEST

START_TEST(a_configuration_that_breaks_later_ends_nobody)
{
    OWNED(supervisor) supervisor = begin();

    add(supervisor, 0, 3,
        "echo life >>$NOTES; echo >&3; "
        "[ $(wc -l <$NOTES) -ge 2 ] || { sleep 0.3; exit 78; }; "
        "kill -TERM $PPID; sleep 1000");
    ck_assert_int_eq(supervisor_run(supervisor, ignore, NULL), END_OK);
    ck_assert_str_eq(end(), "life\nlife\n");
}
END_TEST

START_TEST(a_broken_store_stops_all)
{
    OWNED(supervisor) supervisor = begin();

    add(supervisor, 0, 3, UNTIL_TERM("echo stopped >>$NOTES; exit 0"));
    /* Only once the other one is up, so that there is something to stop. */
    add(supervisor, 1, 3, "echo life >>$NOTES; sleep 0.3; exit 74");
    ck_assert_int_eq(supervisor_run(supervisor, never, NULL), END_STORE);
    ck_assert_str_eq(end(), "life\nstopped\n");
}
END_TEST

START_TEST(the_steps_end_in_their_order)
{
    OWNED(supervisor) supervisor = begin();
    int ready = 0;

    add(supervisor, 1, 3, UNTIL_TERM("echo second >>$NOTES; exit 0"));
    add(supervisor, 0, 3, UNTIL_TERM("sleep 0.2; echo first >>$NOTES; exit 0"));
    ck_assert_int_eq(supervisor_run(supervisor, ask_to_stop, &ready), END_OK);
    ck_assert_int_eq(ready, 1);
    ck_assert_str_eq(end(), "first\nsecond\n");
}
END_TEST

START_TEST(a_second_signal_kills)
{
    OWNED(supervisor) supervisor = begin();
    int ready = 0;

    /* It answers to be asked with signals of its own to us: an echo, and one
     * that is none. */
    add(supervisor, 0, 3,
        "trap 'kill -INT $PPID; sleep 1.1; echo kill >>$NOTES; "
        "kill -INT $PPID' TERM; echo >&3; while :; do sleep 1000 & wait; done");
    ck_assert_int_eq(supervisor_run(supervisor, ask_to_stop, &ready), END_OK);
    ck_assert_int_eq(ready, 1);
    ck_assert_str_eq(end(), "kill\n");
}
END_TEST

START_TEST(a_log_that_nobody_reads_ends_nothing)
{
    OWNED(supervisor) supervisor = begin();
    int ends[2];
    int ready = 0;

    ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
    close(ends[0]);
    ck_assert_int_ge(dup2(ends[1], STDERR_FILENO), 0);
    log_init("test", LOG_INFO);
    add(supervisor, 0, 3, UNTIL_TERM("exit 0"));
    ck_assert_int_eq(supervisor_run(supervisor, ask_to_stop, &ready), END_OK);
    end();
}
END_TEST

START_TEST(a_child_that_is_not_ready_is_not_said_to_be)
{
    OWNED(supervisor) supervisor = begin();

    add(supervisor, 0, 3, "echo life >>$NOTES; exit 69");
    ck_assert_int_eq(supervisor_run(supervisor, never, NULL), END_UNREACHABLE);
    ck_assert_str_eq(end(), "life\nlife\nlife\n");
}
END_TEST

START_TEST(what_a_killed_child_leaves_is_killed)
{
    OWNED(supervisor) supervisor = begin();

    /* The first life leaves a child that holds a lock; the second waits
     * until that one is gone. */
    add(supervisor, 0, 0,
        "exec 8>>$NOTES.lock; if [ -s $NOTES ]; then exec 9>>$NOTES.lock; "
        "flock 9; rm $NOTES.lock; exit 78; fi; "
        "echo life >>$NOTES; flock 8; sleep 1000 & kill -KILL $$");
    ck_assert_int_eq(supervisor_run(supervisor, never, NULL), END_CONFIG);
    ck_assert_str_eq(end(), "life\n");
}
END_TEST

START_TEST(what_cannot_be_executed_is_tried_again)
{
    OWNED(supervisor) supervisor = begin();
    int ready = 0;

    supervisor_add(supervisor, "/nowhere/at/all",
                   &(struct child_options){.name = "none", .patience = 1000});
    add(supervisor, 0, 3, UNTIL_TERM("exit 0"));
    ck_assert_int_eq(supervisor_run(supervisor, ask_to_stop, &ready), END_OK);
    ck_assert_int_eq(ready, 1);
    end();
}
END_TEST

START_TEST(children_come_and_go_while_it_runs)
{
    OWNED(supervisor) supervisor = begin();

    own(supervisor,
        TELLER "tell add; await life; tell dismiss; await gone; "
               "tell add; await life.two; tell stop; exec sleep 1000",
        "/bin/sh",
        "trap 'echo gone >>$NOTES; exit 0' TERM; grep -q gone $NOTES && "
        "echo life two >>$NOTES || echo life >>$NOTES; sleep 1000 & wait");
    ck_assert_int_eq(supervisor_run(supervisor, ignore, NULL), END_OK);
    ck_assert_str_eq(end(), "life\ngone\nlife two\ngone\n");
    ck_assert_str_eq(owner.lines, "add\ndismiss\nadd\nstop\n");
}
END_TEST

START_TEST(a_dismissed_child_is_not_started_again) /* I3 */
{
    OWNED(supervisor) supervisor = begin();

    /* One that crashes twice after that is started again for longer than the
     * dismissed one would have to wait. */
    add(supervisor, 0, 0,
        "until grep -q gone $NOTES; do sleep 0.01; done; echo tick >>$NOTES; "
        "[ $(grep -c tick $NOTES) -lt 3 ] || exec sleep 1000");
    own(supervisor,
        TELLER "tell add; await life; tell dismiss; await tick.*tick.*tick; "
               "tell stop; exec sleep 1000",
        "/bin/sh",
        "trap 'echo gone >>$NOTES; exit 1' TERM; echo life >>$NOTES; "
        "sleep 1000 & wait");
    ck_assert_int_eq(supervisor_run(supervisor, ignore, NULL), END_OK);
    ck_assert_str_eq(end(), "life\ngone\ntick\ntick\ntick\n");
}
END_TEST

START_TEST(one_that_waits_for_its_start_is_dismissed_at_once)
{
    OWNED(supervisor) supervisor = begin();

    own(supervisor, TELLER "tell add; tell dismiss; tell stop; exec sleep 1000",
        "/nowhere/at/all", NULL);
    ck_assert_int_eq(supervisor_run(supervisor, ignore, NULL), END_OK);
    ck_assert_str_eq(owner.lines, "add\ndismiss\nstop\n");
    end();
}
END_TEST

START_TEST(a_dismissed_child_has_its_patience_and_no_more)
{
    OWNED(supervisor) supervisor = begin();

    own(supervisor,
        TELLER "tell add; await life; pid=$(cat $NOTES.pid); rm $NOTES.pid; "
               "tell dismiss; while kill -0 $pid; do sleep 0.01; done; "
               "tell stop; exec sleep 1000",
        "/bin/sh",
        "trap '' TERM; echo $$ >$NOTES.pid; echo life >>$NOTES; "
        "while :; do sleep 1000; done");
    owner.other.patience = 50;
    ck_assert_int_eq(supervisor_run(supervisor, ignore, NULL), END_OK);
    ck_assert_str_eq(end(), "life\n");
}
END_TEST

START_TEST(a_child_dismissed_while_all_stop_keeps_its_step) /* I1 */
{
    OWNED(supervisor) supervisor = begin();

    /* The first step dismisses, so to say, the second as it is stopped. */
    own(supervisor,
        TELLER "trap 'tell dismiss; sleep 0.2; echo teller >>$NOTES; exit 0' "
               "TERM; tell add; await life; tell stop; sleep 1000 & wait",
        "/bin/sh",
        "trap 'echo gone >>$NOTES; exit 0' TERM; echo life >>$NOTES; "
        "sleep 1000 & wait");
    owner.other.step = 3;
    ck_assert_int_eq(supervisor_run(supervisor, ignore, NULL), END_OK);
    ck_assert_str_eq(end(), "life\nteller\ngone\n");
}
END_TEST

START_TEST(only_whole_lines_are_handed_over)
{
    OWNED(supervisor) supervisor = begin();
    char expected[400];

    own(supervisor,
        TELLER "if [ -s $NOTES ]; then tell new; tell stop; exec sleep 1000; "
               "fi; printf 'one\\n\\n%0255d\\n%0256d\\nt' 1 2 >&3; "
               "head -c 1 /dev/zero >&3; tell wo; tell add; await life; "
               "printf torn >&3; kill -KILL $$",
        "/bin/sh", "echo life >>$NOTES; exec sleep 1000");
    ck_assert_int_eq(supervisor_run(supervisor, ignore, NULL), END_OK);
    ck_assert_str_eq(end(), "life\n");
    snprintf(expected, sizeof(expected), "one\n\n%0255d\nadd\nnew\nstop\n", 1);
    ck_assert_str_eq(owner.lines, expected);
}
END_TEST

TESTS("cli", "supervisor", a_crashed_child_is_started_again,
      a_configuration_that_breaks_later_ends_nobody, a_broken_store_stops_all,
      the_steps_end_in_their_order, a_second_signal_kills,
      a_log_that_nobody_reads_ends_nothing,
      a_child_that_is_not_ready_is_not_said_to_be,
      what_a_killed_child_leaves_is_killed,
      what_cannot_be_executed_is_tried_again,
      children_come_and_go_while_it_runs,
      a_dismissed_child_is_not_started_again,
      one_that_waits_for_its_start_is_dismissed_at_once,
      a_dismissed_child_has_its_patience_and_no_more,
      a_child_dismissed_while_all_stop_keeps_its_step,
      only_whole_lines_are_handed_over)
