/* queues.h - which queues a control command is about, and who asks.
 *
 * Threads: the main thread.
 */
#ifndef CLI_QUEUES_H
#define CLI_QUEUES_H

#include "cli/cli.h"
#include "control/control.h"

/* Queues by index in the settings, each once. */
struct queues {
    unsigned *list; /* freed by queues_fini */
    size_t len;
};

/* The named ones; all of them; or, with neither, the only one there is. -1, or
 * the exit code after a mistake was told (an unknown name, none of several). */
int queues_choose(const struct command *command,
                  const struct settings *settings, char *const *names,
                  size_t len, bool all, struct queues *out);
/* The same from the configuration that the options name, which is read first
 * and the caller's to free, also where a mistake was told. */
int queues_load(const struct options *options, char *const *names, size_t len,
                bool all, struct settings **settings, struct queues *out);
void queues_fini(struct queues *queues);

/* Tells that there is no queue of that name, and the nearest. The exit code. */
int queues_tell_unknown(const struct command *command,
                        const struct settings *settings, const char *name);

/* Who it is by: the one who is named, or (NULL) who runs this command, also
 * through sudo, as "ann@host". Good for the record. */
const char *queues_operator(const char *named, char by[BY_SIZE]);

/* Are these words good for the record (wish_check_words)? -1, or the exit code
 * after the mistake was told. */
int queues_check_reason(const struct command *command, const char *words);

#endif
