/* uplock.c - a locked file that says who holds it and since when. */
#include "cli/uplock.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/clock.h"

#define HOLDER_SIZE 80

static int
refuse(const char *directory, int fd, struct error *err)
{
    char holder[HOLDER_SIZE] = "";
    ssize_t len = pread(fd, holder, sizeof(holder) - 1, 0);

    close(fd);
    /* Between its lock and its first write the holder has not said its name. */
    if (len <= 0)
        snprintf(holder, sizeof(holder), "just started");
    holder[strcspn(holder, "\n")] = '\0';
    return error_set(err, -EBUSY,
                     "another `cloakroom up` runs on %s (%s); stop it first, "
                     "or give this one a directory of its own",
                     directory, holder);
}

static int
write_holder(int fd)
{
    char holder[HOLDER_SIZE], now[CLOCK_TEXT_SIZE];
    int len;

    clock_format(clock_wall(), now);
    len = snprintf(holder, sizeof(holder), "pid %d, since %s\n", getpid(), now);
    if (ftruncate(fd, 0) < 0 || pwrite(fd, holder, (size_t)len, 0) != len)
        return -errno;
    return 0;
}

int
uplock_take(const struct settings *settings, struct error *err)
{
    const char *directory = settings->directory;
    char path[4096];
    int fd, r;

    if (directory == NULL) {
        directory = settings->kafka.view;
        if (mkdir(directory, 0700) < 0 && errno != EEXIST)
            return error_system(err, -errno, "making %s", directory);
    }
    if (snprintf(path, sizeof(path), "%s/up.lock", directory) >=
        (int)sizeof(path))
        return error_set(err, -ENAMETOOLONG, "%s is too long", directory);
    fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return error_system(err, -errno, "opening %s", path);
    if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
        if (errno == EWOULDBLOCK)
            return refuse(directory, fd, err);
        r = error_system(err, -errno, "locking %s", path);
        close(fd);
        return r;
    }
    /* A full disk must not keep the system down: the name is a courtesy. */
    r = write_holder(fd);
    if (r < 0 && r != -ENOSPC) {
        close(fd);
        return error_system(err, r, "writing %s", path);
    }
    return fd;
}
