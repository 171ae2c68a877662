/* settings_complaint.c - what is wrong with the file, sorted and printed. */
#include <ctype.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "common/settings_priv.h"

/* What comes from the file goes to a terminal. */
static void
make_printable(char *text)
{
    for (; *text != '\0'; text++)
        if (iscntrl((unsigned char)*text))
            *text = '?';
}

void
complain_at(struct complaints *complaints, int line, int column,
            const char *key, const char *format, ...)
{
    struct complaint *complaint = &complaints->list[complaints->len];
    va_list args;
    char text[1500];

    if (complaints->len == COMPLAINTS_MAX) {
        complaints->more++;
        return;
    }
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    complaint->line = line;
    complaint->column = column;
    complaint->text =
        key == NULL ? mem_strdup(text) : mem_printf("%s: %s", key, text);
    make_printable(complaint->text);
    complaints->len++;
}

static int
by_place(const void *one, const void *other)
{
    const struct complaint *a = one, *b = other;

    if (a->line != b->line)
        return a->line < b->line ? -1 : 1;
    if (a->column != b->column)
        return a->column < b->column ? -1 : 1;
    return strcmp(a->text, b->text);
}

void
complaints_print(struct complaints *complaints, const char *file, FILE *to)
{
    qsort(complaints->list, complaints->len, sizeof(complaints->list[0]),
          by_place);
    for (size_t i = 0; i < complaints->len; i++) {
        const struct complaint *complaint = &complaints->list[i];
        if (complaint->line > 0)
            fprintf(to, "%s:%d:%d: %s\n", file, complaint->line,
                    complaint->column, complaint->text);
        else
            fprintf(to, "%s: %s\n", file, complaint->text);
    }
    if (complaints->more > 0)
        fprintf(to, "%s: and %zu more; mend these first\n", file,
                complaints->more);
}

void
complaints_fini(struct complaints *complaints)
{
    for (size_t i = 0; i < complaints->len; i++)
        free(complaints->list[i].text);
    complaints->len = 0;
}
