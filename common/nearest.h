/* nearest.h - the known word that a wrong one was probably meant to be.
 *
 * Threads: any; pure.
 */
#ifndef COMMON_NEAREST_H
#define COMMON_NEAREST_H

#include <stddef.h>

/* The word with the fewest edits of one letter (a swap of neighbours is one)
 * from wrong, or NULL when none is near enough to be meant. */
const char *nearest_word(const char *wrong, const char *const words[],
                         size_t len);

/* What to say: "did you mean `x`?", or where none is near "known here: `x`,
 * `y`", cut to the room. Returns hint. */
#define HINT_SIZE 400
const char *nearest_hint(char hint[HINT_SIZE], const char *wrong,
                         const char *const words[], size_t len);

#endif
