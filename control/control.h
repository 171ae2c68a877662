/* control.h - the control state of a queue: open or paused, for which release.
 *
 *            pause              control_drain
 *     OPEN ---------> PAUSED -----------------> DRAINED <-------+
 *      ^  ^             |                        |   |          | control_drain
 *      |  +-- resume ---+                        |   |  probe   |
 *      |     (same release)                      |   +------> PROBING
 *      +---------------- resume (any release) ---+
 *
 * I1: each accepted change makes the epoch one larger; control_drain does not:
 *     drained is said of the pause at paused_epoch, or of the probe.
 * I2: the release changes only from DRAINED to OPEN (P6).
 * I3: attempts start in OPEN, of the release; in PROBING the one that is
 * probed. I4: a queue that an upgrade holds is not OPEN; only that upgrade, or
 * force, opens it. I5: nothing here ends by itself: no change comes of time
 * (P5).
 *
 * Every broker keeps this struct and changes it by these functions only, in the
 * order that its takes obey.
 *
 * Threads: any; pure. Source: docs/design.md, section 5; models/pause.pml.
 */
#ifndef CONTROL_CONTROL_H
#define CONTROL_CONTROL_H

#include <stdbool.h>
#include <stdint.h>

#include "common/clock.h"
#include "common/error.h"

#define RELEASE_SIZE 65  /* with the NUL, as all these */
#define BY_SIZE      128 /* who: "ann@host", for people */
#define WHY_SIZE     200 /* the operator's words */
#define UPGRADE_SIZE 33

enum control_state {
#define CONTROL(name, word) CONTROL_##name,
#include "control/control.def"
    CONTROL_STATES
};

enum change_kind {
#define CHANGE(name, word) CHANGE_##name,
#include "control/control.def"
    CHANGES
};

enum upgrade_step {
#define STEP(name, word) STEP_##name,
#include "control/control.def"
    STEPS
};

/* The upgrade that holds a queue. */
struct upgrade {
    char id[UPGRADE_SIZE]; /* "": none */
    enum upgrade_step step;
    char from[RELEASE_SIZE];
    char to[RELEASE_SIZE];
    int pid; /* of the process that runs it, told by the broker; 0: it is gone,
              * and the next one may take it over */
};

struct control {
    uint64_t epoch; /* from 1 */
    enum control_state state;
    bool accepting; /* new requests */
    char release[RELEASE_SIZE];
    uint64_t paused_epoch; /* at which the pause began that goes on; 0: OPEN */
    wall_ms since;         /* of the last pause or resume; 0: never one */
    char by[BY_SIZE];      /* who did that */
    char why[WHY_SIZE];
    struct upgrade upgrade;
    wall_ms ramp_since; /* OPEN: slots grow from here on */
    span_ms ramp;       /* over so long; 0: all are there */
};

/* What somebody wishes to be done. Members that a kind does not name are 0. */
struct change {
    enum change_kind kind;
    uint64_t expected; /* the epoch that it builds on; 0: any */
    const char *by;
    const char *why;        /* NULL: no words */
    const char *release;    /* RESUME: NULL for the same */
    span_ms ramp;           /* RESUME */
    bool force;             /* RESUME: also if an upgrade holds it */
    const char *upgrade;    /* id of the upgrade that asks; NULL: none does */
    enum upgrade_step step; /* PAUSE, STEP of an upgrade */
    const char *to;         /* PAUSE of an upgrade: the next release */
};

/* The state of a queue that is new. */
struct control control_initial(const char *release);

/* May it be? False of what was damaged where it is kept. */
bool control_is_sound(const struct control *control);

/* Does what is wished, to a sound one. 0: *control is the new state, which is
 * to be recorded. Else nothing has changed: -EALREADY: it is so already.
 * -ESTALE: expected is not its epoch. -EBUSY: an upgrade holds it. -ENOTEMPTY:
 * it is not drained, and what is wished needs that. -EINPROGRESS: a probe runs;
 * when it is over, ask again. -ECANCELED: the upgrade that asks does not hold
 * it (any more). */
int control_change(struct control *control, const struct change *change,
                   wall_ms now, struct error *err);

/* The barrier is passed: everyone who could run something is accounted for. In
 * PAUSED and PROBING only. */
void control_drain(struct control *control);

/* May a worker of that release start attempts? */
bool control_admits(const struct control *control, const char *release);

/* Of `slots`, how many a worker may use now: all, or while a ramp goes on a
 * part that grows from 1. *grows: how long until it is one more; 0: it is not.
 */
unsigned control_slots(const struct control *control, unsigned slots,
                       wall_ms now, span_ms *grows);

const char *control_state_word(enum control_state state); /* "drained" */
const char *change_word(enum change_kind kind);
const char *upgrade_step_word(enum upgrade_step step); /* "" for none */
/* False: no such word; the output is left alone. */
bool control_state_parse(const char *word, enum control_state *state);
bool upgrade_step_parse(const char *word, enum upgrade_step *step);

#endif
