/* etag.h - does a conditional request name this version?
 *
 * Threads: any; pure. Source: RFC 9110 §8.8.3, §13.1.
 */
#ifndef INGRESS_ETAG_H
#define INGRESS_ETAG_H

#include <stdbool.h>
#include <stdint.h>

#include "common/slice.h"

enum etag_comparison {
    ETAG_STRONG, /* If-Match: W/"5" names nothing */
    ETAG_WEAK,   /* If-None-Match */
};

/* Is "EPOCH", in its quotes, in the list, or is that `*`? What is malformed
 * names nothing. */
bool etag_names(struct slice list, uint64_t epoch,
                enum etag_comparison comparison);

#endif
