/* crews.h - the workers of `up`: a crew for each release that a queue needs.
 *
 * The releases are those of the store's control state (cli/follow.h); the
 * `release:` of the configuration is only what a new queue begins with.
 *
 * Threads: the owner.
 */
#ifndef CLI_CREWS_H
#define CLI_CREWS_H

#include "cli/follow.h"
#include "cli/supervisor.h"
#include "common/settings.h"

struct crews;

/* No workers so far. All that is lent outlives it. */
struct crews *crews_new(struct supervisor *supervisor, const char *program,
                        const struct settings *settings, bool verbose);
void crews_free(struct crews *crews); /* the workers stay the supervisor's */
OWNED_DEFINE(crews)

/* From now on the queue has a crew of each of these releases and no other: adds
 * and dismisses. One that is not in the settings, or has no workers there, is
 * none of ours. */
void crews_follow(struct crews *crews, const struct followed *followed);

#endif
