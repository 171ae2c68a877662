/* cgi_plain_test.c - cgi_test.c again, where no cgroup can be made. */
#include <stdlib.h>

__attribute__((constructor(101))) static void
do_without_cgroups(void)
{
    setenv("CLOAKROOM_FAULT", "workers.cgroups:1+", 0);
}

#include "tests/unit/workers/cgi_test.c"
