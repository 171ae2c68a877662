/* settings_lists.c - how maps and lists are read: queues, routes, handlers,
 * commands, environments, fields, methods.
 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/mem.h"
#include "common/message.h"
#include "common/settings_priv.h"

#define QUEUES_MAX      1000
#define ROUTES_MAX      1000
#define METHODS_MAX     32
#define ARGUMENTS_MAX   256
#define ENVIRONMENT_MAX 256
#define FIELDS_MAX      64
#define PROPERTIES_MAX  256
#define STRING_MAX      65536 /* Linux starts no program with one over 128KiB */

static void
read_map(struct reader *reader, const struct place *place, void *base)
{
    section_read(reader, place, place->setting->child,
                 (char *)base + place->setting->offset);
}
const struct kind kind_map = {.word = "map", .due = NODE_MAP, .read = read_map};

/* ---- lists of maps ------------------------------------------------------- */

/* Room for a list's items, zeroed; NULL after a complaint. */
static void *
list_new(struct reader *reader, const struct place *place, size_t max,
         size_t size)
{
    const size_t len = place->node->len;

    if (len == 0) {
        complain(reader, place, "is empty; at least one is needed");
        return NULL;
    }
    if (len > max) {
        complain(reader, place, "has %zu items; at most %zu are allowed", len,
                 max);
        return NULL;
    }
    return mem_zalloc(len * size);
}

static void
read_item(struct reader *reader, const struct place *list, size_t n, void *base)
{
    const struct place place = place_item(list, n);

    if (place.node->type == NODE_MAP)
        section_read(reader, &place, list->setting->child, base);
    else
        complain(reader, &place,
                 "is no map; write `key: value` lines, or `{key: value}`");
}

static void
read_queues(struct reader *reader, const struct place *place, void *base)
{
    struct settings *settings = base;

    settings->queues =
        list_new(reader, place, QUEUES_MAX, sizeof(struct queue_settings));
    for (size_t i = 0; settings->queues != NULL && i < place->node->len; i++)
        read_item(reader, place, i, &settings->queues[settings->queues_len++]);
}
const struct kind kind_queues = {
    .word = "list of maps", .due = NODE_LIST, .read = read_queues};

static void
read_routes(struct reader *reader, const struct place *place, void *base)
{
    struct settings *settings = base;

    settings->routes =
        list_new(reader, place, ROUTES_MAX, sizeof(struct route_settings));
    for (size_t i = 0; settings->routes != NULL && i < place->node->len; i++)
        read_item(reader, place, i, &settings->routes[settings->routes_len++]);
}
const struct kind kind_routes = {
    .word = "list of maps", .due = NODE_LIST, .read = read_routes};

/* ---- one of several ------------------------------------------------------ */

/* The one handler that is there. The settings of section HANDLER stand in the
 * order of enum handler_type. */
static void
read_handler(struct reader *reader, const struct place *place, void *base)
{
    struct handler_settings *handler =
        (void *)((char *)base + place->setting->offset);
    struct place found = {.node = NULL};
    size_t count = 0;

    section_check_keys(reader, place, SECTION_HANDLER);
    for (size_t n = 0; n < HANDLER_TYPES; n++) {
        const struct setting *setting = section_setting(SECTION_HANDLER, n);
        struct place at = place_key(place, setting->key);
        if (at.node == NULL)
            continue;
        count++;
        at.setting = setting;
        found = at;
        handler->type = (enum handler_type)n;
    }
    if (count == 1)
        value_read(reader, &found, handler);
    else if (count > 1)
        complain(reader, place, "has more than one handler; keep one of them");
    else if (place->node->len == 0)
        complain(reader, place,
                 "has no handler; write cgi: {command: ./program} or "
                 "respond: {body: ok}");
}
const struct kind kind_handler = {
    .word = "map", .due = NODE_MAP, .read = read_handler};

/* ---- lists of texts ------------------------------------------------------ */

/* A NULL-terminated copy of a list of texts; NULL after a complaint. */
static char **
read_texts(struct reader *reader, const struct place *place, size_t max)
{
    const struct node *node = place->node;
    bool bad = false;

    if (node->len == 0 || node->len > max) {
        complain(reader, place, "has %zu items; write 1 to %zu", node->len,
                 max);
        return NULL;
    }
    for (size_t i = 0; i < node->len; i++) {
        const struct place item = place_item(place, i);
        const bool is_text =
            item.node->type == NODE_TEXT && !item.node->is_null;
        if (!is_text)
            complain(reader, &item, "is no text; write a word, or \"\"");
        else if (strlen(item.node->text) > STRING_MAX)
            complain(reader, &item, "is over 64KiB; put it into a file");
        else
            continue;
        bad = true;
    }
    if (bad)
        return NULL;
    char **texts = mem_zalloc((node->len + 1) * sizeof(char *));
    for (size_t i = 0; i < node->len; i++)
        texts[i] = mem_strdup(node->items[i]->text);
    return texts;
}

