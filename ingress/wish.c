/* wish.c - what an operator asks for: the JSON object of a POST, read. */
#include "ingress/wish.h"

#include <assert.h>
#include <string.h>

#include "common/nearest.h"
#include "common/own.h"
#include "common/settings.h"
#include "control/control.h"

enum value_kind {
    VALUE_FLAG,
    VALUE_WORDS, /* of a person, to be kept in the history */
    VALUE_SHELL, /* a command */
    VALUE_LABEL, /* of a release */
    VALUE_SPAN,
    VALUE_END, /* of a wait */
};

#define AT(member) offsetof(struct wish, member)
#define BIT(kind)  (1u << WISH_##kind)
#define SIGNED     (BIT(PAUSE) | BIT(REFUSE) | BIT(ACCEPT) | BIT(UPGRADE))

static const struct option {
    const char *name;
    size_t offset; /* where the value goes */
    enum value_kind kind;
    unsigned commands; /* that have it */
} options[] = {
    {"reason", AT(reason), VALUE_WORDS, SIGNED},
    {"wait", AT(wait), VALUE_FLAG, BIT(PAUSE)},
    {"timeout", AT(timeout), VALUE_SPAN, BIT(PAUSE) | BIT(UPGRADE)},
    {"on-timeout", AT(on_timeout), VALUE_END, BIT(PAUSE)},
    {"kill", AT(kill), VALUE_FLAG, BIT(PAUSE) | BIT(UPGRADE)},
    {"release", AT(release), VALUE_LABEL, BIT(RESUME)},
    {"ramp", AT(ramp), VALUE_SPAN, BIT(RESUME) | BIT(UPGRADE)},
    {"force", AT(force), VALUE_FLAG, BIT(RESUME)},
    {"to", AT(to), VALUE_LABEL, BIT(UPGRADE)},
    {"migrate", AT(migrate), VALUE_SHELL, BIT(UPGRADE)},
    {"verify", AT(verify), VALUE_SHELL, BIT(UPGRADE)},
    {"rollback", AT(rollback), VALUE_SHELL, BIT(UPGRADE)},
};

const char *
wish_word(enum wish_kind kind)
{
    static const char *const words[WISHES] = {
        [WISH_PAUSE] = "pause",     [WISH_RESUME] = "resume",
        [WISH_REFUSE] = "refuse",   [WISH_ACCEPT] = "accept",
        [WISH_UPGRADE] = "upgrade",
    };

    assert(kind < WISHES);
    return words[kind];
}

bool
wish_has_commands(const struct wish *wish)
{
    return wish->migrate != NULL || wish->verify != NULL ||
           wish->rollback != NULL;
}

/* ---- values -------------------------------------------------------------- */

/* Those of ASCII, and those of Unicode beyond it: U+0080 to U+009F. */
static bool
has_control_characters(const char *text)
{
    for (; *text != '\0'; text++) {
        const unsigned char c = (unsigned char)text[0];
        const unsigned char next = (unsigned char)text[1];
        if (c < 0x20 || c == 0x7f || (c == 0xc2 && next < 0xa0))
            return true;
    }
    return false;
}

int
wish_check_words(const char *words, struct error *err)
{
    json_t *text = json_string(words);
    const bool is_utf8 = text != NULL;

    json_decref(text);
    if (!is_utf8 || has_control_characters(words))
        return error_set(err, -EINVAL,
                         "one line of UTF-8, without control characters");
    if (strlen(words) >= WHY_SIZE)
        return error_set(err, -EINVAL, "at most %d bytes, and not %zu",
                         WHY_SIZE - 1, strlen(words));
    return 0;
}

static int
check_words(const struct option *option, const char *text, struct error *err)
{
    int r = wish_check_words(text, err);

    return r < 0 ? error_wrap(err, r, "`%s`", option->name) : 0;
}

static int
check_span(const struct option *option, const char *text, struct error *err)
{
    span_ms span;
    int r = settings_parse_span(text, &span, err);

    return r < 0 ? error_wrap(err, r, "`%s`", option->name) : 0;
}

static int
check_label(const struct option *option, const char *text, struct error *err)
{
    int r = settings_check_release(text, err);

    return r < 0 ? error_wrap(err, r, "`%s`", option->name) : 0;
}

static int
check_end(const struct option *option, const char *text, struct error *err)
{
    static const char *const words[] = {"stay", "resume", "kill"};
    char hint[HINT_SIZE];

    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        if (strcmp(text, words[i]) == 0)
            return 0;
    }
    return error_set(err, -EINVAL, "`%s`: `%.40s` is none of its values; %s",
                     option->name, text,
                     nearest_hint(hint, text, words, ARRAY_LEN(words)));
}

