/* kin.h - the children that the kernel gave us: orphans of orphans.
 *
 * Both the spawner and the worker are subreapers (prctl(2),
 * PR_SET_CHILD_SUBREAPER): a process whose parent died becomes their child,
 * whatever session it made itself. Until its parent reaps it a pid cannot be
 * another's, so who alone reaps may kill children by bare pid.
 *
 * Threads: whoever alone reaps this process's children.
 */
#ifndef WORKERS_KIN_H
#define WORKERS_KIN_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "common/clock.h"

void kin_adopt(void); /* orphans come to this process from now on */

/* The children of this process, at most max of them. */
size_t kin_list(pid_t *pids, size_t max);

/* Did the process start with this string ("NAME=value") in its environment? */
bool kin_is_marked(pid_t pid, const char *mark);

/* Kills and reaps all children, and theirs as they come, for at most `limit`.
 * True: none is left. */
bool kin_kill_all(span_ms limit);

#endif
