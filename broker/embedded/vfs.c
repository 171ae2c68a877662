/* vfs.c - SQLite's unix files, with our hand on writes and syncs. */
#include "broker/embedded/vfs.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "common/fault.h"
#include "common/mem.h"

#define GATHER_CAP      (124 * 1024) /* unixWrite masks a length to 17 bits */
#define WAL_HEADER_SIZE 32

struct file {
    sqlite3_file base;
    sqlite3_file *real; /* in the bytes behind this struct */
    bool is_wal;
    bool lazy;            /* syncs may be left out */
    bool header_unsynced; /* the log's header was written since the last sync */
    char *gathered;       /* GATHER_CAP bytes, or NULL before the first */
    int gathered_len;
    sqlite3_int64 gathered_at; /* where in the file they belong */
};

static sqlite3_vfs *unix_vfs;

static struct file *
file_of(sqlite3_file *base)
{
    return (struct file *)base;
}

/* ---- writing ------------------------------------------------------------ */

static int
write_real(struct file *file, const void *at, int len, sqlite3_int64 offset)
{
    if (FAULT("store.full"))
        return SQLITE_FULL;
    if (FAULT("store.write"))
        return SQLITE_IOERR_WRITE;

    int rc = file->real->pMethods->xWrite(file->real, at, len, offset);
    if (rc == SQLITE_IOERR_WRITE) {
        int number = 0;
        file->real->pMethods->xFileControl(file->real, SQLITE_FCNTL_LAST_ERRNO,
                                           &number);
        if (number == ENOSPC || number == EDQUOT)
            return SQLITE_FULL;
    }
    return rc;
}

static int
write_gathered(struct file *file)
{
    if (file->gathered_len == 0)
        return SQLITE_OK;

    const int len = file->gathered_len;
    file->gathered_len = 0;
    return write_real(file, file->gathered, len, file->gathered_at);
}

static int
file_write(sqlite3_file *base, const void *at, int len, sqlite3_int64 offset)
{
    struct file *file = file_of(base);

    if (!file->is_wal)
        return write_real(file, at, len, offset);
    if (offset == 0 && len == WAL_HEADER_SIZE)
        file->header_unsynced = true;
    if (file->gathered_len > 0 &&
        (offset != file->gathered_at + file->gathered_len ||
         len > GATHER_CAP - file->gathered_len)) {
        int rc = write_gathered(file);
        if (rc != SQLITE_OK)
            return rc;
    }
    if (len > GATHER_CAP)
        return write_real(file, at, len, offset);
    if (file->gathered == NULL)
        file->gathered = mem_zalloc(GATHER_CAP);
    if (file->gathered_len == 0)
        file->gathered_at = offset;
    memcpy(file->gathered + file->gathered_len, at, (size_t)len);
    file->gathered_len += len;
    return SQLITE_OK;
}

static int
file_sync(sqlite3_file *base, int flags)
{
    struct file *file = file_of(base);
    int rc = write_gathered(file);

    if (rc != SQLITE_OK)
        return rc;
    if (file->lazy && !file->header_unsynced)
        return SQLITE_OK;
    if (FAULT("store.sync"))
        return SQLITE_IOERR_FSYNC;
    file->header_unsynced = false;
    return file->real->pMethods->xSync(file->real, flags);
}

static int
file_truncate(sqlite3_file *base, sqlite3_int64 size)
{
    struct file *file = file_of(base);
    int rc = write_gathered(file);

    return rc != SQLITE_OK ? rc
                           : file->real->pMethods->xTruncate(file->real, size);
}

/* ---- reading ------------------------------------------------------------ */

static int
file_read(sqlite3_file *base, void *at, int len, sqlite3_int64 offset)
{
    struct file *file = file_of(base);
    int rc = write_gathered(file);

    return rc != SQLITE_OK
               ? rc
               : file->real->pMethods->xRead(file->real, at, len, offset);
}

static int
file_size(sqlite3_file *base, sqlite3_int64 *size)
{
    struct file *file = file_of(base);
    int rc = write_gathered(file);

    return rc != SQLITE_OK ? rc
                           : file->real->pMethods->xFileSize(file->real, size);
}

/* ---- passed on ---------------------------------------------------------- */

static int
file_close(sqlite3_file *base)
{
    struct file *file = file_of(base);

    free(file->gathered); /* of a transaction that was rolled back */
    file->gathered = NULL;
    return file->real->pMethods->xClose(file->real);
}

