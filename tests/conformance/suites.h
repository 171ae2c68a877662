/* suites.h - the cases of the conformance suite. */
#ifndef TESTS_CONFORMANCE_SUITES_H
#define TESTS_CONFORMANCE_SUITES_H

#include <check.h>

#include "common/own.h"

#define CASE(name, ...)                                                        \
    TCase *name##_case(void)                                                   \
    {                                                                          \
        const TTest *const tests[] = {__VA_ARGS__};                            \
        TCase *tcase = tcase_create(#name);                                    \
        tcase_set_timeout(tcase, 60);                                          \
        for (size_t i = 0; i < ARRAY_LEN(tests); i++)                          \
            tcase_add_test(tcase, tests[i]);                                   \
        return tcase;                                                          \
    }

TCase *requests_case(void);  /* submit, look, keys, cancel */
TCase *attempts_case(void);  /* take, finish, retry, leases */
TCase *controls_case(void);  /* pause, drain, probe, releases */
TCase *processes_case(void); /* several of them, killed and stopped */

/* What this program does when a test starts it again as another process. */
int child_main(int argc, char **argv);

#endif
