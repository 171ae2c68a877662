/* settings_reference_test.c - docs/settings.md is what the table prints. */
#include "tests/unit/test.h"

#include <libgen.h>
#include <stdio.h>
#include <string.h>

#include "common/mem.h"
#include "common/settings_priv.h"

static char *
read_page(void)
{
    char *here = mem_strdup(__FILE__);
    char *path = mem_printf("%s/../../../docs/settings.md", dirname(here));
    char *text = mem_zalloc(YAML_FILE_MAX);
    FILE *from = fopen(path, "rb");

    ck_assert_msg(from != NULL, "%s is not there", path);
    ck_assert_uint_lt(fread(text, 1, YAML_FILE_MAX, from), YAML_FILE_MAX);
    fclose(from);
    free(path);
    free(here);
    return text;
}

static char *
print_page(void (*print)(FILE *))
{
    char *text = NULL;
    size_t len;
    FILE *to = open_memstream(&text, &len);

    print(to);
    fclose(to);
    return text;
}

START_TEST(the_page_is_up_to_date)
{
    char *page = read_page();
    char *printed = print_page(settings_print_reference);

    ck_assert_msg(strcmp(page, printed) == 0,
                  "docs/settings.md is old; run cloakroom check --reference "
                  "> docs/settings.md");
    free(printed);
    free(page);
}
END_TEST

START_TEST(every_setting_is_printed_with_its_default)
{
    char *page = print_page(settings_print_reference);
    char *defaults = print_page(settings_print_defaults);

    for (size_t i = 0; i < settings_table_len; i++) {
        const struct setting *setting = &settings_table[i];
        char *row = mem_printf("| `%s` |", setting->key);
        char *line = mem_printf("%s:", setting->key);
        ck_assert_msg(strstr(page, row) != NULL, "%s", row);
        ck_assert_msg(strstr(defaults, line) != NULL, "%s", line);
        free(line);
        free(row);
    }
    free(defaults);
    free(page);
}
END_TEST

START_TEST(every_default_is_within_its_limits)
{
    for (size_t i = 0; i < settings_table_len; i++) {
        const struct setting *setting = &settings_table[i];
        int64_t value = 0, least = 0, most = 0;
        if (setting->least == NULL)
            continue;
        ck_assert_int_eq(setting->kind->parse(setting->value, &value, NULL), 0);
        ck_assert_int_eq(setting->kind->parse(setting->least, &least, NULL), 0);
        ck_assert_int_eq(setting->kind->parse(setting->most, &most, NULL), 0);
        ck_assert_msg(least <= value && value <= most, "%s", setting->key);
    }
}
END_TEST

TESTS("common", "settings_reference", the_page_is_up_to_date,
      every_setting_is_printed_with_its_default,
      every_default_is_within_its_limits)
