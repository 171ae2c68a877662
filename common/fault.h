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

#include <stdatomic.h>
#include <stdbool.h>

extern atomic_bool fault_armed; /* set by fault_init */

/* Reads the environment; main calls it first. A test calls it again to arm
 * something in the middle. */
void fault_init(void);
bool fault_hit(const char *name);

#define FAULT(name)                                                            \
    (__builtin_expect(                                                         \
         atomic_load_explicit(&fault_armed, memory_order_relaxed), 0) &&       \
     fault_hit(name))

#endif
