/* pauser.c - pauses the first queue again and again (pausing.h).
 *
 *     bench_pauser CONFIG COUNT [CLOAKROOM]
 *
 * With the path of a program it is that which pauses, else the broker is asked.
 */
#include <stdio.h>
#include <stdlib.h>

#include "bench/pausing.h"
#include "common/log.h"
#include "common/own.h"

int
main(int argc, char **argv)
{
    struct pausing pausing = {.queue = 0};
    struct error err;

    if (argc < 3) {
        fprintf(stderr, "usage: bench_pauser CONFIG COUNT [CLOAKROOM]\n");
        return EXIT_FAILURE;
    }
    log_init("bench_pauser", LOG_WARNING);
    OWNED(settings) settings = settings_load(argv[1], stderr);
    if (settings == NULL)
        return EXIT_FAILURE;
    const struct broker_options options = {.settings = settings,
                                           .role = BROKER_VISITOR};
    if (broker_open(&options, &pausing.broker, &err) < 0) {
        fprintf(stderr, "%s\n", err.text);
        return EXIT_FAILURE;
    }
    pausing.config = argv[1];
    pausing.count = atol(argv[2]);
    pausing.program = argv[3];
    pausing_run(&pausing);
    broker_close(pausing.broker);
    return EXIT_SUCCESS;
}
