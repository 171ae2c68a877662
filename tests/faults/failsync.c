/* failsync.c - a disk whose syncs begin to fail at a moment of the test's own.
 *
 * Preloaded (LD_PRELOAD), it makes fsync and fdatasync of regular files fail
 * with EIO as long as the file named by FAILSYNC_WHEN exists. That is how the
 * kernel reports a write that it could not bring to the disk; what was written
 * may or may not be there afterwards.
 */
#include <dlfcn.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static bool
is_failing(int fd)
{
    const char *when = getenv("FAILSYNC_WHEN");
    struct stat stat;

    return when != NULL && access(when, F_OK) == 0 && fstat(fd, &stat) == 0 &&
           S_ISREG(stat.st_mode);
}

static int
sync_with(const char *name, int fd)
{
    int (*real)(int);

    if (is_failing(fd)) {
        errno = EIO;
        return -1;
    }
    /* ISO C has no cast from an object pointer to a function pointer. */
    *(void **)&real = dlsym(RTLD_NEXT, name);
    return real(fd);
}

int
fsync(int fd)
{
    return sync_with("fsync", fd);
}

int
fdatasync(int fd)
{
    return sync_with("fdatasync", fd);
}
