/* target.c - the request target and the host. */
#include "ingress/target.h"

#include <errno.h>
#include <string.h>

int
refuse(struct refusal *refusal, int status, const char *code,
       const char *detail)
{
    *refusal = (struct refusal){status, code, detail, NULL};
    return -EINVAL;
}

/* ---- host ---- */

static bool
is_alnum(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
           (c >= 'A' && c <= 'Z');
}

static bool
all_of(struct slice s, const char *marks)
{
    for (size_t i = 0; i < s.len; i++)
        if (!is_alnum(s.at[i]) &&
            (s.at[i] == '\0' || strchr(marks, s.at[i]) == NULL))
            return false;
    return true;
}

struct slice
target_host_name(struct slice host)
{
    const char *end = host.at + host.len;
    const char *at = host.at;

    if (host.len > 0 && host.at[0] == '[') {
        at = memchr(host.at, ']', host.len);
        return (struct slice){host.at, at == NULL ? host.len
                                                  : (size_t)(at - host.at) + 1};
    }
    while (at < end && *at != ':')
        at++;
    return (struct slice){host.at, (size_t)(at - host.at)};
}

static bool
is_port(struct slice rest)
{
    if (rest.len == 0)
        return true;
    if (rest.at[0] != ':' || rest.len > 6)
        return false;
    for (size_t i = 1; i < rest.len; i++)
        if (rest.at[i] < '0' || rest.at[i] > '9')
            return false;
    return true;
}

bool
target_is_host(struct slice host)
{
    struct slice name = target_host_name(host);

    if (name.len == 0 || name.len > 255 || !is_port(slice_from(host, name.len)))
        return false;
    if (name.at[0] != '[')
        return all_of(name, "-._~%!$&'()*+,;=");
    return name.len > 2 && name.at[name.len - 1] == ']' &&
           all_of((struct slice){name.at + 1, name.len - 2}, ":.");
}

/* ---- target ---- */

static bool
has_bad_byte(struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.at[i];
        if (c <= 0x20 || c == 0x7f || c == '#')
            return true;
    }
    return false;
}

/* "." or "..", each dot plain or as %2e. */
static bool
is_dot_segment(struct slice segment)
{
    unsigned dots = 0;

    for (size_t i = 0; i < segment.len; dots++) {
        if (segment.at[i] == '.')
            i++;
        else if (segment.len - i >= 3 && segment.at[i] == '%' &&
                 segment.at[i + 1] == '2' && (segment.at[i + 2] | 0x20) == 'e')
            i += 3;
        else
            return false;
    }
    return dots == 1 || dots == 2;
}

static bool
has_dot_segment(struct slice path)
{
    struct slice segment, rest = path;

    while (slice_cut(&rest, '/', &segment))
        if (is_dot_segment(segment))
            return true;
    return false;
}

static int
hex(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Every % begins two hex digits, and none of them is NUL. */
static bool
has_bad_escape(struct slice path)
{
    for (size_t i = 0; i < path.len; i++) {
        if (path.at[i] != '%')
            continue;
        if (path.len - i < 3 || hex(path.at[i + 1]) < 0 ||
            hex(path.at[i + 2]) < 0 ||
            (path.at[i + 1] == '0' && path.at[i + 2] == '0'))
            return true;
    }
    return false;
}

/* "http://host/path": takes the host off, leaves the path. */
static bool
cut_absolute(struct slice *text, struct slice *host)
{
    static const struct slice schemes[] = {{"http://", 7}, {"https://", 8}};

    for (size_t i = 0; i < 2; i++) {
        struct slice scheme = schemes[i];
        if (text->len <= scheme.len ||
            !slice_eq_nocase((struct slice){text->at, scheme.len}, scheme))
            continue;
        struct slice rest = slice_from(*text, scheme.len);
        size_t len = 0;
        while (len < rest.len && rest.at[len] != '/' && rest.at[len] != '?')
            len++;
        *host = (struct slice){rest.at, len};
        *text = slice_from(rest, len);
        return true;
    }
    return false;
}

static struct slice
path_of(struct slice origin)
{
    const char *query =
        origin.len == 0 ? NULL : memchr(origin.at, '?', origin.len);

    return (struct slice){
        origin.at, query == NULL ? origin.len : (size_t)(query - origin.at)};
}

static int
check_path(const struct target *target, struct refusal *refusal)
{
    if (has_bad_escape(target->path))
        return refuse(
            refusal, 400, "bad-target",
            "the path has a % that is not followed by two hex digits, "
            "or %00; encode the path by RFC 3986");
    if (has_dot_segment(target->path))
        return refuse(refusal, 400, "bad-target",
                      "the path has a segment . or ..; send it resolved");
    return 0;
}

int
target_parse(struct slice method, struct slice text, struct target *target,
             struct refusal *refusal)
{
    *target = (struct target){.origin = text};
    if (has_bad_byte(text))
        return refuse(refusal, 400, "bad-target",
                      "the request target has a space, a control byte or a #; "
                      "encode it by RFC 3986");
    if (slice_is(text, "*") && slice_is(method, "OPTIONS")) {
        target->path = text;
        return 0;
    }
    if (cut_absolute(&target->origin, &target->host) &&
        !target_is_host(target->host))
        return refuse(refusal, 400, "bad-host",
                      "the host in the request target is not one");
    if (target->host.len > 0 && target->origin.len == 0)
        target->origin = SLICE("/");
    if (target->origin.len == 0 || target->origin.at[0] != '/')
        return refuse(refusal, 400, "bad-target",
                      "the request target does not begin with /");
    target->path = path_of(target->origin);
    return check_path(target, refusal);
}
