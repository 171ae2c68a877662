/* directory.c - the data directory: is it safe to keep requests in? */
#include "broker/embedded/directory.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#include "common/mem.h"
#include "common/own.h"

static const char *const our_files[] = {
    "lock",         "shared",           "reserve",          "ticket.key",
    "cloakroom.db", "cloakroom.db-wal", "cloakroom.db-shm",
};

/* File systems whose locks or shared mappings other machines do not see. */
static const struct {
    unsigned long magic;
    const char *name;
} network_kinds[] = {
    {0x6969, "NFS"},        {0x517b, "SMB"},        {0xff534d42, "CIFS"},
    {0xfe534d42, "SMB2"},   {0x01021997, "9P"},     {0x65735546, "FUSE"},
    {0x5346414f, "AFS"},    {0x6b414653, "AFS"},    {0x00c36400, "Ceph"},
    {0x0bd00bd0, "Lustre"}, {0x47504653, "GPFS"},   {0x73757245, "Coda"},
    {0x564c, "NCP"},        {0x7461636f, "OCFS2"},  {0x01161970, "GFS2"},
    {0xaad7aaea, "PanFS"},  {0x19830326, "BeeGFS"},
};

static int
check_kind(int fd, const char *path, struct error *err)
{
    struct statfs fs;

    if (fstatfs(fd, &fs) < 0)
        return error_system(err, -errno, "%s: statfs", path);
    for (size_t i = 0; i < ARRAY_LEN(network_kinds); i++) {
        if (((unsigned long)fs.f_type & 0xffffffff) != network_kinds[i].magic)
            continue;
        return error_set(err, -EINVAL,
                         "%s: lies on a %s file system, which cannot keep the "
                         "store safe; use a directory on a local disk",
                         path, network_kinds[i].name);
    }
    return 0;
}

static int
check_directory(int fd, const char *path, struct error *err)
{
    struct stat st;

    if (fstat(fd, &st) < 0)
        return error_system(err, -errno, "%s: stat", path);
    if (st.st_uid != geteuid())
        return error_set(err, -EINVAL,
                         "%s: belongs to user %u and we are user %u; run as "
                         "its owner, or name another directory",
                         path, (unsigned)st.st_uid, (unsigned)geteuid());
    if ((st.st_mode & (S_IWGRP | S_IWOTH)) != 0)
        return error_set(err, -EINVAL,
                         "%s: others may write to it (mode %04o); run chmod "
                         "0700 on it",
                         path, (unsigned)st.st_mode & 07777);
    if (faccessat(fd, ".", W_OK, AT_EACCESS) < 0)
        return error_system(err, -EINVAL,
                            "%s: cannot be written to; it must be writable "
                            "(mode 0700) on a file system mounted rw",
                            path);
    return check_kind(fd, path, err);
}

static int
check_files(int fd, const char *path, struct error *err)
{
    struct stat st;

    for (size_t i = 0; i < ARRAY_LEN(our_files); i++) {
        if (fstatat(fd, our_files[i], &st, AT_SYMLINK_NOFOLLOW) < 0) {
            if (errno == ENOENT)
                continue;
            return error_system(err, -errno, "%s/%s", path, our_files[i]);
        }
        if (!S_ISREG(st.st_mode))
            return error_set(err, -EINVAL,
                             "%s/%s: is a %s where a plain file is due; remove "
                             "it",
                             path, our_files[i],
                             S_ISLNK(st.st_mode) ? "symlink" : "special file");
        if (st.st_uid != geteuid())
            return error_set(err, -EINVAL,
                             "%s/%s: belongs to user %u and we are user %u; "
                             "run as its owner",
                             path, our_files[i], (unsigned)st.st_uid,
                             (unsigned)geteuid());
    }
    return 0;
}

static int
open_checked(const char *path, bool create, int *lock_fd, struct error *err)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int r;

    if (fd < 0)
        return error_system(err, errno == ENOENT ? -ENOENT : -EINVAL,
                            "data directory %s", path);
    r = check_directory(fd, path, err);
    if (r == 0)
        r = check_files(fd, path, err);
    if (r == 0) {
        *lock_fd = openat(
            fd, "lock",
            O_RDWR | O_NOFOLLOW | O_CLOEXEC | (create ? O_CREAT : 0), 0600);
        if (*lock_fd < 0 && errno == ENOENT)
            r = error_set(err, -ENOENT,
                          "%s: there is no store; an ingress makes it", path);
        else if (*lock_fd < 0)
            r = error_system(err, -errno, "%s/lock", path);
    }
    close(fd);
    return r;
}

/* A new directory is no use before its own name is on the disk. */
static int
make_directory(const char *path, struct error *err)
{
    if (mkdir(path, 0700) < 0)
        return errno == EEXIST
                   ? 0
                   : error_system(err, errno == ENOSPC ? -ENOSPC : -EINVAL,
                                  "making data directory %s", path);

    char *parent = mem_printf("%s/..", path);
    int fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int r = 0;
    if (fd < 0 || fsync(fd) < 0)
        r = error_system(err, -EIO, "%s: syncing", parent);
    if (fd >= 0)
        close(fd);
    free(parent);
    return r;
}

int
directory_open(const char *path, bool create, char **resolved, int *lock_fd,
               struct error *err)
{
    int r = create ? make_directory(path, err) : 0;

    if (r < 0)
        return r;

    /* The directory itself may be named through symlinks: who may write to
     * its parents is the administrator's affair. */
    char *real = realpath(path, NULL);
    if (real == NULL)
        return error_system(err, errno == ENOENT ? -ENOENT : -EINVAL,
                            "data directory %s", path);
    r = open_checked(real, create, lock_fd, err);
    if (r < 0)
        free(real);
    else
        *resolved = real;
    return r;
}

/* ---- the write lock ----------------------------------------------------- */

static int
set_lock(int lock_fd, int command, short type)
{
    struct flock lock = {.l_type = type, .l_whence = SEEK_SET, .l_len = 1};
    int r;

    do
        r = fcntl(lock_fd, command, &lock);
    while (r < 0 && errno == EINTR);
    return r < 0 ? -errno : 0;
}

int
directory_lock(int lock_fd)
{
    return set_lock(lock_fd, F_OFD_SETLKW, F_WRLCK);
}

int
directory_try_lock(int lock_fd)
{
    int r = set_lock(lock_fd, F_OFD_SETLK, F_WRLCK);

    return r == -EACCES ? -EAGAIN : r;
}

void
directory_unlock(int lock_fd)
{
    int r = set_lock(lock_fd, F_OFD_SETLK, F_UNLCK);
    assert(r == 0);
}

/* ---- the page cache ----------------------------------------------------- */

static int
forget_file(const char *path, struct error *err)
{
    int fd = open(path, O_RDWR | O_NOFOLLOW | O_CLOEXEC);

    if (fd < 0)
        return errno == ENOENT ? 0 : error_system(err, -errno, "%s", path);
    int r = 0;
    if (fdatasync(fd) < 0)
        r = error_system(err, -EIO, "%s: the disk does not take it", path);
    else
        posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    close(fd);
    return r;
}

int
directory_forget_cache(const char *resolved, struct error *err)
{
    static const char *const names[] = {"cloakroom.db", "cloakroom.db-wal"};
    int r = 0;

    for (size_t i = 0; i < ARRAY_LEN(names) && r == 0; i++) {
        char *path = mem_printf("%s/%s", resolved, names[i]);
        r = forget_file(path, err);
        free(path);
    }
    return r;
}
