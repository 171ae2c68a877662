/* etag.h - does If-Match name this epoch?
 *
 * Threads: any; pure. Source: RFC 9110 §8.8.3, §13.1.1.
 */
#ifndef INGRESS_ETAG_H
#define INGRESS_ETAG_H

#include <stdbool.h>
#include <stdint.h>

#include "common/slice.h"

/* Is "EPOCH", in its quotes, in the list, or is that `*`? A weak tag (W/"5")
 * and what is malformed name nothing. */
bool etag_names(struct slice list, uint64_t epoch);

#endif