static int
file_lock(sqlite3_file *base, int level)
{
    sqlite3_file *real = file_of(base)->real;
    return real->pMethods->xLock(real, level);
}

static int
file_unlock(sqlite3_file *base, int level)
{
    sqlite3_file *real = file_of(base)->real;
    return real->pMethods->xUnlock(real, level);
}

static int
file_check_reserved_lock(sqlite3_file *base, int *is_reserved)
{
    sqlite3_file *real = file_of(base)->real;
    return real->pMethods->xCheckReservedLock(real, is_reserved);
}

static int
file_control(sqlite3_file *base, int op, void *arg)
{
    sqlite3_file *real = file_of(base)->real;
    return real->pMethods->xFileControl(real, op, arg);
}

static int
file_sector_size(sqlite3_file *base)
{
    sqlite3_file *real = file_of(base)->real;
    return real->pMethods->xSectorSize(real);
}

static int
file_device_characteristics(sqlite3_file *base)
{
    sqlite3_file *real = file_of(base)->real;
    return real->pMethods->xDeviceCharacteristics(real);
}

static int
file_shm_map(sqlite3_file *base, int region, int size, int extend,
             void volatile **at)
{
    sqlite3_file *real = file_of(base)->real;
    return real->pMethods->xShmMap(real, region, size, extend, at);
}

static int
file_shm_lock(sqlite3_file *base, int offset, int n, int flags)
{
    sqlite3_file *real = file_of(base)->real;
    return real->pMethods->xShmLock(real, offset, n, flags);
}

static void
file_shm_barrier(sqlite3_file *base)
{
    sqlite3_file *real = file_of(base)->real;
    real->pMethods->xShmBarrier(real);
}

static int
file_shm_unmap(sqlite3_file *base, int delete)
{
    sqlite3_file *real = file_of(base)->real;
    return real->pMethods->xShmUnmap(real, delete);
}

/* Version 2: no xFetch, so no memory mapping of the file. */
static const sqlite3_io_methods file_methods = {
    .iVersion = 2,
    .xClose = file_close,
    .xRead = file_read,
    .xWrite = file_write,
    .xTruncate = file_truncate,
    .xSync = file_sync,
    .xFileSize = file_size,
    .xLock = file_lock,
    .xUnlock = file_unlock,
    .xCheckReservedLock = file_check_reserved_lock,
    .xFileControl = file_control,
    .xSectorSize = file_sector_size,
    .xDeviceCharacteristics = file_device_characteristics,
    .xShmMap = file_shm_map,
    .xShmLock = file_shm_lock,
    .xShmBarrier = file_shm_barrier,
    .xShmUnmap = file_shm_unmap,
};

static int
vfs_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *base, int flags,
         int *flags_out)
{
    struct file *file = file_of(base);
    (void)vfs;

    memset(file, 0, sizeof(*file));
    file->real = (sqlite3_file *)(file + 1);
    file->is_wal = (flags & SQLITE_OPEN_WAL) != 0;
    int rc = unix_vfs->xOpen(unix_vfs, name, file->real, flags, flags_out);
    if (file->real->pMethods != NULL)
        file->base.pMethods = &file_methods;
    return rc;
}

static sqlite3_vfs our_vfs;
static int register_result;

static void
register_once(void)
{
    /* Without statistics SQLite's allocations take no global lock. Fails,
     * harmlessly, when the process used SQLite before. */
    sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
    register_result = sqlite3_initialize();
    if (register_result != SQLITE_OK)
        return;
    unix_vfs = sqlite3_vfs_find("unix");
    if (unix_vfs == NULL) {
        register_result = SQLITE_ERROR;
        return;
    }
    our_vfs = *unix_vfs;
    our_vfs.pNext = NULL;
    our_vfs.zName = VFS_NAME;
    our_vfs.xOpen = vfs_open;
    our_vfs.szOsFile += (int)sizeof(struct file);
    register_result = sqlite3_vfs_register(&our_vfs, 0);
}

int
vfs_register(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, register_once);
    return register_result;
}

void
vfs_set_lazy(sqlite3 *db, bool lazy)
{
    sqlite3_file *wal = NULL;

    if (sqlite3_file_control(db, "main", SQLITE_FCNTL_JOURNAL_POINTER, &wal) ==
            SQLITE_OK &&
        wal != NULL && wal->pMethods == &file_methods)
        file_of(wal)->lazy = lazy;
}
