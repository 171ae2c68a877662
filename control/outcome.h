/* outcome.h - what happens to a request when an attempt has ended.
 *
 * One table, outcome.def, says it for each outcome; docs/design.md prints it.
 * "May be repeated": the method is idempotent by RFC 9110, or the client sent
 * an Idempotency-Key, or the queue says `redeliver: always`; never with
 * `redeliver: never`.
 *
 * Threads: any; pure. Source: docs/design.md, "What happens to an attempt".
 */
#ifndef CONTROL_OUTCOME_H
#define CONTROL_OUTCOME_H

#include <stdbool.h>

#include "common/clock.h"
#include "common/settings.h"

enum outcome {
#define OUTCOME(name, word, counted, repeat, status, dead) OUTCOME_##name,
#include "control/outcome.def"
#undef OUTCOME
    OUTCOMES
};

enum action {
    ACTION_DONE,     /* store the handler's response */
    ACTION_RETRY,    /* again after a backoff; the attempt counts */
    ACTION_PUT_BACK, /* again after a backoff; the attempt does not count */
    ACTION_RETURN,   /* again at once; the attempt does not count */
    ACTION_FAIL,     /* store a failure */
    ACTIONS
};

struct verdict {
    enum action action;
    int status;       /* of the stored failure, else 0 */
    bool dead_letter; /* keep the request for replay */
};

/* attempts: how many have counted, this one included. */
struct verdict outcome_decide(enum outcome outcome, bool repeatable,
                              unsigned attempts,
                              const struct queue_settings *queue);

/* May a request of this method, with or without a key, be repeated? */
bool outcome_is_repeatable(bool idempotent_or_keyed, enum redeliver redeliver);

/* The stable word: "timed-out". */
const char *outcome_word(enum outcome outcome);

/* How long the n-th repetition (from 1) waits: first * 2^(n-1), at most max,
 * between half and the whole of it by `random`, any 32 bits. */
span_ms outcome_backoff(span_ms first, span_ms max, unsigned n,
                        unsigned random);

#endif
