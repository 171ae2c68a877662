/* record.h - how a request's origin and its checksums are stored.
 *
 * origin: each of its five texts with a 16-bit length in front (little endian),
 * in the struct's order. A checksum is SipHash-2-4 keyed with the ticket, so a
 * record that stands under another's ticket is found out as well.
 *
 * Threads: any; pure.
 */
#ifndef BROKER_EMBEDDED_RECORD_H
#define BROKER_EMBEDDED_RECORD_H

#include <stdint.h>

#include "broker/broker.h"

#define ORIGIN_CAP (64 * 1024)

/* Adds origin to buf; -EMSGSIZE when a text is longer than 65535 bytes. */
int record_add_origin(struct buf *buf, const struct origin *origin);
/* Slices of the result point into bytes. -EPROTO: not an origin. */
int record_parse_origin(struct slice bytes, struct origin *origin);

/* Over the parts in their order. */
int64_t record_sum(const struct ticket *ticket, struct slice first,
                   struct slice second);

#endif
