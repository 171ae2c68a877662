/* route.c - which route a request takes. */
#include "ingress/route.h"

#include <stdio.h>
#include <string.h>

static bool
path_matches(const struct route_settings *route, struct slice path)
{
    struct slice prefix = slice_of(route->path);

    if (path.len == 0 || path.at[0] != '/' || !slice_starts(path, prefix))
        return false;
    return path.len == prefix.len || path.at[prefix.len] == '/';
}

static bool
place_matches(const struct route_settings *route, struct slice host,
              struct slice path)
{
    return path_matches(route, path) &&
           (route->host == NULL || slice_is_nocase(host, route->host));
}

static bool
method_matches(const struct route_settings *route, struct slice method)
{
    if (route->methods == NULL)
        return true;
    for (char **m = route->methods; *m != NULL; m++)
        if (slice_is(method, *m))
            return true;
    return false;
}

/* Does `a` go before `b`, both matching? */
static bool
is_better(const struct route_settings *a, const struct route_settings *b)
{
    size_t a_len = strlen(a->path), b_len = strlen(b->path);

    if (a_len != b_len)
        return a_len > b_len;
    if ((a->methods != NULL) != (b->methods != NULL))
        return a->methods != NULL;
    return a->host != NULL && b->host == NULL;
}

const struct route_settings *
route_match(const struct settings *settings, struct slice method,
            struct slice host, struct slice path)
{
    const struct route_settings *best = NULL;

    for (size_t i = 0; i < settings->routes_len; i++) {
        const struct route_settings *route = &settings->routes[i];
        if (place_matches(route, host, path) && method_matches(route, method) &&
            (best == NULL || is_better(route, best)))
            best = route;
    }
    return best;
}

/* Is method a whole element of "GET, HEAD"? */
static bool
is_listed(const char *allow, const char *method)
{
    struct slice part, rest = slice_of(allow);

    while (slice_cut(&rest, ',', &part))
        if (slice_is(slice_trim(part), method))
            return true;
    return false;
}

void
route_allow(const struct settings *settings, struct slice host,
            struct slice path, char *allow, size_t size)
{
    allow[0] = '\0';
    for (size_t i = 0; i < settings->routes_len; i++) {
        const struct route_settings *route = &settings->routes[i];
        if (route->methods == NULL || !place_matches(route, host, path))
            continue;
        for (char **m = route->methods; *m != NULL; m++) {
            size_t len = strlen(allow);
            if (!is_listed(allow, *m) && len + strlen(*m) + 3 < size)
                snprintf(allow + len, size - len, "%s%s", len > 0 ? ", " : "",
                         *m);
        }
    }
}
