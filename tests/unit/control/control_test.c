/* control_test.c - every change in every state, and the ramp. */
#include "control/control.h"

#include <signal.h>

#include "tests/unit/test.h"

#define WISH(...) ((struct change){.by = "ann@host", .kind = __VA_ARGS__})
#define NOW       1000

static int
wish(struct control *control, struct change change)
{
    struct error err = {0};
    int r = control_change(control, &change, NOW, &err);

    ck_assert(r == 0 || err.text[0] != '\0'); /* a sentence for a person */
    return r;
}

static struct control
in_state(enum control_state state)
{
    struct control control = control_initial("1");

    if (state != CONTROL_OPEN)
        ck_assert_int_eq(wish(&control, WISH(CHANGE_PAUSE, .why = "w")), 0);
    if (state == CONTROL_DRAINED || state == CONTROL_PROBING)
        control_drain(&control);
    if (state == CONTROL_PROBING)
        ck_assert_int_eq(wish(&control, WISH(CHANGE_PROBE)), 0);
    ck_assert_int_eq(control.state, state);
    return control;
}

static struct control
held(void)
{
    struct control control = control_initial("1");

    ck_assert_int_eq(wish(&control, WISH(CHANGE_PAUSE, .upgrade = "u",
                                         .step = STEP_PAUSING, .to = "2")),
                     0);
    return control;
}

/* ---- the table ----------------------------------------------------------- */

static const struct {
    struct change change;
    int r[CONTROL_STATES]; /* in OPEN, PAUSED, DRAINED, PROBING */
} table[] = {
    {{.kind = CHANGE_PAUSE}, {0, -EALREADY, -EALREADY, -EALREADY}},
    {{.kind = CHANGE_RESUME}, {-EALREADY, 0, 0, -EINPROGRESS}},
    {{.kind = CHANGE_RESUME, .release = "1"}, {-EALREADY, 0, 0, -EINPROGRESS}},
    {{.kind = CHANGE_RESUME, .release = "2"},
     {-ENOTEMPTY, -ENOTEMPTY, 0, -EINPROGRESS}},
    {{.kind = CHANGE_RESUME, .release = "2", .force = true},
     {-ENOTEMPTY, -ENOTEMPTY, 0, -EINPROGRESS}},
    {{.kind = CHANGE_REFUSE}, {0, 0, 0, 0}},
    {{.kind = CHANGE_ACCEPT}, {-EALREADY, -EALREADY, -EALREADY, -EALREADY}},
    {{.kind = CHANGE_PROBE}, {-ENOTEMPTY, -ENOTEMPTY, 0, -EINPROGRESS}},
    {{.kind = CHANGE_PAUSE, .upgrade = "u", .step = STEP_PAUSING, .to = "2"},
     {0, 0, 0, -EINPROGRESS}},
    {{.kind = CHANGE_STEP, .upgrade = "u", .step = STEP_MIGRATING},
     {-ECANCELED, -ECANCELED, -ECANCELED, -ECANCELED}},
    {{.kind = CHANGE_RESUME, .upgrade = "u"},
     {-ECANCELED, -ECANCELED, -ECANCELED, -ECANCELED}},
};

START_TEST(each_change_is_taken_in_the_right_states_only)
{
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        for (unsigned state = 0; state < CONTROL_STATES; state++) {
            struct control control = in_state((enum control_state)state);
            const struct control before = control;
            struct change change = table[i].change;
            change.by = "ann@host";
            int r = wish(&control, change);
            ck_assert_msg(r == table[i].r[state], "%s (%zu) in %s: %d",
                          change_word(change.kind), i,
                          control_state_word((enum control_state)state), r);
            if (r < 0)
                ck_assert_mem_eq(&control, &before, sizeof(control));
            else
                ck_assert_uint_eq(control.epoch, before.epoch + 1);
        }
    }
}
END_TEST

START_TEST(an_epoch_that_is_not_its_own_refuses_every_change)
{
    for (unsigned kind = 0; kind < CHANGES; kind++) {
        struct control control = in_state(CONTROL_DRAINED);
        ck_assert_int_eq(wish(&control, WISH((enum change_kind)kind,
                                             .expected = control.epoch + 1)),
                         -ESTALE);
    }
}
END_TEST

