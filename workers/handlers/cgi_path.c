/* cgi_path.c - a request's target cut into script, path info and query. */
#include "workers/handlers/cgi_path.h"

#include <string.h>

static int
hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/* One byte of a path that may be escaped; *escaped says whether it was. */
static int
decode_byte(struct slice *rest, char *byte, bool *escaped)
{
    *escaped = rest->at[0] == '%';
    if (!*escaped) {
        *byte = rest->at[0];
        *rest = slice_from(*rest, 1);
        return 0;
    }
    int high = rest->len < 3 ? -1 : hex_value(rest->at[1]);
    int low = rest->len < 3 ? -1 : hex_value(rest->at[2]);
    if (high < 0 || low < 0)
        return -EINVAL;
    *byte = (char)(high * 16 + low);
    *rest = slice_from(*rest, 3);
    return 0;
}

static int
decode_path(struct slice raw, struct buf *buf, struct error *err)
{
    char byte = 0;
    bool escaped = false;

    while (raw.len > 0) {
        if (decode_byte(&raw, &byte, &escaped) < 0)
            return error_set(err, -EINVAL,
                             "the path has a %% that two hexadecimal digits "
                             "do not follow");
        if (byte == '\0')
            return error_set(err, -EINVAL, "the path has a NUL");
        if (byte == '/' && escaped)
            return error_set(err, -ENOENT,
                             "the path has an encoded slash (%%2F)");
        if (buf_add(buf, &byte, 1) < 0)
            return error_set(err, -EINVAL, "the path is too long");
    }
    return 0;
}

static bool
has_dot_segment(struct slice path)
{
    struct slice segment;

    while (slice_cut(&path, '/', &segment))
        if (slice_is(segment, ".") || slice_is(segment, ".."))
            return true;
    return false;
}

/* A character in more bytes of UTF-8 than it needs (RFC 3629 section 3):
 * careless decoders take C0 AE for a dot. */
static bool
has_overlong(struct slice path)
{
    for (size_t i = 0; i + 1 < path.len; i++) {
        unsigned char lead = (unsigned char)path.at[i];
        unsigned char next = (unsigned char)path.at[i + 1];
        if (next < 0x80 || next > 0xbf)
            continue;
        if (lead == 0xc0 || lead == 0xc1 || (lead == 0xe0 && next < 0xa0) ||
            (lead == 0xf0 && next < 0x90))
            return true;
    }
    return false;
}

/* "http://host/path" (RFC 9112 section 3.2.2) and "*" are legal targets too. */
static struct slice
path_of_target(struct slice target, struct slice *query)
{
    struct slice path = target, rest = target;

    *query = (struct slice){"", 0};
    if (slice_is(target, "*"))
        return *query;
    if (slice_cut(&rest, '?', &path) && rest.at != NULL)
        *query = rest;
    const char *authority = path.len > 0 && path.at[0] != '/'
                                ? memmem(path.at, path.len, "://", 3)
                                : NULL;
    if (authority == NULL)
        return path;
    rest = slice_from(path, (size_t)(authority - path.at) + 3);
    const char *slash = memchr(rest.at, '/', rest.len);
    return slash == NULL ? SLICE("/")
                         : slice_from(rest, (size_t)(slash - rest.at));
}

/* A name that can only mean a file of the directory itself. */
static bool
is_plain_name(struct slice name)
{
    return name.len > 0 && name.len < 256 && name.at[0] != '.' &&
           name.at[0] != '-' && memchr(name.at, '/', name.len) == NULL;
}

/* Moves the first segment of the path info over to the script. */
static int
take_program(struct cgi_path *path, struct error *err)
{
    struct slice rest = path->info;
    struct slice name = {"", 0};

    if (rest.len > 0) {
        rest = slice_from(rest, 1);
        slice_cut(&rest, '/', &name);
    }
    if (!is_plain_name(name))
        return error_set(err, -ENOENT, "the path names no program");
    path->program = name;
    path->script.len += 1 + name.len;
    path->info = slice_from(path->info, 1 + name.len);
    return 0;
}

int
cgi_path_cut(struct slice target, struct slice route, bool in_directory,
             struct cgi_path *path, struct error *err)
{
    struct slice raw = path_of_target(target, &path->query);

    buf_init(&path->bytes, raw.len);
    int r = decode_path(raw, &path->bytes, err);
    struct slice whole = buf_slice(&path->bytes);
    if (r == 0 && has_dot_segment(whole))
        r = error_set(err, -EINVAL, "the path has a . or .. segment");
    if (r == 0 && has_overlong(whole))
        r = error_set(err, -EINVAL,
                      "the path has UTF-8 in a form that is too long");
    if (r == 0 && (!slice_starts(whole, route) ||
                   (whole.len > route.len && whole.at[route.len] != '/')))
        r = error_set(err, -ENOENT, "the path is not below its route");
    if (r < 0) {
        cgi_path_fini(path);
        return r;
    }
    path->script = (struct slice){whole.at, route.len};
    path->info = slice_from(whole, route.len);
    path->program = (struct slice){"", 0};
    if (in_directory && (r = take_program(path, err)) < 0)
        cgi_path_fini(path);
    return r;
}

void
cgi_path_fini(struct cgi_path *path)
{
    buf_fini(&path->bytes);
}
