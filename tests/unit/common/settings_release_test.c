/* settings_release_test.c - labels of releases, and what stands for them. */
#include <string.h>

#include "common/settings.h"
#include "tests/unit/common/settings_file.h"
#include "tests/unit/test.h"

#define TEN "0123456789"

START_TEST(a_label_can_name_a_folder)
{
    static const char *const good[] = {
        "1",          "v2",
        "2024-05-01", "1.4.0+build_7",
        "Z",          TEN TEN TEN TEN TEN TEN "0123",
    };
    static const char *const bad[] = {
        "",
        ".",
        "..",
        "-v",
        "+1",
        "_x",
        "a/b",
        "a b",
        "v2\n",
        "{release}",
        "\xc3\xa4",
        "a\xc3\xa4",
        TEN TEN TEN TEN TEN TEN "01234",
    };
    struct error err;

    for (size_t i = 0; i < ARRAY_LEN(good); i++)
        ck_assert_msg(settings_check_release(good[i], &err) == 0, "%s: %s",
                      good[i], err.text);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        ck_assert_msg(settings_check_release(bad[i], &err) == -EINVAL, "%s",
                      bad[i]);
        ck_assert_ptr_nonnull(strstr(err.text, "is no release; write"));
    }
}
END_TEST

START_TEST(a_release_stands_in_the_place_of_its_word)
{
    static const char *const texts[][2] = {
        {"", ""},
        {"/srv/app", "/srv/app"},
        {"{release}", "v2"},
        {"/srv/{release}/app-{release}.cgi", "/srv/v2/app-v2.cgi"},
        {"{release}{release}", "v2v2"},
        {"{{release}}", "{v2}"},
        {"{releas}{release", "{releas}{release"},
        {"{Release} {other}", "{Release} {other}"},
    };

    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        char *expanded = settings_expand(texts[i][0], "v2");
        ck_assert_str_eq(expanded, texts[i][1]);
        free(expanded);
    }
    char *nested = settings_expand("a{release}b", "{release}");
    ck_assert_str_eq(nested, "a{release}b");
    free(nested);
}
END_TEST

/* Quoted in a flow mapping; in block style as it is. */
#define HANDLERS                                                               \
    "queues:\n"                                                                \
    "- name: a\n"                                                              \
    "  release: v1\n"                                                          \
    "  handler: {cgi: {command: \"/srv/{release}/a\"}}\n"                      \
    "- name: b\n"                                                              \
    "  handler:\n"                                                             \
    "    cgi:\n"                                                               \
    "      command: [\"./{release}/b\", \"--as={release}\"]\n"                 \
    "      environment: {ROOT: \"/srv/{release}\", COLOR: blue}\n"             \
    "- name: c\n"                                                              \
    "  handler:\n"                                                             \
    "    cgi:\n"                                                               \
    "      directory: ./bin/{release}/cgi\n"                                   \
    "- name: d\n"                                                              \
    "  handler:\n"                                                             \
    "    respond:\n"                                                           \
    "      fields: {X-Release: \"{release}\"}\n"                               \
    "      body: this is {release}\n"                                          \
    "routes: [{path: /, queue: a}]\n"

static void
check_command(const struct settings *settings, unsigned queue,
              const char *folder, const char *program, const char *argument)
{
    struct cgi_settings cgi =
        cgi_settings_expand(&settings->queues[queue].handler.cgi, "v9");
    char *path = mem_printf("%s%s", folder, program);

    ck_assert_str_eq(cgi.command[0], path);
    ck_assert_pstr_eq(cgi.command[1], argument);
    free(path);
    cgi_settings_fini(&cgi);
}

