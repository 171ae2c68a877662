/* directory_test.c - which directories are refused, and what is said then. */
#include "broker/embedded/directory.h"

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "broker/embedded/shared.h"
#include "tests/conformance/rig.h"
#include "tests/unit/test.h"

/* Opens the rig's directory once more, which is open. */
static int
open_beside(const struct rig *rig, struct broker **out, struct error *err)
{
    const struct broker_options options = {.settings = &rig->settings,
                                           .role = BROKER_VISITOR};

    return broker_open(&options, out, err);
}

/* Opens the rig's directory; the sentence is in err. */
static int
open_here(struct rig *rig, bool create, struct error *err)
{
    const struct broker_options options = {
        .settings = &rig->settings, .role = BROKER_INGRESS, .create = create};

    return broker_open(&options, &rig->broker, err);
}

START_TEST(a_missing_directory_is_made_private_if_its_parent_is_there)
{
    struct rig rig;
    struct error err;
    struct stat st;

    rig_init(&rig);
    ck_assert_int_eq(rmdir(rig.directory), 0);
    ck_assert_int_eq(open_here(&rig, false, &err), -ENOENT);
    ck_assert_int_eq(open_here(&rig, true, &err), 0);
    ck_assert_int_eq(stat(rig.directory, &st), 0);
    ck_assert_int_eq(st.st_mode & 0777, 0700);
    rig_fini(&rig);

    rig_init(&rig);
    ck_assert_int_eq(rmdir(rig.directory), 0);
    strcat(rig.directory, "/below");
    ck_assert_int_lt(open_here(&rig, true, &err), 0);
    ck_assert_ptr_nonnull(strstr(err.text, rig.directory));
}
END_TEST

START_TEST(every_file_is_its_owners_alone)
{
    static const char *const names[] = {
        "cloakroom.db", "cloakroom.db-wal", "cloakroom.db-shm", "lock",
        "shared",       "reserve",          "ticket.key"};
    struct rig rig;
    struct error err;
    struct stat st;
    char path[300];

    umask(0);
    rig_init(&rig);
    ck_assert_int_eq(open_here(&rig, true, &err), 0);
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        snprintf(path, sizeof(path), "%s/%s", rig.directory, names[i]);
        ck_assert_int_eq(stat(path, &st), 0);
        ck_assert_msg((st.st_mode & 0777) == 0600, "%s: %o", path, st.st_mode);
    }
    ck_assert_int_eq(umask(0), 0);
    rig_fini(&rig);
}
END_TEST

START_TEST(a_directory_without_a_store_needs_an_ingress)
{
    struct rig rig;
    struct error err;

    rig_init(&rig);
    ck_assert_int_eq(open_here(&rig, false, &err), -ENOENT);
    ck_assert_ptr_nonnull(strstr(err.text, "an ingress makes it"));
    rig_fini(&rig);
}
END_TEST

START_TEST(a_directory_that_others_may_write_to_is_refused)
{
    struct rig rig;
    struct error err;

    rig_init(&rig);
    ck_assert_int_eq(chmod(rig.directory, 0777), 0);
    ck_assert_int_eq(open_here(&rig, true, &err), -EINVAL);
    ck_assert_ptr_nonnull(strstr(err.text, "0700"));
    ck_assert_int_eq(chmod(rig.directory, 0700), 0);
    ck_assert_int_eq(open_here(&rig, true, &err), 0);
    rig_fini(&rig);
}
END_TEST

START_TEST(a_directory_of_another_user_is_refused)
{
    struct rig rig;
    struct error err;

    rig_init(&rig);
    if (geteuid() == 0)
        ck_assert_int_eq(chown(rig.directory, 12345, 12345), 0);
    else
        strcpy(rig.directory, "/");
    ck_assert_int_eq(open_here(&rig, true, &err), -EINVAL);
    ck_assert_ptr_nonnull(strstr(err.text, "belongs to user"));
    if (geteuid() == 0)
        rig_fini(&rig);
}
END_TEST

/* Root may write whatever the mode says: it gets a file system that is not. */
static void
make_read_only(const char *path)
{
    if (geteuid() != 0) {
        ck_assert_int_eq(chmod(path, 0500), 0);
        return;
    }
    ck_assert_int_eq(unshare(CLONE_NEWNS), 0);
    ck_assert_int_eq(mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL), 0);
    ck_assert_int_eq(mount(path, path, NULL, MS_BIND, NULL), 0);
    ck_assert_int_eq(
        mount(path, path, NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL), 0);
}

