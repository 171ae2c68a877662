/* adopt_test.c - requests of another broker, taken in through a real one. */
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/kafka/follow.h"
#include "broker/kafka/kafka_priv.h"
#include "common/mem.h"
#include "tests/conformance/rig_kafka.h"
#include "tests/unit/test.h"

#define LEN 3

static struct broker *
open_rig(struct rig *rig)
{
    rig_use_test_kafka();
    rig_init(rig);
    return rig_open(rig);
}

/* As the next process would. */
static struct broker *
reopen(struct rig *rig)
{
    rig_close(rig);
    return rig_open(rig);
}

struct asking {
    struct submission submission;
    sem_t done;
};

static void
on_submitted(struct submission *submission)
{
    sem_post(&CONTAINER_OF(submission, struct asking, submission)->done);
}

/* The ticket that it has. */
static struct ticket
send_one(struct broker *broker, const struct submission *given)
{
    struct asking asking = {.submission = *given};

    asking.submission.on_submitted = on_submitted;
    sem_init(&asking.done, 0, 0);
    broker_submit(broker, &asking.submission);
    while (sem_wait(&asking.done) < 0)
        ;
    ck_assert_int_eq(asking.submission.r, 0);
    sem_destroy(&asking.done);
    return asking.submission.ticket;
}

static struct submission
submission_of(struct broker *broker, struct moved *moved, const char *text)
{
    return (struct submission){
        .ticket = ticket_make(broker_secret(broker), clock_wall() - 3600000,
                              TICKET_RANDOM_SLOT),
        .idempotent = true,
        .origin = {.scheme = SLICE("http")},
        .message = slice_of(text),
        .moved = moved,
    };
}

static void
adopt(struct broker *broker, struct submission *list, size_t len)
{
    struct error err;
    int r = broker_adopt(broker, list, len, &err);

    ck_assert_msg(r == 0, "%s", r < 0 ? err.text : "");
}

/* A first process may have been killed before its record, or after; or the
 * request ran since. */
START_TEST(whatever_is_there_it_is_run_once)
{
    static const char *const texts[LEN] = {"a", "b", "c"};
    struct submission list[LEN];
    struct moved moved = {.age = 60000};
    struct ticket_status status;
    struct taker taker;
    struct rig rig;
    struct broker *broker = open_rig(&rig);

    rig.queues[0].redeliver = REDELIVER_ALWAYS;
    for (int i = 0; i < LEN; i++)
        list[i] = submission_of(broker, &moved, texts[i]);
    send_one(broker, &list[2]);
    serve_one(broker, 0, "answer");
    ck_assert_int_eq(wait_end(broker, &list[2].ticket), TICKET_DONE);
    send_one(broker, &list[1]);
    for (int round = 0; round < 2; round++) {
        broker = reopen(&rig);
        adopt(broker, list, LEN);
        for (int i = 0; i < LEN; i++)
            ck_assert_int_eq(list[i].joined, i > 0 || round > 0);
        ck_assert_uint_eq(stats(broker, 0).queued, 2);
    }
    taker_open(&taker, broker, 0, "1", 10);
    for (int i = 0; i < 2; i++)
        taker_answer(&taker, taker_next(&taker), "answer", true);
    for (int i = 0; i < LEN; i++)
        ck_assert_int_eq(wait_end(broker, &list[i].ticket), TICKET_DONE);
    ck_assert(taker_gets_nothing(&taker, 500));
    taker_close(&taker);
    ck_assert_int_eq(lookup(broker, &list[0].ticket, &status), 0);
    ck_assert_uint_eq(status.attempts, 1);
    rig_fini(&rig);
}
END_TEST

START_TEST(its_age_goes_along)
{
    struct moved moved = {.age = 1800000};
    struct ticket_status status;
    struct rig rig;
    struct broker *broker = open_rig(&rig);
    struct submission old = submission_of(broker, &moved, "a");
    const wall_ms before = clock_wall();

    rig.queues[0].ttl = 3600000;
    adopt(broker, &old, 1);
    ck_assert_int_eq(lookup(broker, &old.ticket, &status), 0);
    ck_assert_int_ge(status.submitted, before - moved.age);
    ck_assert_int_le(status.submitted, clock_wall() - moved.age);

    moved.age = 3600001;
    struct submission late = submission_of(broker, &moved, "b");
    adopt(broker, &late, 1);
    ck_assert_int_eq(wait_end(broker, &late.ticket), TICKET_EXPIRED);
    rig_fini(&rig);
}
END_TEST

