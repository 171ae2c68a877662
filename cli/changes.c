/* changes.c - one change, of those of some queues that need it. */
#include "cli/changes.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"

bool
changes_is_so(const struct control *control, const struct change *change)
{
    switch (change->kind) {
    case CHANGE_PAUSE:
        return control->state != CONTROL_OPEN;
    case CHANGE_RESUME:
        return control->state == CONTROL_OPEN &&
               (change->release == NULL ||
                strcmp(change->release, control->release) == 0);
    case CHANGE_REFUSE:
        return !control->accepting;
    case CHANGE_ACCEPT:
        return control->accepting;
    case CHANGE_PROBE:
    case CHANGE_STEP:
    case CHANGES:
        break;
    }
    assert(!"a change that an operator makes");
    return false;
}

static int
look(struct broker *broker, const struct queues *queues,
     const struct change *change, struct changes *changes, struct error *err)
{
    for (size_t i = 0; i < queues->len; i++) {
        int r =
            broker_control(broker, queues->list[i], &changes->states[i], err);
        if (r < 0)
            return r;
        changes->made[i] = !changes_is_so(&changes->states[i], change);
    }
    return 0;
}

/* Changes those that are marked as `made`. */
static int
change_marked(struct broker *broker, const struct queues *queues,
              const struct change *change, struct changes *changes,
              struct error *err)
{
    unsigned *list = mem_zalloc((queues->len + 1) * sizeof(*list));
    struct control *after = mem_zalloc((queues->len + 1) * sizeof(*after));
    size_t len = 0, at = 0;
    int r = 0;

    for (size_t i = 0; i < queues->len; i++) {
        if (changes->made[i])
            list[len++] = queues->list[i];
    }
    if (len > 0)
        r = broker_change(broker, list, len, change, after, err);
    for (size_t i = 0; r == 0 && i < queues->len; i++) {
        if (changes->made[i])
            changes->states[i] = after[at++];
    }
    free(list);
    free(after);
    return r;
}

int
changes_make(struct broker *broker, const struct queues *queues,
             const struct change *change, struct changes *out,
             struct error *err)
{
    struct changes changes = {
        .states = mem_zalloc((queues->len + 1) * sizeof(*changes.states)),
        .made = mem_zalloc((queues->len + 1) * sizeof(*changes.made)),
    };
    int r;

    assert(change->expected == 0);
    do { /* -EALREADY: somebody did one of them between look and change */
        r = look(broker, queues, change, &changes, err);
        if (r == 0)
            r = change_marked(broker, queues, change, &changes, err);
    } while (r == -EALREADY);
    if (r < 0)
        changes_fini(&changes);
    else
        *out = changes;
    return r;
}

void
changes_fini(struct changes *changes)
{
    free(changes->states);
    free(changes->made);
    *changes = (struct changes){0};
}
