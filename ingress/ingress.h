/* ingress.h - the HTTP front: puts every request on its queue and answers with
 * a ticket, or with the response where the client waits for it.
 *
 *     listener --> lanes (a thread each: libmicrohttpd and the connections it
 *                  accepted) --> broker --> back to the lane, by mailbox
 *
 * I1: a ticket is shown only after the broker said that its request is durable.
 * I2: no lane ever blocks; a client that waits costs memory, not a thread.
 * I3: a connection and all that hangs on it belong to one lane.
 *
 * Threads: the owner. Source: docs/http.md, docs/design.md sections 3 and 7.
 */
#ifndef INGRESS_INGRESS_H
#define INGRESS_INGRESS_H

#include <stdbool.h>
#include <stddef.h>

#include "common/error.h"
#include "common/settings.h"

struct ingress_options {
    /* Queues, by index in the settings, without a live worker of which /readyz
     * says no: what `cloakroom up` is to run. May be none. */
    const unsigned *worked_queues;
    size_t worked_queues_len;
    /* What the admin side runs for an operator, with the words of a command of
     * cloakroom. NULL: this program itself. */
    const char *program;
    /* Said once, from any thread, when connections are accepted. May be NULL.
     */
    void (*on_ready)(void *opaque);
    void *opaque;
};

/* Opens the store (making it if it is missing), serves until SIGTERM or SIGINT,
 * then ends in order: accepts nothing more, gives waiting clients their ticket,
 * lets commits finish. 0, or why it could not start. The calling thread's
 * signal mask is left with both blocked. */
int ingress_run(const struct settings *settings,
                const struct ingress_options *options, struct error *err);

#endif
