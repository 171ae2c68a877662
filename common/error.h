/* error.h - results: 0 or a negative errno, and the sentence for a person.
 *
 * The closed list of codes and what each means to an HTTP client is
 * error.def; anything else is -EIO plus text.
 *
 * Threads: any; a struct error belongs to its caller.
 */
#ifndef COMMON_ERROR_H
#define COMMON_ERROR_H

#include <errno.h>
#include <stdarg.h>

struct error {
    int code; /* the negative errno, 0 when unset */
    char text[1000];
};

/* Sets err (may be NULL) and returns code, so that `return error_set(...)`
 * reads well. code is a negative errno. */
int error_set(struct error *err, int code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Prefixes the caller's purpose: "purpose: what the callee said". */
int error_wrap(struct error *err, int code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* error_set with ": strerror" appended; code is -errno. */
int error_system(struct error *err, int code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The HTTP status that stands for a result of ours, 500 when none does. */
int error_http_status(int code);

/* The stable word for a result, as in problem+json's `code`: "queue-full". */
const char *error_word(int code);

#endif
