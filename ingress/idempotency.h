/* idempotency.h - Idempotency-Key: its value, its scope, its fingerprint.
 *
 * The same key in the same scope (principal, method, and the route: its
 * path and the host that it names, not the request's) means the same request;
 * the fingerprint (method, target, Content-Type, body) tells whether it is.
 *
 * Threads: any; pure. Source: draft-ietf-httpapi-idempotency-key-header-07,
 * RFC 9651 section 3.3.3.
 */
#ifndef INGRESS_IDEMPOTENCY_H
#define INGRESS_IDEMPOTENCY_H

#include <stdint.h>

#include "broker/broker.h"
#include "common/slice.h"

#define IDEMPOTENCY_KEY_MAX 255 /* bytes, decoded */

struct idempotency_key {
    size_t len;
    char text[IDEMPOTENCY_KEY_MAX];
};

/* Reads "quoted" (a Structured Fields string) or bare; both mean the same key.
 * -EINVAL: empty, too long, or neither. */
int idempotency_parse(struct slice value, struct idempotency_key *key);

void idempotency_scope(uint8_t scope[KEY_BYTES], struct slice principal,
                       struct slice method, struct slice host,
                       struct slice path, const struct idempotency_key *key);
void idempotency_fingerprint(uint8_t fingerprint[KEY_BYTES],
                             struct slice method, struct slice target,
                             struct slice content_type, struct slice body);

#endif
