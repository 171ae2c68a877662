/* upgrade_plan.c - what an upgrade finds: it begins, goes on, or is not to be.
 */
#include "cli/upgrade_plan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"

struct finding {
    const struct settings *settings;
    const struct control *controls;
    const struct queues *asked;
    const struct upgrade_wish *wish;
    struct upgrade_plan *plan;
    int holder; /* the first queue that an upgrade holds; -1: none */
    int free;   /* the first one that none holds and that is to be upgraded */
};

static void
put(struct queues *queues, unsigned queue)
{
    queues->list[queues->len++] = queue;
}

static const char *
name_of(const struct finding *finding, int queue)
{
    return finding->settings->queues[queue].name;
}

/* ---- held queues --------------------------------------------------------- */

/* A queue that some upgrade holds: is it ours to go on with? */
static int
take_held(struct finding *finding, unsigned queue, struct error *err)
{
    const struct upgrade *upgrade = &finding->controls[queue].upgrade;
    const char *name = finding->settings->queues[queue].name;
    struct upgrade_plan *plan = finding->plan;

    if (upgrade->pid != 0) {
        plan->pid = upgrade->pid;
        return error_set(err, -EBUSY,
                         "an upgrade of queue %s to release %s is run by "
                         "process %d (%s)",
                         name, upgrade->to, upgrade->pid,
                         upgrade_step_word(upgrade->step));
    }
    if (strcmp(upgrade->to, finding->wish->to) != 0)
        return error_set(
            err, -EPERM,
            "queue %s is held by an unfinished upgrade to release %s "
            "(%s): run that one again to end it, or `cloakroom "
            "resume --force %s`",
            name, upgrade->to, upgrade_step_word(upgrade->step), name);
    if (finding->holder < 0) {
        finding->holder = (int)queue;
        plan->step = upgrade->step;
        snprintf(plan->id, sizeof(plan->id), "%s", upgrade->id);
    }
    if (strcmp(upgrade->id, plan->id) != 0)
        return error_set(
            err, -EPERM,
            "queues %s and %s are held by two unfinished upgrades: "
            "run each again to end it",
            name_of(finding, finding->holder), name);
    put(&plan->queues, queue);
    return 0;
}

static bool
is_asked(const struct finding *finding, unsigned queue)
{
    for (size_t i = 0; i < finding->asked->len; i++) {
        if (finding->asked->list[i] == queue)
            return true;
    }
    return false;
}

/* The killed one has the same queues, but for those that were resumed by force
 * since. */
static int
check_queues(const struct finding *finding, struct error *err)
{
    const char *holder = name_of(finding, finding->holder);

    if (finding->free >= 0)
        return error_set(
            err, -EPERM,
            "queue %s is held by an unfinished upgrade, queue %s is not, or "
            "not "
            "any "
            "more: run it again without %s, or `cloakroom resume --force %s`",
            holder, name_of(finding, finding->free),
            name_of(finding, finding->free), holder);
    for (unsigned i = 0; i < finding->settings->queues_len; i++) {
        if (strcmp(finding->controls[i].upgrade.id, finding->plan->id) == 0 &&
            !is_asked(finding, i))
            return error_set(
                err, -EPERM,
                "the unfinished upgrade of queue %s holds queue %s, "
                "too: name both",
                holder, name_of(finding, (int)i));
    }
    return 0;
}

/* Was it killed in a command? Then that is to be run again. */
static int
check_line(const struct finding *finding, struct error *err)
{
    static const char *const flags[STEPS] = {
        [STEP_MIGRATING] = "--migrate",
        [STEP_VERIFYING] = "--verify",
        [STEP_ROLLING_BACK] = "--rollback",
    };
    const struct upgrade_wish *wish = finding->wish;
    const char *const lines[STEPS] = {
        [STEP_MIGRATING] = wish->migrate,
        [STEP_VERIFYING] = wish->verify,
        [STEP_ROLLING_BACK] = wish->rollback,
    };
    const enum upgrade_step step = finding->plan->step;

    if (flags[step] == NULL || lines[step] != NULL)
        return 0;
    return error_set(err, -EPERM,
                     "the upgrade of queue %s ended in %s: give %s again "
                     "(`%s true` if nothing is left to be done)",
                     name_of(finding, finding->holder), upgrade_step_word(step),
                     flags[step], flags[step]);
}

/* ---- the plan ------------------------------------------------------------ */

static int
find(struct finding *finding, struct error *err)
{
    struct upgrade_plan *plan = finding->plan;
    int r = 0;

    for (size_t i = 0; i < finding->asked->len && r == 0; i++) {
        const unsigned queue = finding->asked->list[i];
        const struct control *control = &finding->controls[queue];
        if (control->upgrade.id[0] != '\0') {
            r = take_held(finding, queue, err);
        } else if (strcmp(control->release, finding->wish->to) == 0) {
            put(&plan->there, queue);
        } else {
            put(&plan->queues, queue);
            if (finding->free < 0)
                finding->free = (int)queue;
        }
    }
    if (r < 0)
        return r;
    if (finding->holder < 0) {
        plan->found = plan->queues.len == 0 ? UPGRADE_IS_THERE : UPGRADE_BEGINS;
        return 0;
    }
    plan->found = UPGRADE_GOES_ON;
    r = check_queues(finding, err);
    return r < 0 ? r : check_line(finding, err);
}

int
upgrade_plan_make(const struct settings *settings,
                  const struct control *controls, const struct queues *asked,
                  const struct upgrade_wish *wish, struct upgrade_plan *out,
                  struct error *err)
{
    struct finding finding = {
        .settings = settings,
        .controls = controls,
        .asked = asked,
        .wish = wish,
        .plan = out,
        .holder = -1,
        .free = -1,
    };

    *out = (struct upgrade_plan){
        .step = STEP_PAUSING,
        .queues.list = mem_zalloc((asked->len + 1) * sizeof(unsigned)),
        .there.list = mem_zalloc((asked->len + 1) * sizeof(unsigned)),
    };
    return find(&finding, err);
}

void
upgrade_plan_fini(struct upgrade_plan *plan)
{
    queues_fini(&plan->queues);
    queues_fini(&plan->there);
}

/* ---- names --------------------------------------------------------------- */

static char *
join(const struct settings *settings, const struct queues *queues,
     const char *comma, const char *last)
{
    char *text = mem_strdup("");

    for (size_t i = 0; i < queues->len; i++) {
        const char *between = i == 0 ? "" : i + 1 == queues->len ? last : comma;
        char *longer = mem_printf("%s%s%s", text, between,
                                  settings->queues[queues->list[i]].name);
        free(text);
        text = longer;
    }
    return text;
}

char *
upgrade_names(const struct settings *settings, const struct queues *queues)
{
    return join(settings, queues, ", ", " and ");
}

char *
upgrade_words(const struct settings *settings, const struct queues *queues)
{
    return join(settings, queues, " ", " ");
}
