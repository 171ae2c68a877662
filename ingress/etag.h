/* etag.h - does If-Match name this epoch?
 *
 * Threads: any; pure. Source: RFC 9110 §5.6.1.2, §8.8.3, §13.1.1.
 */
#ifndef INGRESS_ETAG_H
#define INGRESS_ETAG_H

#include <stdint.h>

#include "common/slice.h"

/* 1: "EPOCH", in its quotes, is in the list, or that is `*`. 0: it is not; a
 * weak tag (W/"5") names nothing. -EINVAL: it is neither. */
int etag_names(struct slice list, uint64_t epoch);

#endif
