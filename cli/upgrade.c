/* upgrade.c - cloakroom upgrade: from one release to another, or back. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli/ask.h"
#include "cli/child.h"
#include "cli/cli.h"
#include "cli/upgrade_run.h"
#include "common/asked.h"
#include "common/log.h"
#include "common/mem.h"

#define TIMEOUT    ((span_ms)5 * 60 * 1000)
/* A process that was killed has a few milliseconds still, and what its commands
 * left is killed meanwhile. */
#define OWNER_DIES ((span_ms)1000)
#define REST_DIES  ((span_ms)10000)
#define LOOK_EVERY ((span_ms)50)

enum {
    FLAG_TO = 256,
    FLAG_MIGRATE,
    FLAG_VERIFY,
    FLAG_ROLLBACK,
    FLAG_RAMP,
    FLAG_KILL,
    FLAG_ALL,
    FLAG_EXPECT,
    FLAG_BY
};

static const struct flag flags[] = {
    {FLAG_TO, "to", "LABEL", "the next release"},
    {FLAG_MIGRATE, "migrate", "CMD", "run this while nothing runs"},
    {FLAG_VERIFY, "verify", "CMD", "run this before the queues are opened"},
    {FLAG_ROLLBACK, "rollback", "CMD", "run this when a step failed"},
    {'t', "timeout", "D",
     "for the drain, and for the workers to come (5m each)"},
    {FLAG_KILL, "kill", NULL, "end the attempts that run"},
    {FLAG_RAMP, "ramp", "D", "let the backlog in gradually, over D"},
    {'r', "reason", "TEXT", "why, for all who ask"},
    {FLAG_ALL, "all", NULL, "all queues"},
    {FLAG_EXPECT, "expect", "EPOCH", NULL}, /* begin at no other one */
    {FLAG_BY, "by", "WHO", NULL},
    CHILD_FLAGS,
    {0},
};

static const enum end ends[] = {END_UNREACHABLE, END_STORE, END_OK};

struct asked_for {
    const struct options *options;
    struct child_end child;
    struct upgrade_wish wish;
    char *const *names;
    size_t names_len;
    bool all;
};

/* ---- what is there ------------------------------------------------------- */

static int
read_controls(struct broker *broker, const struct settings *settings,
              struct control *controls, struct error *err)
{
    int r = 0;

    for (unsigned i = 0; i < settings->queues_len && r == 0; i++)
        r = broker_control(broker, i, &controls[i], err);
    return r;
}

static int
make_plan(struct broker *broker, const struct settings *settings,
          const struct queues *queues, const struct upgrade_wish *wish,
          struct upgrade_plan *plan, struct error *err)
{
    struct control *controls =
        mem_zalloc(settings->queues_len * sizeof(*controls));
    int r = read_controls(broker, settings, controls, err);

    *plan = (struct upgrade_plan){0};
    if (r == 0)
        r = upgrade_plan_make(settings, controls, queues, wish, plan, err);
    free(controls);
    return r;
}

static void
tell_remains(int pid)
{
    printf("waits until nothing is left of the killed process %d\n", pid);
    fflush(stdout);
}

/* Waits for one that is just being killed. */
static int
await_plan(struct broker *broker, const struct settings *settings,
           const struct queues *queues, const struct upgrade_wish *wish,
           struct upgrade_plan *plan, struct error *err)
{
    const mono_ms start = clock_mono();
    bool told = false;

    for (;;) {
        int r = make_plan(broker, settings, queues, wish, plan, err);
        if (r != -EBUSY || plan->pid == 0)
            return r;
        const bool is_gone = kill(plan->pid, 0) < 0 && errno == ESRCH;
        if (clock_mono() - start > (is_gone ? REST_DIES : OWNER_DIES))
            return r;
        if (is_gone && !told)
            tell_remains(plan->pid);
        told = told || is_gone;
        upgrade_plan_fini(plan);
        nanosleep(&(struct timespec){.tv_nsec = LOOK_EVERY * 1000000}, NULL);
    }
}

/* The files of the next release; of one that goes back nothing is needed. */
static int
check_files(const struct settings *settings, const struct upgrade_plan *plan,
            const char *to)
{
    int r = 0;

    for (size_t i = 0; i < plan->queues.len; i++) {
        if (plan->step != STEP_ROLLING_BACK &&
            settings_check_program(settings, plan->queues.list[i], to, stderr) <
                0)
            r = -ENOENT;
    }
    return r;
}

static void
tell_there(const struct settings *settings, const struct upgrade_plan *plan,
           const char *to)
{
    if (plan->there.len == 0)
        return;
    char *names = upgrade_names(settings, &plan->there);
    printf("%s %s of release %s already\n", names,
           plan->there.len == 1 ? "is" : "are", to);
    fflush(stdout);
    free(names);
}

/* ---- the command --------------------------------------------------------- */

static int
carry_out(const struct asked_for *asked, const struct settings *settings,
          struct broker *broker, const struct queues *queues, int signals)
{
    const struct command *command = asked->options->command;
    struct upgrade_plan plan;
    struct error err;
    int end = END_OK;
    int r = await_plan(broker, settings, queues, &asked->wish, &plan, &err);

