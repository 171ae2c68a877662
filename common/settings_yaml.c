/* settings_yaml.c - a YAML file as nodes, each with its line and column.
 *
 * libfyaml reads the events; the nodes are ours, so that keys given twice and
 * aliases without an anchor are found with all the other errors. An alias is
 * the node it names, never a copy, and names only what is complete: no loop, no
 * growth.
 *
 * Source: YAML 1.2; libfyaml 0.7.12.
 */
#include <errno.h>
#include <fcntl.h>
#include <libfyaml.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/mem.h"
#include "common/settings_priv.h"

/* ---- the bytes ----------------------------------------------------------- */

static bool
others_may_write(const struct stat *st)
{
    if ((st->st_mode & S_IWOTH) != 0)
        return true;
    /* A group with its user's number is that user's own (Debian makes one for
     * each); files written under umask 002 are not open to others by it. */
    return (st->st_mode & S_IWGRP) != 0 && st->st_gid != st->st_uid;
}

static int
check_file(int fd, struct complaints *complaints)
{
    struct stat st;

    if (fstat(fd, &st) != 0) {
        complain_at(complaints, 0, 0, NULL, "cannot be read: %s",
                    strerror(errno));
        return -EIO;
    }
    if (!S_ISREG(st.st_mode)) {
        complain_at(complaints, 0, 0, NULL,
                    "is not a regular file; give the path of one");
        return -EINVAL;
    }
    if (others_may_write(&st)) {
        complain_at(complaints, 0, 0, NULL,
                    "may be written by others (mode %03o), who could make "
                    "Cloakroom run their programs; run chmod go-w on it",
                    (unsigned)st.st_mode & 0777);
        return -EINVAL;
    }
    return 0;
}

static int
read_all(int fd, struct buf *buf, struct complaints *complaints)
{
    for (;;) {
        char *at = buf_reserve(buf, 4096);
        if (at == NULL || buf->len > YAML_FILE_MAX) {
            complain_at(complaints, 0, 0, NULL,
                        "is over the limit of 1MiB; make it smaller");
            return -EMSGSIZE;
        }
        ssize_t n = read(fd, at, 4096);
        if (n == 0)
            return 0;
        if (n < 0 && errno != EINTR) {
            complain_at(complaints, 0, 0, NULL, "cannot be read: %s",
                        strerror(errno));
            return -EIO;
        }
        buf->len += n > 0 ? (size_t)n : 0;
    }
}

