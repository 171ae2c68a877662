/* upgrade_command.c - runs the commands of an upgrade, which die with it. */
#include "cli/upgrade_priv.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/show.h"
#include "common/mem.h"
#include "workers/shell.h"

static enum shell_wish
on_ask(void *opaque)
{
    struct upgrading *run = opaque;

    if (upgrade_heed(run, NULL) < 0)
        return SHELL_END;
    return upgrade_check_hold(run, &run->lost) == -ECANCELED ? SHELL_KILL
                                                             : SHELL_GO_ON;
}

enum { ENV_CONFIG, ENV_QUEUES, ENV_FROM, ENV_TO, ENV_EPOCH, ENVS };

/* Adds a word to a variable that lists them. */
static void
add_word(char **variable, const char *word)
{
    const size_t len = strlen(*variable);
    char *longer = mem_printf("%s%s%s", *variable,
                              (*variable)[len - 1] == '=' ? "" : " ", word);

    free(*variable);
    *variable = longer;
}

static void
make_environment(const struct upgrading *run, char *added[ENVS + 1])
{
    char *config = realpath(run->options->settings->path, NULL);
    const struct control *controls = run->controls;
    bool same = true;

    added[ENV_CONFIG] =
        mem_printf("CLOAKROOM_CONFIG=%s",
                   config != NULL ? config : run->options->settings->path);
    added[ENV_TO] = mem_printf("CLOAKROOM_TO=%s", run->options->wish->to);
    added[ENV_QUEUES] = mem_strdup("CLOAKROOM_QUEUES=");
    added[ENV_FROM] = mem_strdup("CLOAKROOM_FROM=");
    added[ENV_EPOCH] = mem_strdup("CLOAKROOM_EPOCH=");
    added[ENVS] = NULL;
    for (size_t i = 1; i < run->queues->len; i++)
        same = same &&
               strcmp(controls[i].upgrade.from, controls[0].upgrade.from) == 0;
    for (size_t i = 0; i < run->queues->len; i++) {
        char epoch[24];
        snprintf(epoch, sizeof(epoch), "%" PRIu64, controls[i].paused_epoch);
        add_word(&added[ENV_QUEUES], upgrade_name(run, i));
        add_word(&added[ENV_EPOCH], epoch);
        if (i == 0 || !same)
            add_word(&added[ENV_FROM], controls[i].upgrade.from);
    }
    free(config);
}

static int
judge_command(struct upgrading *run, const char *line,
              const struct shell_end *end, struct error *err)
{
    if (run->lost.code == -ECANCELED)
        return error_set(err, -ECANCELED, "%s", run->lost.text);
    if (end->by_wish)
        return upgrade_heed(run, err);
    if (end->status > 0)
        return error_set(err, -EPROTO, "`%s` exited with %d", line,
                         end->status);
    if (end->status < 0)
        return error_set(err, -EPROTO, "`%s` was killed by SIG%s", line,
                         sigabbrev_np(end->signal));
    return upgrade_heed(run, err);
}

/* 0: it exited with 0, and nothing told us to stop meanwhile. */
int
upgrade_run_command(struct upgrading *run, const char *line, struct error *err)
{
    const mono_ms start = clock_mono();
    char *added[ENVS + 1], span[SHOW_SPAN_SIZE];
    const struct shell_options options = {
        .line = line,
        .added = added,
        .guard = broker_guard(run->options->broker),
        .ask = on_ask,
        .wake_fd = run->options->signals,
        .opaque = run,
    };
    struct shell_end end;

    if (isatty(STDOUT_FILENO))
        upgrade_say(run, "`%s` runs", line);
    run->lost.code = 0;
    make_environment(run, added);
    int r = shell_run(&options, &end, err);
    for (size_t i = 0; i < ENVS; i++)
        free(added[i]);
    if (r < 0)
        return error_wrap(err, r, "`%s`", line);
    r = judge_command(run, line, &end, err);
    if (r == 0)
        upgrade_say(run, "`%s` was done after %s", line,
                    show_span(clock_mono() - start, span));
    return r;
}
