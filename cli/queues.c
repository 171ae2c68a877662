/* queues.c - which queues a control command is about, and who asks. */
#include "cli/queues.h"

#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/mem.h"
#include "ingress/wish.h"

static void
add(struct queues *queues, unsigned queue)
{
    for (size_t i = 0; i < queues->len; i++) {
        if (queues->list[i] == queue)
            return;
    }
    queues->list =
        mem_grow(queues->list, queues->len + 1, sizeof(*queues->list));
    queues->list[queues->len++] = queue;
}

int
queues_tell_unknown(const struct command *command,
                    const struct settings *settings, const char *name)
{
    char hint[HINT_SIZE];

    return command_fails(command, END_USAGE, "%s has no queue `%s`; %s",
                         settings->path, name,
                         settings_queue_hint(settings, name, hint));
}

int
queues_choose(const struct command *command, const struct settings *settings,
              char *const *names, size_t len, bool all, struct queues *out)
{
    struct queues queues = {0};

    if (all && len > 0)
        return command_fails(command, END_USAGE,
                             "either queues or --all, not both");
    if (len == 0 && !all && settings->queues_len > 1)
        return command_fails(command, END_USAGE,
                             "%s has %zu queues: name some, or say --all",
                             settings->path, settings->queues_len);
    for (size_t i = 0; i < len; i++) {
        const int queue = settings_queue(settings, names[i]);
        if (queue < 0) {
            queues_fini(&queues);
            return queues_tell_unknown(command, settings, names[i]);
        }
        add(&queues, (unsigned)queue);
    }
    for (unsigned i = 0; len == 0 && i < settings->queues_len; i++)
        add(&queues, i);
    *out = queues;
    return -1;
}

int
queues_load(const struct options *options, char *const *names, size_t len,
            bool all, struct settings **settings, struct queues *out)
{
    int end;

    *settings = config_load(options, &end);
    return *settings == NULL ? end
                             : queues_choose(options->command, *settings, names,
                                             len, all, out);
}

void
queues_fini(struct queues *queues)
{
    free(queues->list);
    *queues = (struct queues){0};
}

const char *
queues_operator(const char *named, char by[BY_SIZE])
{
    const char *name = getenv("SUDO_USER");
    const struct passwd *user = getpwuid(getuid());
    char host[65] = "localhost";

    if (name == NULL || name[0] == '\0')
        name = user != NULL ? user->pw_name : "somebody";
    gethostname(host, sizeof(host) - 1);
    if (named != NULL)
        snprintf(by, BY_SIZE, "%s", named);
    else
        snprintf(by, BY_SIZE, "%.50s@%s", name, host);
    /* The name may be anything, also a letter that was cut. */
    if (wish_check_words(by, NULL) < 0) {
        for (char *at = by; *at != '\0'; at++)
            if ((unsigned char)*at < ' ' || (unsigned char)*at >= 0x7f)
                *at = '?';
    }
    return by;
}

int
queues_check_reason(const struct command *command, const char *words)
{
    struct error err;

    if (wish_check_words(words, &err) < 0)
        return command_fails(command, END_USAGE, "--reason: %s", err.text);
    return -1;
}
