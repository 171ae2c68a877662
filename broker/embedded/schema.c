/* schema.c - the tables of cloakroom.db and their version. */
#include "broker/embedded/schema.h"

#include <stdio.h>
#include <string.h>

#include "common/clock.h"

#define TEXT_(x)    #x
#define TEXT_OF(x)  TEXT_(x)

#define CHECK_LIMIT 2000 /* ms */

#define CONTROL_TABLES                                                         \
    "CREATE TABLE control(queue INTEGER PRIMARY KEY,"                          \
    " by_ TEXT NOT NULL DEFAULT '', why TEXT NOT NULL DEFAULT '',"             \
    " upgrade TEXT NOT NULL DEFAULT '', step TEXT NOT NULL DEFAULT '',"        \
    " from_ TEXT NOT NULL DEFAULT '', to_ TEXT NOT NULL DEFAULT '',"           \
    " seat INTEGER NOT NULL DEFAULT 0, seat_turn INTEGER NOT NULL DEFAULT 0,"  \
    " boot TEXT NOT NULL DEFAULT '', pid INTEGER NOT NULL DEFAULT 0,"          \
    " ended INTEGER NOT NULL DEFAULT 0, killed INTEGER NOT NULL DEFAULT 0,"    \
    " put_back INTEGER NOT NULL DEFAULT 0,"                                    \
    " waited_out INTEGER NOT NULL DEFAULT 0);"                                 \
    "CREATE TABLE barrier(queue INTEGER NOT NULL, session INTEGER NOT NULL,"   \
    " name TEXT NOT NULL, release TEXT NOT NULL, state INTEGER NOT NULL,"      \
    " PRIMARY KEY(queue, session)) WITHOUT ROWID;"                             \
    "CREATE TABLE history(id INTEGER PRIMARY KEY AUTOINCREMENT,"               \
    " queue INTEGER NOT NULL, epoch INTEGER NOT NULL, at INTEGER NOT NULL,"    \
    " change TEXT NOT NULL, release TEXT NOT NULL, by_ TEXT NOT NULL,"         \
    " why TEXT NOT NULL, receipt TEXT);"

static const char tables[] =
    "CREATE TABLE queue(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE,"
    " epoch INTEGER NOT NULL DEFAULT 1, state TEXT NOT NULL DEFAULT 'open',"
    " release TEXT NOT NULL, accepting INTEGER NOT NULL DEFAULT 1,"
    " paused_ms INTEGER NOT NULL DEFAULT 0,"
    " since INTEGER NOT NULL DEFAULT 0,"
    " paused_epoch INTEGER NOT NULL DEFAULT 0,"
    " ramp_since INTEGER NOT NULL DEFAULT 0, ramp INTEGER NOT NULL DEFAULT 0,"
    " head INTEGER NOT NULL DEFAULT 0, tail INTEGER NOT NULL DEFAULT 0,"
    " last_end INTEGER NOT NULL DEFAULT 0,"
    " last_attempt INTEGER NOT NULL DEFAULT 0,"
    " queued INTEGER NOT NULL DEFAULT 0, returned INTEGER NOT NULL DEFAULT 0,"
    " delayed INTEGER NOT NULL DEFAULT 0, running INTEGER NOT NULL DEFAULT 0,"
    " dead INTEGER NOT NULL DEFAULT 0, accepted INTEGER NOT NULL DEFAULT 0,"
    " done INTEGER NOT NULL DEFAULT 0, failed INTEGER NOT NULL DEFAULT 0,"
    " retained INTEGER NOT NULL DEFAULT 0,"
    " trouble TEXT NOT NULL DEFAULT '', trouble_at INTEGER NOT NULL DEFAULT 0);"
    "CREATE TABLE ticket(ticket BLOB PRIMARY KEY, place INTEGER NOT NULL,"
    " end INTEGER NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE again(place INTEGER PRIMARY KEY, queue INTEGER NOT NULL,"
    " due INTEGER NOT NULL, attempts INTEGER NOT NULL,"
    " put_backs INTEGER NOT NULL, started INTEGER NOT NULL,"
    " release TEXT NOT NULL, reason TEXT NOT NULL);"
    "CREATE INDEX again_due ON again(queue, due);"
    "CREATE TABLE running(place INTEGER PRIMARY KEY, session INTEGER NOT NULL,"
    " attempt INTEGER NOT NULL, number INTEGER NOT NULL,"
    " put_backs INTEGER NOT NULL, started INTEGER NOT NULL,"
    " cancel INTEGER NOT NULL, kill INTEGER NOT NULL DEFAULT 0,"
    " probe INTEGER NOT NULL DEFAULT 0);"
    "CREATE TABLE session(id INTEGER PRIMARY KEY AUTOINCREMENT,"
    " queue INTEGER NOT NULL, name TEXT NOT NULL, release TEXT NOT NULL,"
    " concurrency INTEGER NOT NULL, pid INTEGER NOT NULL,"
    " seat INTEGER NOT NULL, seat_turn INTEGER NOT NULL, boot TEXT NOT NULL,"
    " lease INTEGER NOT NULL, since INTEGER NOT NULL);"
    "CREATE TABLE dead(queue INTEGER NOT NULL, end INTEGER NOT NULL,"
    " PRIMARY KEY(queue, end)) WITHOUT ROWID;"
    "CREATE TABLE key(scope BLOB PRIMARY KEY, fingerprint BLOB NOT NULL,"
    " ticket BLOB NOT NULL, expires INTEGER NOT NULL) WITHOUT ROWID;"
    "CREATE INDEX key_expires ON key(expires);" CONTROL_TABLES
    "PRAGMA application_id = " TEXT_OF(
        SCHEMA_APPLICATION) ";"
                            "PRAGMA user_version = " TEXT_OF(
                                SCHEMA_VERSION) ";";

