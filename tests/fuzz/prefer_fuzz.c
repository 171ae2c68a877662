/* prefer_fuzz.c - Prefer with any bytes: no crash, and no wait over the cap. */
#include <assert.h>
#include <stdint.h>

#include "ingress/prefer.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct prefer prefer = {0};
    char text[PREFER_APPLIED_SIZE];

    prefer_parse(&prefer, (struct slice){(const char *)bytes, len});
    struct wait_plan plan = prefer_plan(&prefer, 30000, 60000);
    assert(plan.wait >= 0 && plan.wait <= 60000);
    prefer_applied(&plan, true, text);
    return 0;
}
