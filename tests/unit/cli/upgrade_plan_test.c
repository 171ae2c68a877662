/* upgrade_plan_test.c - when an upgrade begins, goes on, or is not to be. */
#include "cli/upgrade_plan.h"
#include "common/mem.h"
#include "tests/unit/test.h"

#include <stdio.h>
#include <string.h>

enum { A, B, C, QUEUES };

static struct control controls[QUEUES];
static struct upgrade_wish wish;
static struct upgrade_plan plan;
static struct error err;

static struct settings
three_queues(void)
{
    static char names[QUEUES][2] = {"a", "b", "c"};
    struct settings settings = {.queues_len = QUEUES};

    settings.queues = mem_zalloc(QUEUES * sizeof(*settings.queues));
    for (int i = 0; i < QUEUES; i++)
        settings.queues[i].name = names[i];
    return settings;
}

/* Three queues of release 1, open. */
static void
begin(void)
{
    for (int i = 0; i < QUEUES; i++)
        controls[i] = control_initial("1");
    wish = (struct upgrade_wish){.to = "2"};
}

static void
hold(int queue, const char *id, enum upgrade_step step, int pid)
{
    const struct change change = {.kind = CHANGE_PAUSE,
                                  .by = "test",
                                  .upgrade = id,
                                  .step = step,
                                  .to = "2"};

    ck_assert_int_eq(control_change(&controls[queue], &change, 0, NULL), 0);
    controls[queue].upgrade.pid = pid;
}

static int
make(unsigned first, int second)
{
    const struct settings settings = three_queues();
    unsigned list[2] = {first, (unsigned)second};
    const struct queues asked = {list, second < 0 ? 1 : 2};

    upgrade_plan_fini(&plan);
    int r = upgrade_plan_make(&settings, controls, &asked, &wish, &plan, &err);
    free(settings.queues);
    return r;
}

static void
says(const char *words)
{
    ck_assert_msg(strstr(err.text, words) != NULL, "%s", err.text);
}

START_TEST(what_none_holds_begins)
{
    begin();
    ck_assert_int_eq(make(B, A), 0);
    ck_assert_int_eq(plan.found, UPGRADE_BEGINS);
    ck_assert_int_eq(plan.step, STEP_PAUSING);
    ck_assert_uint_eq(plan.queues.len, 2);
    ck_assert_uint_eq(plan.queues.list[0], B);
    ck_assert_uint_eq(plan.queues.list[1], A);
    ck_assert_str_eq(plan.id, "");
    upgrade_plan_fini(&plan);
}
END_TEST

START_TEST(what_is_there_already_is_left_alone)
{
    begin();
    controls[A] = control_initial("2");
    ck_assert_int_eq(make(A, B), 0);
    ck_assert_int_eq(plan.found, UPGRADE_BEGINS);
    ck_assert_uint_eq(plan.queues.len, 1);
    ck_assert_uint_eq(plan.queues.list[0], B);
    ck_assert_uint_eq(plan.there.len, 1);
    controls[B] = control_initial("2");
    ck_assert_int_eq(make(A, B), 0);
    ck_assert_int_eq(plan.found, UPGRADE_IS_THERE);
    ck_assert_uint_eq(plan.there.len, 2);
    upgrade_plan_fini(&plan);
}
END_TEST

START_TEST(a_killed_one_is_gone_on_with_from_its_step)
{
    begin();
    hold(A, "u", STEP_STARTING, 0);
    hold(B, "u", STEP_STARTING, 0);
    ck_assert_int_eq(make(B, A), 0);
    ck_assert_int_eq(plan.found, UPGRADE_GOES_ON);
    ck_assert_int_eq(plan.step, STEP_STARTING);
    ck_assert_str_eq(plan.id, "u");
    ck_assert_uint_eq(plan.queues.len, 2);
    upgrade_plan_fini(&plan);
}
END_TEST

START_TEST(one_that_lives_is_nobody_elses)
{
    begin();
    hold(A, "u", STEP_STARTING, 71);
    ck_assert_int_eq(make(A, -1), -EBUSY);
    ck_assert_int_eq(plan.pid, 71);
    says("process 71 (starting)");
    upgrade_plan_fini(&plan);
}
END_TEST

START_TEST(another_release_is_refused)
{
    begin();
    hold(A, "u", STEP_MIGRATING, 0);
    wish.to = "3";
    ck_assert_int_eq(make(A, -1), -EPERM);
    says("unfinished upgrade to release 2 (migrating)");
    wish.to = "1"; /* it is of that still, and held */
    ck_assert_int_eq(make(A, -1), -EPERM);
    upgrade_plan_fini(&plan);
}
END_TEST

START_TEST(other_queues_are_refused)
{
    begin();
    hold(A, "u", STEP_STARTING, 0);
    hold(B, "u", STEP_STARTING, 0);
    ck_assert_int_eq(make(A, -1), -EPERM);
    says("queue a holds queue b, too");
    ck_assert_int_eq(make(C, A), -EPERM);
    says("queue a is held by an unfinished upgrade, queue c is not");
    hold(C, "w", STEP_STARTING, 0);
    ck_assert_int_eq(make(A, C), -EPERM);
    says("queues a and c are held by two unfinished upgrades");
    upgrade_plan_fini(&plan);
}
END_TEST

START_TEST(one_that_was_forced_to_the_release_is_there)
{
    begin();
    hold(A, "u", STEP_STARTING, 0);
    controls[B] = control_initial("2");
    ck_assert_int_eq(make(A, B), 0);
    ck_assert_int_eq(plan.found, UPGRADE_GOES_ON);
    ck_assert_uint_eq(plan.queues.len, 1);
    ck_assert_uint_eq(plan.there.len, 1);
    upgrade_plan_fini(&plan);
}
END_TEST

START_TEST(the_command_that_was_killed_is_asked_for_again)
{
    static const struct {
        enum upgrade_step step;
        const char *flag;
    } cases[] = {{STEP_MIGRATING, "--migrate"},
                 {STEP_VERIFYING, "--verify"},
                 {STEP_ROLLING_BACK, "--rollback"}};

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        begin();
        hold(A, "u", cases[i].step, 0);
        ck_assert_int_eq(make(A, -1), -EPERM);
        says(cases[i].flag);
        wish.migrate = wish.verify = wish.rollback = "true";
        ck_assert_int_eq(make(A, -1), 0);
        ck_assert_int_eq(plan.step, cases[i].step);
    }
    upgrade_plan_fini(&plan);
}
END_TEST

START_TEST(names_read_as_a_list)
{
    const struct settings settings = three_queues();
    unsigned list[] = {A, B, C};
    static const char *const texts[] = {"a", "a and b", "a, b and c"};

    for (size_t len = 1; len <= QUEUES; len++) {
        char *text = upgrade_names(&settings, &(struct queues){list, len});
        ck_assert_str_eq(text, texts[len - 1]);
        free(text);
    }
    free(settings.queues);
}
END_TEST

TESTS("cli", "upgrade_plan", what_none_holds_begins,
      what_is_there_already_is_left_alone,
      a_killed_one_is_gone_on_with_from_its_step,
      one_that_lives_is_nobody_elses, another_release_is_refused,
      other_queues_are_refused, one_that_was_forced_to_the_release_is_there,
      the_command_that_was_killed_is_asked_for_again, names_read_as_a_list)
