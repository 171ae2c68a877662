/* receipt_test.c - which record has the receipt of a pause. */
#include "broker/receipt.h"

#include "tests/unit/test.h"

static char text[] = "{}";

START_TEST(a_receipt_is_found_behind_changes_that_open_nothing)
{
    const struct history list[] = {
        {.epoch = 2, .change = "pause"},
        {.epoch = 2, .change = "drained", .receipt = text},
        {.epoch = 3, .change = "resume"},
        {.epoch = 4, .change = "pause"},
        {.epoch = 5, .change = "refuse"},
        {.epoch = 5, .change = "drained", .receipt = text},
        {.epoch = 6, .change = "probe"},
        {.epoch = 6, .change = "drained"},
    };

    ck_assert_ptr_eq(receipt_find(list, 8, 2), &list[1]);
    ck_assert_ptr_eq(receipt_find(list, 8, 4), &list[5]);
    ck_assert_ptr_null(receipt_find(list, 5, 4));
}
END_TEST

START_TEST(a_pause_that_was_resumed_has_no_later_ones_receipt)
{
    const struct history list[] = {
        {.epoch = 2, .change = "pause"},
        {.epoch = 3, .change = "resume"},
        {.epoch = 4, .change = "pause"},
        {.epoch = 4, .change = "drained", .receipt = text},
    };

    ck_assert_ptr_null(receipt_find(list, 4, 2));
}
END_TEST

TESTS("broker", "receipt", a_receipt_is_found_behind_changes_that_open_nothing,
      a_pause_that_was_resumed_has_no_later_ones_receipt)
