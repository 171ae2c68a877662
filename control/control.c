/* control.c - the control state of a queue: open or paused, for which release.
 */
#include "control/control.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "common/own.h"

static const char *const state_words[CONTROL_STATES] = {
#define CONTROL(name, word) [CONTROL_##name] = word,
#include "control/control.def"
};

static const char *const kind_words[CHANGES] = {
#define CHANGE(name, word) [CHANGE_##name] = word,
#include "control/control.def"
};

static const char *const step_words[STEPS] = {
#define STEP(name, word) [STEP_##name] = word,
#include "control/control.def"
};

/* ---- words --------------------------------------------------------------- */

const char *
control_state_word(enum control_state state)
{
    assert(state < CONTROL_STATES);
    return state_words[state];
}

const char *
change_word(enum change_kind kind)
{
    assert(kind < CHANGES);
    return kind_words[kind];
}

const char *
upgrade_step_word(enum upgrade_step step)
{
    assert(step < STEPS);
    return step_words[step];
}

/* The index of a word; len: there is none. */
static unsigned
find_word(const char *const *words, unsigned len, const char *word)
{
    unsigned i = 0;

    while (i < len && strcmp(words[i], word) != 0)
        i++;
    return i;
}

bool
control_state_parse(const char *word, enum control_state *state)
{
    const unsigned i = find_word(state_words, CONTROL_STATES, word);

    if (i < CONTROL_STATES)
        *state = (enum control_state)i;
    return i < CONTROL_STATES;
}

bool
upgrade_step_parse(const char *word, enum upgrade_step *step)
{
    const unsigned i = find_word(step_words, STEPS, word);

    if (i < STEPS)
        *step = (enum upgrade_step)i;
    return i < STEPS;
}

/* ---- what must always hold ----------------------------------------------- */

static bool
is_held(const struct control *control)
{
    return control->upgrade.id[0] != '\0';
}

bool
control_is_sound(const struct control *control)
{
    const bool is_open = control->state == CONTROL_OPEN;

    return control->epoch > 0 && control->release[0] != '\0' &&
           is_open == (control->paused_epoch == 0) &&
           control->paused_epoch <= control->epoch &&
           !(is_held(control) && is_open) && /* I4 */
           is_held(control) == (control->upgrade.step != STEP_NONE);
}

struct control
control_initial(const char *release)
{
    struct control control = {
        .epoch = 1, .state = CONTROL_OPEN, .accepting = true};

    snprintf(control.release, sizeof(control.release), "%s", release);
    assert(control_is_sound(&control));
    return control;
}

/* ---- changes ------------------------------------------------------------- */

/* Who did what brought this state, when and why. */
static void
sign(struct control *control, const struct change *change, wall_ms now)
{
    control->since = now;
    snprintf(control->by, sizeof(control->by), "%s", change->by);
    snprintf(control->why, sizeof(control->why), "%s",
             change->why == NULL ? "" : change->why);
}

static bool
is_holder(const struct control *control, const struct change *change)
{
    return change->upgrade != NULL &&
           strcmp(change->upgrade, control->upgrade.id) == 0;
}

static int
tell_held(const struct control *control, struct error *err)
{
    return error_set(err, -EBUSY,
                     "an upgrade from release %s to %s holds it (%s); run that "
                     "upgrade again to end it, or resume with --force",
                     control->upgrade.from, control->upgrade.to,
                     upgrade_step_word(control->upgrade.step));
}

static int
tell_probing(struct error *err)
{
    return error_set(err, -EINPROGRESS, "a probe runs");
}

static void
hold(struct control *control, const struct change *change)
{
    struct upgrade *upgrade = &control->upgrade;

    snprintf(upgrade->id, sizeof(upgrade->id), "%s", change->upgrade);
    snprintf(upgrade->from, sizeof(upgrade->from), "%s", control->release);
    snprintf(upgrade->to, sizeof(upgrade->to), "%s", change->to);
    upgrade->step = change->step;
}

static int
pause_it(struct control *control, const struct change *change, wall_ms now,
         struct error *err)
{
    const bool is_open = control->state == CONTROL_OPEN;

    if (change->upgrade != NULL && is_held(control))
        return is_holder(control, change) ? -EALREADY : tell_held(control, err);
    if (!is_open && change->upgrade == NULL)
        return error_set(err, -EALREADY, "it is paused already");
    if (change->upgrade != NULL && control->state == CONTROL_PROBING)
        return tell_probing(err);
    control->epoch++;
    if (change->upgrade != NULL)
        hold(control, change);
    if (is_open) {
        control->state = CONTROL_PAUSED;
        control->paused_epoch = control->epoch;
        sign(control, change, now);
    }
    return 0;
}

static int
resume_it(struct control *control, const struct change *change, wall_ms now,
          struct error *err)
{
    const char *release =
        change->release == NULL ? control->release : change->release;
    const bool is_change = strcmp(release, control->release) != 0;

