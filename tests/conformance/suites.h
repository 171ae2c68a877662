/* suites.h - the cases of the conformance suite. */
#ifndef TESTS_CONFORMANCE_SUITES_H
#define TESTS_CONFORMANCE_SUITES_H

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "common/own.h"

/* CONFORMANCE_ONLY in the environment is a part of the names of the tests that
 * are run. */
#define CASE(case_name, ...)                                                   \
    TCase *case_name##_case(void)                                              \
    {                                                                          \
        const TTest *const tests[] = {__VA_ARGS__};                            \
        const char *only = getenv("CONFORMANCE_ONLY");                         \
        TCase *tcase = tcase_create(#case_name);                               \
        tcase_set_timeout(tcase, 60);                                          \
        for (size_t i = 0; i < ARRAY_LEN(tests); i++) {                        \
            if (only == NULL || strstr(tests[i]->name, only) != NULL)          \
                tcase_add_test(tcase, tests[i]);                               \
        }                                                                      \
        return tcase;                                                          \
    }

TCase *requests_case(void);  /* submit, look, keys, cancel */
TCase *attempts_case(void);  /* take, finish, retry, leases */
TCase *controls_case(void);  /* pause, drain, probe, releases */
TCase *processes_case(void); /* several of them, killed and stopped */

/* What this program does when a test starts it again as another process. */
int child_main(int argc, char **argv);

#endif
