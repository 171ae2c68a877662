/* waiters_test.c - who waits for which ticket; and deadlines. */
#include "ingress/waiters.h"

#include <string.h>

#include "common/mem.h"
#include "ingress/timers.h"
#include <signal.h>

#include "tests/unit/test.h"

/* What the broker's library would give. */
void
stored_free(struct stored *stored)
{
    free(stored);
}

static unsigned rings;

static void
ring(void *opaque)
{
    (void)opaque;
    rings++;
}

static struct ticket
ticket_of(int n)
{
    struct ticket ticket = {{0}};

    memcpy(ticket.bytes, &n, sizeof(n));
    return ticket; /* all in one bucket */
}

static void
deliver(struct waiters *waiters, int n)
{
    struct ticket ticket = ticket_of(n);
    struct stored *stored = mem_new(struct stored);

    waiters_deliver(waiters, &ticket, &stored);
    ck_assert_ptr_null(stored);
}

START_TEST(all_who_wait_for_a_ticket_get_its_answer)
{
    struct waiters *waiters = waiters_new();
    struct waiter w[3] = {0};
    struct mailbox box;

    mailbox_init(&box, ring, NULL);
    for (int i = 0; i < 3; i++) {
        struct ticket ticket = ticket_of(i / 2); /* 0, 0, 1 */
        waiters_add(waiters, &w[i], &ticket, &box);
    }
    struct ticket first = ticket_of(0), none = ticket_of(7);
    ck_assert(waiters_wanted(waiters, &first));
    ck_assert(!waiters_wanted(waiters, &none));

    deliver(waiters, 0);
    deliver(waiters, 7);
    ck_assert_uint_eq(rings, 1);
    ck_assert(!waiters_wanted(waiters, &first));
    ck_assert(!waiters_withdraw(waiters, &w[0]));
    ck_assert(waiters_withdraw(waiters, &w[2]));
    ck_assert(waiters_withdraw(waiters, &w[2])); /* again changes nothing */

    struct mail *mail = mailbox_take(&box);
    ck_assert_ptr_nonnull(mail);
    ck_assert_ptr_nonnull(mail->next);
    ck_assert_ptr_null(mail->next->next);
    struct answer *a = waiter_take(&w[0]), *b = waiter_take(&w[1]);
    ck_assert_ptr_eq(a, b);
    answer_unref(a);
    answer_unref(b);
    ck_assert(waiters_withdraw(waiters, &w[0]));
    mailbox_fini(&box);
    waiters_free(waiters);
}
END_TEST

START_TEST(adding_a_listed_waiter_is_a_bug)
{
    struct waiters *waiters = waiters_new();
    struct waiter waiter = {0};
    struct ticket ticket = ticket_of(1);

    waiters_add(waiters, &waiter, &ticket, NULL);
    waiters_add(waiters, &waiter, &ticket, NULL);
}
END_TEST

START_TEST(freeing_while_somebody_waits_is_a_bug)
{
    struct waiters *waiters = waiters_new();
    struct waiter waiter = {0};
    struct ticket ticket = ticket_of(1);

    waiters_add(waiters, &waiter, &ticket, NULL);
    waiters_free(waiters);
}
END_TEST

/* ---- deadlines
 * --------------------------------------------------------------- */

START_TEST(timers_come_in_order_wherever_they_were_moved)
{
    enum { COUNT = 500 };
    static struct timer timer[COUNT];
    struct timers timers;
    unsigned random = 1;

    timers_init(&timers);
    for (int round = 0; round < 5; round++)
        for (size_t i = 0; i < COUNT; i++) {
            random = random * 1103515245u + 12345u;
            timers_set(&timers, &timer[i], random >> 16 & 1023);
        }
    for (size_t i = 0; i < COUNT; i += 7)
        timers_remove(&timers, &timer[i]);
    for (size_t i = 1; i < COUNT; i += 7)
        timers_set(&timers, &timer[i], TIMERS_NEVER);
    size_t came = 0, most = 0;
    for (size_t i = 0; i < COUNT; i++)
        most += i % 7 > 1;
    for (mono_ms now = 0; now < 1024; now++)
        for (struct timer *t; (t = timers_expired(&timers, now)) != NULL;) {
            ck_assert_int_eq(timer[t - timer].due, TIMERS_NEVER);
            ck_assert_uint_gt((size_t)(t - timer) % 7, 1);
            came++;
        }
    ck_assert_uint_eq(came, most);
    ck_assert_int_eq(timers_next(&timers), TIMERS_NEVER);
    timers_fini(&timers);
}
END_TEST

START_TEST(a_timer_that_moved_away_does_not_come_early)
{
    struct timer timer = {0};
    struct timers timers;

    timers_init(&timers);
    timers_set(&timers, &timer, 10);
    timers_set(&timers, &timer, 30);
    ck_assert_int_le(timers_next(&timers), 30);
    ck_assert_ptr_null(timers_expired(&timers, 29));
    timers_set(&timers, &timer, 20);
    ck_assert_ptr_null(timers_expired(&timers, 19));
    ck_assert_ptr_eq(timers_expired(&timers, 20), &timer);
    ck_assert_ptr_null(timers_expired(&timers, 100));
    timers_fini(&timers);
}
END_TEST

int
main(void)
{
    Suite *suite = suite_create("ingress");
    TCase *tcase = tcase_create("waiters");

    tcase_add_test(tcase, all_who_wait_for_a_ticket_get_its_answer);
    tcase_add_test(tcase, timers_come_in_order_wherever_they_were_moved);
    tcase_add_test(tcase, a_timer_that_moved_away_does_not_come_early);
    tcase_add_test_raise_signal(tcase, adding_a_listed_waiter_is_a_bug,
                                SIGABRT);
    tcase_add_test_raise_signal(tcase, freeing_while_somebody_waits_is_a_bug,
                                SIGABRT);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
