/* directory.h - the data directory: is it safe to keep requests in?
 *
 * It must be a directory of ours, closed to others, on a local and writable
 * file system, and what is in it under our names must be plain files of ours:
 * no symlinks that somebody planted.
 *
 * Threads: any.
 */
#ifndef BROKER_EMBEDDED_DIRECTORY_H
#define BROKER_EMBEDDED_DIRECTORY_H

#include <stdbool.h>

#include "common/error.h"

/* *resolved is the path without symlinks, malloc'ed; *lock_fd the file `lock`.
 * create: make it (mode 0700) if only it is missing. -ENOENT: there is none.
 * -EINVAL: not to be used; err says why and what to do. */
int directory_open(const char *path, bool create, char **resolved, int *lock_fd,
                   struct error *err);

/* The write lock, byte 0 of `lock`. directory_lock waits for it. 0 or -errno.
 */
int directory_lock(int lock_fd);
int directory_try_lock(int lock_fd); /* -EAGAIN: held */
void directory_unlock(int lock_fd);

/* Drops what the page cache has of the store's files, so that what is read
 * next is what the disk has: after a failed sync the two may differ. For who is
 * alone, before SQLite opens them. -EIO: the disk does not take our writes. */
int directory_forget_cache(const char *resolved, struct error *err);

#endif
