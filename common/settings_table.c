/* settings_table.c - settings.def as tables. */
#include "common/settings_priv.h"

const struct section_info settings_sections[SECTIONS] = {
#define SECTION(name, path, check, text)                                       \
    [SECTION_##name] = {(path), (check), (text)},
#include "common/settings.def"
};

const struct setting settings_table[] = {
#define SETTING(section_, key_, how, owner, member, presence_, value_, least_, \
                most_, text_)                                                  \
    {                                                                          \
        .section = SECTION_##section_,                                         \
        .key = (key_),                                                         \
        .kind = &kind_##how,                                                   \
        .presence = (presence_),                                               \
        .value = (value_),                                                     \
        .least = (least_),                                                     \
        .most = (most_),                                                       \
        .offset = offsetof(struct owner, member),                              \
        .size = sizeof(__typeof__(((struct owner *)NULL)->member)),            \
        .child = SECTIONS,                                                     \
        .text = (text_),                                                       \
    },
#define GROUP(section_, key_, how, owner, member, presence_, child_, text_)    \
    {                                                                          \
        .section = SECTION_##section_,                                         \
        .key = (key_),                                                         \
        .kind = &kind_##how,                                                   \
        .presence = (presence_),                                               \
        .offset = offsetof(struct owner, member),                              \
        .child = SECTION_##child_,                                             \
        .text = (text_),                                                       \
    },
#define INLINE(section_, key_, presence_, child_, text_)                       \
    {                                                                          \
        .section = SECTION_##section_,                                         \
        .key = (key_),                                                         \
        .kind = &kind_map,                                                     \
        .presence = (presence_),                                               \
        .child = SECTION_##child_,                                             \
        .text = (text_),                                                       \
    },
#include "common/settings.def"
};

const size_t settings_table_len =
    sizeof(settings_table) / sizeof(settings_table[0]);

const struct setting *
section_setting(enum section section, size_t n)
{
    for (size_t i = 0; i < settings_table_len; i++)
        if (settings_table[i].section == section && n-- == 0)
            return &settings_table[i];
    return NULL;
}