static const char queue_tables[] =
    "CREATE TABLE request_%1$u(seq INTEGER PRIMARY KEY, ticket BLOB NOT NULL,"
    " submitted INTEGER NOT NULL, clock INTEGER NOT NULL,"
    " format INTEGER NOT NULL, flags INTEGER NOT NULL, sum INTEGER NOT NULL,"
    " replays BLOB, origin BLOB NOT NULL, message BLOB NOT NULL);"
    "CREATE TABLE response_%1$u(end INTEGER PRIMARY KEY, ticket BLOB NOT NULL,"
    " seq INTEGER NOT NULL, state INTEGER NOT NULL, attempts INTEGER NOT NULL,"
    " submitted INTEGER NOT NULL, started INTEGER NOT NULL,"
    " ended INTEGER NOT NULL, format INTEGER NOT NULL, sum INTEGER NOT NULL,"
    " replays BLOB, replayed_by BLOB, bytes INTEGER NOT NULL,"
    " release TEXT NOT NULL, reason TEXT NOT NULL, message BLOB NOT NULL);";

/* A store of version 1 knew no pause: every queue is open. */
static const char from_1_to_2[] =
    "ALTER TABLE queue RENAME COLUMN paused_since TO since;"
    "ALTER TABLE queue ADD COLUMN paused_epoch INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE queue ADD COLUMN ramp_since INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE queue ADD COLUMN ramp INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE running ADD COLUMN kill INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE running ADD COLUMN probe INTEGER NOT NULL DEFAULT "
    "0;" CONTROL_TABLES "INSERT INTO control(queue) SELECT id FROM queue;"
    "PRAGMA user_version = 2;";

static int
pragma_number(struct db *db, const char *text, int64_t *number)
{
    sqlite3_stmt *stmt = NULL;
    int rc = sqlite3_prepare_v2(db->sqlite, text, -1, &stmt, NULL);
    int r;

    if (rc == SQLITE_OK)
        rc = sqlite3_step(stmt);
    if (rc == SQLITE_ROW)
        *number = sqlite3_column_int64(stmt, 0);
    r = rc == SQLITE_ROW ? 0 : db_failed(db, rc);
    sqlite3_finalize(stmt);
    return r;
}

/* Commits where all went well (r is 0), else rolls back. Returns the result. */
static int
end_whole(struct db *db, int r)
{
    if (r == 0)
        r = db_run(db, SQL_COMMIT, NO_ARGS);
    if (r < 0 && !sqlite3_get_autocommit(db->sqlite))
        sqlite3_exec(db->sqlite, "ROLLBACK", NULL, NULL, NULL);
    return r;
}

/* Runs text in one transaction. */
static int
run_whole(struct db *db, const char *text)
{
    int r = db_run(db, SQL_BEGIN, NO_ARGS);

    if (r == 0)
        r = db_run_text(db, text);
    return end_whole(db, r);
}

static int
make(struct db *db)
{
    /* Both settings of the file must come before its first page. */
    int r = db_run_text(db, "PRAGMA page_size = 4096;"
                            "PRAGMA auto_vacuum = INCREMENTAL;"
                            "PRAGMA journal_mode = WAL;");

    return r < 0 ? r : run_whole(db, tables);
}

/* Both are asked for; a file system or a build of SQLite may not give them. */
static int
check_modes(struct db *db, struct error *err)
{
    int64_t synchronous = 0;
    sqlite3_stmt *stmt = NULL;
    bool is_wal = false;
    int r = pragma_number(db, "PRAGMA synchronous", &synchronous);

    if (r < 0)
        return error_set(err, r, "%s", db->err.text);
    if (sqlite3_prepare_v2(db->sqlite, "PRAGMA journal_mode", -1, &stmt,
                           NULL) == SQLITE_OK &&
        sqlite3_step(stmt) == SQLITE_ROW)
        is_wal = slice_is(db_slice(stmt, 0), "wal");
    sqlite3_finalize(stmt);
    if (is_wal && synchronous == 2)
        return 0;
    return error_set(err, -EINVAL,
                     "cloakroom.db: SQLite gives no write-ahead log with full "
                     "synchronization on this file system; use another");
}

