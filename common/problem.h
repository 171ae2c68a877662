/* problem.h - Cloakroom's own errors as problem+json.
 *
 * Threads: any. Source: RFC 9457, RFC 9209.
 */
#ifndef COMMON_PROBLEM_H
#define COMMON_PROBLEM_H

#include "common/buf.h"
#include "common/ticket.h"

/* The body: {"type","title","status","code","detail","ticket"?}. code is a
 * stable word ("timed-out"), detail a sentence, ticket may be NULL. type is
 * "about:blank". 0 or -EMSGSIZE. */
int problem_body(struct buf *buf, int status, const char *code,
                 const char *detail, const struct ticket *ticket);

/* A whole response message around it: Content-Type application/problem+json,
 * Proxy-Status: cloakroom; error=..., no-store. It is what is stored when
 * Cloakroom answers for a handler. */
int problem_message(struct buf *buf, int status, const char *code,
                    const char *detail, const struct ticket *ticket);

#endif
