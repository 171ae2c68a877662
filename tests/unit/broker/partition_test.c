/* partition_test.c - what a session knows of one partition: its watermark, the
 * position that goes with it, and what is forgotten when. */
#include "broker/kafka/partition.h"

#include <string.h>

#include "tests/unit/test.h"

#define NOW    1000000000
#define LINGER 10000
#define OWN    7 /* our session */

static struct partition partition;
static int64_t next; /* offset of the next fact */

/* Tickets are made from a number; made: their time. */
static struct ticket
ticket_at(unsigned number, wall_ms made)
{
    struct ticket ticket = {{0}};

    for (int i = 0; i < 6; i++)
        ticket.bytes[i] = (uint8_t)(made >> (8 * (5 - i)));
    ticket.bytes[12] = (uint8_t)(number >> 8);
    ticket.bytes[13] = (uint8_t)number;
    return ticket;
}

static struct ticket
ticket_of(unsigned number)
{
    return ticket_at(number, NOW);
}

static struct entry *
fold(struct fact fact)
{
    struct entry *entry;

    fact.at = NOW;
    partition_fold(&partition, &fact, next++, NOW, &entry);
    return entry;
}

static int64_t
claim(uint64_t session)
{
    fold((struct fact){.kind = FACT_CLAIM, .session = session});
    return next - 1;
}

static struct entry *
started(unsigned number, int64_t request)
{
    return fold((struct fact){.kind = FACT_STARTED,
                              .ticket = ticket_of(number),
                              .session = partition.claim.session,
                              .claim = partition.claim.offset,
                              .run = number,
                              .attempt = 1,
                              .request = request});
}

static struct entry *
answered(unsigned number)
{
    return fold((struct fact){.kind = FACT_RESPONSE,
                              .ticket = ticket_of(number),
                              .session = OWN,
                              .run = number});
}

static struct entry *
fetch(unsigned number, int64_t offset)
{
    const struct ticket ticket = ticket_of(number);
    bool is_copy;

    return partition_fetch(&partition, offset, &ticket, &is_copy);
}

static void
begin(void)
{
    partition_init(&partition, 0);
    partition_begin(&partition, 0, 0);
    next = 0;
}

static void
no_held(struct held *held)
{
    (void)held;
    ck_abort_msg("no message is held here");
}

static void
end(void)
{
    partition_fini(&partition, no_held);
}

START_TEST(the_watermark_waits_for_the_first_that_goes_on)
{
    begin();
    claim(OWN);
    for (unsigned i = 0; i < 3; i++) {
        ck_assert_ptr_nonnull(fetch(i, i));
        started(i, i);
    }
    answered(1);
    answered(2);
    partition_trim(&partition, NOW + LINGER + 1, LINGER);
    ck_assert_int_eq(partition_watermark(&partition), 0);
    answered(0);
    partition_trim(&partition, NOW + LINGER + 1, LINGER);
    ck_assert_int_eq(partition_watermark(&partition), 3);
    ck_assert_ptr_null(partition.entries);
    end();
}
END_TEST

START_TEST(no_watermark_passes_what_a_copy_may_still_come_of)
{
    begin();
    claim(OWN);
    fetch(1, 0);
    started(1, 0);
    answered(1);
    partition_trim(&partition, NOW + LINGER, LINGER);
    ck_assert_int_eq(partition_watermark(&partition), 0);
    ck_assert_ptr_null(fetch(1, 1)); /* a copy: it has ended */
    partition_trim(&partition, NOW + LINGER + 1, LINGER);
    ck_assert_int_eq(partition_watermark(&partition), 2);
    end();
}
END_TEST

START_TEST(a_copy_of_what_goes_on_is_known_as_one)
{
    const struct ticket ticket = ticket_of(1);
    bool is_copy;

    begin();
    claim(OWN);
    struct entry *first = fetch(1, 0);
    ck_assert_ptr_eq(partition_fetch(&partition, 5, &ticket, &is_copy), first);
    ck_assert(is_copy);
    started(1, 0);
    answered(1);
    partition_trim(&partition, NOW + LINGER + 1, LINGER);
    ck_assert_int_eq(partition_watermark(&partition), 6);
    end();
}
END_TEST

START_TEST(the_position_is_the_claim_that_the_first_fact_stands_on)
{
    begin();
    const int64_t first = claim(OWN);
    fetch(1, 0);
    started(1, 0);
    const int64_t second = claim(OWN);
    fetch(2, 1);
    started(2, 1);
    ck_assert_int_eq(partition_position(&partition), first);
    answered(1);
    partition_trim(&partition, NOW + LINGER + 1, LINGER);
    ck_assert_int_eq(partition_position(&partition), second);
    end();
}
END_TEST

