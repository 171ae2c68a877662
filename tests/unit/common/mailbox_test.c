/* mailbox_test.c - messages between threads. */
#include "tests/unit/test.h"

#include <pthread.h>
#include <stdatomic.h>

#include "common/mailbox.h"
#include "common/mem.h"

struct letter {
    struct mail mail;
    int from, number;
};

static atomic_int wakes;

static void
wake(void *opaque)
{
    atomic_fetch_add((atomic_int *)opaque, 1);
}

static struct mailbox box;

static void *
post_thousand(void *opaque)
{
    int from = *(int *)opaque;

    for (int i = 0; i < 1000; i++) {
        struct letter *letter = mem_new(struct letter);
        letter->from = from;
        letter->number = i;
        mailbox_post(&box, &letter->mail);
    }
    return NULL;
}

START_TEST(nothing_is_lost_and_each_sender_keeps_its_order)
{
    int names[4] = {0, 1, 2, 3}, next[4] = {0}, got = 0;
    pthread_t threads[4];

    mailbox_init(&box, wake, &wakes);
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(
            pthread_create(&threads[i], NULL, post_thousand, &names[i]), 0);
    while (got < 4000) {
        struct mail *mail = mailbox_take(&box);
        while (mail != NULL) {
            struct letter *letter = (struct letter *)mail;
            mail = mail->next;
            ck_assert_int_eq(letter->number, next[letter->from]++);
            got++;
            free(letter);
        }
    }
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
    ck_assert(mailbox_is_empty(&box));
    ck_assert_int_ge(atomic_load(&wakes), 1);
    mailbox_fini(&box);
}
END_TEST

START_TEST(only_a_post_to_an_empty_box_wakes)
{
    struct letter a = {0}, b = {0};
    atomic_int count = 0;

    mailbox_init(&box, wake, &count);
    mailbox_post(&box, &a.mail);
    mailbox_post(&box, &b.mail);
    ck_assert_int_eq(count, 1);
    ck_assert_ptr_eq(mailbox_take(&box), &a.mail);
    ck_assert_ptr_eq(a.mail.next, &b.mail);
    ck_assert_ptr_null(b.mail.next);
    mailbox_post(&box, &a.mail);
    ck_assert_int_eq(count, 2);
    ck_assert_ptr_eq(mailbox_take(&box), &a.mail);
    ck_assert_ptr_null(mailbox_take(&box));
    mailbox_fini(&box);
}
END_TEST

TESTS("common", "mailbox", nothing_is_lost_and_each_sender_keeps_its_order,
      only_a_post_to_an_empty_box_wakes)
