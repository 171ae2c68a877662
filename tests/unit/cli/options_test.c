/* options_test.c - a command's options by its table. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "tests/unit/test.h"

enum { FLAG_WAIT = 256 };

static const struct flag flags[] = {
    {'d', "data", "FILE", "the body"},
    {FLAG_WAIT, "wait", "[D]", "waits"},
    {900, "hidden", "PID", NULL},
    {0},
};

static const struct command command = {
    .name = "test",
    .arguments = "PATH",
    .details = "For tests.\n",
    .flags = flags,
};

/* What stood on stderr since the test began. */
static char told[4096];
static FILE *caught;

static void
catch_stderr(void)
{
    caught = tmpfile();
    ck_assert_ptr_nonnull(caught);
    ck_assert_int_ge(dup2(fileno(caught), STDERR_FILENO), 0);
}

static const char *
caught_text(void)
{
    ssize_t len = pread(fileno(caught), told, sizeof(told) - 1, 0);

    ck_assert_int_ge(len, 0);
    told[len] = '\0';
    fclose(caught);
    return told;
}

/* The words of a command line, behind the command's own name. */
static void
begin(struct options *options, const char *line)
{
    static char words[200];
    static char *argv[20];
    int argc = 0;

    snprintf(words, sizeof(words), "test %s", line);
    for (char *word = strtok(words, " "); word != NULL;
         word = strtok(NULL, " "))
        argv[argc++] = word;
    argv[argc] = NULL;
    options_init(options, &command, argc, argv);
}

START_TEST(values_come_with_their_option)
{
    struct options options;

    begin(&options, "-d file /path --wait=3s --wait");
    ck_assert_int_eq(options_next(&options), 'd');
    ck_assert_str_eq(options.value, "file");
    ck_assert_int_eq(options_next(&options), FLAG_WAIT);
    ck_assert_str_eq(options.value, "3s");
    ck_assert_int_eq(options_next(&options), FLAG_WAIT);
    ck_assert_ptr_null(options.value);
    ck_assert_int_eq(options_next(&options), OPTIONS_OVER);
    ck_assert_int_eq(options.end, -1);
    char **arguments = options_arguments(&options, 1, 1);
    ck_assert_ptr_nonnull(arguments);
    ck_assert_str_eq(arguments[0], "/path");
}
END_TEST

START_TEST(the_word_behind_can_be_taken)
{
    struct options options;

    begin(&options, "--wait 3s /path");
    ck_assert_int_eq(options_next(&options), FLAG_WAIT);
    ck_assert_str_eq(options_peek(&options), "3s");
    options_skip(&options);
    ck_assert_int_eq(options_next(&options), OPTIONS_OVER);
    ck_assert_str_eq(options_arguments(&options, 1, 1)[0], "/path");
}
END_TEST

START_TEST(common_options_are_known_to_all)
{
    struct options options;

    begin(&options, "-c file.yaml -v");
    ck_assert_int_eq(options_next(&options), OPTIONS_OVER);
    ck_assert_int_eq(options.end, -1);
    ck_assert_str_eq(options.config, "file.yaml");
    ck_assert(options.verbose);
}
END_TEST

START_TEST(a_wrong_option_is_told_with_the_nearest)
{
    struct options options;

    catch_stderr();
    begin(&options, "--dtaa=x");
    ck_assert_int_eq(options_next(&options), OPTIONS_OVER);
    ck_assert_int_eq(options.end, END_USAGE);
    ck_assert_ptr_nonnull(strstr(caught_text(), "did you mean --data?"));
}
END_TEST

START_TEST(a_hidden_option_is_no_suggestion)
{
    struct options options;

    catch_stderr();
    begin(&options, "--hiden");
    ck_assert_int_eq(options_next(&options), OPTIONS_OVER);
    ck_assert_int_eq(options.end, END_USAGE);
    ck_assert_ptr_null(strstr(caught_text(), "--hidden"));
}
END_TEST

START_TEST(a_missing_value_is_told)
{
    struct options options;

    catch_stderr();
    begin(&options, "--data");
    ck_assert_int_eq(options_next(&options), OPTIONS_OVER);
    ck_assert_int_eq(options.end, END_USAGE);
    ck_assert_ptr_nonnull(strstr(caught_text(), "missing after --data"));
}
END_TEST

START_TEST(a_value_for_a_flag_is_told)
{
    struct options options;

    catch_stderr();
    begin(&options, "--verbose=2");
    ck_assert_int_eq(options_next(&options), OPTIONS_OVER);
    ck_assert_int_eq(options.end, END_USAGE);
    ck_assert_ptr_nonnull(strstr(caught_text(), "--verbose"));
}
END_TEST

START_TEST(too_few_and_too_many_arguments_are_usage)
{
    struct options options;

    catch_stderr();
    begin(&options, "-v");
    ck_assert_int_eq(options_next(&options), OPTIONS_OVER);
    ck_assert_ptr_null(options_arguments(&options, 1, 1));
    ck_assert_int_eq(options.end, END_USAGE);

    begin(&options, "/one /two");
    ck_assert_int_eq(options_next(&options), OPTIONS_OVER);
    ck_assert_ptr_null(options_arguments(&options, 1, 1));
    ck_assert_int_eq(options.end, END_USAGE);
    ck_assert_ptr_nonnull(strstr(caught_text(), "too many arguments"));
}
END_TEST

TESTS("cli", "options", values_come_with_their_option,
      the_word_behind_can_be_taken, common_options_are_known_to_all,
      a_wrong_option_is_told_with_the_nearest, a_hidden_option_is_no_suggestion,
      a_missing_value_is_told, a_value_for_a_flag_is_told,
      too_few_and_too_many_arguments_are_usage)
