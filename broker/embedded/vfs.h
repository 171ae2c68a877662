/* vfs.h - SQLite's unix files, with our hand on writes and syncs.
 *
 * A thin layer over the "unix" VFS, for the write-ahead log above all:
 * - frames are gathered and written with one call; SQLite alone makes two
 *   small writes a page. I1: what was gathered is in the file before xSync
 *   returns, and before anything is read, so nobody can tell. SQLite shows a
 *   commit to others only after its xSync.
 * - a lazy commit (vfs_set_lazy) is written, not synced: for what must survive
 *   a killed process but need not survive a power cut. Only the sync of a
 *   restarted log's header still happens, as SQLite needs it for the order of
 *   things on the disk.
 * - EDQUOT reads as SQLITE_FULL, like ENOSPC.
 * - FAULT points: store.write, store.full, store.sync.
 *
 * Threads: any for vfs_register; else the connection's.
 * Source: sqlite.org/c3ref/vfs.html, wal.c of SQLite 3.40.
 */
#ifndef BROKER_EMBEDDED_VFS_H
#define BROKER_EMBEDDED_VFS_H

#include <sqlite3.h>
#include <stdbool.h>

#define VFS_NAME "cloakroom"

int vfs_register(void); /* an SQLite result; may be repeated */

/* From now on commits of this connection are lazy, or not (the default). */
void vfs_set_lazy(sqlite3 *db, bool lazy);

#endif
