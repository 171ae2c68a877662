/* waiting_test.c - what an embedded store says that waits, for who moves it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/conformance/rig.h"
#include "tests/unit/test.h"

#define ASK(...) ((struct ask){__VA_ARGS__})
#define MAX      8

struct seen {
    size_t len, max;
    struct waiting list[MAX]; /* their slices are over */
    char texts[MAX][8];
};

static bool
on_waiting(const struct waiting *waiting, void *opaque)
{
    struct seen *seen = opaque;

    ck_assert_uint_lt(seen->len, MAX);
    ck_assert(!waiting->is_damaged);
    seen->list[seen->len] = *waiting;
    snprintf(seen->texts[seen->len++], 8, "%.*s", SLICE_ARG(waiting->message));
    return seen->len < seen->max;
}

static struct seen
look(struct broker *broker, int64_t after, size_t max)
{
    struct seen seen = {.max = max};
    struct error err;

    ck_assert_int_eq(broker_waiting(broker, 0, after, on_waiting, &seen, &err),
                     0);
    return seen;
}

/* One runs, one waits for its second attempt, one is cancelled, one ended. */
START_TEST(what_waits_is_told_in_its_order)
{
    struct rig rig;
    struct taker taker;
    struct ticket tickets[6];

    rig_init(&rig);
    rig.queues[0].backoff_first = rig.queues[0].backoff_max = 600000;
    struct broker *broker = rig_open(&rig);
    const char *const texts[] = {"a", "b", "c", "d", "e", "f"};
    for (int i = 0; i < 6; i++)
        ck_assert_int_eq(submit(broker,
                                ASK(.text = texts[i], .idempotent = true),
                                &tickets[i]),
                         0);
    taker_open(&taker, broker, 0, "1", 3);
    struct attempt *first = taker_next(&taker);
    taker_end(&taker, taker_next(&taker), OUTCOME_LOST, "lost", false);
    taker_answer(&taker, taker_next(&taker), "answer", false);
    ck_assert_int_eq(cancel(broker, &tickets[4]), 0);

    struct seen seen = look(broker, 0, MAX);
    ck_assert_uint_eq(seen.len, 3);
    ck_assert_str_eq(seen.texts[0], "b");
    ck_assert_uint_eq(seen.list[0].attempts, 1);
    ck_assert_str_eq(seen.texts[1], "d");
    ck_assert(ticket_eq(&seen.list[1].ticket, &tickets[3]));
    ck_assert_uint_eq(seen.list[1].attempts, 0);
    ck_assert_str_eq(seen.texts[2], "f");

    seen = look(broker, 0, 1); /* in pages */
    ck_assert_uint_eq(seen.len, 1);
    seen = look(broker, seen.list[0].place, MAX);
    ck_assert_uint_eq(seen.len, 2);
    ck_assert_str_eq(seen.texts[0], "d");
    taker_answer(&taker, first, "answer", false);
    taker_close(&taker);
    rig_fini(&rig);
}
END_TEST

START_TEST(what_it_came_with_is_told)
{
    struct rig rig;
    struct ticket keyed, plain, replay;

    rig_init(&rig);
    rig.queues[0].keys = 3600000;
    struct broker *broker = rig_open(&rig);
    ck_assert_int_eq(submit(broker, ASK(.text = "a", .key = "k"), &keyed), 0);
    ck_assert_int_eq(submit(broker, ASK(.text = "b"), &plain), 0);
    ck_assert_int_eq(
        submit(broker, ASK(.text = "c", .replays = &plain), &replay), 0);
    const struct seen seen = look(broker, 0, MAX);
    ck_assert_uint_eq(seen.len, 3);
    ck_assert(seen.list[0].has_key && seen.list[0].idempotent);
    ck_assert_int_eq(seen.list[0].key.scope[0], 'k');
    ck_assert_int_gt(seen.list[0].key_until, clock_wall() + 3500000);
    ck_assert(!seen.list[1].has_key && !seen.list[1].idempotent);
    ck_assert(!seen.list[1].has_replays && seen.list[2].has_replays);
    ck_assert(ticket_eq(&seen.list[2].replays, &plain));
    rig_fini(&rig);
}
END_TEST

/* A pause does not count. */
START_TEST(its_age_stands_still_in_a_pause)
{
    struct rig rig;
    struct ticket ticket;

    rig_init(&rig);
    struct broker *broker = rig_open(&rig);
    ck_assert_int_eq(submit(broker, ASK(.text = "a"), &ticket), 0);
    pause_queue(broker, 0);
    const span_ms age = look(broker, 0, MAX).list[0].age;
    ck_assert_int_ge(age, 0);
    wait_ms(50);
    ck_assert_int_eq(look(broker, 0, MAX).list[0].age, age);
    rig_fini(&rig);
}
END_TEST

TESTS("broker", "waiting", what_waits_is_told_in_its_order,
      what_it_came_with_is_told, its_age_stands_still_in_a_pause)
