/* text.c - short text put together without an allocation. */
#include "ingress/text.h"

#include <string.h>

struct text
text_over(char *storage, size_t size)
{
    return (struct text){.at = storage, .room = size - 1};
}

void
text_add(struct text *text, struct slice s)
{
    if (s.len > text->room - text->len) {
        text->is_cut = true;
        return;
    }
    if (s.len > 0)
        memcpy(text->at + text->len, s.at, s.len);
    text->len += s.len;
}

void
text_add_number(struct text *text, int64_t n)
{
    char digits[24];
    size_t at = sizeof(digits);
    uint64_t left = n < 0 ? -(uint64_t)n : (uint64_t)n;

    do {
        digits[--at] = (char)('0' + left % 10);
        left /= 10;
    } while (left > 0);
    if (n < 0)
        digits[--at] = '-';
    text_add(text, (struct slice){digits + at, sizeof(digits) - at});
}

/* One byte as JSON (RFC 8259 section 7); bytes that are not ASCII become '?',
 * for they may not be UTF-8. */
static void
add_json_char(struct text *text, char c)
{
    static const char hex[] = "0123456789abcdef";
    unsigned char u = (unsigned char)c;
    const char escaped[] = {'\\', 'u', '0', '0', hex[u >> 4], hex[u & 15]};

    if (c == '"' || c == '\\')
        text_add(text, (struct slice){(const char[]){'\\', c}, 2});
    else if (u < 0x20)
        text_add(text, (struct slice){escaped, sizeof(escaped)});
    else
        text_add(text, (struct slice){u >= 0x7f ? "?" : &c, 1});
}

void
text_add_json(struct text *text, struct slice s)
{
    text_add(text, SLICE("\""));
    for (size_t i = 0; i < s.len; i++)
        add_json_char(text, s.at[i]);
    text_add(text, SLICE("\""));
}

const char *
text_end(struct text *text)
{
    text->at[text->len] = '\0';
    return text->at;
}
