/* attempts.c - what workers may rely on, and what is relied on of them. */
#include "tests/conformance/rig.h"
#include "tests/conformance/suites.h"

START_TEST(requests_are_taken_in_their_order)
{
    struct rig rig;
    struct taker taker;
    struct ticket tickets[20];

    rig_init(&rig);
    struct broker *broker = rig_open(&rig);
    for (int i = 0; i < 20; i++)
        ck_assert_int_eq(
            submit(broker, (struct ask){.text = "a"}, &tickets[i]), 0);
    taker_open(&taker, broker, 0, "1", 3);
    for (int i = 0; i < 20; i++) {
        struct attempt *attempt = taker_next(&taker);
        ck_assert(ticket_eq(&attempt->ticket, &tickets[i]));
        taker_answer(&taker, attempt, "b", true);
    }
    taker_close(&taker);
    rig_fini(&rig);
}
END_TEST

CASE(attempts, requests_are_taken_in_their_order)

int
child_main(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    return 1;
}
