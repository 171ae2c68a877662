/* producer_test.c - what the producer makes of few records and of many. */
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "broker/kafka/kafka_priv.h"
#include "tests/conformance/rig_kafka.h"
#include "tests/unit/test.h"

#define ROUNDS 60
#define MOST   100 /* records in a round */

struct sent {
    struct delivery delivery;
    sem_t *done;
};

static void
on_delivered(struct delivery *delivery)
{
    sem_post(CONTAINER_OF(delivery, struct sent, delivery)->done);
}

static struct kafka *
open_rig(struct rig *rig)
{
    rig_use_test_kafka();
    rig_init(rig);
    return kafka_of(rig_open(rig));
}

/* Now and then the producer changes between sending at once and in bulk. */
START_TEST(records_of_a_partition_keep_their_order)
{
    static struct sent sent[ROUNDS * MOST];
    struct rig rig;
    struct kafka *kafka = open_rig(&rig);
    sem_t done;
    size_t len = 0;

    sem_init(&done, 0, 0);
    srandom(1);
    for (int round = 0; round < ROUNDS; round++) {
        const size_t end = len + 1 + (size_t)random() % MOST;
        for (; len < end; len++) {
            sent[len].delivery.on_delivered = on_delivered;
            sent[len].done = &done;
            producer_send(kafka->producer, kafka->dead_topics[0], 0, NULL,
                          SLICE("x"), NULL, &sent[len].delivery);
        }
        nanosleep(&(struct timespec){.tv_nsec = random() % 15000000}, NULL);
    }
    for (size_t i = 0; i < len; i++)
        while (sem_wait(&done) < 0)
            ; /* EINTR */
    for (size_t i = 0; i < len; i++) {
        ck_assert_int_eq(sent[i].delivery.r, 0);
        ck_assert(i == 0 ||
                  sent[i].delivery.offset > sent[i - 1].delivery.offset);
    }
    sem_destroy(&done);
    rig_fini(&rig);
}
END_TEST

/* What waits for its turn is not left behind. */
START_TEST(closing_delivers_everything)
{
    static struct sent sent[MOST];
    struct producer *producer;
    struct rig rig;
    struct kafka *kafka = open_rig(&rig);
    sem_t done;

    sem_init(&done, 0, 0);
    ck_assert_int_eq(producer_open(kafka->settings, 5000, &producer, NULL), 0);
    for (size_t i = 0; i < MOST; i++) {
        sent[i].delivery.on_delivered = on_delivered;
        sent[i].done = &done;
        producer_send(producer, kafka->dead_topics[0], 0, NULL, SLICE("x"),
                      NULL, &sent[i].delivery);
    }
    producer_close(producer);
    for (size_t i = 0; i < MOST; i++) {
        ck_assert_int_eq(sem_trywait(&done), 0);
        ck_assert_int_eq(sent[i].delivery.r, 0);
    }
    sem_destroy(&done);
    rig_fini(&rig);
}
END_TEST

TESTS("broker", "producer", records_of_a_partition_keep_their_order,
      closing_delivers_everything)
