/* nearest.c - the distance between two words, and the smallest of them. */
#include "common/nearest.h"

#include <stdio.h>
#include <string.h>

#define WORD_MAX 64 /* longer ones have no neighbours */

static size_t
least_of(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Damerau's and Levenshtein's distance, over three rows of the matrix. */
static size_t
distance(const char *a, const char *b)
{
    const size_t a_len = strlen(a), b_len = strlen(b);
    size_t rows[3][WORD_MAX + 1] = {{0}};

    for (size_t j = 0; j <= b_len; j++)
        rows[0][j] = j;
    for (size_t i = 1; i <= a_len; i++) {
        size_t *row = rows[i % 3];
        const size_t *last = rows[(i + 2) % 3], *before = rows[(i + 1) % 3];
        row[0] = i;
        for (size_t j = 1; j <= b_len; j++) {
            row[j] = least_of(least_of(last[j], row[j - 1]) + 1,
                              last[j - 1] + (a[i - 1] != b[j - 1]));
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                row[j] = least_of(row[j], before[j - 2] + 1);
        }
    }
    return rows[a_len % 3][b_len];
}

const char *
nearest_word(const char *wrong, const char *const words[], size_t len)
{
    const size_t wrong_len = strlen(wrong);
    /* With more than a third of it wrong it is another word, not a slip. */
    size_t best = wrong_len < 5 ? 2 : (wrong_len + 1) / 3 + 1;
    const char *found = NULL;

    if (wrong_len > WORD_MAX)
        return NULL;
    for (size_t i = 0; i < len; i++) {
        const size_t word_len = strlen(words[i]);
        if (word_len > WORD_MAX)
            continue;
        const size_t d = distance(wrong, words[i]);
        if (d < best && d < word_len) {
            best = d;
            found = words[i];
        }
    }
    return found;
}

const char *
nearest_hint(char hint[HINT_SIZE], const char *wrong, const char *const words[],
             size_t len)
{
    const char *near = nearest_word(wrong, words, len);
    size_t used;

    if (near != NULL) {
        snprintf(hint, HINT_SIZE, "did you mean `%s`?", near);
        return hint;
    }
    used = (size_t)snprintf(hint, HINT_SIZE, "known here:%s",
                            len == 0 ? " none" : "");
    for (size_t i = 0; i < len && used < HINT_SIZE; i++)
        used += (size_t)snprintf(hint + used, HINT_SIZE - used, "%s `%s`",
                                 i == 0 ? "" : ",", words[i]);
    return hint;
}
