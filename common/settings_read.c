/* settings_read.c - nodes into structs, as the table says. */
#include <assert.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "common/nearest.h"
#include "common/settings_priv.h"

/* ---- places and complaints ----------------------------------------------- */

struct place
place_item(const struct place *list, size_t n)
{
    const struct node *node = list->node->items[n];

    return (struct place){.above = list,
                          .index = n,
                          .setting = list->setting,
                          .node = node,
                          .line = node->line,
                          .column = node->column};
}

struct place
place_key(const struct place *map, const char *key)
{
    const struct node *node = node_get(map->node, key);

    return (struct place){.above = map,
                          .key = key,
                          .node = node,
                          .line = node == NULL ? map->line : node->line,
                          .column = node == NULL ? map->column : node->column};
}

/* "queues[1].backoff.first"; 200 bytes hold the deepest of them. */
static void
place_name(const struct place *place, char *name, size_t room)
{
    size_t len;

    name[0] = '\0';
    if (place->above == NULL)
        return;
    place_name(place->above, name, room);
    len = strlen(name);
    if (place->key == NULL)
        snprintf(name + len, room - len, "[%zu]", place->index);
    else
        snprintf(name + len, room - len, "%s%.64s", len == 0 ? "" : ".",
                 place->key);
}

void
complain(struct reader *reader, const struct place *place, const char *format,
         ...)
{
    char name[200], text[1200];
    va_list args;

    place_name(place, name, sizeof(name));
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    complain_at(reader->complaints, place->line, place->column,
                name[0] == '\0' ? NULL : name, "%s", text);
}

/* ---- one value ----------------------------------------------------------- */

static const char *const type_words[NODE_TYPES] = {
    [NODE_TEXT] = "a single value",
    [NODE_LIST] = "a list",
    [NODE_MAP] = "a map",
};

static const char *const type_hints[NODE_TYPES] = {
    [NODE_TEXT] = "write one value, in quotes if it begins with [ or {",
    [NODE_LIST] = "write each item on a line of its own after `- `, or "
                  "`[one, other]`",
    [NODE_MAP] = "write `key: value` lines below it, or `{key: value}`",
};

/* Is the node what the setting wants? Otherwise a complaint. */
static bool
is_due(struct reader *reader, const struct place *place)
{
    const struct kind *kind = place->setting->kind;
    const enum node_type type = place->node->type;

    if (place->node->is_null) {
        complain(reader, place,
                 "has no value; give it one or take the line out");
        return false;
    }
    if (type == kind->due || (kind->takes_text_too && type == NODE_TEXT))
        return true;
    complain(reader, place, "is %s where %s is due; %s", type_words[type],
             type_words[kind->due], type_hints[kind->due]);
    return false;
}

/* The default, or for a group those of its settings. */
static void
read_default(struct reader *reader, const struct place *place, void *base)
{
    struct node node = {.type = NODE_TEXT};
    struct place at = *place;

    if (place->setting->child != SECTIONS) {
        at.node = NULL;
    } else {
        node.text = mem_strdup(place->setting->value);
        at.node = &node;
    }
    place->setting->kind->read(reader, &at, base);
    free(node.text);
}

static void
read_absent(struct reader *reader, const struct place *place, void *base)
{
    const struct setting *setting = place->setting;
    const bool is_group = setting->child != SECTIONS;

    if (setting->presence == NEEDED)
        complain(reader, place, "is missing; add `%s:%s%s` (%s)", setting->key,
                 is_group ? "" : " ", is_group ? "" : setting->value,
                 setting->text);
    /* `cgi:` with nothing below it is there, though empty. */
    else if (setting->presence == DEFAULT || (is_group && place->node != NULL))
        read_default(reader, place, base);
}

/* The default first: what is wrong then leaves something to go on with. */
void
value_read(struct reader *reader, const struct place *place, void *base)
{
    const struct setting *setting = place->setting;
    const bool is_map = setting->kind->due == NODE_MAP;

    /* `ingress:` with all below it commented out is no mistake. */
    if (place->node == NULL || (is_map && place->node->is_null)) {
        read_absent(reader, place, base);
        return;
    }
    if (setting->presence == DEFAULT && !is_map)
        read_default(reader, place, base);
    if (is_due(reader, place))
        setting->kind->read(reader, place, base);
}

/* ---- a map --------------------------------------------------------------- */

#define SECTION_KEYS_MAX 32

static void
hint_at_key(char hint[HINT_SIZE], const char *wrong, enum section section)
{
    const char *keys[SECTION_KEYS_MAX];
    const struct setting *setting;
    size_t len = 0;

    while ((setting = section_setting(section, len)) != NULL)
        keys[len++] = setting->key;
    nearest_hint(hint, wrong, keys, len);
}

/* Which of the section's settings key is; -1: none. */
static int
find_setting(enum section section, const struct node *key)
{
    const struct setting *setting;

    if (key->type != NODE_TEXT)
        return -1;
    for (int n = 0; (setting = section_setting(section, (size_t)n)) != NULL;
         n++)
        if (strcmp(setting->key, key->text) == 0)
            return n;
    return -1;
}

static void
complain_of_key(struct reader *reader, const struct place *map,
                const struct node *key, enum section section)
{
    struct place place = {.above = map,
                          .key = key->text,
                          .line = key->line,
                          .column = key->column};
    char hint[HINT_SIZE];

    if (key->type != NODE_TEXT) {
        place.key = "?";
        complain(reader, &place, "a key is text; write `key: value`");
    } else {
        hint_at_key(hint, key->text, section);
        complain(reader, &place, "is no setting; %s", hint);
    }
}

static void
complain_of_twin(struct reader *reader, const struct place *map,
                 const struct node *key, const struct node *first)
{
    const struct place place = {.above = map,
                                .key = key->text,
                                .line = key->line,
                                .column = key->column};

    complain(reader, &place, "is given twice, first in line %d; keep one",
             first->line);
}

/* Each key a setting, and each once. */
void
section_check_keys(struct reader *reader, const struct place *map,
                   enum section section)
{
    const struct node *seen[SECTION_KEYS_MAX] = {NULL};

    for (size_t i = 0; i + 1 < map->node->len; i += 2) {
        const struct node *key = map->node->items[i];
        const int n = find_setting(section, key);
        assert(n < SECTION_KEYS_MAX);
        if (n < 0)
            complain_of_key(reader, map, key, section);
        else if (seen[n] != NULL)
            complain_of_twin(reader, map, key, seen[n]);
        else
            seen[n] = key;
    }
}

void
section_read(struct reader *reader, const struct place *place,
             enum section section, void *base)
{
    const struct setting *setting;

    if (place->node != NULL)
        section_check_keys(reader, place, section);
    for (size_t n = 0; (setting = section_setting(section, n)) != NULL; n++) {
        struct place at = place_key(place, setting->key);
        at.setting = setting;
        value_read(reader, &at, base);
    }
    if (settings_sections[section].check != NULL)
        settings_sections[section].check(reader, place, base);
}