START_TEST(a_pause_says_who_when_and_why_until_the_resume_does)
{
    struct control control = in_state(CONTROL_DRAINED);

    ck_assert_str_eq(control.by, "ann@host");
    ck_assert_str_eq(control.why, "w");
    ck_assert_int_eq(control.since, NOW);
    ck_assert_uint_eq(control.paused_epoch, 2);
    ck_assert_int_eq(wish(&control, WISH(CHANGE_REFUSE, .why = "other")), 0);
    ck_assert_str_eq(control.why, "w");
    ck_assert_int_eq(wish(&control, WISH(CHANGE_RESUME)), 0);
    ck_assert_str_eq(control.why, "");
    ck_assert_uint_eq(control.paused_epoch, 0);
}
END_TEST

START_TEST(drained_is_of_the_epoch_of_its_pause_or_probe)
{
    struct control control = in_state(CONTROL_PROBING);

    ck_assert_uint_eq(control.epoch, 3);
    control_drain(&control);
    ck_assert_uint_eq(control.epoch, 3);
    ck_assert_uint_eq(control.paused_epoch, 2);
    ck_assert_int_eq(control.state, CONTROL_DRAINED);
}
END_TEST

START_TEST(draining_an_open_queue_is_a_bug)
{
    struct control control = in_state(CONTROL_OPEN);

    control_drain(&control);
}
END_TEST

/* ---- upgrades ------------------------------------------------------------ */

START_TEST(a_state_that_contradicts_itself_is_not_sound)
{
    struct control control = in_state(CONTROL_DRAINED);

    ck_assert(control_is_sound(&control));
    control.paused_epoch = 0;
    ck_assert(!control_is_sound(&control));
    control = in_state(CONTROL_OPEN);
    control.paused_epoch = 1;
    ck_assert(!control_is_sound(&control));
    control = held();
    ck_assert(control_is_sound(&control));
    control.upgrade.step = STEP_NONE;
    ck_assert(!control_is_sound(&control));
    control = held();
    control.state = CONTROL_OPEN; /* I4 */
    control.paused_epoch = 0;
    ck_assert(!control_is_sound(&control));
}
END_TEST

START_TEST(only_its_upgrade_or_force_resumes_a_held_queue)
{
    struct control control = held();

    ck_assert_int_eq(wish(&control, WISH(CHANGE_RESUME)), -EBUSY);
    ck_assert_int_eq(wish(&control, WISH(CHANGE_RESUME, .upgrade = "v")),
                     -ECANCELED);
    struct control forced = control;
    ck_assert_int_eq(wish(&forced, WISH(CHANGE_RESUME, .force = true)), 0);
    ck_assert_str_eq(forced.upgrade.id, "");
    ck_assert_int_eq(wish(&control, WISH(CHANGE_RESUME, .upgrade = "u")), 0);
    ck_assert_int_eq(control.upgrade.step, STEP_NONE);
}
END_TEST

START_TEST(an_upgrade_goes_past_pausing_only_when_it_is_drained)
{
    for (unsigned step = STEP_PAUSING; step < STEPS; step++) {
        const struct change next =
            WISH(CHANGE_STEP, .upgrade = "u", .step = (enum upgrade_step)step);
        struct control control = held();
        ck_assert_int_eq(wish(&control, next),
                         step == STEP_PAUSING ? 0 : -ENOTEMPTY);
        control_drain(&control);
        ck_assert_int_eq(wish(&control, next), 0);
    }
}
END_TEST

START_TEST(a_held_queue_is_no_other_upgrades)
{
    struct control control = held();

    ck_assert_int_eq(wish(&control, WISH(CHANGE_PAUSE, .upgrade = "v",
                                         .step = STEP_PAUSING, .to = "3")),
                     -EBUSY);
    ck_assert_int_eq(wish(&control, WISH(CHANGE_PAUSE)), -EALREADY);
}
END_TEST

START_TEST(a_held_queue_is_probed_in_the_verify_step_only)
{
    for (unsigned step = STEP_PAUSING; step < STEPS; step++) {
        struct control control = held();
        control_drain(&control);
        control.upgrade.step = (enum upgrade_step)step;
        ck_assert_int_eq(wish(&control, WISH(CHANGE_PROBE)),
                         step == STEP_VERIFYING ? 0 : -EBUSY);
    }
}
END_TEST

START_TEST(an_upgrade_of_a_paused_queue_keeps_its_pause)
{
    struct control control = in_state(CONTROL_DRAINED);

    ck_assert_int_eq(wish(&control, WISH(CHANGE_PAUSE, .upgrade = "u",
                                         .step = STEP_PAUSING, .to = "2")),
                     0);
    ck_assert_int_eq(control.state, CONTROL_DRAINED);
    ck_assert_uint_eq(control.paused_epoch, 2);
    ck_assert_str_eq(control.why, "w");
    ck_assert_str_eq(control.upgrade.from, "1");
    ck_assert_int_eq(wish(&control, WISH(CHANGE_STEP, .upgrade = "u",
                                         .step = STEP_STARTING)),
                     0);
    ck_assert_int_eq(control.upgrade.step, STEP_STARTING);
}
END_TEST

