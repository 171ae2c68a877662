/* mem.c - memory of fixed, small size; running out aborts. */
#include "common/mem.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *
must(void *p)
{
    if (p == NULL) {
        fputs("cloakroom: out of memory\n", stderr);
        abort();
    }
    return p;
}

void *
mem_zalloc(size_t size)
{
    return must(calloc(1, size));
}

void *
mem_grow(void *p, size_t count, size_t size)
{
    return must(reallocarray(p, count, size));
}

char *
mem_strdup(const char *text)
{
    return text == NULL ? NULL : must(strdup(text));
}

char *
mem_strndup(const char *text, size_t len)
{
    return must(strndup(text, len));
}

char *
mem_printf(const char *format, ...)
{
    char *text = NULL;
    va_list args;

    va_start(args, format);
    int n = vasprintf(&text, format, args);
    va_end(args);
    return must(n < 0 ? NULL : text);
}
