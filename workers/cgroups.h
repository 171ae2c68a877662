/* cgroups.h - a cgroup for each slot, so that nothing can leave its attempt.
 *
 *     <our own cgroup>/cloakroom-PID/slot-N.M
 *
 * A child is born in its slot's cgroup and cannot leave it by forking, setsid
 * or a change of its environment; cgroup.kill ends all in it at once. They are
 * made where cgroup v2 is mounted and our own cgroup is ours to write (root, or
 * a service with Delegate=yes). No controller is enabled, so nothing is
 * limited. Slots keep theirs from child to child, as making one costs more than
 * a fork, until it was killed once: then the next child gets a new one.
 *
 * Threads: the spawner process. Source: the kernel's cgroup-v2.rst.
 */
#ifndef WORKERS_CGROUPS_H
#define WORKERS_CGROUPS_H

#include <stdbool.h>

#include "common/own.h"

struct cgroups;

/* NULL: none can be made here. Kills and removes what dead spawners left. */
struct cgroups *cgroups_open(unsigned slots);
/* Kills what is inside and removes them. NULL is fine. */
void cgroups_close(struct cgroups *cgroups);

/* The directory to be born in, made at the first call; -1: there is none. */
int cgroups_slot(struct cgroups *cgroups, unsigned slot);
bool cgroups_is_empty(const struct cgroups *cgroups, unsigned slot);
/* How many processes are inside. */
unsigned cgroups_count(const struct cgroups *cgroups, unsigned slot);
void cgroups_kill(struct cgroups *cgroups, unsigned slot);

#endif
