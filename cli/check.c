/* check.c - cloakroom check: is the configuration right? Changes nothing. */
#include <stdio.h>

#include "cli/cli.h"

enum { FLAG_DEFAULTS = 256, FLAG_REFERENCE };

static const struct flag flags[] = {
    {FLAG_DEFAULTS, "defaults", NULL,
     "print every setting with its default, as YAML"},
    {FLAG_REFERENCE, "reference", NULL,
     "print the reference of the settings, as Markdown"},
    {0},
};

/* What is checked when nothing else was asked for. */
static int
check_file(const struct options *options)
{
    struct settings *settings;
    int end;

    settings = config_load(options, &end);
    if (settings == NULL)
        return end;
    if (settings_check_programs(settings, stderr) < 0) {
        settings_free(settings);
        return END_CONFIG;
    }
    printf("%s: good: %zu route%s, %zu queue%s\n", settings->path,
           settings->routes_len, settings->routes_len == 1 ? "" : "s",
           settings->queues_len, settings->queues_len == 1 ? "" : "s");
    settings_free(settings);
    return END_OK;
}

static int
run(const struct command *command, int argc, char **argv)
{
    struct options options;
    void (*print)(FILE *) = NULL;

    options_init(&options, command, argc, argv);
    for (int flag; (flag = options_next(&options)) != OPTIONS_OVER;)
        print = flag == FLAG_DEFAULTS ? settings_print_defaults
                                      : settings_print_reference;
    if (options.end >= 0 || options_arguments(&options, 0, 0) == NULL)
        return options.end;
    if (print == NULL)
        return check_file(&options);
    print(stdout);
    return END_OK;
}

const struct command check_command = {
    .name = "check",
    .arguments = "[-c FILE] [--defaults | --reference]",
    .summary = "tell whether the configuration is right",
    .details = "Reads the configuration and tells every mistake at once, each "
               "with its file,\nline and key. The programs that it names must "
               "be there. Starts and changes nothing.\n\n"
               "Example: cloakroom check -c examples/hits/cloakroom.yaml\n",
    .flags = flags,
    .run = run,
};
