/* reserve.c - ballast on the disk, given out when it is full. */
#include "broker/embedded/reserve.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "common/fault.h"
#include "common/log.h"
#include "common/mem.h"

#define RESERVE_MAX                                                            \
    (8 << 20)                 /* twice what the log holds between checkpoints  \
                               */
#define ROOM_BESIDE (1 << 20) /* free beyond it before requests are welcome */

static bool
has_room(const struct embedded *store)
{
    struct statvfs fs;

    return fstatvfs(store->reserve_fd, &fs) == 0 && !FAULT("store.no-room") &&
           fs.f_bavail * fs.f_frsize >=
               (uint64_t)store->reserve_size + ROOM_BESIDE;
}

static bool
make(struct embedded *store)
{
    if (has_room(store) &&
        posix_fallocate(store->reserve_fd, 0, store->reserve_size) == 0)
        return true;
    if (ftruncate(store->reserve_fd, 0) < 0)
        log_event(EVENT_NOTE, "text=\"the reserve cannot be emptied\"");
    return false;
}

int
reserve_open(struct embedded *store, struct error *err)
{
    char *path = mem_printf("%s/reserve", store->directory);
    struct statvfs fs = {0};
    struct stat st = {0};
    int r = 0;

    store->reserve_fd =
        open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (store->reserve_fd < 0 || fstatvfs(store->reserve_fd, &fs) < 0 ||
        fstat(store->reserve_fd, &st) < 0)
        r = error_system(err, -errno, "%s", path);
    free(path);
    if (r < 0)
        return r;
    /* A small disk gets a small reserve. */
    const uint64_t share = fs.f_blocks * fs.f_frsize / 8;
    store->reserve_size = share < RESERVE_MAX ? (int64_t)share : RESERVE_MAX;
    if (st.st_blocks * 512 < store->reserve_size && !make(store))
        reserve_give_out(store);
    return 0;
}

void
reserve_give_out(struct embedded *store)
{
    if (ftruncate(store->reserve_fd, 0) < 0)
        log_event(EVENT_NOTE, "text=\"the reserve cannot be emptied\"");
    if (!atomic_exchange(&store->shared->full, true))
        log_event(EVENT_DISK_FULL, "directory=%s", store->directory);
}

void
reserve_restore(struct embedded *store)
{
    if (!atomic_load(&store->shared->full) || !make(store))
        return;
    atomic_store(&store->shared->full, false);
    log_event(EVENT_DISK_OK, "directory=%s", store->directory);
}
