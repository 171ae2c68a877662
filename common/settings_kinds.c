/* settings_kinds.c - how a value of each kind is read: words, names, addresses,
 * paths. Numbers are in settings_units.c, maps and lists in settings_lists.c.
 */
#include <arpa/inet.h>
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "common/nearest.h"
#include "common/own.h"
#include "common/settings_priv.h"

#define NAME_MAX_LEN 64

static void *
member(const struct place *place, void *base)
{
    return (char *)base + place->setting->offset;
}

/* Takes text. */
static void
set_text(const struct place *place, void *base, char *text)
{
    char **at = member(place, base);

    free(*at);
    *at = text;
}

/* ---- words --------------------------------------------------------------- */

/* Which of the words it is; -1 after a complaint. */
static int
read_word(struct reader *reader, const struct place *place,
          const char *const words[], size_t len)
{
    char hint[HINT_SIZE];

    for (size_t i = 0; i < len; i++)
        if (strcmp(place->node->text, words[i]) == 0)
            return (int)i;
    complain(reader, place, "`%.40s` is none of its values; %s",
             place->node->text,
             nearest_hint(hint, place->node->text, words, len));
    return -1;
}

static void
read_flag(struct reader *reader, const struct place *place, void *base)
{
    static const char *const words[] = {"false", "true"};
    int found = read_word(reader, place, words, ARRAY_LEN(words));
    bool *at = member(place, base);

    if (found >= 0)
        *at = found == 1;
}
const struct kind kind_flag = {.word = "`true` or `false`", .read = read_flag};

static void
read_redeliver(struct reader *reader, const struct place *place, void *base)
{
    static const char *const words[] = {
        [REDELIVER_IDEMPOTENT] = "idempotent",
        [REDELIVER_ALWAYS] = "always",
        [REDELIVER_NEVER] = "never",
    };
    int found = read_word(reader, place, words, ARRAY_LEN(words));
    struct queue_settings *queue = base;

    if (found >= 0)
        queue->redeliver = (enum redeliver)found;
}
const struct kind kind_redeliver = {.word = "`idempotent`, `always` or `never`",
                                    .read = read_redeliver};

/* ---- text ---------------------------------------------------------------- */

static void
read_text(struct reader *reader, const struct place *place, void *base)
{
    (void)reader;
    set_text(place, base, mem_strdup(place->node->text));
}
const struct kind kind_text = {
    .word = "text", .quoted = true, .read = read_text};

/* Letters, digits and some others; a letter or digit first. */
static bool
is_word(const char *text, const char *others)
{
    const unsigned char *at = (const unsigned char *)text;
    size_t len = 0;

    while (at[len] < 0x80 &&
           (isalnum(at[len]) ||
            (at[len] != '\0' && strchr(others, at[len]) != NULL)))
        len++;
    return len > 0 && len <= NAME_MAX_LEN && at[len] == '\0' && isalnum(at[0]);
}

static void
read_name(struct reader *reader, const struct place *place, void *base)
{
    if (!is_word(place->node->text, "._-"))
        complain(reader, place,
                 "`%.70s` is no name; write letters, digits, `.`, `_` and "
                 "`-`, at most 64, a letter or digit first",
                 place->node->text);
    /* A bad one too: routes to it need no complaint of their own. */
    set_text(place, base, mem_strdup(place->node->text));
}
const struct kind kind_name = {.word = "name", .read = read_name};

/* Labels name folders, so what they may hold is as narrow as for names. */
int
settings_check_release(const char *text, struct error *err)
{
    if (is_word(text, "._-+"))
        return 0;
    return error_set(err, -EINVAL,
                     "`%.70s` is no release; write letters, digits, `.`, `_`, "
                     "`-` and `+`, at most 64, a letter or digit first",
                     text);
}

static void
read_release(struct reader *reader, const struct place *place, void *base)
{
    struct error err;

    if (settings_check_release(place->node->text, &err) < 0)
        complain(reader, place, "%s", err.text);
    else
        set_text(place, base, mem_strdup(place->node->text));
}
const struct kind kind_release = {
    .word = "label", .quoted = true, .read = read_release};

