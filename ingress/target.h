/* target.h - the request target and the host.
 *
 * Threads: any; pure. Source: RFC 9112 section 3.2, RFC 3986 section 3.2.2.
 */
#ifndef INGRESS_TARGET_H
#define INGRESS_TARGET_H

#include <stdbool.h>

#include "common/slice.h"
#include "ingress/refusal.h"

struct target {
    struct slice origin; /* "/path?query", what is stored; or "*" */
    struct slice path;   /* without the query, as sent */
    struct slice host;   /* of an absolute-form target, with port; else empty */
};

/* -EINVAL: none of the forms, a byte that may not be there, or a segment that
 * is "." or ".." (also in %2e): a route and a handler might read such a path
 * differently. The slices point into text. */
int target_parse(struct slice method, struct slice text, struct target *target,
                 struct refusal *refusal);

bool target_is_host(struct slice host);           /* host [":" port] */
struct slice target_host_name(struct slice host); /* without the port */

#endif
