/* conformance.c - what every broker must keep: `conformance embedded`, or
 * `conformance kafka FILE`, the file that names its servers.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/conformance/rig_kafka.h"
#include "tests/conformance/suites.h"

int
main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "--child") == 0)
        return child_main(argc - 2, argv + 2);
    const bool on_kafka = argc == 3 && strcmp(argv[1], "kafka") == 0;
    if (!on_kafka && (argc != 2 || strcmp(argv[1], "embedded") != 0)) {
        fprintf(stderr, "usage: conformance embedded | kafka FILE\n");
        return EXIT_FAILURE;
    }
    if (on_kafka)
        rig_use_kafka(argv[2]);

    Suite *suite = suite_create("conformance");
    suite_add_tcase(suite, requests_case());
    suite_add_tcase(suite, attempts_case());
    suite_add_tcase(suite, controls_case());
    suite_add_tcase(suite, processes_case());
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    if (on_kafka)
        rig_kafka_remove_all();
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
