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

/* A byte that may not stand for itself (RFC 8259 section 7); one that is not
 * ASCII becomes '?', for it may not be UTF-8. */
static void
add_json_char(struct text *text, char c)
{
    static const char hex[] = "0123456789abcdef";
    unsigned char u = (unsigned char)c;
    const char control[] = {'\\', 'u', '0', '0', hex[u >> 4], hex[u & 15]};
    const char marked[] = {'\\', c};

    if (u < 0x20)
        text_add(text, (struct slice){control, sizeof(control)});
    else if (u >= 0x7f)
        text_add(text, SLICE("?"));
    else
        text_add(text, (struct slice){marked, sizeof(marked)});
}

static bool
is_plain(char c)
{
    return c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
}

void
text_add_json(struct text *text, struct slice s)
{
    text_add(text, SLICE("\""));
    while (s.len > 0) {
        size_t plain = 0;
        while (plain < s.len && is_plain(s.at[plain]))
            plain++;
        text_add(text, (struct slice){s.at, plain});
        s = slice_from(s, plain);
        if (s.len > 0) {
            add_json_char(text, s.at[0]);
            s = slice_from(s, 1);
        }
    }
    text_add(text, SLICE("\""));
}

const char *
text_end(struct text *text)
{
    text->at[text->len] = '\0';
    return text->at;
}
