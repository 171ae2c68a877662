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

/* How many bytes must follow the first one of a character, and what the first
 * of these may be (RFC 3629 section 4, so that nothing is overlong, a surrogate
 * or past U+10FFFF). */
static size_t
following(unsigned char first, unsigned char *low, unsigned char *high)
{
    *low = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
    *high = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;
    if (first >= 0xc2 && first <= 0xdf)
        return 1;
    if (first >= 0xe0 && first <= 0xef)
        return 2;
    return first >= 0xf0 && first <= 0xf4 ? 3 : 0;
}

/* The length of the well-formed character of several bytes that s begins with;
 * 0: none. */
static size_t
wide_char(struct slice s)
{
    unsigned char low, high;
    size_t more = following((unsigned char)s.at[0], &low, &high);

    if (more == 0 || more >= s.len)
        return 0;
    for (size_t i = 1; i <= more; i++) {
        unsigned char u = (unsigned char)s.at[i];
        if (u < low || u > high)
            return 0;
        low = 0x80;
        high = 0xbf;
    }
    return more + 1;
}

/* Cuts the bytes from *s that may stand for themselves, at its beginning. */
static struct slice
cut_plain(struct slice *s, const char *special)
{
    struct slice whole = *s;

    while (s->len > 0) {
        unsigned char u = (unsigned char)s->at[0];
        bool is_plain = u >= 0x20 && u < 0x7f && strchr(special, u) == NULL;
        size_t len = is_plain ? 1 : wide_char(*s);
        if (len == 0)
            break;
        *s = slice_from(*s, len);
    }
    return (struct slice){whole.at, whole.len - s->len};
}

/* A byte that may not stand for itself (RFC 8259 section 7); one that is no
 * UTF-8 becomes '?'. */
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

void
text_add_json(struct text *text, struct slice s)
{
    text_add(text, SLICE("\""));
    while (s.len > 0) {
        text_add(text, cut_plain(&s, "\"\\"));
        if (s.len > 0) {
            add_json_char(text, s.at[0]);
            s = slice_from(s, 1);
        }
    }
    text_add(text, SLICE("\""));
}

static struct slice
html_char(char c)
{
    switch (c) {
    case '&':
        return SLICE("&amp;");
    case '<':
        return SLICE("&lt;");
    case '>':
        return SLICE("&gt;");
    case '"':
        return SLICE("&quot;");
    case '\'':
        return SLICE("&#39;");
    case '\n':
        return SLICE("\n");
    default:
        return SLICE("?");
    }
}

void
text_add_html(struct text *text, struct slice s)
{
    while (s.len > 0) {
        text_add(text, cut_plain(&s, "&<>\"'"));
        if (s.len > 0) {
            text_add(text, html_char(s.at[0]));
            s = slice_from(s, 1);
        }
    }
}

const char *
text_end(struct text *text)
{
    text->at[text->len] = '\0';
    return text->at;
}
