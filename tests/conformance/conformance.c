/* conformance.c - what every broker must keep: `conformance BACKEND`. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/conformance/suites.h"

int
main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "--child") == 0)
        return child_main(argc - 2, argv + 2);
    if (argc != 2 || strcmp(argv[1], "embedded") != 0) {
        fprintf(stderr, "usage: conformance embedded\n");
        return EXIT_FAILURE;
    }

    Suite *suite = suite_create("conformance");
    suite_add_tcase(suite, requests_case());
    suite_add_tcase(suite, attempts_case());
    suite_add_tcase(suite, controls_case());
    suite_add_tcase(suite, processes_case());
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
