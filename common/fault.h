/* fault.h - named places where a test makes the n-th call fail.
 *
 * CLOAKROOM_FAULT="store.sync:3" in the environment arms the third call of
 * FAULT("store.sync") in each process; "store.sync:3+" that and all later ones;
 * several are separated by commas. Costs one load when none is armed.
 *
 * Threads: any.
 */
#ifndef COMMON_FAULT_H
#define COMMON_FAULT_H

#include <stdbool.h>

extern bool fault_armed; /* set once, by fault_init */

void fault_init(void); /* reads the environment; main calls it first */
bool fault_hit(const char *name);

#define FAULT(name) (__builtin_expect(fault_armed, 0) && fault_hit(name))

#endif
