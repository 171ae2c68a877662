/* session_test.c - workers that join and leave, on a real broker: the others
 * have their partitions soon, however long the lease is. */
#include <stdlib.h>
#include <unistd.h>

#include "common/mem.h"
#include "tests/conformance/rig_kafka.h"
#include "tests/unit/test.h"

#define LEASE    60000
#define SOON     5000 /* ms; a join or leave is over by then */
#define REQUESTS 16
#define BRIEFS   60

static struct broker *
open_rig(struct rig *rig)
{
    rig_use_test_kafka();
    rig_init(rig);
    rig->queues[0].lease = LEASE;
    return rig_open(rig);
}

/* Opens one that takes nothing after its first request: what else is taken has
 * gone to another one with its partition. */
static void
open_full(struct taker *taker, struct broker *broker)
{
    const struct ask ask = {.text = "a", .spread = true};
    struct ticket ticket;

    taker_open(taker, broker, 0, "1", 1);
    for (int i = 0; i < REQUESTS; i++)
        ck_assert_int_eq(submit(broker, ask, &ticket), 0);
    taker_answer(taker, taker_next(taker), "answer", false);
}

static void
ck_takes_soon(struct taker *taker)
{
    struct attempt *attempt = taker_try(taker, SOON);

    ck_assert_ptr_nonnull(attempt);
    taker_answer(taker, attempt, "answer", true);
}

START_TEST(a_join_and_a_leave_are_noticed_soon)
{
    struct taker first, second;
    struct rig rig;
    struct broker *broker = open_rig(&rig);

    open_full(&first, broker);
    taker_open(&second, broker, 0, "1", REQUESTS);
    ck_takes_soon(&second);
    taker_stop(&first);
    while (stats(broker, 0).queued > 0)
        ck_takes_soon(&second);
    taker_close(&first);
    taker_close(&second);
    rig_fini(&rig);
}
END_TEST

/* Wherever in its join it is. */
START_TEST(who_leaves_while_it_joins_keeps_nobody_waiting)
{
    struct taker brief, first, second;
    struct rig rig;
    struct broker *broker = open_rig(&rig);

    for (unsigned i = 0; i < BRIEFS; i++) {
        taker_open(&brief, broker, 0, "1", 1);
        usleep(i * 200);
        taker_close(&brief);
    }
    open_full(&first, broker);
    taker_open(&second, broker, 0, "1", REQUESTS);
    ck_takes_soon(&second);
    taker_close(&first);
    taker_close(&second);
    rig_fini(&rig);
}
END_TEST

TESTS("broker", "session", a_join_and_a_leave_are_noticed_soon,
      who_leaves_while_it_joins_keeps_nobody_waiting)