/* ---- what workers ask ---------------------------------------------------- */

START_TEST(only_an_open_queue_admits_and_only_its_release)
{
    for (unsigned state = 0; state < CONTROL_STATES; state++) {
        const struct control control = in_state((enum control_state)state);
        ck_assert(control_admits(&control, "1") == (state == CONTROL_OPEN));
        ck_assert(!control_admits(&control, "2"));
    }
}
END_TEST

START_TEST(a_ramp_opens_slots_one_by_one_and_then_all)
{
    struct control control = {.ramp_since = 0, .ramp = 1000};
    span_ms grows;

    ck_assert_uint_eq(control_slots(&control, 4, 0, &grows), 1);
    ck_assert_int_eq(grows, 251);
    ck_assert_uint_eq(control_slots(&control, 4, 251, &grows), 2);
    ck_assert_uint_eq(control_slots(&control, 4, 750, &grows), 4);
    ck_assert_int_eq(grows, 0);
    ck_assert_uint_eq(control_slots(&control, 4, 5000, &grows), 4);
    ck_assert_uint_eq(control_slots(&control, 1, 0, &grows), 1);
    control.ramp = 0;
    ck_assert_uint_eq(control_slots(&control, 4, 0, &grows), 4);
}
END_TEST

/* However the clock is set, a ramp neither closes all nor lasts for ever. */
START_TEST(a_clock_that_was_set_leaves_a_ramp_within_its_bounds)
{
    const struct control control = {.ramp_since = 3600000, .ramp = 1000};
    span_ms grows;

    ck_assert_uint_eq(control_slots(&control, 4, 3599500, &grows), 1);
    ck_assert_int_eq(grows, 751);
    ck_assert_uint_eq(control_slots(&control, 4, 0, &grows), 4);
    ck_assert_uint_eq(control_slots(&control, 4, 7200000, &grows), 4);
}
END_TEST

START_TEST(words_are_read_as_they_are_written)
{
    enum control_state state = CONTROL_OPEN;
    enum upgrade_step step = STEP_NONE;

    for (unsigned i = 0; i < CONTROL_STATES; i++) {
        ck_assert(control_state_parse(control_state_word((enum control_state)i),
                                      &state));
        ck_assert_uint_eq(state, i);
    }
    for (unsigned i = 0; i < STEPS; i++) {
        ck_assert(
            upgrade_step_parse(upgrade_step_word((enum upgrade_step)i), &step));
        ck_assert_uint_eq(step, i);
    }
    ck_assert(!control_state_parse("shut", &state));
    ck_assert(!upgrade_step_parse("done", &step));
}
END_TEST

int
main(void)
{
    Suite *suite = suite_create("control");
    TCase *tcase = tcase_create("control");

    tcase_add_test(tcase, each_change_is_taken_in_the_right_states_only);
    tcase_add_test(tcase, an_epoch_that_is_not_its_own_refuses_every_change);
    tcase_add_test(tcase, a_pause_says_who_when_and_why_until_the_resume_does);
    tcase_add_test(tcase, drained_is_of_the_epoch_of_its_pause_or_probe);
    tcase_add_test_raise_signal(tcase, draining_an_open_queue_is_a_bug,
                                SIGABRT);
    tcase_add_test(tcase, a_state_that_contradicts_itself_is_not_sound);
    tcase_add_test(tcase, only_its_upgrade_or_force_resumes_a_held_queue);
    tcase_add_test(tcase, an_upgrade_goes_past_pausing_only_when_it_is_drained);
    tcase_add_test(tcase, a_held_queue_is_no_other_upgrades);
    tcase_add_test(tcase, a_held_queue_is_probed_in_the_verify_step_only);
    tcase_add_test(tcase, an_upgrade_of_a_paused_queue_keeps_its_pause);
    tcase_add_test(tcase, only_an_open_queue_admits_and_only_its_release);
    tcase_add_test(tcase, a_ramp_opens_slots_one_by_one_and_then_all);
    tcase_add_test(tcase, a_clock_that_was_set_leaves_a_ramp_within_its_bounds);
    tcase_add_test(tcase, words_are_read_as_they_are_written);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
