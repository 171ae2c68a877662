/* message.h - HTTP/1.1 messages as they are queued (P10).
 *
 * A stored message is start line, fields, an empty line and the body, with CRLF
 * and exactly one Content-Length (none where the body is empty and the request
 * had none); never chunked. message_parse is strict: it reads what our own
 * writers and disciplined handlers make, and refuses the rest.
 *
 * Threads: owner. Source: RFC 9112 sections 2 to 6, RFC 9110 section 5.
 */
#ifndef COMMON_MESSAGE_H
#define COMMON_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>

#include "common/buf.h"
#include "common/error.h"
#include "common/slice.h"

struct field {
    struct slice name;
    struct slice value;
};

struct message {
    struct slice method, target; /* of a request, else empty */
    int status;                  /* of a response, else 0 */
    struct field *fields;        /* in the order sent, repeats kept */
    size_t fields_len;
    struct slice body;
};

/* Slices of the result point into bytes, which must outlive it. bytes is one
 * whole message. -EPROTO: it is not one; err names the place. */
int message_parse(struct slice bytes, struct message *message,
                  struct error *err);
void message_fini(struct message *message);

/* The value of the first field of that name (compared without case), or a slice
 * with at == NULL. */
struct slice message_field(const struct message *message, const char *name);

/* Writers: start, then fields, then message_end with the body (or with the
 * length alone, the body being added behind it). Each 0 or -EMSGSIZE;
 * message_add_field also says -EPROTO for a name that is no token or a value
 * with CR, LF or NUL, and adds nothing then. */
int message_start_request(struct buf *buf, struct slice method,
                          struct slice target);
int message_start_response(struct buf *buf, int status);
int message_add_field(struct buf *buf, struct slice name, struct slice value);
int message_end(struct buf *buf, size_t body_len); /* Content-Length and CRLF */
int message_end_bare(struct buf *buf);             /* no Content-Length */

bool message_is_token(struct slice s);       /* RFC 9110 section 5.6.2 */
bool message_is_field_value(struct slice s); /* no CR, LF, NUL or other CTL */

/* Is a field of this name about the connection, not the message (RFC 9110
 * section 7.6.1: Connection, Keep-Alive, Proxy-Connection, TE, Trailer,
 * Transfer-Encoding, Upgrade, Proxy-Authenticate, Proxy-Authorization)? Names
 * listed in Connection are the caller's to check with message_lists. */
bool message_is_hop_by_hop(struct slice name);
/* Does a comma-separated list contain token (without case)? */
bool message_lists(struct slice list, struct slice token);

/* The standard phrase (RFC 9110 section 15, IANA registry); "" if unknown. */
const char *message_reason(int status);
/* Safe, and idempotent, by RFC 9110 section 9.2. */
bool message_is_idempotent(struct slice method);

#endif
