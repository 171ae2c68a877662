/* wish_fuzz.c - the body of an operator's POST, and If-Match, with any bytes:
 * no crash, and what is taken keeps to its bounds.
 *
 * The first byte chooses the command.
 */
#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <string.h>

#include "control/control.h"
#include "ingress/etag.h"
#include "ingress/wish.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct wish wish;
    struct error err;

    if (len == 0)
        return 0;
    const struct slice body = {(const char *)bytes + 1, len - 1};
    const int names = etag_names(body, 17);
    assert(names == 1 || names == 0 || names == -EINVAL);
    if (wish_read(&wish, (enum wish_kind)(bytes[0] % WISHES), body, &err) < 0)
        return 0;
    assert(wish.reason == NULL || strlen(wish.reason) < WHY_SIZE);
    assert(wish.release == NULL || strlen(wish.release) < RELEASE_SIZE);
    assert(wish.kind != WISH_UPGRADE || wish.to != NULL);
    assert(wish.ramp_span >= 0);
    wish_fini(&wish);
    return 0;
}