    if (control->state == CONTROL_OPEN && !is_change)
        return error_set(err, -EALREADY, "it is open already, for release %s",
                         release);
    if (is_held(control) && !is_holder(control, change) && !change->force)
        return tell_held(control, err);
    if (control->state == CONTROL_PROBING)
        return tell_probing(err);
    if (is_change && control->state != CONTROL_DRAINED)
        return error_set(err, -ENOTEMPTY,
                         "it is %s and of release %s; release %s needs a queue "
                         "that is recorded as drained: pause it with --wait",
                         control_state_word(control->state), control->release,
                         release);
    if (is_change)
        snprintf(control->release, sizeof(control->release), "%s", release);
    control->epoch++;
    control->state = CONTROL_OPEN;
    control->paused_epoch = 0;
    control->ramp = change->ramp;
    control->ramp_since = now;
    memset(&control->upgrade, 0, sizeof(control->upgrade));
    sign(control, change, now);
    return 0;
}

static int
accept_it(struct control *control, bool accepting, struct error *err)
{
    if (control->accepting == accepting)
        return error_set(err, -EALREADY, "it %s new requests already",
                         accepting ? "accepts" : "refuses");
    control->accepting = accepting;
    control->epoch++;
    return 0;
}

static int
probe_it(struct control *control, struct error *err)
{
    if (control->state == CONTROL_PROBING)
        return tell_probing(err);
    if (is_held(control) && control->upgrade.step != STEP_VERIFYING)
        return error_set(err, -EBUSY,
                         "an upgrade from release %s to %s holds it (%s); it "
                         "can be probed in its verify command",
                         control->upgrade.from, control->upgrade.to,
                         upgrade_step_word(control->upgrade.step));
    if (control->state != CONTROL_DRAINED)
        return error_set(err, -ENOTEMPTY,
                         "it is %s; a probe needs a queue that is recorded as "
                         "drained: pause it with --wait",
                         control_state_word(control->state));
    control->epoch++;
    control->state = CONTROL_PROBING;
    return 0;
}

static int
step_it(struct control *control, const struct change *change, struct error *err)
{
    if (control->state == CONTROL_PROBING)
        return tell_probing(err);
    if (control->state != CONTROL_DRAINED && change->step != STEP_PAUSING)
        return error_set(err, -ENOTEMPTY, "it is not drained");
    control->epoch++;
    control->upgrade.step = change->step;
    return 0;
}

int
control_change(struct control *control, const struct change *change,
               wall_ms now, struct error *err)
{
    struct control next = *control;
    int r = -EINVAL;

    if (change->expected != 0 && change->expected != control->epoch)
        return error_set(err, -ESTALE,
                         "its epoch is %llu and not %llu: somebody changed it "
                         "meanwhile; look again",
                         (unsigned long long)control->epoch,
                         (unsigned long long)change->expected);
    if (change->upgrade != NULL && change->kind != CHANGE_PAUSE &&
        !is_holder(control, change))
        return error_set(err, -ECANCELED,
                         "the upgrade does not hold it any more: it was "
                         "resumed by force (by %s)",
                         control->by);
    switch (change->kind) {
    case CHANGE_PAUSE:
        r = pause_it(&next, change, now, err);
        break;
    case CHANGE_RESUME:
        r = resume_it(&next, change, now, err);
        break;
    case CHANGE_REFUSE:
    case CHANGE_ACCEPT:
        r = accept_it(&next, change->kind == CHANGE_ACCEPT, err);
        break;
    case CHANGE_PROBE:
        r = probe_it(&next, err);
        break;
    case CHANGE_STEP:
        r = step_it(&next, change, err);
        break;
    case CHANGES:
        assert(!"a kind of change");
    }
    if (r < 0)
        return r;
    assert(control_is_sound(&next));
    assert(next.epoch == control->epoch + 1); /* I1 */
    assert(control->state == CONTROL_DRAINED ||
           strcmp(next.release, control->release) == 0); /* I2 */
    *control = next;
    return 0;
}

void
control_drain(struct control *control)
{
    assert(control->state == CONTROL_PAUSED ||
           control->state == CONTROL_PROBING);
    control->state = CONTROL_DRAINED;
    assert(control_is_sound(control));
}

/* ---- what workers ask ---------------------------------------------------- */

bool
control_admits(const struct control *control, const char *release)
{
    return control->state == CONTROL_OPEN &&
           strcmp(control->release, release) == 0;
}

unsigned
control_slots(const struct control *control, unsigned slots, wall_ms now,
              span_ms *grows)
{
    const span_ms gone = now - control->ramp_since;

    *grows = 0;
    /* A clock that was set back by more than that says nothing. */
    if (gone >= control->ramp || gone < -control->ramp || slots <= 1)
        return slots;
    /* 1 at the start, one more after each ramp / slots. */
    const unsigned open =
        gone <= 0 ? 1 : 1 + (unsigned)(gone * slots / control->ramp);
    if (open >= slots)
        return slots;
    *grows = control->ramp * open / slots - gone + 1;
    return open;
}
