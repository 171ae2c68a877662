/* head.h - what the fields of a request say about it, and whether they may.
 *
 * libmicrohttpd 0.9.75 lets requests through whose end two parsers would see at
 * different places (both Content-Length and Transfer-Encoding, repeated or odd
 * ones, codings that it does not know). Each is refused here, before anything
 * of the body is read, and the connection is closed.
 *
 * Threads: any; pure. Source: RFC 9112 sections 3.2, 5 and 6, RFC 9110 sections
 * 7.6.1 and 10.1.1.
 */
#ifndef INGRESS_HEAD_H
#define INGRESS_HEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/message.h"
#include "ingress/accept.h"
#include "ingress/prefer.h"
#include "ingress/refusal.h"
#include "ingress/target.h"

struct head {
    struct slice method;
    struct target target;
    struct slice host; /* of the target or the Host field, without the port */
    bool has_length, is_chunked, expects_continue;
    uint64_t length;           /* of the body, when has_length */
    bool has_key;              /* Idempotency-Key */
    struct slice key;          /* its value, as sent */
    struct slice content_type; /* empty when there is none */
    struct prefer prefer;
    struct accept accept;
    struct slice last_event_id; /* Last-Event-ID; empty when there is none */
    bool has_named; /* Connection names fields, which are to be dropped too */
};

/* method and target as sent. 0, or -EINVAL with the refusal: then where the
 * message ends may be in doubt, and the connection must not be used again.
 * The slices of head point into what was given. */
int head_read(struct head *head, struct slice method, struct slice target,
              bool is_http_1_0, const struct field *fields, size_t fields_len,
              struct refusal *refusal);

/* Is this field about the connection or about us, so that it is not stored? */
bool head_drops(const struct head *head, const struct field *fields,
                size_t fields_len, struct slice name);

#endif
