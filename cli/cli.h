/* cli.h - what a command of cloakroom is: its words, its options, its end.
 *
 * Each command is one file with one `struct command`; main.c lists them. The
 * tables here make `--help`, the parsing and the suggestions alike.
 *
 * Threads: the main thread.
 */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include <stdbool.h>
#include <stddef.h>

#include "common/error.h"
#include "common/settings.h"

enum end {
#define END(name, code, text) END_##name = (code),
#include "cli/exits.def"
#undef END
};

/* One option of a command; a table of them ends with an empty one. */
struct flag {
    int letter;        /* what options_next gives; above 255: no short form */
    const char *word;  /* "data" */
    const char *value; /* "FILE"; "[D]" when it may be left out; NULL: none */
    const char *text;  /* for --help; NULL: not shown */
};

struct command {
    const char *name;
    const char *arguments; /* "[options] TICKET" */
    const char *summary;   /* a line in the list of commands; NULL: hidden */
    const char *details;   /* for --help: what it does, and an example */
    const struct flag *flags;
    const enum end *ends; /* those it has beside 0, 1, 2 and 78; 0-ended */
    int (*run)(const struct command *command, int argc, char **argv);
};

extern const struct command up_command, ingress_command, worker_command,
    submit_command, wait_command, status_command, pause_command, resume_command,
    refuse_command, accept_command, probe_command, upgrade_command,
    history_command, check_command, topics_command, move_command,
    spawner_command, follow_command;

/* ---- options ------------------------------------------------------------ */

/* The options of one call: -c, -v and -h are known to all commands. */
struct options {
    const struct command *command;
    int argc;
    char **argv;
    const char *value;  /* of the option just given; NULL when left out */
    const char *config; /* -c FILE, or NULL */
    bool verbose;
    int end; /* -1: go on. Else the command is over, with this exit code */
};

#define OPTIONS_OVER (-1)

void options_init(struct options *options, const struct command *command,
                  int argc, char **argv);
/* The letter of the next option of the command's own, or OPTIONS_OVER: then
 * `end` says whether to go on (it is set after --help and after mistakes, which
 * have been told). */
int options_next(struct options *options);
/* The word behind the option just given, or NULL; and steps over it. */
const char *options_peek(const struct options *options);
void options_skip(struct options *options);
/* After the last option: the arguments that are none. Tells a mistake and
 * returns NULL when there are not between least and most of them. */
char **options_arguments(struct options *options, int least, int most);

void command_print_help(const struct command *command);
/* "cloakroom COMMAND: sentence" on stderr, and returns end. */
int command_fails(const struct command *command, int end, const char *format,
                  ...) __attribute__((format(printf, 3, 4)));
/* The exit code for a result of ours; and for one of opening the store, where
 * what is refused is the directory. */
int end_of(int r);
int end_of_open(int r);
/* For a process that logs: why it cannot go on. The exit code. */
int process_fails(int r, const struct error *err);

/* ---- configuration ------------------------------------------------------ */

/* The file to read: `given` if there is one, else what CLOAKROOM_CONFIG names
 * if that is set, else ./cloakroom.yaml, else /etc/cloakroom/cloakroom.yaml.
 * NULL: there is none, and err names what was tried. */
const char *config_find(const char *given, struct error *err);
/* Finds, reads and checks it; every mistake is told on stderr. NULL: there
 * was one, and *end is the exit code. */
struct settings *config_load(const struct options *options, int *end);

extern const char *const cli_version;

#endif
