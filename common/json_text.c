/* json_text.c - text of anybody's, and times, as JSON strings. */
#include "common/json_text.h"

#include <stdlib.h>
#include <string.h>

#include "common/mem.h"

json_t *
json_text(const char *text)
{
    json_t *node = json_string(text);

    if (node != NULL)
        return node;
    char *plain = mem_strdup(text);
    for (char *c = plain; *c != '\0'; c++)
        if ((unsigned char)*c >= 0x80)
            *c = '?';
    node = json_string(plain);
    free(plain);
    return node;
}

void
json_set_text(json_t *object, const char *key, const char *text)
{
    if (text[0] != '\0')
        json_object_set_new(object, key, json_text(text));
}

void
json_set_time(json_t *object, const char *key, wall_ms t)
{
    char text[CLOCK_TEXT_SIZE];

    if (t == 0)
        return;
    clock_format(t, text);
    json_object_set_new(object, key, json_string(text));
}