static int
check_version(struct db *db, int64_t application, int64_t version,
              struct error *err)
{
    const char *path = sqlite3_db_filename(db->sqlite, "main");

    if (application != SCHEMA_APPLICATION)
        return error_set(err, -EINVAL,
                         "%s was not made by Cloakroom (application id %#llx); "
                         "it was left alone: name another directory",
                         path, (unsigned long long)application);
    if (version > SCHEMA_VERSION)
        return error_set(err, -EINVAL,
                         "%s has format %lld and this program knows formats up "
                         "to %d; it was left alone: use the newer program "
                         "again",
                         path, (long long)version, SCHEMA_VERSION);
    if (version < 1)
        return error_set(err, -EINVAL, "%s has no format version", path);
    return 0;
}

int
schema_open(struct db *db, bool create, struct error *err)
{
    int64_t application = 0;
    int64_t version = 0;
    int64_t objects = 0;
    int r = pragma_number(db, "PRAGMA application_id", &application);

    if (r == 0)
        r = pragma_number(db, "PRAGMA user_version", &version);
    if (r == 0)
        r = pragma_number(db, "SELECT count(*) FROM sqlite_schema", &objects);
    if (r == 0 && application == 0 && version == 0 && objects == 0) {
        if (!create)
            return error_set(err, -ENOENT, "cloakroom.db is empty");
        r = make(db);
        return r < 0 ? error_set(err, r, "%s", db->err.text)
                     : check_modes(db, err);
    }
    if (r < 0)
        return error_set(err, r, "%s", db->err.text);
    r = check_version(db, application, version, err);
    if (r == 0)
        r = check_modes(db, err);
    if (r == 0 && version == 1 && (r = run_whole(db, from_1_to_2)) < 0)
        r = error_set(err, r, "bringing cloakroom.db to format 2: %s",
                      db->err.text);
    return r;
}

int
schema_queue(struct db *db, const char *name, const char *release, unsigned *id,
             struct error *err)
{
    char text[sizeof(queue_tables) + 40];
    int64_t number = 0;
    int r = db_number(db, SQL_QUEUE_FIND, ARGS(ARG_STRING(name)), &number);

    if (r == 0) {
        r = db_run(db, SQL_BEGIN, NO_ARGS);
        if (r == 0)
            r = db_run(db, SQL_QUEUE_ADD,
                       ARGS(ARG_STRING(name), ARG_STRING(release)));
        number = sqlite3_last_insert_rowid(db->sqlite);
        if (r == 0)
            r = db_run(db, SQL_CONTROL_ADD, ARGS(ARG(number)));
        if (r == 0 && number >= LANES) {
            db_run(db, SQL_ROLLBACK, NO_ARGS);
            return error_set(err, -EINVAL,
                             "queue %s: a store holds at most %d queues over "
                             "its life; start on a new directory",
                             name, LANES - 1);
        }
        snprintf(text, sizeof(text), queue_tables, (unsigned)number);
        if (r == 0)
            r = db_run_text(db, text);
        r = end_whole(db, r);
    }
    if (r < 0)
        return error_set(err, r, "queue %s: %s", name, db->err.text);
    *id = (unsigned)number;
    return 0;
}

static int
on_progress(void *opaque)
{
    const mono_ms *until = opaque;

    return clock_mono() > *until;
}

int
schema_check(struct db *db, struct error *err)
{
    mono_ms until = clock_mono() + CHECK_LIMIT;
    sqlite3_stmt *stmt = NULL;
    char found[300] = "";

    sqlite3_progress_handler(db->sqlite, 10000, on_progress, &until);
    int rc = sqlite3_prepare_v2(db->sqlite, "PRAGMA quick_check(1)", -1, &stmt,
                                NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(stmt);
    if (rc == SQLITE_ROW)
        db_text(stmt, 0, found, sizeof(found));
    int r = rc == SQLITE_ROW || rc == SQLITE_INTERRUPT ? 0 : db_failed(db, rc);
    sqlite3_finalize(stmt);
    sqlite3_progress_handler(db->sqlite, 0, NULL, NULL);

    if (r < 0)
        snprintf(found, sizeof(found), "%.290s", db->err.text);
    if (found[0] != '\0' && strcmp(found, "ok") != 0)
        return error_set(err, -EUCLEAN, "cloakroom.db: %s", found);
    return 0;
}