/* ---- references ---------------------------------------------------------- */

static void
complain_of_queue(struct reader *reader, const struct place *place)
{
    const struct settings *settings = reader->settings;
    const char **names =
        mem_zalloc((settings->queues_len + 1) * sizeof(char *));
    size_t len = 0;
    char hint[HINT_SIZE];

    for (size_t i = 0; i < settings->queues_len; i++)
        if (settings->queues[i].name != NULL)
            names[len++] = settings->queues[i].name;
    complain(reader, place, "there is no queue `%.64s`; %s", place->node->text,
             nearest_hint(hint, place->node->text, names, len));
    free(names);
}

/* The queues have been read: they stand before the routes in the table. */
static void
read_queue(struct reader *reader, const struct place *place, void *base)
{
    struct route_settings *route = base;
    int queue = settings_queue(reader->settings, place->node->text);

    if (queue >= 0)
        route->queue = (unsigned)queue;
    else
        complain_of_queue(reader, place);
}
const struct kind kind_queue = {.word = "name of a queue", .read = read_queue};

/* ---- addresses ----------------------------------------------------------- */

/* host as a numeric address of our own, or NULL. */
static char *
numeric_host(struct slice host)
{
    unsigned char scratch[sizeof(struct in6_addr)];
    char *text;

    if (host.len == 0 || slice_is(host, "*"))
        return mem_strdup("0.0.0.0");
    if (slice_is_nocase(host, "localhost"))
        return mem_strdup("127.0.0.1");
    if (host.len > 2 && host.at[0] == '[' && host.at[host.len - 1] == ']') {
        text = mem_strndup(host.at + 1, host.len - 2);
        if (inet_pton(AF_INET6, text, scratch) == 1)
            return text;
    } else {
        text = mem_strndup(host.at, host.len);
        if (inet_pton(AF_INET, text, scratch) == 1)
            return text;
    }
    free(text);
    return NULL;
}

static unsigned
parse_port(const char *text)
{
    const size_t len = strspn(text, "0123456789");
    unsigned port;

    if (len == 0 || len > 5 || text[len] != '\0')
        return 0;
    port = (unsigned)strtoul(text, NULL, 10);
    return port <= 65535 ? port : 0;
}

static void
read_address(struct reader *reader, const struct place *place, void *base)
{
    const char *text = place->node->text;
    const char *colon = strrchr(text, ':');
    struct address *address = member(place, base);
    unsigned port = colon == NULL ? 0 : parse_port(colon + 1);
    char *host;

    if (colon == NULL) {
        complain(reader, place,
                 "`%.60s` is no address and port; write %s%.60s%s", text,
                 parse_port(text) > 0 ? "127.0.0.1:" : "", text,
                 parse_port(text) > 0 ? "" : ":8080");
        return;
    }
    if (port == 0) {
        complain(reader, place,
                 "`%.60s` has no port from 1 to 65535; write "
                 "127.0.0.1:8080",
                 text);
        return;
    }
    host = numeric_host((struct slice){text, (size_t)(colon - text)});
    if (host == NULL) {
        complain(reader, place,
                 "`%.60s` has no numeric address; write 127.0.0.1:%u, "
                 "\"[::1]:%u\", or \"*:%u\" for every address",
                 text, port, port, port);
        return;
    }
    free(address->host);
    *address = (struct address){host, port};
}
const struct kind kind_address = {.word = "address and port",
                                  .read = read_address};

static bool
is_host(const char *text)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789.-_";
    static const char hex[] = "0123456789abcdef:.";

    if (text[0] == '[')
        return strcmp(text + 1 + strspn(text + 1, hex), "]") == 0;
    return text[0] != '\0' && strlen(text) < 256 &&
           text[strspn(text, letters)] == '\0';
}

