/* settings_priv.h - what the settings_*.c files share.
 *
 *     file --yaml_read--> nodes --section_read--> struct settings
 *                           |          |
 *                           +----------+--> complaints, printed at the end
 *
 * The table (settings.def, as settings_table[]) says which keys a section has,
 * what kind of value each takes and where it goes; a kind says how one value is
 * read. Reading never stops at an error: it complains, puts the default in the
 * value's place and goes on.
 *
 * Threads: owner.
 */
#ifndef COMMON_SETTINGS_PRIV_H
#define COMMON_SETTINGS_PRIV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "common/error.h"
#include "common/settings.h"
#include "common/slice.h"

/* ---- complaints (settings_complaint.c) ---------------------------------- */

#define COMPLAINTS_MAX 100 /* more are counted, not kept */

struct complaint {
    int line, column; /* from 1; 0: of the whole file */
    char *text;
};

struct complaints {
    struct complaint list[COMPLAINTS_MAX];
    size_t len;
    size_t more;
};

/* key may be NULL. */
void complain_at(struct complaints *complaints, int line, int column,
                 const char *key, const char *format, ...)
    __attribute__((format(printf, 5, 6)));
/* In the order of the file, "FILE:LINE:COLUMN: KEY: text", one a line. */
void complaints_print(struct complaints *complaints, const char *file,
                      FILE *to);
void complaints_fini(struct complaints *complaints);

/* ---- YAML (settings_yaml.c) --------------------------------------------- */

#define YAML_FILE_MAX    (1024 * 1024)
#define YAML_NODES_MAX   100000
#define YAML_DEPTH_MAX   32
#define YAML_ANCHORS_MAX 256

enum node_type { NODE_TEXT, NODE_LIST, NODE_MAP, NODE_TYPES };

/* A value of the file, as written. An alias is the node that it names. */
struct node {
    enum node_type type;
    int line, column;    /* from 1 */
    char *text;          /* NODE_TEXT */
    bool is_null;        /* NODE_TEXT: nothing there, or an unquoted ~ */
    struct node **items; /* NODE_LIST; NODE_MAP: key, value, key, value */
    size_t len;
    struct node *older; /* the list by which yaml_free finds all */
};

struct yaml {
    struct node *newest;
    struct node *root; /* NULL: the file says nothing */
    size_t nodes;
};

/* NULL when it cannot be read or is not YAML: then there is a complaint. */
struct yaml *yaml_read(const char *path, struct complaints *complaints);
void yaml_free(struct yaml *yaml);
/* The value of key in a map, NULL when it has none (or map is NULL). */
const struct node *node_get(const struct node *map, const char *key);

/* ---- the table (settings_table.c) --------------------------------------- */

enum section {
#define SECTION(name, path, check, text) SECTION_##name,
#include "common/settings.def"
    SECTIONS
};

enum presence {
    DEFAULT,  /* value: what holds when it is left out */
    NEEDED,   /* value: an example */
    OPTIONAL, /* value: an example; left out, it is not there */
};

struct reader;
struct place;

struct kind {
    const char *word;    /* for the reference: "time" */
    enum node_type due;  /* what it must be in the file */
    bool takes_text_too; /* a single value in place of a list */
    bool quoted;         /* when printed as YAML */
    /* The node is there and of the right type. */
    void (*read)(struct reader *reader, const struct place *place, void *base);
    /* Numbers only. 0 or -EINVAL. */
    int (*parse)(const char *text, int64_t *value, struct error *err);
};

struct setting {
    const char *key;
    const struct kind *kind;
    const char *value;        /* the default or an example; NULL: a group */
    const char *least, *most; /* numbers only, written as in the file */
    const char *text;
    size_t offset, size; /* of the member, in the section's struct */
    enum section section;
    enum presence presence;
    enum section child; /* of groups (maps, lists of maps); else SECTIONS */
};

struct section_info {
    const char *path; /* "queues[].backoff" */
    /* What no value shows by itself; may be NULL. */
    void (*check)(struct reader *reader, const struct place *place, void *base);
    const char *text;
};

extern const struct setting settings_table[];
extern const size_t settings_table_len;
extern const struct section_info settings_sections[SECTIONS];

/* The n-th setting of a section, NULL at the end. */
const struct setting *section_setting(enum section section, size_t n);

/* ---- reading (settings_read.c) ------------------------------------------ */

struct reader {
    struct settings *settings;
    const char *folder; /* absolute, of the file */
    const struct node *root;
    struct complaints *complaints;
};

/* Where the reading is: "queues[1].backoff.first". */
struct place {
    const struct place *above; /* NULL: the whole file */
    const char *key;           /* NULL: an item of a list, */
    size_t index;              /* this one */
    const struct setting *setting;
    const struct node *node; /* the value; in a place without one, NULL */
    int line, column;        /* for complaints */
};

struct place place_item(const struct place *list, size_t n);
/* Where a key of a map is, or would be. */
struct place place_key(const struct place *map, const char *key);
void complain(struct reader *reader, const struct place *place,
              const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Reads a map (or, where node is NULL, the defaults) into base. */
void section_read(struct reader *reader, const struct place *place,
                  enum section section, void *base);

/* Its two halves, for maps with a rule of their own. */
void section_check_keys(struct reader *reader, const struct place *map,
                        enum section section);
void value_read(struct reader *reader, const struct place *place, void *base);

/* path if it is absolute, else under folder. The caller's. */
char *path_from_file(const char *folder, const char *path);

/* A NULL-terminated list and what is in it. */
void texts_free(char **texts);
void pairs_free(struct pair *pairs, size_t len);

#define RELEASE_WORD "{release}"

/* ---- kinds (settings_units.c, settings_kinds.c, settings_lists.c) -------- */

extern const struct kind kind_map, kind_queues, kind_routes, kind_handler;
extern const struct kind kind_time, kind_size, kind_count, kind_flag;
extern const struct kind kind_redeliver, kind_address, kind_directory;
extern const struct kind kind_name, kind_release, kind_text, kind_path;
extern const struct kind kind_host, kind_methods, kind_queue, kind_command;
extern const struct kind kind_environment, kind_fields, kind_properties;
extern const struct kind kind_file, kind_servers;

/* ---- checks of whole sections (settings_check.c) --------------------------
 */

void check_broker(struct reader *, const struct place *, void *settings);
void check_embedded(struct reader *, const struct place *, void *settings);
void check_topics(struct reader *, const struct place *, void *kafka);
void check_ingress(struct reader *, const struct place *, void *settings);
void check_queue(struct reader *, const struct place *, void *queue);
void check_backoff(struct reader *, const struct place *, void *queue);
void check_cgi(struct reader *, const struct place *, void *cgi);
void check_respond(struct reader *, const struct place *, void *respond);
void check_route(struct reader *, const struct place *, void *route);

#endif