static int
check_text(const struct option *option, const char *text, struct error *err)
{
    switch (option->kind) {
    case VALUE_WORDS:
        return check_words(option, text, err);
    case VALUE_SPAN:
        return check_span(option, text, err);
    case VALUE_LABEL:
        return check_label(option, text, err);
    case VALUE_END:
        return check_end(option, text, err);
    case VALUE_SHELL:
    case VALUE_FLAG:
        break;
    }
    return 0;
}

static int
read_value(struct wish *wish, const struct option *option, const json_t *value,
           struct error *err)
{
    void *at = (char *)wish + option->offset;

    /* The other one is spelled otherwise: JSON has it refused if it is not. */
    if (option->kind != VALUE_FLAG && *(const char **)at != NULL)
        return error_set(err, -EINVAL, "`%s` is there twice", option->name);

    if (option->kind == VALUE_FLAG) {
        if (!json_is_boolean(value))
            return error_set(err, -EINVAL, "`%s` is true or false",
                             option->name);
        *(bool *)at = json_is_true(value);
        return 0;
    }
    if (!json_is_string(value))
        return error_set(err, -EINVAL, "`%s` is a text%s", option->name,
                         option->kind == VALUE_SPAN ? ", such as \"30s\"" : "");
    *(const char **)at = json_string_value(value);
    return check_text(option, json_string_value(value), err);
}

/* ---- the object ---------------------------------------------------------- */

static bool
is_named(const struct option *option, const char *name)
{
    const char *a = option->name;

    for (; *a != '\0' && (*a == *name || (*a == '-' && *name == '_')); a++)
        name++;
    return *a == '\0' && *name == '\0';
}

static int
refuse_unknown(enum wish_kind kind, const char *name, struct error *err)
{
    const char *words[ARRAY_LEN(options)];
    char hint[HINT_SIZE];
    size_t len = 0;

    for (size_t i = 0; i < ARRAY_LEN(options); i++) {
        if ((options[i].commands & (1u << kind)) != 0)
            words[len++] = options[i].name;
    }
    return error_set(err, -EINVAL, "%s has no option `%.40s`; %s",
                     wish_word(kind), name,
                     nearest_hint(hint, name, words, len));
}

static int
read_member(struct wish *wish, const char *name, const json_t *value,
            struct error *err)
{
    for (size_t i = 0; i < ARRAY_LEN(options); i++) {
        if (is_named(&options[i], name) &&
            (options[i].commands & (1u << wish->kind)) != 0)
            return read_value(wish, &options[i], value, err);
    }
    return refuse_unknown(wish->kind, name, err);
}

static int
check_whole(struct wish *wish, struct error *err)
{
    if (wish->kind == WISH_UPGRADE && wish->to == NULL)
        return error_set(err, -EINVAL,
                         "`to` is missing: the release to upgrade to");
    if (wish->kind == WISH_PAUSE && !wish->wait &&
        (wish->timeout != NULL || wish->on_timeout != NULL))
        return error_set(err, -EINVAL,
                         "`timeout` and `on-timeout` are of a wait: add "
                         "\"wait\": true");
    if (wish->on_timeout != NULL && wish->timeout == NULL)
        return error_set(err, -EINVAL, "`on-timeout` needs a `timeout`");
    if (wish->ramp != NULL)
        return settings_parse_span(wish->ramp, &wish->ramp_span, err);
    return 0;
}

static int
read_object(struct wish *wish, struct error *err)
{
    const char *name;
    json_t *value;
    int r = 0;

    if (!json_is_object(wish->json))
        return error_set(err, -EINVAL, "the body is no JSON object");
    json_object_foreach(wish->json, name, value)
    {
        r = read_member(wish, name, value, err);
        if (r < 0)
            return r;
    }
    return check_whole(wish, err);
}

int
wish_read(struct wish *wish, enum wish_kind kind, struct slice body,
          struct error *err)
{
    json_error_t error = {0};

    body = slice_trim(body);
    *wish = (struct wish){.kind = kind};
    wish->json = body.len == 0 ? json_object()
                               : json_loadb(body.at, body.len,
                                            JSON_REJECT_DUPLICATES, &error);
    if (wish->json == NULL)
        return error_set(err, -EINVAL, "the body is no JSON: %s (line %d)",
                         error.text, error.line);
    int r = read_object(wish, err);
    if (r < 0)
        wish_fini(wish);
    return r;
}

void
wish_fini(struct wish *wish)
{
    json_decref(wish->json);
    *wish = (struct wish){0};
}