static void
check_method(struct reader *reader, const struct place *item,
             const struct node *list, size_t n)
{
    static const char *const known[] = {"GET",    "HEAD",  "POST",   "PUT",
                                        "DELETE", "PATCH", "OPTIONS"};
    const char *method = item->node->text;

    if (!message_is_token(slice_of(method))) {
        complain(reader, item, "`%.40s` is no method; write one such as GET",
                 method);
        return;
    }
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        if (strcasecmp(method, known[i]) == 0 && strcmp(method, known[i]) != 0)
            complain(reader, item,
                     "`%s` is not `%s`, methods have their case; write %s",
                     method, known[i], known[i]);
    for (size_t i = 0; i < n; i++)
        if (strcmp(list->items[i]->text, method) == 0) {
            complain(reader, item, "`%.40s` is given twice; keep one", method);
            return;
        }
}

static void
read_methods(struct reader *reader, const struct place *place, void *base)
{
    struct route_settings *route = base;

    route->methods = read_texts(reader, place, METHODS_MAX);
    for (size_t i = 0; route->methods != NULL && i < place->node->len; i++) {
        const struct place item = place_item(place, i);
        check_method(reader, &item, place->node, i);
    }
}
const struct kind kind_methods = {
    .word = "list of methods", .due = NODE_LIST, .read = read_methods};

/* ---- programs ------------------------------------------------------------ */

char *
path_from_file(const char *folder, const char *path)
{
    while (path[0] == '.' && path[1] == '/')
        path += 1 + strspn(path + 1, "/");
    if (path[0] == '/')
        return mem_strdup(path);
    return mem_printf("%s/%s", strcmp(folder, "/") == 0 ? "" : folder, path);
}

/* A word without a slash is looked for where handlers look. Where it is not
 * found it is taken for one that will be in the first of these places. */
static char *
find_program(const char *name)
{
    static const char *const folders[] = {"/usr/local/bin", "/usr/bin", "/bin"};

    for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++) {
        char *path = path_from_file(folders[i], name);
        if (access(path, X_OK) == 0)
            return path;
        free(path);
    }
    return path_from_file(folders[0], name);
}

static void
read_command(struct reader *reader, const struct place *place, void *base)
{
    struct cgi_settings *cgi = base;
    char *word;

    if (place->node->type == NODE_LIST) {
        cgi->command = read_texts(reader, place, ARGUMENTS_MAX);
    } else {
        cgi->command = mem_zalloc(2 * sizeof(char *));
        cgi->command[0] = mem_strdup(place->node->text);
    }
    cgi->line = place->line;
    cgi->column = place->column;
    if (cgi->command == NULL)
        return;
    word = cgi->command[0];
    if (word[0] == '\0')
        complain(reader, place, "is empty; write the path of a program");
    else if (strchr(word, '/') == NULL && strstr(word, RELEASE_WORD) != NULL)
        complain(reader, place,
                 "`%.60s` is another program in each release and is not looked "
                 "for; write its path",
                 word);
    cgi->command[0] = strchr(word, '/') != NULL
                          ? path_from_file(reader->folder, word)
                          : find_program(word);
    free(word);
}
const struct kind kind_command = {.word = "path, or list of path and arguments",
                                  .due = NODE_LIST,
                                  .takes_text_too = true,
                                  .read = read_command};

/* ---- names with values --------------------------------------------------- */

/* What is wrong with a name or a value, or NULL. */
typedef const char *pair_fault_fn(const char *name, const char *value);

static bool
pair_is_text(struct reader *reader, const struct place *place,
             const struct node *key)
{
    if (key->type != NODE_TEXT || key->text[0] == '\0') {
        struct place map = *place->above;
        map.line = key->line;
        map.column = key->column;
        complain(reader, &map, "a name is text; write `NAME: value`");
        return false;
    }
    if (place->node->type != NODE_TEXT || place->node->is_null) {
        complain(reader, place,
                 "has no text as its value; write one, or "
                 "\"\" for an empty one");
        return false;
    }
    return true;
}

