/* route.h - which route a request takes.
 *
 * A route matches by path prefix in whole segments, and by method and host
 * where it names them. The longest prefix wins, then the one with methods, then
 * the one with a host. Paths are compared as sent: an encoded letter is another
 * path.
 *
 * Threads: any; pure. Source: docs/http.md "Routes".
 */
#ifndef INGRESS_ROUTE_H
#define INGRESS_ROUTE_H

#include "common/settings.h"
#include "common/slice.h"

/* path is the target without its query; host is without a port. NULL: none. */
const struct route_settings *route_match(const struct settings *settings,
                                         struct slice method, struct slice host,
                                         struct slice path);

/* The methods of the routes that match but for the method, "GET, HEAD", cut to
 * size; "" where no route matches at all. */
void route_allow(const struct settings *settings, struct slice host,
                 struct slice path, char *allow, size_t size);

#endif
