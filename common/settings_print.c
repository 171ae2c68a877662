/* settings_print.c - the table as YAML and as Markdown. */
#include <string.h>

#include "common/settings_priv.h"

/* ---- the defaults -------------------------------------------------------- */

struct printer {
    FILE *to;
    unsigned indent;
    bool commented; /* what may be left out and has no default */
    bool item;      /* the next line begins an item of a list */
};

#define TEXT_COLUMN 40

/* "    key: value          # text" */
static void
print_line(struct printer *printer, const struct setting *setting)
{
    const unsigned indent = printer->indent - (printer->item ? 2 : 0);
    const char *quote = setting->kind->quoted ? "\"" : "";
    const bool has_value = setting->value != NULL;
    int len;

    len = fprintf(printer->to, "%*s%s%s%s:%s%s%s%s", (int)indent, "",
                  printer->commented ? "# " : "", printer->item ? "- " : "",
                  setting->key, has_value ? " " : "", quote,
                  has_value ? setting->value : "", quote);
    printer->item = false;
    fprintf(printer->to, "%*s  # %s%s\n",
            len < TEXT_COLUMN ? TEXT_COLUMN - len : 0, "",
            setting->presence == NEEDED && has_value ? "needed: " : "",
            setting->text);
}

static void print_section(struct printer *printer, enum section section);

static void
print_group(struct printer *printer, const struct setting *setting)
{
    const bool is_list = setting->kind->due == NODE_LIST;
    const struct printer outer = *printer;

    printer->commented |= setting->presence == OPTIONAL;
    print_line(printer, setting);
    printer->indent += is_list ? 4 : 2;
    printer->item = is_list;
    print_section(printer, setting->child);
    printer->indent = outer.indent;
    printer->commented = outer.commented;
}

static void
print_value(struct printer *printer, const struct setting *setting)
{
    const bool commented = printer->commented;

    printer->commented |= setting->presence == OPTIONAL;
    print_line(printer, setting);
    printer->commented = commented;
}

static void
print_section(struct printer *printer, enum section section)
{
    const struct setting *setting;

    for (size_t n = 0; (setting = section_setting(section, n)) != NULL; n++)
        if (setting->child != SECTIONS)
            print_group(printer, setting);
        else
            print_value(printer, setting);
}

void
settings_print_defaults(FILE *to)
{
    struct printer printer = {.to = to};

    fputs("# Every setting of Cloakroom with its default. What begins with #\n"
          "# has none: it is an example.\n",
          to);
    print_section(&printer, SECTION_FILE);
}

/* ---- the reference ------------------------------------------------------- */

static void
print_row(FILE *to, const struct setting *setting)
{
    const char *quote = setting->kind->quoted ? "\"" : "";

    fprintf(to, "| `%s` | %s | ", setting->key, setting->kind->word);
    if (setting->child != SECTIONS)
        fputs("", to);
    else if (setting->presence == DEFAULT)
        fprintf(to, "`%s%s%s`", quote, setting->value, quote);
    else
        fprintf(to, "%s, such as `%s`",
                setting->presence == NEEDED ? "needed" : "none",
                setting->value);
    if (setting->least != NULL)
        fprintf(to, " | %s to %s", setting->least, setting->most);
    else
        fputs(" |", to);
    fprintf(to, " | %s |\n", setting->text);
}

void
settings_print_reference(FILE *to)
{
    const struct setting *setting;

    fputs(
        "# Settings\n\n"
        "This page is printed from the table that checks the file.\n"
        "\n"
        "The file is YAML: `-c FILE`, else the one that `CLOAKROOM_CONFIG`\n"
        "names, else `./cloakroom.yaml`, else\n"
        "`/etc/cloakroom/cloakroom.yaml`. Times are whole numbers with a\n"
        "unit, `ms s m h d`; sizes with `B KiB MiB GiB`. Relative paths are\n"
        "relative to the file. `cloakroom check -c FILE` names every error\n"
        "at once, with its line and column; `cloakroom check --defaults`\n"
        "prints all settings with their defaults.\n"
        "\n"
        "A file is refused when it is over 1 MiB, is not UTF-8, or may be\n"
        "written by others (a group whose number is its owner's is the\n"
        "owner's own). Anchors and aliases work; tags, merge keys and\n"
        "includes are not there. The programs of handlers are looked for by\n"
        "`check` and at the start of `up`; one that goes missing later stops\n"
        "its own queue only.\n",
        to);
    for (enum section section = 0; section < SECTIONS; section++) {
        const struct section_info *info = &settings_sections[section];
        if (info->path[0] == '\0')
            fputs("\n## the file\n", to);
        else
            fprintf(to, "\n## `%s`\n", info->path);
        fprintf(to,
                "\n%s\n\n| setting | kind | default | limits | meaning |\n"
                "|---|---|---|---|---|\n",
                info->text);
        for (size_t n = 0; (setting = section_setting(section, n)) != NULL; n++)
            print_row(to, setting);
    }
}