static struct submission
keyed(struct broker *broker, struct moved *moved, const struct request_key *key)
{
    struct submission submission = submission_of(broker, moved, "a");

    submission.key = key;
    submission.ticket =
        ticket_make(broker_secret(broker), clock_wall(), request_key_slot(key));
    return submission;
}

START_TEST(its_key_goes_along_unless_another_ticket_has_it)
{
    struct request_key key = {.scope = {1, 2, 3}, .fingerprint = {4}};
    struct moved first_moved = {.key_until = clock_wall() + 60000};
    struct moved other_moved = first_moved;
    struct ticket_status status;
    struct rig rig;
    struct broker *broker = open_rig(&rig);
    struct submission first = keyed(broker, &first_moved, &key);
    struct submission other = keyed(broker, &other_moved, &key);

    /* Killed behind its `key`: the claim is its own. */
    adopt(broker, &first, 1);
    ck_assert(!first_moved.key_taken && !first.joined);
    adopt(broker, &other, 1);
    ck_assert(other_moved.key_taken && !other.joined);
    ck_assert_int_eq(lookup(broker, &other.ticket, &status), 0);

    struct asking again = {.submission = keyed(broker, NULL, &key)};
    again.submission.on_submitted = on_submitted;
    sem_init(&again.done, 0, 0);
    broker_submit(broker, &again.submission);
    while (sem_wait(&again.done) < 0)
        ;
    sem_destroy(&again.done);
    ck_assert_int_eq(again.submission.r, 0);
    ck_assert(again.submission.joined);
    ck_assert(ticket_eq(&again.submission.ticket, &first.ticket));
    rig_fini(&rig);
}
END_TEST

struct claiming {
    struct key_claim claim;
    sem_t done;
};

static void
on_claimed(struct key_claim *claim)
{
    sem_post(&CONTAINER_OF(claim, struct claiming, claim)->done);
}

/* Whoever came first with a key was killed between that and its request. */
START_TEST(who_repeats_a_key_brings_the_request_that_was_lost)
{
    const struct request_key key = {.scope = {1, 2, 3}, .fingerprint = {4}};
    struct taker taker;
    struct rig rig;
    struct broker *broker = open_rig(&rig);
    const struct submission first = keyed(broker, NULL, &key);
    struct claiming lost = {.claim = {.key = &key,
                                      .queue = rig.queues[0].name,
                                      .ticket = first.ticket,
                                      .until = clock_wall() + 60000,
                                      .on_claimed = on_claimed}};

    sem_init(&lost.done, 0, 0);
    follow_claim_key(kafka_of(broker)->follow, &lost.claim);
    while (sem_wait(&lost.done) < 0)
        ;
    ck_assert(lost.claim.r == 0 && lost.claim.is_first);
    for (int i = 0; i < 3; i++) {
        struct submission again = keyed(broker, NULL, &key);
        const struct ticket ticket = send_one(broker, &again);
        ck_assert(ticket_eq(&ticket, &first.ticket));
    }
    ck_assert_uint_eq(stats(broker, 0).queued, 1);
    taker_open(&taker, broker, 0, "1", 10);
    taker_answer(&taker, taker_next(&taker), "answer", true);
    ck_assert_int_eq(wait_end(broker, &first.ticket), TICKET_DONE);
    ck_assert(taker_gets_nothing(&taker, 500));
    taker_close(&taker);
    rig_fini(&rig);
}
END_TEST

START_TEST(an_installation_made_anew_has_another_name)
{
    char name[INSTALLATION_SIZE], again[INSTALLATION_SIZE];
    char other[INSTALLATION_SIZE];
    struct error err;
    struct rig rig;
    struct broker *broker = open_rig(&rig);

    ck_assert_int_eq(broker_installation(broker, name, &err), 0);
    broker = reopen(&rig);
    ck_assert_int_eq(broker_installation(broker, again, &err), 0);
    ck_assert_str_eq(name, again);
    rig_fini(&rig);
    broker = open_rig(&rig);
    ck_assert_int_eq(broker_installation(broker, other, &err), 0);
    ck_assert_str_ne(name, other);
    rig_fini(&rig);
}
END_TEST

TESTS("broker", "adopt", whatever_is_there_it_is_run_once, its_age_goes_along,
      its_key_goes_along_unless_another_ticket_has_it,
      who_repeats_a_key_brings_the_request_that_was_lost,
      an_installation_made_anew_has_another_name)
