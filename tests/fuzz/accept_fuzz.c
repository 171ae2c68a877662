/* accept_fuzz.c - Accept with any bytes: no crash, no quality over 1, and what
 * is said twice counts once. */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "ingress/accept.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static void
check(const struct accept_type *type)
{
    assert(type->quality <= 1000 && type->exactness <= 3);
    assert(type->exactness > 0 || type->quality == 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    const struct slice value = {(const char *)bytes, len};
    struct accept accept = {0};

    accept_parse(&accept, value);
    check(&accept.html);
    check(&accept.json);
    const struct accept once = accept;
    accept_parse(&accept, value);
    assert(memcmp(&accept, &once, sizeof(accept)) == 0);
    return 0;
}
