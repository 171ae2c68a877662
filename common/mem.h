/* mem.h - memory of fixed, small size; running out aborts.
 *
 * A dead worker's lease expires, a path tested daily; an untested
 * out-of-memory branch is not. Sizes that a peer chose never come here:
 * they go through struct buf, which has a cap.
 *
 * Threads: any.
 */
#ifndef COMMON_MEM_H
#define COMMON_MEM_H

#include <stddef.h>

void *mem_zalloc(size_t size);                      /* zeroed, never NULL */
void *mem_grow(void *p, size_t count, size_t size); /* realloc to count*size */
char *mem_strdup(const char *text);                 /* NULL gives NULL */
char *mem_strndup(const char *text, size_t len);
char *mem_printf(const char *format, ...) __attribute__((format(printf, 1, 2)));

#define mem_new(type) ((type *)mem_zalloc(sizeof(type)))

#endif
