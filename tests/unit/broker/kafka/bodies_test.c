/* bodies_test.c - large messages in pieces, through a real broker. */
#include "broker/kafka/bodies.h"

#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "tests/conformance/rig_kafka.h"
#include "tests/unit/test.h"

static struct kafka *
open_kafka(struct rig *rig)
{
    rig_use_test_kafka();
    rig_init(rig);
    return kafka_of(rig_open(rig));
}

struct storing {
    struct body_store store;
    struct ticket ticket;
    sem_t done;
};

static void
on_stored(struct body_store *store)
{
    sem_post(&CONTAINER_OF(store, struct storing, store)->done);
}

static void
begin(struct kafka *kafka, struct storing *storing, struct slice message)
{
    storing->ticket =
        ticket_make(kafka->secret, clock_wall(), TICKET_RANDOM_SLOT);
    storing->store.message = message;
    storing->store.on_stored = on_stored;
    sem_init(&storing->done, 0, 0);
    bodies_store(kafka, kafka->producer, &storing->ticket, &storing->store);
}

static int
end(struct storing *storing)
{
    while (sem_wait(&storing->done) < 0)
        ;
    sem_destroy(&storing->done);
    return storing->store.r;
}

static char *
make_text(size_t len, unsigned seed)
{
    char *text = malloc(len);

    ck_assert_ptr_nonnull(text);
    for (size_t i = 0; i < len; i++)
        text[i] = (char)(i * 7 + i / 509 + seed);
    return text;
}

static void
check_read(struct kafka *kafka, const struct storing *storing)
{
    const struct slice message = storing->store.message;
    struct error err;
    struct buf buf;

    buf_init(&buf, message.len);
    ck_assert_msg(bodies_read(kafka, &storing->ticket, &storing->store.ref,
                              &buf, &err) == 0,
                  "%s", err.text);
    ck_assert(slice_eq(buf_slice(&buf), message));
    buf_fini(&buf);
}

START_TEST(a_message_of_64_mib_comes_back_byte_for_byte)
{
    const size_t len = 64 << 20;
    char *text = make_text(len, 1);
    struct storing storing;
    struct rig rig;
    struct kafka *kafka = open_kafka(&rig);

    begin(kafka, &storing, (struct slice){text, len});
    ck_assert_int_eq(end(&storing), 0);
    ck_assert_uint_eq(storing.store.ref.size, len);
    check_read(kafka, &storing);
    rig_fini(&rig);
    free(text);
}
END_TEST

/* More than the producer would hold at a time. */
START_TEST(a_hundred_at_the_same_time_are_all_stored)
{
    enum { COUNT = 100 };
    const size_t len = (3 << 20) + 17;
    char *text = make_text(len + COUNT, 2);
    struct storing storing[COUNT];
    struct rig rig;
    struct kafka *kafka = open_kafka(&rig);

    for (int i = 0; i < COUNT; i++)
        begin(kafka, &storing[i], (struct slice){text + i, len});
    for (int i = 0; i < COUNT; i++)
        ck_assert_int_eq(end(&storing[i]), 0);
    for (int i = 0; i < COUNT; i += 9)
        check_read(kafka, &storing[i]);
    rig_fini(&rig);
    free(text);
}
END_TEST

static int
read_back(struct kafka *kafka, const struct ticket *ticket,
          const struct body_ref *ref, size_t cap)
{
    struct buf buf;

    buf_init(&buf, cap);
    int r = bodies_read(kafka, ticket, ref, &buf, NULL);
    buf_fini(&buf);
    return r;
}

START_TEST(what_is_not_whole_is_not_given_out)
{
    const size_t len = 2 << 20;
    char *text = make_text(len, 3);
    struct storing storing;
    struct rig rig;
    struct kafka *kafka = open_kafka(&rig);

    begin(kafka, &storing, (struct slice){text, len});
    ck_assert_int_eq(end(&storing), 0);
    const struct body_ref ref = storing.store.ref;
    struct body_ref bad = ref;
    bad.digest[31] ^= 1;
    ck_assert_int_eq(read_back(kafka, &storing.ticket, &bad, len), -EIO);
    bad = ref;
    bad.offsets[1] = ref.offsets[2];
    ck_assert_int_eq(read_back(kafka, &storing.ticket, &bad, len), -EIO);
    bad = ref;
    bad.offsets[3] = ref.offsets[3] + 1000;
    ck_assert_int_eq(read_back(kafka, &storing.ticket, &bad, len), -EIO);
    bad = ref;
    bad.size--;
    ck_assert_int_eq(read_back(kafka, &storing.ticket, &bad, len), -EIO);
    ck_assert_int_eq(read_back(kafka, &storing.ticket, &ref, len - 1),
                     -EMSGSIZE);
    struct ticket other = storing.ticket;
    other.bytes[12] ^= 1; /* in the same partition */
    ck_assert_int_eq(read_back(kafka, &other, &ref, len), -EIO);
    ck_assert_int_eq(read_back(kafka, &storing.ticket, &ref, len), 0);
    rig_fini(&rig);
    free(text);
}
END_TEST

START_TEST(pieces_that_are_not_stored_are_told_and_nobody_waits)
{
    enum { COUNT = 20 };
    const size_t len = 5 << 20;
    char *text = make_text(len, 4);
    struct storing storing[COUNT];
    struct rig rig;
    struct kafka *kafka = open_kafka(&rig);

    free(kafka->bodies_topic);
    kafka->bodies_topic = mem_strdup("no.such.topic");
    for (int i = 0; i < COUNT; i++)
        begin(kafka, &storing[i], (struct slice){text, len});
    for (int i = 0; i < COUNT; i++)
        ck_assert_int_eq(end(&storing[i]), -ENOTCONN);
    rig_fini(&rig);
    free(text);
}
END_TEST

TESTS("broker", "bodies", a_message_of_64_mib_comes_back_byte_for_byte,
      a_hundred_at_the_same_time_are_all_stored,
      what_is_not_whole_is_not_given_out,
      pieces_that_are_not_stored_are_told_and_nobody_waits)
