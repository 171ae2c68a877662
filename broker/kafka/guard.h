/* guard.h - is a process of this machine gone?
 *
 * A process holds a socket with an address of its own in the abstract
 * namespace; the kernel forgets the address when nobody holds the socket any
 * more: neither the process nor the spawner that has a copy and kills what
 * they ran. Addresses are of a network namespace, so only processes in the same
 * one look; all others know by the lease alone.
 *
 * Threads: any. Source: unix(7), "Abstract sockets".
 */
#ifndef BROKER_KAFKA_GUARD_H
#define BROKER_KAFKA_GUARD_H

#include <stdbool.h>

#include "broker/kafka/entry.h"

/* The descriptor, and what others find it by. -1: there is none to be had, and
 * place->guard is "". */
int guard_open(struct place *place);

/* Nobody holds it: for certain. False: somebody does, or it cannot be told. */
bool guard_is_gone(const struct place *theirs, const struct place *ours);

#endif