START_TEST(a_read_only_directory_is_refused)
{
    struct rig rig;
    struct error err;

    rig_init(&rig);
    make_read_only(rig.directory);
    ck_assert_int_eq(open_here(&rig, true, &err), -EINVAL);
    ck_assert_ptr_nonnull(strstr(err.text, "cannot be written to"));
    if (geteuid() == 0)
        umount(rig.directory);
    rig_fini(&rig);
}
END_TEST

START_TEST(a_planted_symlink_is_refused)
{
    static const char *const names[] = {"cloakroom.db", "cloakroom.db-wal",
                                        "lock",         "shared",
                                        "reserve",      "ticket.key"};
    struct rig rig;
    struct error err;
    char path[300];

    rig_init(&rig);
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        snprintf(path, sizeof(path), "%s/%s", rig.directory, names[i]);
        ck_assert_int_eq(symlink("/etc/passwd", path), 0);
        ck_assert_int_eq(open_here(&rig, true, &err), -EINVAL);
        ck_assert_ptr_nonnull(strstr(err.text, names[i]));
        ck_assert_ptr_nonnull(strstr(err.text, "symlink"));
        ck_assert_int_eq(unlink(path), 0);
    }
    rig_fini(&rig);
}
END_TEST

START_TEST(a_store_without_its_secret_is_refused)
{
    struct rig rig;
    struct error err;
    char path[300];

    rig_init(&rig);
    rig_open(&rig);
    rig_close(&rig);
    snprintf(path, sizeof(path), "%s/ticket.key", rig.directory);
    ck_assert_int_eq(unlink(path), 0);
    ck_assert_int_lt(open_here(&rig, true, &err), 0);
    ck_assert_ptr_nonnull(strstr(err.text, "ticket.key"));
    rig_fini(&rig);
}
END_TEST

START_TEST(the_write_lock_is_for_one)
{
    struct rig rig;
    struct error err;
    char *resolved[2];
    int fds[2];

    rig_init(&rig);
    for (int i = 0; i < 2; i++)
        ck_assert_int_eq(
            directory_open(rig.directory, true, &resolved[i], &fds[i], &err),
            0);
    ck_assert_int_eq(directory_lock(fds[0]), 0);
    ck_assert_int_eq(directory_try_lock(fds[1]), -EAGAIN);
    directory_unlock(fds[0]);
    ck_assert_int_eq(directory_try_lock(fds[1]), 0);
    for (int i = 0; i < 2; i++) {
        close(fds[i]);
        free(resolved[i]);
    }
    rig_fini(&rig);
}
END_TEST

/* What a process of another version would have there. */
START_TEST(a_directory_that_another_version_works_on_is_refused)
{
    struct rig rig;
    struct shared *shared;
    struct broker *second;
    struct error err;

    rig_init(&rig);
    rig_open(&rig);
    shared = shared_peek(rig.directory);
    ck_assert_ptr_nonnull(shared);
    shared->version++;
    ck_assert_int_eq(open_beside(&rig, &second, &err), -EINVAL);
    ck_assert_ptr_nonnull(strstr(err.text, "another version"));
    shared->version--;
    shared_unpeek(shared);
    rig_fini(&rig);
}
END_TEST

START_TEST(a_process_for_which_there_is_no_seat_is_refused)
{
    struct rig rig;
    struct broker *second;
    struct error err;
    char path[300];
    struct flock guards = {
        .l_type = F_WRLCK, .l_start = 1 + SEATS, .l_len = SEATS};

    rig_init(&rig);
    rig_open(&rig);
    snprintf(path, sizeof(path), "%s/lock", rig.directory);
    const int fd = open(path, O_RDWR | O_CLOEXEC);
    ck_assert_int_eq(fcntl(fd, F_OFD_SETLK, &guards), 0);
    ck_assert_int_eq(open_beside(&rig, &second, &err), -ENOBUFS);
    ck_assert_ptr_nonnull(strstr(err.text, "end some"));
    close(fd);
    ck_assert_int_eq(open_beside(&rig, &second, &err), 0);
    broker_close(second);
    rig_fini(&rig);
}
END_TEST

TESTS("broker", "directory",
      a_missing_directory_is_made_private_if_its_parent_is_there,
      every_file_is_its_owners_alone,
      a_directory_without_a_store_needs_an_ingress,
      a_directory_that_others_may_write_to_is_refused,
      a_directory_of_another_user_is_refused, a_read_only_directory_is_refused,
      a_planted_symlink_is_refused, a_store_without_its_secret_is_refused,
      the_write_lock_is_for_one,
      a_directory_that_another_version_works_on_is_refused,
      a_process_for_which_there_is_no_seat_is_refused)
