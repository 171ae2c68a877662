/* test.h - one Check program per file: START_TESTs, then TESTS(...).
 *
 *     TESTS("common", "ticket", made_up_tickets_are_refused, ...)
 */
#ifndef TESTS_UNIT_TEST_H
#define TESTS_UNIT_TEST_H

#include <check.h>
#include <stdlib.h>

#include "common/own.h"

#define TESTS(suite_name, case_name, ...)                                      \
    int main(void)                                                             \
    {                                                                          \
        const TTest *const tests[] = {__VA_ARGS__};                            \
        Suite *suite = suite_create(suite_name);                               \
        TCase *tcase = tcase_create(case_name);                                \
        tcase_set_timeout(tcase, 60);                                          \
        for (size_t i = 0; i < ARRAY_LEN(tests); i++)                          \
            tcase_add_test(tcase, tests[i]);                                   \
        suite_add_tcase(suite, tcase);                                         \
        SRunner *runner = srunner_create(suite);                               \
        srunner_run_all(runner, CK_ENV);                                       \
        int failed = srunner_ntests_failed(runner);                            \
        srunner_free(runner);                                                  \
        return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;                      \
    }

#endif
