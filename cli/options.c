/* options.c - reads a command's options by its table, and prints its help.
 *
 * getopt_long reads; what is wrong is told here, with the nearest option.
 */
#include "cli/cli.h"

#include <assert.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/nearest.h"
#include "common/own.h"

#define FLAGS_MAX 24

static const struct flag common_flags[] = {
    {'c', "config", "FILE", "the configuration"},
    {'v', "verbose", NULL, "log every request, too"},
    {'h', "help", NULL, "print this"},
};

static const struct {
    int end;
    const char *text;
} ends[] = {
#define END(name, code, text) {code, text},
#include "cli/exits.def"
#undef END
};

/* The i-th flag of a command, its own ones first; NULL after the last. */
static const struct flag *
command_flag(const struct command *command, size_t i)
{
    size_t own = 0;

    while (command->flags != NULL && command->flags[own].word != NULL)
        own++;
    if (i < own)
        return &command->flags[i];
    return i - own < ARRAY_LEN(common_flags) ? &common_flags[i - own] : NULL;
}

static const struct flag *
flag_of(const struct command *command, int letter)
{
    const struct flag *flag;

    for (size_t i = 0; (flag = command_flag(command, i)) != NULL; i++) {
        if (flag->letter == letter)
            return flag;
    }
    return NULL;
}

/* ---- help --------------------------------------------------------------- */

static void
print_flag(const struct flag *flag)
{
    char shape[64];
    const bool optional = flag->value != NULL && flag->value[0] == '[';

    if (optional) /* "[D]" is written --wait[=D] */
        snprintf(shape, sizeof(shape), "--%s[=%s", flag->word, flag->value + 1);
    else
        snprintf(shape, sizeof(shape), "--%s%s%s", flag->word,
                 flag->value != NULL ? " " : "",
                 flag->value != NULL ? flag->value : "");
    if (flag->letter < 256)
        printf("  -%c, %-20s %s\n", flag->letter, shape, flag->text);
    else
        printf("      %-20s %s\n", shape, flag->text);
}

static bool
command_ends(const struct command *command, int end)
{
    if (end == END_OK || end == END_FAILED || end == END_USAGE ||
        end == END_CONFIG)
        return true;
    for (const enum end *e = command->ends; e != NULL && *e != END_OK; e++) {
        if ((int)*e == end)
            return true;
    }
    return false;
}

void
command_print_help(const struct command *command)
{
    const struct flag *flag;

    printf("Usage: cloakroom %s %s\n\n%s\nOptions:\n", command->name,
           command->arguments, command->details);
    for (size_t i = 0; (flag = command_flag(command, i)) != NULL; i++) {
        if (flag->text != NULL)
            print_flag(flag);
    }
    printf("\nWithout -c the file that CLOAKROOM_CONFIG names is read, else "
           "./cloakroom.yaml,\nelse /etc/cloakroom/cloakroom.yaml.\n\n"
           "Exit codes:\n");
    for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
        if (command_ends(command, ends[i].end))
            printf("  %2d  %s\n", ends[i].end, ends[i].text);
    }
}

/* ---- mistakes ----------------------------------------------------------- */

int
command_fails(const struct command *command, int end, const char *format, ...)
{
    va_list arguments;

    fprintf(stderr, "cloakroom %s: ", command->name);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    return end;
}

static int
mistake(struct options *options, const char *what, const char *shown)
{
    options->end = command_fails(options->command, END_USAGE,
                                 "%s%s (see cloakroom %s --help)", what, shown,
                                 options->command->name);
    return OPTIONS_OVER;
}

static int
tell_unknown(struct options *options, const char *given)
{
    const char *words[FLAGS_MAX];
    char word[64];
    size_t len = 0;
    const struct flag *flag;

    for (size_t i = 0; (flag = command_flag(options->command, i)) != NULL; i++)
        if (flag->text != NULL)
            words[len++] = flag->word;
    snprintf(word, sizeof(word), "%s", given + strspn(given, "-"));
    word[strcspn(word, "=")] = '\0';
    const char *near = nearest_word(word, words, len);
    if (near == NULL)
        return mistake(options, "there is no option ", given);
    options->end =
        command_fails(options->command, END_USAGE,
                      "there is no option %s; did you mean --%s?", given, near);
    return OPTIONS_OVER;
}

/* getopt_long answered `?`: an option that is not there, or one that was given
 * a value it does not take. */
static int
tell_wrong(struct options *options)
{
    const struct flag *flag = flag_of(options->command, optopt);
    char given[3] = {'-', (char)optopt, '\0'};

    if (optopt == 0)
        return tell_unknown(options, options->argv[optind - 1]);
    if (flag == NULL)
        return tell_unknown(options, given);
    return mistake(options, "no value is taken by --", flag->word);
}

/* ---- reading ------------------------------------------------------------ */

void
options_init(struct options *options, const struct command *command, int argc,
             char **argv)
{
    *options = (struct options){
        .command = command, .argc = argc, .argv = argv, .end = -1};
    opterr = 0;
    optind = 1;
}

/* One step of getopt_long over the table. */
static int
step(const struct options *options)
{
    struct option longs[FLAGS_MAX + 1] = {0};
    char shorts[FLAGS_MAX * 3 + 2] = ":";
    size_t at = 1;
    const struct flag *flag;

    for (size_t i = 0; (flag = command_flag(options->command, i)) != NULL;
         i++) {
        assert(i < FLAGS_MAX);
        const int has = flag->value == NULL     ? no_argument
                        : flag->value[0] == '[' ? optional_argument
                                                : required_argument;
        longs[i] = (struct option){flag->word, has, NULL, flag->letter};
        if (flag->letter > 255)
            continue;
        shorts[at++] = (char)flag->letter;
        for (int colons = 0; colons < has; colons++)
            shorts[at++] = ':';
    }
    shorts[at] = '\0';
    return getopt_long(options->argc, options->argv, shorts, longs, NULL);
}

int
options_next(struct options *options)
{
    for (;;) {
        const int letter = step(options);

        options->value = optarg;
        switch (letter) {
        case -1:
            return OPTIONS_OVER;
        case 'c':
            options->config = optarg;
            break;
        case 'v':
            options->verbose = true;
            break;
        case 'h':
            command_print_help(options->command);
            options->end = END_OK;
            return OPTIONS_OVER;
        case ':':
            return mistake(options, "a value is missing after ",
                           options->argv[optind - 1]);
        case '?':
            return tell_wrong(options);
        default:
            return letter;
        }
    }
}

const char *
options_peek(const struct options *options)
{
    return optind < options->argc ? options->argv[optind] : NULL;
}

void
options_skip(struct options *options)
{
    assert(options_peek(options) != NULL);
    optind++;
}

char **
options_arguments(struct options *options, int least, int most)
{
    const int given = options->argc - optind;

    if (given >= least && given <= most)
        return options->argv + optind;
    options->end = command_fails(
        options->command, END_USAGE, "%s; usage: cloakroom %s %s",
        given < least ? "an argument is missing" : "too many arguments",
        options->command->name, options->command->arguments);
    return NULL;
}
