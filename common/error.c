/* error.c - results and the sentences that go with them. */
#include "common/error.h"

#include <stdio.h>
#include <string.h>

static int
put(struct error *err, int code, const char *prefix_end, const char *format,
    va_list args)
{
    char text[sizeof(err->text)];
    int n = vsnprintf(text, sizeof(text), format, args);

    if (n >= 0 && (size_t)n < sizeof(text) && prefix_end != NULL)
        snprintf(text + n, sizeof(text) - (size_t)n, ": %s", prefix_end);
    err->code = code;
    memcpy(err->text, text, sizeof(text));
    return code;
}

int
error_set(struct error *err, int code, const char *format, ...)
{
    va_list args;

    if (err == NULL)
        return code;
    va_start(args, format);
    put(err, code, NULL, format, args);
    va_end(args);
    return code;
}

int
error_wrap(struct error *err, int code, const char *format, ...)
{
    va_list args;

    if (err == NULL)
        return code;
    va_start(args, format);
    put(err, code, err->text, format, args);
    va_end(args);
    return code;
}

int
error_system(struct error *err, int code, const char *format, ...)
{
    char reason[128];
    va_list args;

    if (err == NULL)
        return code;
    va_start(args, format);
    put(err, code, strerror_r(-code, reason, sizeof(reason)), format, args);
    va_end(args);
    return code;
}

int
error_http_status(int code)
{
    switch (-code) {
#define ERROR(name, status, word)                                              \
    case name:                                                                 \
        return status;
#include "common/error.def"
#undef ERROR
    }
    return 500;
}

const char *
error_word(int code)
{
    switch (-code) {
#define ERROR(name, status, word)                                              \
    case name:                                                                 \
        return word;
#include "common/error.def"
#undef ERROR
    }
    return "internal";
}
