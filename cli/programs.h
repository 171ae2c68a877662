/* programs.h - are the programs that the configuration names there?
 *
 * Threads: any.
 */
#ifndef CLI_PROGRAMS_H
#define CLI_PROGRAMS_H

#include <stdio.h>

#include "common/settings.h"

/* 0, or -ENOENT: each program or directory that is missing or cannot be run
 * stands on errors, one a line, with its queue. */
int programs_check(const struct settings *settings, FILE *errors);

#endif
