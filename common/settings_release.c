/* settings_release.c - puts a release in the place of {release}. */
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "common/settings_priv.h"

char *
settings_expand(const char *text, const char *release)
{
    size_t places = 0;

    for (const char *at = text; (at = strstr(at, RELEASE_WORD)) != NULL;
         at += strlen(RELEASE_WORD))
        places++;

    const size_t len = strlen(release);
    char *const expanded = mem_zalloc(strlen(text) + places * len + 1);
    char *to = expanded;
    for (const char *at; (at = strstr(text, RELEASE_WORD)) != NULL;) {
        to = mempcpy(to, text, (size_t)(at - text));
        to = mempcpy(to, release, len);
        text = at + strlen(RELEASE_WORD);
    }
    memcpy(to, text, strlen(text));
    return expanded;
}

static char **
expand_texts(char *const *texts, const char *release)
{
    size_t len = 0;

    if (texts == NULL)
        return NULL;
    while (texts[len] != NULL)
        len++;
    char **expanded = mem_zalloc((len + 1) * sizeof(char *));
    for (size_t i = 0; i < len; i++)
        expanded[i] = settings_expand(texts[i], release);
    return expanded;
}

static struct pair *
expand_pairs(const struct pair *pairs, size_t len, const char *release)
{
    struct pair *expanded = mem_zalloc((len + 1) * sizeof(*expanded));

    for (size_t i = 0; i < len; i++)
        expanded[i] =
            (struct pair){.name = mem_strdup(pairs[i].name),
                          .value = settings_expand(pairs[i].value, release)};
    return expanded;
}

void
texts_free(char **texts)
{
    for (size_t i = 0; texts != NULL && texts[i] != NULL; i++)
        free(texts[i]);
    free(texts);
}

void
pairs_free(struct pair *pairs, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        free(pairs[i].name);
        free(pairs[i].value);
    }
    free(pairs);
}

struct cgi_settings
cgi_settings_expand(const struct cgi_settings *cgi, const char *release)
{
    return (struct cgi_settings){
        .command = expand_texts(cgi->command, release),
        .directory = cgi->directory == NULL
                         ? NULL
                         : settings_expand(cgi->directory, release),
        .environment =
            expand_pairs(cgi->environment, cgi->environment_len, release),
        .environment_len = cgi->environment_len,
        .line = cgi->line,
        .column = cgi->column,
    };
}

void
cgi_settings_fini(struct cgi_settings *cgi)
{
    texts_free(cgi->command);
    free(cgi->directory);
    pairs_free(cgi->environment, cgi->environment_len);
}

struct respond_settings
respond_settings_expand(const struct respond_settings *respond,
                        const char *release)
{
    return (struct respond_settings){
        .status = respond->status,
        .fields = expand_pairs(respond->fields, respond->fields_len, release),
        .fields_len = respond->fields_len,
        .body = settings_expand(respond->body, release),
    };
}

void
respond_settings_fini(struct respond_settings *respond)
{
    pairs_free(respond->fields, respond->fields_len);
    free(respond->body);
}
