/* spawner_wire.h - what a worker and its spawner say to each other.
 *
 * One message is one packet of a SOCK_SEQPACKET socket. Both ends are the same
 * binary, so structs go as they are. A start is followed by NUL-terminated
 * strings (directory, program, arguments, environment) and brings the child's
 * three files by SCM_RIGHTS. The socket is the spawner's standard input, and
 * the guard, if there is one, its WIRE_GUARD.
 */
#ifndef WORKERS_SPAWNER_WIRE_H
#define WORKERS_SPAWNER_WIRE_H

#include <stdint.h>

#include "workers/spawner.h"

#define WIRE_MAX         ((size_t)384 * 1024) /* of one message */
#define WIRE_STRINGS_MAX 4096 /* of one start; message.h allows 1000 fields */
#define WIRE_SLOTS_MAX   1024
#define WIRE_GUARD       3 /* descriptor */

enum wire_kind { WIRE_START, WIRE_KILL, WIRE_WIND, WIRE_EXIT };

struct wire_request {
    enum wire_kind kind;
    unsigned slot;
    uint64_t id;
    uint64_t generation;                     /* START, WIND */
    boot_ms until;                           /* WIND */
    int signal;                              /* KILL */
    unsigned arguments_len, environment_len; /* START */
};

struct wire_exit {
    enum wire_kind kind;
    unsigned slot;
    uint64_t id;
    struct spawn_exit how;
};

#endif
