/* idempotency_fuzz.c - Idempotency-Key with any bytes: no crash, and what is
 * taken is visible ASCII of a legal length. */
#include <assert.h>
#include <stdint.h>

#include "ingress/idempotency.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct idempotency_key key;

    if (idempotency_parse((struct slice){(const char *)bytes, len}, &key) < 0)
        return 0;
    assert(key.len >= 1 && key.len <= IDEMPOTENCY_KEY_MAX);
    for (size_t i = 0; i < key.len; i++)
        assert(key.text[i] >= 0x20 && key.text[i] <= 0x7e);
    return 0;
}
