/* settings_file.h - a configuration file for one test, and what loading said.
 *
 * Each has a fresh folder of its own, which settings_file_fini removes.
 */
#ifndef TESTS_UNIT_COMMON_SETTINGS_FILE_H
#define TESTS_UNIT_COMMON_SETTINGS_FILE_H

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/mem.h"
#include "common/settings.h"

struct settings_file {
    char folder[64];
    char *path;
    char *errors; /* of the last load, without "PATH:" in front of each line */
};

static inline void
settings_file_init(struct settings_file *file)
{
    *file = (struct settings_file){.folder = "/tmp/settings-test-XXXXXX"};
    ck_assert_ptr_nonnull(mkdtemp(file->folder));
    file->path = mem_printf("%s/cloakroom.yaml", file->folder);
}

static inline void
settings_file_fini(struct settings_file *file)
{
    (void)unlink(file->path);
    ck_assert_int_eq(rmdir(file->folder), 0);
    free(file->path);
    free(file->errors);
}

static inline void
settings_file_write(struct settings_file *file, const char *bytes, size_t len)
{
    FILE *to = fopen(file->path, "wb");

    ck_assert_ptr_nonnull(to);
    ck_assert_uint_eq(fwrite(bytes, 1, len, to), len);
    ck_assert_int_eq(fclose(to), 0);
    ck_assert_int_eq(chmod(file->path, 0600), 0);
}

static inline void
settings_file_strip(char *text, const char *path)
{
    const size_t len = strlen(path);

    for (char *at = text; (at = strstr(at, path)) != NULL;)
        memmove(at, at + len + 1, strlen(at + len + 1) + 1);
}

static inline struct settings *
settings_file_load(struct settings_file *file)
{
    size_t len;

    free(file->errors);
    FILE *errors = open_memstream(&file->errors, &len);
    struct settings *settings = settings_load(file->path, errors);
    fclose(errors);
    settings_file_strip(file->errors, file->path);
    return settings;
}

/* Writes text and loads it; what is wrong fails the test. */
static inline struct settings *
settings_file_good(struct settings_file *file, const char *text)
{
    settings_file_write(file, text, strlen(text));
    struct settings *settings = settings_file_load(file);
    ck_assert_str_eq(file->errors, "");
    ck_assert_ptr_nonnull(settings);
    return settings;
}

/* Writes text, loads it, and wants just these errors. */
static inline void
settings_file_bad(struct settings_file *file, const char *text,
                  const char *errors)
{
    settings_file_write(file, text, strlen(text));
    struct settings *settings = settings_file_load(file);
    ck_assert_str_eq(file->errors, errors);
    ck_assert_ptr_null(settings);
}

#endif