static void
read_host(struct reader *reader, const struct place *place, void *base)
{
    char *host = mem_strdup(place->node->text);

    for (char *p = host; *p != '\0'; p++)
        *p = (char)tolower((unsigned char)*p);
    set_text(place, base, host);
    if (!is_host(host))
        complain(reader, place,
                 "`%.60s` is no host; write its name alone, without a port "
                 "or a wildcard",
                 place->node->text);
}
const struct kind kind_host = {.word = "host", .read = read_host};

/* "host:port", of a broker. */
static bool
is_server(struct slice server)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz"
                                  "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                  "0123456789.-_:[]";
    char text[300];

    if (server.len >= sizeof(text))
        return false;
    snprintf(text, sizeof(text), "%.*s", (int)server.len, server.at);
    const char *colon = strrchr(text, ':');
    return colon != NULL && colon != text && parse_port(colon + 1) > 0 &&
           text[strspn(text, letters)] == '\0';
}

static void
read_servers(struct reader *reader, const struct place *place, void *base)
{
    struct slice rest = slice_of(place->node->text), server;

    set_text(place, base, mem_strdup(place->node->text));
    while (slice_cut(&rest, ',', &server))
        if (!is_server(server)) {
            complain(reader, place,
                     "`%.*s` is no host and port; write host:9092, several "
                     "with commas between them",
                     (int)(server.len < 60 ? server.len : 60), server.at);
            return;
        }
}
const struct kind kind_servers = {
    .word = "hosts and ports", .quoted = true, .read = read_servers};

/* ---- paths --------------------------------------------------------------- */

/* Relative paths are relative to the file. */
static void
read_path_of(struct reader *reader, const struct place *place, void *base,
             const char *what)
{
    if (place->node->text[0] == '\0')
        complain(reader, place, "is empty; write the path of a %s", what);
    else
        set_text(place, base,
                 path_from_file(reader->folder, place->node->text));
}

static void
read_file(struct reader *reader, const struct place *place, void *base)
{
    read_path_of(reader, place, base, "file");
}
const struct kind kind_file = {.word = "path", .read = read_file};

static void
read_directory(struct reader *reader, const struct place *place, void *base)
{
    read_path_of(reader, place, base, "directory");
}
const struct kind kind_directory = {.word = "path", .read = read_directory};

/* What is wrong with the path of a route, or NULL. */
static const char *
path_fault(const char *path)
{
    /* RFC 3986 section 3.3, without what is percent-encoded: paths are compared
     * as they are sent, in which these have one form. */
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz"
                                  "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                  "0123456789-._~!$&'()*+,;=:@/";
    struct slice rest = slice_of(path), segment;

    if (path[0] != '/')
        return "has no slash in front";
    if (strpbrk(path, "?#") != NULL)
        return "has a query or a fragment; a route matches the path alone";
    if (path[strspn(path, letters)] != '\0')
        return "has a character other than letters, digits and "
               "-._~!$&'()*+,;=:@/";
    slice_cut(&rest, '/', &segment); /* what is before the first slash */
    while (slice_cut(&rest, '/', &segment)) {
        if (segment.len == 0 && rest.at != NULL)
            return "has an empty segment (//)";
        if (slice_is(segment, ".") || slice_is(segment, ".."))
            return "has a segment . or .., which no request has";
    }
    if (strncmp(path, "/-/", 3) == 0 || strcmp(path, "/-") == 0)
        return "begins with /-/, which belongs to Cloakroom";
    return NULL;
}

static void
read_path(struct reader *reader, const struct place *place, void *base)
{
    const char *path = place->node->text;
    const char *fault = path_fault(path);
    size_t len = strlen(path);

    if (fault != NULL) {
        complain(reader, place, "`%.100s` %s; write a path such as /hits", path,
                 fault);
        return;
    }
    set_text(place, base,
             mem_strndup(path, path[len - 1] == '/' ? len - 1 : len));
}
const struct kind kind_path = {.word = "path of requests", .read = read_path};
