/* spawn.h - one vfork and exec, as cheap as the kernel allows.
 *
 * Threads: the spawner process, which has only one.
 */
#ifndef WORKERS_SPAWN_H
#define WORKERS_SPAWN_H

#include <sys/types.h>

#include "workers/spawner.h"

struct spawn {
    const char *directory;
    const char *program;
    char **arguments;   /* NULL-terminated */
    char **environment; /* NULL-terminated */
    int files[3];       /* each 3 or above */
    int cgroup;         /* directory to be born in; -1: ours */
};

/* The new child's pid: leader of a session of its own, with no file of ours, no
 * signal blocked, and killed when this process dies. Else a negative errno, and
 * *step is what failed; nothing is left then. */
pid_t spawn_child(const struct spawn *spawn, enum spawn_step *step);

#endif
