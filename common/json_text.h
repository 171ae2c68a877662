/* json_text.h - text of anybody's, and times, as JSON strings.
 *
 * Threads: any; pure.
 */
#ifndef COMMON_JSON_TEXT_H
#define COMMON_JSON_TEXT_H

#include <jansson.h>

#include "common/clock.h"

/* The caller's. jansson refuses text that is not UTF-8 (a handler's output, an
 * operator's words that were cut): each byte of it beyond ASCII becomes '?'. */
json_t *json_text(const char *text);

/* Sets it, if there is any text. */
void json_set_text(json_t *object, const char *key, const char *text);

/* Sets it in RFC 3339; nothing where t is 0. */
void json_set_time(json_t *object, const char *key, wall_ms t);

#endif