START_TEST(the_position_stays_before_what_ended_above_the_watermark)
{
    begin();
    const int64_t first = claim(OWN);
    fetch(1, 0);
    fetch(2, 1);
    started(2, 1);
    answered(2);
    claim(OWN);
    partition_trim(&partition, NOW + LINGER + 1, LINGER);
    ck_assert_int_eq(partition_watermark(&partition), 0);
    ck_assert_int_eq(partition_position(&partition), first);
    end();
}
END_TEST

START_TEST(what_had_ended_before_it_is_fetched_is_not_run)
{
    begin();
    claim(OWN);
    started(1, 1);
    answered(1);
    partition_trim(&partition, NOW + LINGER + 1, LINGER);
    ck_assert_ptr_null(partition.entries); /* only its offset is remembered */
    ck_assert_ptr_nonnull(fetch(0, 0));
    ck_assert_ptr_null(fetch(1, 1));
    ck_assert_ptr_nonnull(fetch(2, 2));
    end();
}
END_TEST

START_TEST(done_requests_cost_one_node_however_many)
{
    begin();
    claim(OWN);
    fetch(0, 0); /* a slow one */
    for (unsigned i = 1; i < 1000; i++) {
        fetch(i, i);
        started(i, i);
        answered(i);
    }
    partition_trim(&partition, NOW + LINGER + 1, LINGER);
    ck_assert_uint_eq(HASH_COUNT(partition.entries), 1);
    ck_assert_ptr_eq(partition.window->next->next, NULL);
    ck_assert_int_eq(partition.window->next->from, 1);
    ck_assert_int_eq(partition.window->next->to, 1000);
    end();
}
END_TEST

START_TEST(facts_of_what_is_below_the_watermark_are_forgotten)
{
    begin();
    claim(OWN);
    partition.fetched = 10;
    ck_assert_ptr_null(started(1, 9));
    ck_assert_ptr_nonnull(started(2, 10));
    end();
}
END_TEST

START_TEST(a_cancel_of_a_request_that_never_comes_is_forgotten)
{
    begin();
    claim(OWN);
    ck_assert_ptr_nonnull(fold((struct fact){
        .kind = FACT_CANCEL, .ticket = ticket_of(1), .request = -1}));
    partition_trim(&partition, NOW + 1000 * LINGER, LINGER);
    ck_assert_ptr_nonnull(partition.entries); /* it may stand far behind */
    partition.at_end = NOW + LINGER + 1;
    partition_trim(&partition, NOW + LINGER + 1, LINGER);
    ck_assert_ptr_null(partition.entries);
    end();
}
END_TEST

START_TEST(a_cancelled_request_is_not_run_when_it_comes)
{
    begin();
    claim(OWN);
    fold((struct fact){
        .kind = FACT_CANCEL, .ticket = ticket_of(1), .request = -1});
    ck_assert_ptr_null(fetch(1, 0));
    end();
}
END_TEST

START_TEST(what_is_none_of_ours_is_passed_at_once)
{
    begin();
    partition_skip(&partition, 0);
    partition_skip(&partition, 3); /* offsets may have gaps */
    ck_assert_int_eq(partition_watermark(&partition), 4);
    end();
}
END_TEST

START_TEST(ready_requests_stand_as_in_the_log_and_delayed_ones_by_when_due)
{
    begin();
    struct entry *entries[3];
    for (unsigned i = 0; i < 3; i++)
        entries[i] = fetch(2 - i, i);
    entries[0]->fold.due = 5;
    for (unsigned i = 1; i < 3; i++)
        entries[i]->fold.due = 4 - (wall_ms)i;
    for (unsigned i = 0; i < 3; i++)
        partition_place(&partition, entries[i], PLACE_DELAYED);
    ck_assert_ptr_eq(partition.delayed, entries[2]);
    for (unsigned i = 3; i-- > 0;)
        partition_place(&partition, entries[i], PLACE_READY);
    ck_assert_ptr_null(partition.delayed);
    ck_assert_ptr_eq(partition.ready, entries[0]);
    ck_assert_ptr_eq(partition.ready->next, entries[1]);
    end();
}
END_TEST

TESTS("broker", "partition", the_watermark_waits_for_the_first_that_goes_on,
      no_watermark_passes_what_a_copy_may_still_come_of,
      a_copy_of_what_goes_on_is_known_as_one,
      the_position_is_the_claim_that_the_first_fact_stands_on,
      the_position_stays_before_what_ended_above_the_watermark,
      what_had_ended_before_it_is_fetched_is_not_run,
      done_requests_cost_one_node_however_many,
      facts_of_what_is_below_the_watermark_are_forgotten,
      a_cancel_of_a_request_that_never_comes_is_forgotten,
      a_cancelled_request_is_not_run_when_it_comes,
      what_is_none_of_ours_is_passed_at_once,
      ready_requests_stand_as_in_the_log_and_delayed_ones_by_when_due)