static size_t
read_pairs(struct reader *reader, const struct place *map, size_t max,
           pair_fault_fn *fault, struct pair **out)
{
    const struct node *node = map->node;
    const size_t count = node->len / 2;
    struct pair *pairs;
    size_t len = 0;

    if (count > max) {
        complain(reader, map, "has %zu names; at most %zu are allowed", count,
                 max);
        return 0;
    }
    *out = pairs = mem_zalloc((count + 1) * sizeof(*pairs));
    for (size_t i = 0; i < count; i++) {
        const struct node *key = node->items[2 * i];
        const struct place place = {.above = map,
                                    .key = key->type == NODE_TEXT ? key->text
                                                                  : "?",
                                    .node = node->items[2 * i + 1],
                                    .line = key->line,
                                    .column = key->column};
        if (!pair_is_text(reader, &place, key))
            continue;
        const char *wrong = fault(key->text, place.node->text);
        for (size_t j = 0; wrong == NULL && j < len; j++)
            if (strcmp(pairs[j].name, key->text) == 0)
                wrong = "is given twice; keep one";
        if (wrong != NULL)
            complain(reader, &place, "%s", wrong);
        else
            pairs[len++] = (struct pair){.name = mem_strdup(key->text),
                                         .value = mem_strdup(place.node->text),
                                         .line = key->line,
                                         .column = key->column};
    }
    return len;
}

static bool
is_variable(const char *name)
{
    size_t len = 0;

    while (name[len] == '_' || isalnum((unsigned char)name[len]))
        len++;
    return len > 0 && name[len] == '\0' && !isdigit((unsigned char)name[0]);
}

static const char *
variable_fault(const char *name, const char *value)
{
    /* RFC 3875 section 4.1; each request has its own. */
    static const char *const ours[] = {
        "AUTH_TYPE",       "CONTENT_LENGTH", "CONTENT_TYPE",
        "PATH_INFO",       "QUERY_STRING",   "GATEWAY_INTERFACE",
        "REMOTE_ADDR",     "REMOTE_HOST",    "REMOTE_IDENT",
        "REMOTE_USER",     "REQUEST_METHOD", "PATH_TRANSLATED",
        "SCRIPT_NAME",     "SERVER_NAME",    "SERVER_PORT",
        "SERVER_SOFTWARE", "SERVER_PROTOCOL"};

    if (strlen(value) > STRING_MAX)
        return "has a value over 64KiB; put it into a file";
    if (!is_variable(name))
        return "is no name of a variable; write letters, digits and _, no "
               "digit first";
    if (strncmp(name, "HTTP_", 5) == 0 || strncmp(name, "CLOAKROOM_", 10) == 0)
        return "is set by Cloakroom for each request; choose another name";
    for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++)
        if (strcmp(name, ours[i]) == 0)
            return "is set by Cloakroom for each request; take it out";
    return NULL;
}

static void
read_environment(struct reader *reader, const struct place *place, void *base)
{
    struct cgi_settings *cgi = base;

    cgi->environment_len = read_pairs(reader, place, ENVIRONMENT_MAX,
                                      variable_fault, &cgi->environment);
}
const struct kind kind_environment = {
    .word = "map of variables", .due = NODE_MAP, .read = read_environment};

static const char *
field_fault(const char *name, const char *value)
{
    const struct slice field = slice_of(name);

    if (!message_is_token(field))
        return "is no name of a field; write one such as Content-Type";
    if (message_is_hop_by_hop(field) ||
        slice_is_nocase(field, "Content-Length"))
        return "is set by Cloakroom; take it out";
    if (!message_is_field_value(slice_of(value)))
        return "has a value with control characters; take them out";
    return NULL;
}

static void
read_fields(struct reader *reader, const struct place *place, void *base)
{
    struct respond_settings *respond = base;

    respond->fields_len =
        read_pairs(reader, place, FIELDS_MAX, field_fault, &respond->fields);
}
const struct kind kind_fields = {
    .word = "map of fields", .due = NODE_MAP, .read = read_fields};

/* Its name is looked up in librdkafka, by those who have it. */
static const char *
property_fault(const char *name, const char *value)
{
    (void)name;
    return strlen(value) > STRING_MAX ? "has a value over 64KiB" : NULL;
}

static void
read_properties(struct reader *reader, const struct place *place, void *base)
{
    struct kafka_settings *kafka = base;

    kafka->properties_len = read_pairs(reader, place, PROPERTIES_MAX,
                                       property_fault, &kafka->properties);
}
const struct kind kind_properties = {
    .word = "map of properties", .due = NODE_MAP, .read = read_properties};