static int
read_file(const char *path, struct buf *buf, struct complaints *complaints)
{
    /* Without O_NONBLOCK a fifo would hold us here. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    int r;

    if (fd < 0) {
        complain_at(
            complaints, 0, 0, NULL, "cannot be opened: %s%s", strerror(errno),
            errno == ENOENT ? "; write one, or name another with -c" : "");
        return -errno;
    }
    r = check_file(fd, complaints);
    if (r == 0)
        r = read_all(fd, buf, complaints);
    close(fd);
    return r;
}

/* The length of the UTF-8 sequence at p, 0 when it is none (RFC 3629). */
static size_t
utf8_len(const unsigned char *p, size_t left)
{
    const size_t len = p[0] < 0x80   ? 1
                       : p[0] < 0xc2 ? 0
                       : p[0] < 0xe0 ? 2
                       : p[0] < 0xf0 ? 3
                       : p[0] < 0xf5 ? 4
                                     : 0;

    if (len == 0 || len > left)
        return 0;
    for (size_t i = 1; i < len; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    if (len == 3 && ((p[0] == 0xe0 && p[1] < 0xa0) || /* too long */
                     (p[0] == 0xed && p[1] > 0x9f)))  /* a surrogate */
        return 0;
    if (len == 4 &&
        ((p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] > 0x8f)))
        return 0;
    return len;
}

/* libfyaml takes NUL bytes and reads bad UTF-8 as nothing at all. */
static int
check_bytes(struct slice bytes, struct complaints *complaints)
{
    int line = 1, column = 1;
    size_t len;

    for (size_t i = 0; i < bytes.len; i += len, column++) {
        const unsigned char *p = (const unsigned char *)bytes.at + i;
        len = utf8_len(p, bytes.len - i);
        if (len == 0 || *p == '\0') {
            complain_at(complaints, line, column, NULL,
                        "byte 0x%02x is not text; save the file as UTF-8", *p);
            return -EINVAL;
        }
        if (*p == '\n') {
            line++;
            column = 0;
        }
    }
    return 0;
}

/* ---- the nodes ----------------------------------------------------------- */

struct anchor {
    char *name;
    struct node *node;
};

struct builder {
    struct yaml *yaml;
    struct complaints *complaints;
    struct node *open[YAML_DEPTH_MAX]; /* maps and lists not yet ended */
    size_t depth;
    struct anchor *anchors;
    size_t anchors_len;
    int line, column; /* of the last event that has a place */
    bool failed;
};

static void
refuse(struct builder *builder, const char *text)
{
    complain_at(builder->complaints, builder->line, builder->column, NULL, "%s",
                text);
    builder->failed = true;
}

static struct node *
node_new(struct builder *builder, enum node_type type)
{
    struct node *node = mem_new(struct node);

    node->type = type;
    node->line = builder->line;
    node->column = builder->column;
    node->older = builder->yaml->newest;
    builder->yaml->newest = node;
    if (++builder->yaml->nodes == YAML_NODES_MAX)
        refuse(builder, "too many values; make the file smaller");
    return node;
}

/* Puts a node into the innermost open one. */
static void
add(struct builder *builder, struct node *node)
{
    if (builder->depth == 0) {
        builder->yaml->root = node;
        return;
    }
    struct node *parent = builder->open[builder->depth - 1];
    if ((parent->len & (parent->len - 1)) == 0) /* full: 0, 1, 2, 4, 8... */
        parent->items =
            mem_grow(parent->items, parent->len == 0 ? 1 : parent->len * 2,
                     sizeof(struct node *));
    parent->items[parent->len++] = node;
}

static void
remember(struct builder *builder, struct fy_token *anchor, struct node *node)
{
    size_t len = 0;
    const char *name = anchor == NULL ? NULL : fy_token_get_text(anchor, &len);

    if (name == NULL)
        return;
    if (builder->anchors_len == YAML_ANCHORS_MAX) {
        refuse(builder, "too many anchors (&); write out some values");
        return;
    }
    builder->anchors = mem_grow(builder->anchors, builder->anchors_len + 1,
                                sizeof(struct anchor));
    builder->anchors[builder->anchors_len++] =
        (struct anchor){mem_strndup(name, len), node};
}

static bool
is_open(const struct builder *builder, const struct node *node)
{
    for (size_t i = 0; i < builder->depth; i++)
        if (builder->open[i] == node)
            return true;
    return false;
}

static void
on_alias(struct builder *builder, struct fy_token *token)
{
    size_t len = 0;
    const char *text = fy_token_get_text(token, &len);
    struct slice name = {text, text == NULL ? 0 : len};

    for (size_t i = builder->anchors_len; i-- > 0;) { /* the latest counts */
        const struct anchor *anchor = &builder->anchors[i];
        if (slice_is(name, anchor->name) && !is_open(builder, anchor->node)) {
            add(builder, anchor->node);
            return;
        }
    }
    refuse(builder, "an alias (*) to no anchor (&); write the anchor above "
                    "it, or put text that begins with * in quotes");
}

static void
on_tag(struct builder *builder, struct fy_token *tag)
{
    if (tag != NULL)
        refuse(builder, "tags (!) are not used here; take it away, or put "
                        "text that begins with ! in quotes");
}

static void
on_open(struct builder *builder, enum node_type type, struct fy_token *anchor)
{
    struct node *node = node_new(builder, type);

    add(builder, node);
    remember(builder, anchor, node);
    if (builder->depth == YAML_DEPTH_MAX)
        refuse(builder, "nested too deep; no setting is so deep");
    else
        builder->open[builder->depth++] = node;
}

static bool
is_null(struct slice text)
{
    return text.len == 0 || slice_is(text, "~") || slice_is(text, "null");
}

static void
on_text(struct builder *builder, const struct fy_event_scalar_data *scalar)
{
    const enum fy_scalar_style style = fy_token_scalar_style(scalar->value);
    size_t len = 0;
    const char *at = fy_token_get_text(scalar->value, &len);
    struct slice text = {at, at == NULL ? 0 : len};
    struct node *node;

    if (style == FYSS_SINGLE_QUOTED || style == FYSS_DOUBLE_QUOTED)
        builder->column--; /* libfyaml's mark is behind the quote */
    node = node_new(builder, NODE_TEXT);
    add(builder, node);
    remember(builder, scalar->anchor, node);
    node->text = mem_strndup(at == NULL ? "" : at, text.len);
    node->is_null = style == FYSS_PLAIN && is_null(text);
    if (text.len > 0 && memchr(text.at, '\0', text.len) != NULL)
        refuse(builder, "text with a NUL byte; take it out");
}

static void
on_event(struct builder *builder, struct fy_event *event)
{
    const struct fy_mark *mark = fy_event_start_mark(event);

    if (mark != NULL) { /* an absent value has none: it is where its key is */
        builder->line = mark->line + 1;
        builder->column = mark->column + 1;
    }
    switch (event->type) {
    case FYET_DOCUMENT_START:
        if (builder->yaml->root != NULL)
            refuse(builder, "a second document; take the --- line out");
        break;
    case FYET_MAPPING_START:
        on_tag(builder, event->mapping_start.tag);
        on_open(builder, NODE_MAP, event->mapping_start.anchor);
        break;
    case FYET_SEQUENCE_START:
        on_tag(builder, event->sequence_start.tag);
        on_open(builder, NODE_LIST, event->sequence_start.anchor);
        break;
    case FYET_MAPPING_END:
    case FYET_SEQUENCE_END:
        builder->depth--;
        break;
    case FYET_SCALAR:
        on_tag(builder, event->scalar.tag);
        on_text(builder, &event->scalar);
        break;
    case FYET_ALIAS:
        on_alias(builder, event->alias.anchor);
        break;
    case FYET_NONE:
    case FYET_STREAM_START:
    case FYET_STREAM_END:
    case FYET_DOCUMENT_END:
        break;
    }
}

/* ---- the parser ---------------------------------------------------------- */

static void
say_nothing(struct fy_diag *diag, void *user, const char *text, size_t len)
{
    (void)diag, (void)user, (void)text, (void)len;
}

static void
complain_of_syntax(struct fy_diag *diag, struct complaints *complaints)
{
    void *state = NULL;
    const struct fy_diag_error *error;
    size_t len = complaints->len;

    while ((error = fy_diag_errors_iterate(diag, &state)) != NULL)
        complain_at(complaints, error->line, error->column, NULL,
                    "this is not YAML: %s; mend the indentation, brackets "
                    "or quotes here",
                    error->msg);
    if (complaints->len == len)
        complain_at(complaints, 1, 1, NULL, "this is not YAML");
}

static void
build(struct builder *builder, struct fy_parser *parser, struct fy_diag *diag,
      struct slice bytes)
{
    struct fy_event *event;

    if (fy_parser_set_string(parser, bytes.at, bytes.len) != 0) {
        refuse(builder, "cannot be parsed");
        return;
    }
    while (!builder->failed && (event = fy_parser_parse(parser)) != NULL) {
        on_event(builder, event);
        fy_parser_event_free(parser, event);
    }
    if (!builder->failed && fy_parser_get_stream_error(parser)) {
        complain_of_syntax(diag, builder->complaints);
        builder->failed = true;
    }
}

/* False: there is a complaint. */
static bool
parse(struct yaml *yaml, struct slice bytes, struct complaints *complaints)
{
    struct builder builder = {
        .yaml = yaml, .complaints = complaints, .line = 1, .column = 1};
    struct fy_diag_cfg diag_cfg;

    fy_diag_cfg_default(&diag_cfg);
    diag_cfg.fp = NULL; /* it writes to stderr by itself otherwise */
    diag_cfg.output_fn = say_nothing;
    struct fy_diag *diag = fy_diag_create(&diag_cfg);
    fy_diag_set_collect_errors(diag, true);
    const struct fy_parse_cfg cfg = {.flags = FYPCF_QUIET | FYPCF_COLLECT_DIAG,
                                     .diag = diag};
    struct fy_parser *parser = fy_parser_create(&cfg);

    build(&builder, parser, diag, bytes);
    fy_parser_destroy(parser);
    fy_diag_destroy(diag);
    for (size_t i = 0; i < builder.anchors_len; i++)
        free(builder.anchors[i].name);
    free(builder.anchors);
    return !builder.failed;
}

struct yaml *
yaml_read(const char *path, struct complaints *complaints)
{
    struct yaml *yaml = mem_new(struct yaml);
    struct buf buf;
    bool ok;

    buf_init(&buf, YAML_FILE_MAX + 2 * 4096);
    ok = read_file(path, &buf, complaints) == 0 &&
         check_bytes(buf_slice(&buf), complaints) == 0 &&
         parse(yaml, buf_slice(&buf), complaints);
    buf_fini(&buf);
    if (ok)
        return yaml;
    yaml_free(yaml);
    return NULL;
}

void
yaml_free(struct yaml *yaml)
{
    if (yaml == NULL)
        return;
    while (yaml->newest != NULL) {
        struct node *node = yaml->newest;
        yaml->newest = node->older;
        free(node->text);
        free(node->items);
        free(node);
    }
    free(yaml);
}

const struct node *
node_get(const struct node *map, const char *key)
{
    if (map == NULL || map->type != NODE_MAP)
        return NULL;
    for (size_t i = 0; i + 1 < map->len; i += 2)
        if (map->items[i]->type == NODE_TEXT &&
            strcmp(map->items[i]->text, key) == 0)
            return map->items[i + 1];
    return NULL;
}
