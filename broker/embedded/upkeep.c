/* upkeep.c - keeps the store's files small: the log, free pages, the reserve.
 */
#include "broker/embedded/upkeep.h"

#include <stdio.h>

#include "broker/embedded/reserve.h"
#include "common/log.h"

#define WAL_PAGES     1024  /* of the log; then it is written back */
#define WAL_PAGES_MAX 65536 /* one that cannot be emptied: a full disk */
#define WAL_RETRY     500   /* ms */
#define WAL_STEP      256   /* more of them, when a reader was in the way */
#define WAL_QUIET     256   /* written back when there is nothing else to do */
#define FREE_PAGES    1024  /* that the file may keep, and an eighth of it */
#define VACUUM_PAGES  256   /* given back at a time */
#define QUIET_BATCHES 8     /* fewer transactions between two upkeeps: quiet */

int
upkeep_checkpoint(struct embedded *store, bool whole)
{
    struct writer *writer = &store->writer;
    int pages = 0;
    int done = 0;

    txn_lock(store);
    int rc = sqlite3_wal_checkpoint_v2(writer->db.sqlite, NULL,
                                       whole ? SQLITE_CHECKPOINT_TRUNCATE
                                             : SQLITE_CHECKPOINT_PASSIVE,
                                       &pages, &done);
    int r = rc == SQLITE_OK ? 0 : db_failed(&writer->db, rc);
    if (r < 0)
        r = txn_sort_failure(store, r);
    txn_unlock(store);
    writer->wal_left = r == 0 && done == pages ? 0 : writer->wal_pages;
    if (writer->wal_left == 0)
        writer->wal_pages = 0;
    return r;
}

/* Has there been hardly anything else to do since the last time? */
static bool
is_quiet(struct embedded *store)
{
    struct writer *writer = &store->writer;
    const uint64_t others = atomic_load(&store->shared->holds) - writer->holds;
    const uint64_t activity = others + writer->batches;
    const bool quiet = activity - writer->activity < QUIET_BATCHES;

    writer->activity = activity;
    return quiet;
}

/* Gives some free pages back. 1: there are more. */
static int
vacuum(struct embedded *store)
{
    struct db *db = &store->writer.db;
    struct txn txn;
    char text[60];
    int64_t unused = 0;
    int64_t pages = 0;
    int r = db_number(db, SQL_FREE_PAGES, NO_ARGS, &unused);

    if (r >= 0)
        r = db_number(db, SQL_PAGES, NO_ARGS, &pages);
    if (r < 0)
        return txn_sort_failure(store, r);
    if (unused <= FREE_PAGES + pages / 8)
        return 0;
    r = txn_begin(&txn, store);
    if (r < 0)
        return r;
    txn.lazy = true;
    snprintf(text, sizeof(text), "PRAGMA incremental_vacuum(%d)", VACUUM_PAGES);
    r = db_run_text(db, text);
    r = r < 0 ? txn_fail(&txn, r) : txn_commit(&txn);
    return r < 0 ? r : 1;
}

/* Is the log long, and is it worth trying to write it back? */
static bool
is_long(const struct writer *writer)
{
    if (writer->endless) /* it hardly grows any more: go by the clock */
        return clock_boot() >= writer->checkpoint_at;
    return writer->wal_pages >= WAL_PAGES &&
           writer->wal_pages >= writer->wal_left + WAL_STEP;
}

static void
empty_log(struct embedded *store)
{
    struct writer *writer = &store->writer;

    upkeep_checkpoint(store, false);
    const bool endless = writer->wal_pages > WAL_PAGES_MAX;
    if (endless && !writer->endless)
        log_event(EVENT_DISK_FULL,
                  "directory=%s text=\"cloakroom.db-wal cannot be emptied and "
                  "is full: end the program that reads cloakroom.db for so "
                  "long\"",
                  store->directory);
    writer->endless = endless;
    writer->checkpoint_at = clock_boot() + WAL_RETRY;
}

void
upkeep(struct embedded *store, bool swept)
{
    struct writer *writer = &store->writer;
    const bool quiet = swept && is_quiet(store);

    if (is_long(writer))
        empty_log(store);
    if (!swept)
        return;
    if (atomic_load(&store->shared->full)) {
        upkeep_checkpoint(store, true);
        reserve_restore(store);
    }
    if (quiet && writer->wal_pages >= WAL_QUIET)
        upkeep_checkpoint(store, false);
    if (vacuum(store) == 1) {
        writer->vacuumed = true;
        writer->sweep_more |= quiet;
    } else if (writer->vacuumed) {
        writer->vacuumed = false;
        upkeep_checkpoint(store, false); /* the file shrinks only now */
    }
}