START_TEST(settings_keep_the_word_until_a_release_is_known)
{
    struct settings_file file;

    settings_file_init(&file);
    OWNED(settings) settings = settings_file_good(&file, HANDLERS);
    ck_assert_str_eq(settings->queues[0].handler.cgi.command[0],
                     "/srv/{release}/a");
    check_command(settings, 0, "", "/srv/v9/a", NULL);
    check_command(settings, 1, file.folder, "/v9/b", "--as=v9");

    struct cgi_settings cgi =
        cgi_settings_expand(&settings->queues[1].handler.cgi, "v9");
    ck_assert_uint_eq(cgi.environment_len, 2);
    ck_assert_str_eq(cgi.environment[0].value, "/srv/v9");
    ck_assert_str_eq(cgi.environment[1].name, "COLOR");
    ck_assert_str_eq(cgi.environment[1].value, "blue");
    cgi_settings_fini(&cgi);

    cgi = cgi_settings_expand(&settings->queues[2].handler.cgi, "v9");
    ck_assert_ptr_null(cgi.command);
    ck_assert_ptr_nonnull(strstr(cgi.directory, "/bin/v9/cgi"));
    cgi_settings_fini(&cgi);

    struct respond_settings respond =
        respond_settings_expand(&settings->queues[3].handler.respond, "v9");
    ck_assert_int_eq(respond.status, 200);
    ck_assert_str_eq(respond.fields[0].value, "v9");
    ck_assert_str_eq(respond.body, "this is v9");
    respond_settings_fini(&respond);
    settings_file_fini(&file);
}
END_TEST

START_TEST(an_unquoted_word_in_a_flow_mapping_is_told)
{
    struct settings_file file;

    settings_file_init(&file);
    settings_file_bad(
        &file,
        "queues:\n"
        "- {name: a, handler: {cgi: {command: /srv/{release}/a}}}\n"
        "routes: [{path: /, queue: a}]\n",
        "2:43: this is not YAML: missing comma in flow mapping; mend the "
        "indentation, brackets or quotes here\n");
    settings_file_fini(&file);
}
END_TEST

START_TEST(a_program_of_each_release_needs_a_path)
{
    struct settings_file file;

    settings_file_init(&file);
    settings_file_bad(
        &file,
        "queues:\n"
        "- {name: a, handler: {cgi: {command: \"a-{release}\"}}}\n"
        "routes: [{path: /, queue: a}]\n",
        "2:38: queues[0].handler.cgi.command: `a-{release}` is "
        "another program in each release and is not looked for; "
        "write its path\n");
    settings_file_fini(&file);
}
END_TEST

static void
check_program(const struct settings *settings, const char *release,
              const char *expected)
{
    char *errors = NULL;
    size_t len;
    FILE *to = open_memstream(&errors, &len);

    ck_assert_int_eq(settings_check_program(settings, 0, release, to),
                     expected[0] == '\0' ? 0 : -ENOENT);
    fclose(to);
    settings_file_strip(errors, settings->path);
    ck_assert_str_eq(errors, expected);
    free(errors);
}

START_TEST(programs_are_checked_in_the_release_that_is_asked_for)
{
    struct settings_file file;

    settings_file_init(&file);
    OWNED(settings)
    settings = settings_file_good(
        &file, "queues:\n"
               "- {name: a, release: bin, handler: {cgi: {command: "
               "\"/{release}/sh\"}}}\n"
               "routes: [{path: /, queue: a}]\n");
    check_program(settings, "bin", "");
    check_program(settings, "v2",
                  "2:52: queues[0].handler.cgi.command: /v2/sh is not there; "
                  "make it, or mend the path\n");
    ck_assert_int_eq(settings_check_programs(settings, stderr), 0);
    settings_file_fini(&file);
}
END_TEST

TESTS("common", "settings_release", a_label_can_name_a_folder,
      a_release_stands_in_the_place_of_its_word,
      settings_keep_the_word_until_a_release_is_known,
      an_unquoted_word_in_a_flow_mapping_is_told,
      a_program_of_each_release_needs_a_path,
      programs_are_checked_in_the_release_that_is_asked_for)
