/* fault.c - named places where a test makes the n-th call fail. */
#include "common/fault.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "common/lock.h"
#include "common/slice.h"

#define FAULTS_MAX 16

struct fault {
    char name[64];
    long when;    /* fails at this call, counted from 1 */
    long calls;   /* so far */
    bool onwards; /* and at all later ones */
};

atomic_bool fault_armed;
static struct fault faults[FAULTS_MAX];
static size_t faults_len;
static pthread_mutex_t faults_lock = PTHREAD_MUTEX_INITIALIZER;

/* One "name:when[+]". What is malformed is an error of the test: abort. */
static void
arm(struct slice text)
{
    struct fault *fault = &faults[faults_len];
    struct slice name, rest = text;
    char *end;

    if (faults_len == FAULTS_MAX || !slice_cut(&rest, ':', &name) ||
        rest.at == NULL || name.len >= sizeof(fault->name))
        abort();
    memcpy(fault->name, name.at, name.len);
    fault->when = strtol(rest.at, &end, 10);
    fault->onwards = *end == '+';
    if (fault->when < 1)
        abort();
    faults_len++;
}

void
fault_init(void)
{
    struct slice part, rest = slice_of(getenv("CLOAKROOM_FAULT"));

    LOCKED(&faults_lock);
    while (slice_cut(&rest, ',', &part))
        arm(part);
    fault_armed = faults_len > 0;
}

bool
fault_hit(const char *name)
{
    LOCKED(&faults_lock);
    for (size_t i = 0; i < faults_len; i++) {
        struct fault *fault = &faults[i];
        if (strcmp(fault->name, name) != 0)
            continue;
        fault->calls++;
        return fault->onwards ? fault->calls >= fault->when
                              : fault->calls == fault->when;
    }
    return false;
}
