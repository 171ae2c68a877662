/* text.h - short text put together without an allocation.
 *
 * I1: what does not fit is left out whole and is_cut is set.
 * Threads: owner.
 */
#ifndef INGRESS_TEXT_H
#define INGRESS_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/slice.h"

struct text {
    char *at;
    size_t len, room;
    bool is_cut;
};

/* Over storage that the caller owns, with one byte kept for a NUL. */
struct text text_over(char *storage, size_t size);
void text_add(struct text *text, struct slice s);
void text_add_number(struct text *text, int64_t n);
/* Quoted and escaped; what is not UTF-8 becomes '?'. */
void text_add_json(struct text *text, struct slice s);
/* Escaped for the text of an element or a quoted attribute; what is not UTF-8,
 * and controls but the end of a line, become '?'. */
void text_add_html(struct text *text, struct slice s);
const char *text_end(struct text *text); /* with NUL */

#endif
