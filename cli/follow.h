/* follow.h - what `cloakroom follow` tells `up`: which releases need workers.
 *
 * A line for each queue when it begins, and one at each change: "hits 1", the
 * admitted release; and "hits 1 2" from when an upgrade starts the workers of
 * the next one until it tries them no more.
 *
 * `up` does not look for itself: a store that breaks ends the process that has
 * it open.
 *
 * Threads: any; pure.
 */
#ifndef CLI_FOLLOW_H
#define CLI_FOLLOW_H

#include <stdbool.h>

#include "control/control.h"

#define FOLLOW_RELEASES 2

struct followed {
    char queue[65];
    /* Whose workers run: the admitted one, and the next or "". */
    char releases[FOLLOW_RELEASES][RELEASE_SIZE];
};

struct followed follow_of(const char *queue, const struct control *control);

#define FOLLOW_SIZE 200 /* of a line with its NUL; it has no newline */
void follow_print(const struct followed *followed, char line[FOLLOW_SIZE]);
/* False: it is no such line, and the output is left alone. */
bool follow_parse(const char *line, struct followed *followed);

#endif
