/* uplock_test.c - one `up` at a time on a directory. */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/uplock.h"
#include "tests/unit/test.h"

static char parent[] = "/tmp/cloakroom-uplock-XXXXXX";

static const char *
fresh(char path[64])
{
    ck_assert_ptr_nonnull(mkdtemp(parent));
    snprintf(path, 64, "%s/data", parent);
    ck_assert_int_eq(mkdir(path, 0700), 0);
    return path;
}

static void
clean(const char *path)
{
    char lock[80];

    snprintf(lock, sizeof(lock), "%s/up.lock", path);
    ck_assert_int_eq(unlink(lock), 0);
    ck_assert_int_eq(rmdir(path), 0);
    ck_assert_int_eq(rmdir(parent), 0);
}

/* The lock of an embedded store in that directory. */
static int
take(const char *directory, struct error *err)
{
    char name[64];
    const struct settings settings = {.directory = name};

    snprintf(name, sizeof(name), "%s", directory);
    return uplock_take(&settings, err);
}

START_TEST(a_second_one_is_told_of_the_first)
{
    char path[64], pid[20];
    struct error err;
    int lock = take(fresh(path), &err);

    ck_assert_int_ge(lock, 0);
    ck_assert_int_eq(take(path, &err), -EBUSY);
    snprintf(pid, sizeof(pid), "pid %d, since 2", getpid());
    ck_assert_ptr_nonnull(strstr(err.text, pid));
    ck_assert_ptr_nonnull(strstr(err.text, path));

    close(lock);
    lock = take(path, &err);
    ck_assert_int_ge(lock, 0);
    close(lock);
    clean(path);
}
END_TEST

START_TEST(a_planted_link_is_not_followed)
{
    char path[64], lock[80], target[80];
    struct error err;

    fresh(path);
    snprintf(lock, sizeof(lock), "%s/up.lock", path);
    snprintf(target, sizeof(target), "%s/elsewhere", parent);
    ck_assert_int_eq(symlink(target, lock), 0);

    ck_assert_int_eq(take(path, &err), -ELOOP);
    ck_assert_int_ne(access(target, F_OK), 0);
    clean(path);
}
END_TEST

START_TEST(a_missing_directory_is_named)
{
    struct error err;

    ck_assert_int_eq(take("/nowhere/at/all", &err), -ENOENT);
    ck_assert_ptr_nonnull(strstr(err.text, "/nowhere/at/all"));
}
END_TEST

TESTS("cli", "uplock", a_second_one_is_told_of_the_first,
      a_planted_link_is_not_followed, a_missing_directory_is_named)
