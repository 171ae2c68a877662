/* ask.h - the broker for a command: one question at a time, and its answer.
 *
 * The broker answers by callback on threads of its own; a command wants to
 * stand still until then.
 *
 * Threads: owner.
 */
#ifndef CLI_ASK_H
#define CLI_ASK_H

#include "broker/broker.h"
#include "common/own.h"

struct ask;

/* Opens the broker as a visitor; err says what to do where it cannot be. */
int ask_open(const struct settings *settings, struct ask **out,
             struct error *err);
/* The same for who will wait for responses: it is told of all of them. */
int ask_open_waiting(const struct settings *settings, struct ask **out,
                     struct error *err);
/* The same with a guard; see broker.h. */
int ask_open_guarded(const struct settings *settings, struct ask **out,
                     struct error *err);
void ask_free(struct ask *ask);
OWNED_DEFINE(ask)

struct broker *ask_broker(struct ask *ask); /* for calls that block anyway */

/* Fills in the submission's out part and returns its r. */
int ask_submit(struct ask *ask, struct submission *submission);

/* Fills in the lookup's out part and returns its r. */
int ask_lookup(struct ask *ask, struct lookup *lookup);

/* Waits until the ticket's response is there and looks it up; of an ask that
 * was opened for waiting. limit below 0 waits as long as it takes. 0:
 * lookup->stored is the caller's. -EAGAIN: not there at the limit;
 * lookup->status says how far it is. Else as ask_lookup. */
int ask_response(struct ask *ask, span_ms limit, struct lookup *lookup);

#endif
