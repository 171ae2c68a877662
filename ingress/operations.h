/* operations.h - commands that an operator started over HTTP and may follow.
 *
 *     start --> RUNNING --> DONE     its exit code was 0
 *                  |
 *                  +------> FAILED   any other one, or a signal
 *
 * Each is a process of this program, in a group of its own. The newest are
 * kept, with the end of what they printed; they are gone with this process.
 * I1: at most OPERATIONS_AT_ONCE run. I2: one that runs is never dropped.
 * I3: none outlives operations_stop; what it began is in the broker, not in its
 *     process.
 *
 * Threads: any, except new, stop and free (the owner).
 */
#ifndef INGRESS_OPERATIONS_H
#define INGRESS_OPERATIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/clock.h"
#include "common/error.h"

#define OPERATIONS_KEPT    32
#define OPERATIONS_AT_ONCE 8
#define OPERATION_OUTPUT   (16 * 1024) /* bytes of each that are kept */
#define OPERATION_ID_SIZE  17

enum operation_state { OPERATION_RUNNING, OPERATION_DONE, OPERATION_FAILED };

/* How it stands; a copy. */
struct operation {
    uint64_t epoch; /* of the pause that it waits for; 0: none */
    wall_ms started, ended;
    enum operation_state state;
    int exit_code; /* DONE, FAILED */
    int signal;    /* that ended it; 0: none */
    char id[OPERATION_ID_SIZE];
    char command[16]; /* "pause" */
    char queue[65];
};

struct operations;

/* program: to be run, a path. */
int operations_new(const char *program, struct operations **out,
                   struct error *err);

/* Could one more be started? */
bool operations_have_room(struct operations *operations);

/* Starts the program with these words (argv[0] too); it prints to us. command,
 * queue and epoch are for those who look. id: of the new operation.
 * -EAGAIN: too many run. -ESHUTDOWN: stopped. -EIO: it cannot be started. */
int operations_start(struct operations *operations,
                     const struct operation *what, char *const argv[],
                     char id[OPERATION_ID_SIZE], struct error *err);

/* -ENOENT: not kept. output: the end of what it printed, in whole lines
 * unless that is one; malloc'ed. */
int operations_find(struct operations *operations, const char *id,
                    struct operation *out, char **output);
/* Newest first; returns how many. */
size_t operations_list(struct operations *operations,
                       struct operation out[OPERATIONS_KEPT]);

/* Starts none any more, and asks those that run to end (SIGTERM). */
void operations_close(struct operations *operations);
/* Closes; what runs after the limit is killed with its group. On return none
 * runs. */
void operations_stop(struct operations *operations, span_ms limit);
void operations_free(struct operations *operations); /* stopped; or NULL */

#endif
