/* outcome.c - what happens to a request when an attempt has ended. */
#include "control/outcome.h"

#include <assert.h>

enum repeat { ALWAYS, IF_MAY, AT_ONCE, NEVER };

static const struct {
    const char *word;
    bool counted;
    enum repeat repeat;
    int status;
    bool dead_letter;
} table[OUTCOMES] = {
#define OUTCOME(name, word, counted, repeat, status, dead)                     \
    [OUTCOME_##name] = {word, counted, repeat, status, dead},
#include "control/outcome.def"
#undef OUTCOME
};

static bool
is_repeated(enum repeat repeat, bool repeatable, unsigned attempts,
            unsigned attempts_max)
{
    switch (repeat) {
    case ALWAYS:
        return true;
    case IF_MAY:
        return repeatable && attempts < attempts_max;
    case AT_ONCE:
        return repeatable;
    case NEVER:
        return false;
    }
    assert(false);
}

static enum action
repetition(enum outcome outcome)
{
    if (table[outcome].repeat == AT_ONCE)
        return ACTION_RETURN;
    return table[outcome].counted ? ACTION_RETRY : ACTION_PUT_BACK;
}

struct verdict
outcome_decide(enum outcome outcome, bool repeatable, unsigned attempts,
               const struct queue_settings *queue)
{
    assert(outcome < OUTCOMES);
    if (outcome == OUTCOME_ANSWERED)
        return (struct verdict){ACTION_DONE, 0, false};
    if (is_repeated(table[outcome].repeat, repeatable, attempts,
                    queue->attempts))
        return (struct verdict){repetition(outcome), 0, false};
    return (struct verdict){ACTION_FAIL, table[outcome].status,
                            table[outcome].dead_letter};
}

bool
outcome_is_repeatable(bool idempotent_or_keyed, enum redeliver redeliver)
{
    switch (redeliver) {
    case REDELIVER_IDEMPOTENT:
        return idempotent_or_keyed;
    case REDELIVER_ALWAYS:
        return true;
    case REDELIVER_NEVER:
        return false;
    }
    assert(false);
}

const char *
outcome_word(enum outcome outcome)
{
    assert(outcome < OUTCOMES);
    return table[outcome].word;
}

span_ms
outcome_backoff(span_ms first, span_ms max, unsigned n, unsigned random)
{
    span_ms whole = first;

    assert(n >= 1);
    while (--n > 0 && whole < max)
        whole *= 2;
    if (whole > max)
        whole = max;
    return whole / 2 + (span_ms)random % (whole / 2 + 1);
}