    if (r < 0) {
        end = command_fails(command,
                            r == -EBUSY || r == -EPERM ? END_FAILED : end_of(r),
                            "%s", err.text);
    } else if (check_files(settings, &plan, asked->wish.to) < 0) {
        end = command_fails(command, END_FAILED,
                            "the files of release %s are not all there; "
                            "nothing was done",
                            asked->wish.to);
    } else {
        tell_there(settings, &plan, asked->wish.to);
        if (plan.found != UPGRADE_IS_THERE)
            end = upgrade_run(&(struct upgrade_run_options){
                .command = command,
                .settings = settings,
                .broker = broker,
                .wish = &asked->wish,
                .plan = &plan,
                .signals = signals,
            });
    }
    upgrade_plan_fini(&plan);
    return end;
}

static int
open_and_run(const struct asked_for *asked, int signals)
{
    const struct command *command = asked->options->command;
    OWNED(settings) settings = NULL;
    OWNED(ask) ask = NULL;
    struct queues queues;
    struct error err;
    int end = queues_load(asked->options, asked->names, asked->names_len,
                          asked->all, &settings, &queues);

    if (end >= 0)
        return end;
    int r = ask_open_guarded(settings, &ask, &err);
    end = r < 0 ? command_fails(command, end_of_open(r), "%s", err.text)
                : carry_out(asked, settings, ask_broker(ask), &queues, signals);
    queues_fini(&queues);
    return end;
}

/* -1, or the exit code after a mistake. */
static int
take_flag(struct asked_for *asked, int flag, const char *value)
{
    struct upgrade_wish *wish = &asked->wish;
    struct error err;
    int r = 0;

    switch (flag) {
    case FLAG_TO:
        wish->to = value;
        r = settings_check_release(value, &err);
        break;
    case FLAG_MIGRATE:
        wish->migrate = value;
        break;
    case FLAG_VERIFY:
        wish->verify = value;
        break;
    case FLAG_ROLLBACK:
        wish->rollback = value;
        break;
    case 't':
        r = settings_parse_span(value, &wish->timeout, &err);
        break;
    case FLAG_RAMP:
        r = settings_parse_span(value, &wish->ramp, &err);
        break;
    case 'r':
        wish->reason = value;
        break;
    case FLAG_KILL:
        wish->kill = true;
        break;
    case FLAG_ALL:
        asked->all = true;
        break;
    case FLAG_EXPECT:
        wish->expected = strtoull(value, NULL, 10);
        break;
    case FLAG_BY:
        wish->by = value;
        break;
    default:
        child_take_flag(&asked->child, flag, value);
    }
    if (r == 0)
        return -1;
    return command_fails(asked->options->command, END_USAGE, "--%s: %s",
                         flag == FLAG_TO ? "to"
                         : flag == 't'   ? "timeout"
                                         : "ramp",
                         err.text);
}

static int
run(const struct command *command, int argc, char **argv)
{
    struct options options;
    struct asked_for asked = {
        .options = &options, .child = CHILD_END_INIT, .wish.timeout = TIMEOUT};

    options_init(&options, command, argc, argv);
    for (int flag; (flag = options_next(&options)) != OPTIONS_OVER;) {
        const int end = take_flag(&asked, flag, options.value);
        if (end >= 0)
            return end;
    }
    if (options.end >= 0 ||
        (asked.names = options_arguments(&options, 0, argc)) == NULL)
        return options.end;
    while (asked.names[asked.names_len] != NULL)
        asked.names_len++;
    if (asked.wish.to == NULL)
        return command_fails(command, END_USAGE,
                             "to which release? (--to LABEL)");
    if (asked.wish.reason != NULL) {
        const int end = queues_check_reason(command, asked.wish.reason);
        if (end >= 0)
            return end;
    }
    log_init_command("upgrade", options.verbose);
    signal(SIGPIPE, SIG_IGN); /* who reads our lines may go away */
    const int signals = asked_open();
    if (child_follow(&asked.child) < 0)
        return END_FAILED;
    if (signals < 0)
        return command_fails(command, END_FAILED, "signalfd: %s",
                             strerror(-signals));
    const int end = open_and_run(&asked, signals);
    close(signals);
    return end;
}

const struct command upgrade_command = {
    .name = "upgrade",
    .arguments = "[-c FILE] --to LABEL [options] [QUEUE... | --all]",
    .summary = "take queues from one release to the next, or back",
    .details =
        "Pauses the queues and waits until nothing runs in them (clients are "
        "not turned\naway meanwhile); runs --migrate; waits for workers of the "
        "next release, which\n`cloakroom up` starts; runs --verify; opens the "
        "queues for that release. When a\nstep fails, on ^C too, it runs "
        "--rollback (if anything was begun that may need\nit), opens the "
        "queues for the release they had, says in a line where it stopped,\n"
        "and exits with 1. Where --rollback fails the queues stay paused.\n\n"
        "The commands run by `sh -c` in the current directory, with no input, "
        "and with\nCLOAKROOM_CONFIG, CLOAKROOM_QUEUES, CLOAKROOM_FROM (of each "
        "queue, where they\ndiffer), CLOAKROOM_TO and CLOAKROOM_EPOCH (of "
        "each queue's pause) in the\nenvironment; `cloakroom probe` needs no "
        "more. They and all their processes die\nwith the upgrade, and with "
        "their own end. So they must be safe to repeat: killed\nat any point, "
        "run the same upgrade again, and it goes on where it was.\n\n"
        "Example: cloakroom upgrade hits --to v2 --migrate ./migrate.sh "
        "--rollback ./undo\n",
    .flags = flags,
    .ends = ends,
    .run = run,
};
