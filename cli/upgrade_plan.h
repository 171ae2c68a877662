/* upgrade_plan.h - what an upgrade finds: it begins, goes on, or is not to be.
 *
 * Its progress is in the control states of its queues, not in a process; so a
 * killed one is gone on with by whoever asks for the same again: the same
 * release, the same queues. A queue that is of that release already is left
 * alone.
 *
 * Threads: any; pure.
 */
#ifndef CLI_UPGRADE_PLAN_H
#define CLI_UPGRADE_PLAN_H

#include "cli/queues.h"
#include "control/control.h"

/* What is asked for. */
struct upgrade_wish {
    const char *to;
    const char *migrate; /* lines of shell; NULL: none, as the next two */
    const char *verify;
    const char *rollback;
    const char *reason; /* NULL: no words */
    const char *by;     /* NULL: who runs the command */
    span_ms timeout;    /* for the barrier, and for the workers */
    span_ms ramp;
    bool kill;
    uint64_t expected; /* of one queue: the epoch at which it is to begin; 0:
                        * any */
};

enum upgrade_found { UPGRADE_BEGINS, UPGRADE_GOES_ON, UPGRADE_IS_THERE };

struct upgrade_plan {
    enum upgrade_found found;
    struct queues queues;   /* that take part, as they were asked for */
    struct queues there;    /* of the release already */
    char id[UPGRADE_SIZE];  /* GOES_ON: of the killed one; else "" */
    enum upgrade_step step; /* from which on; BEGINS: PAUSING */
    int pid;                /* of -EBUSY */
};

/* controls: of all queues of the settings. 0, or a sentence in err:
 * -EBUSY: a process runs an upgrade of one of the queues.
 * -EPERM: a killed upgrade holds them which is another one, or which was killed
 * in a command that is not given now. */
int upgrade_plan_make(const struct settings *settings,
                      const struct control *controls,
                      const struct queues *asked,
                      const struct upgrade_wish *wish, struct upgrade_plan *out,
                      struct error *err);
void upgrade_plan_fini(struct upgrade_plan *plan);

/* "hits", "hits and orders", "a, b and c": the caller's. */
char *upgrade_names(const struct settings *settings,
                    const struct queues *queues);
/* As words of a command line, each once: the caller's. */
char *upgrade_words(const struct settings *settings,
                    const struct queues *queues);

#endif
