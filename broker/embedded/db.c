/* db.c - one connection to the store: statements, values, results. */
#include "broker/embedded/db.h"

#include <assert.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "broker/embedded/vfs.h"
#include "common/mem.h"

static const char *const sql_text[SQLS] = {
#define SQL(name, text) [SQL_##name] = text,
#define LANE_SQL(name, text)
#include "broker/embedded/sql.def"
#undef SQL
#undef LANE_SQL
};

static const char *const lane_text[LANE_SQLS] = {
#define SQL(name, text)
#define LANE_SQL(name, text) [LANE_##name] = text,
#include "broker/embedded/sql.def"
#undef SQL
#undef LANE_SQL
};

/* ---- results ------------------------------------------------------------ */

static int
code_of(sqlite3 *sqlite, int rc)
{
    const int number = sqlite3_system_errno(sqlite);

    switch (rc & 0xff) {
    case SQLITE_FULL:
        return -ENOSPC;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return -ENOTCONN;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return -EUCLEAN;
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN:
        /* A full disk may show as "disk I/O error", for instance when the
         * shared-memory file cannot grow. */
        return number == ENOSPC || number == EDQUOT ? -ENOSPC : -EIO;
    default:
        return -EIO;
    }
}

int
db_failed(struct db *db, int rc)
{
    const int number = sqlite3_system_errno(db->sqlite);
    const int code = code_of(db->sqlite, rc);

    if (code == -ENOSPC)
        return error_set(&db->err, code,
                         "no space left for %s: free some, then try again",
                         db->directory);
    return error_set(&db->err, code, "cloakroom.db: %s (SQLite result %d%s%s)",
                     sqlite3_errmsg(db->sqlite), rc, number != 0 ? ", " : "",
                     number != 0 ? strerror(number) : "");
}

/* ---- statements --------------------------------------------------------- */

static sqlite3_stmt *
prepare(struct db *db, const char *text)
{
    sqlite3_stmt *stmt = NULL;
    int rc = sqlite3_prepare_v3(db->sqlite, text, -1, SQLITE_PREPARE_PERSISTENT,
                                &stmt, NULL);

    if (rc != SQLITE_OK)
        db_failed(db, rc);
    return stmt;
}

static sqlite3_stmt *
statement(struct db *db, enum sql sql)
{
    if (db->sql[sql] == NULL)
        db->sql[sql] = prepare(db, sql_text[sql]);
    return db->sql[sql];
}

static sqlite3_stmt *
lane_statement(struct db *db, unsigned lane, enum lane_sql sql)
{
    assert(lane > 0 && lane < LANES);
    if (db->lanes[lane] == NULL)
        db->lanes[lane] = mem_zalloc(LANE_SQLS * sizeof(sqlite3_stmt *));
    if (db->lanes[lane][sql] == NULL) {
        char text[600];
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral" /* sql.def's own texts */
        int len = snprintf(text, sizeof(text), lane_text[sql], lane);
#pragma GCC diagnostic pop
        assert(len > 0 && (size_t)len < sizeof(text));
        db->lanes[lane][sql] = prepare(db, text);
    }
    return db->lanes[lane][sql];
}

static void
bind(sqlite3_stmt *stmt, const struct arg *args, int len)
{
    int rc = SQLITE_OK;

    for (int i = 0; i < len && rc == SQLITE_OK; i++) {
        const struct arg *arg = &args[i];
        switch (arg->type) {
        case ARG_INT:
            rc = sqlite3_bind_int64(stmt, i + 1, arg->number);
            break;
        case ARG_BLOB:
            rc = sqlite3_bind_blob(stmt, i + 1, arg->at, arg->len,
                                   SQLITE_STATIC);
            break;
        case ARG_TEXT:
            rc = sqlite3_bind_text(stmt, i + 1, arg->at, arg->len,
                                   SQLITE_STATIC);
            break;
        }
    }
    assert(rc == SQLITE_OK); /* a wrong number of values, or a busy statement */
}

static int
run(struct db *db, sqlite3_stmt *stmt, const struct arg *args, int len)
{
    if (stmt == NULL)
        return db->err.code;
    bind(stmt, args, len);
    int rc = sqlite3_step(stmt);
    int r = rc == SQLITE_DONE || rc == SQLITE_ROW ? 0 : db_failed(db, rc);
    sqlite3_reset(stmt);
    return r;
}

int
db_run(struct db *db, enum sql sql, const struct arg *args, int len)
{
    return run(db, statement(db, sql), args, len);
}

int
db_run_lane(struct db *db, unsigned lane, enum lane_sql sql,
            const struct arg *args, int len)
{
    return run(db, lane_statement(db, lane, sql), args, len);
}

int
db_run_text(struct db *db, const char *text)
{
    int rc = sqlite3_exec(db->sqlite, text, NULL, NULL, NULL);

    return rc == SQLITE_OK ? 0 : db_failed(db, rc);
}

static sqlite3_stmt *
start(sqlite3_stmt *stmt, const struct arg *args, int len)
{
    if (stmt != NULL)
        bind(stmt, args, len);
    return stmt;
}

sqlite3_stmt *
db_start(struct db *db, enum sql sql, const struct arg *args, int len)
{
    return start(statement(db, sql), args, len);
}

sqlite3_stmt *
db_start_lane(struct db *db, unsigned lane, enum lane_sql sql,
              const struct arg *args, int len)
{
    return start(lane_statement(db, lane, sql), args, len);
}

int
db_step(struct db *db, sqlite3_stmt *stmt)
{
    if (stmt == NULL)
        return db->err.code;
    int rc = sqlite3_step(stmt);
    if (rc == SQLITE_ROW)
        return 1;
    return rc == SQLITE_DONE ? 0 : db_failed(db, rc);
}

void
db_done(sqlite3_stmt *stmt)
{
    sqlite3_reset(stmt); /* NULL is fine */
}

int
db_number(struct db *db, enum sql sql, const struct arg *args, int len,
          int64_t *number)
{
    sqlite3_stmt *stmt = db_start(db, sql, args, len);
    int r = db_step(db, stmt);

    if (r == 1)
        *number = sqlite3_column_int64(stmt, 0);
    db_done(stmt);
    return r;
}

struct slice
db_slice(sqlite3_stmt *stmt, int column)
{
    const void *at = sqlite3_column_blob(stmt, column);

    return (struct slice){at, (size_t)sqlite3_column_bytes(stmt, column)};
}

bool
db_ticket(sqlite3_stmt *stmt, int column, struct ticket *ticket)
{
    struct slice s = db_slice(stmt, column);

    if (s.len != TICKET_BYTES)
        return false;
    memcpy(ticket->bytes, s.at, TICKET_BYTES);
    return true;
}

void
db_text(sqlite3_stmt *stmt, int column, char *text, size_t room)
{
    struct slice s = db_slice(stmt, column);

    snprintf(text, room, "%.*s", SLICE_ARG(s));
}

/* ---- opening ------------------------------------------------------------ */

static int
set_up(struct db *db, enum db_kind kind)
{
    sqlite3_extended_result_codes(db->sqlite, 1);
    /* For a foreign program that holds the file; ours queue at the lock. */
    sqlite3_busy_timeout(db->sqlite, 2000);
    sqlite3_wal_autocheckpoint(db->sqlite, 0);
    sqlite3_db_config(db->sqlite, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    sqlite3_db_config(db->sqlite, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    sqlite3_db_config(db->sqlite, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);

    int r = db_run_text(db, "PRAGMA synchronous = FULL;"
                            "PRAGMA mmap_size = 0;"
                            "PRAGMA secure_delete = OFF;"
                            "PRAGMA temp_store = MEMORY;"
                            "PRAGMA journal_size_limit = 8388608;"
                            "PRAGMA cache_size = -4096;");
    if (r == 0 && kind == DB_READER)
        r = db_run_text(db, "PRAGMA query_only = 1;");
    return r;
}

/* SQLite would make it readable by others, and gives its mode to the log and
 * the index. A file that is there is not opened: to close it would drop the
 * locks that this process may have on it. */
static int
make_file(const char *path, struct error *err)
{
    int fd =
        open(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);

    if (fd < 0)
        return errno == EEXIST
                   ? 0
                   : error_system(err, errno == ENOSPC ? -ENOSPC : -EIO, "%s",
                                  path);
    close(fd);
    return 0;
}

int
db_open(struct db *db, const char *directory, enum db_kind kind, bool create,
        struct error *err)
{
    int rc = vfs_register();

    memset(db, 0, sizeof(*db));
    if (rc != SQLITE_OK)
        return error_set(err, -EIO, "SQLite does not start: result %d", rc);

    char *path = mem_printf("%s/cloakroom.db", directory);
    db->directory = mem_strdup(directory);
    int r = create ? make_file(path, err) : 0;
    if (r == 0) {
        rc =
            sqlite3_open_v2(path, &db->sqlite,
                            SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX |
                                SQLITE_OPEN_NOFOLLOW | SQLITE_OPEN_PRIVATECACHE,
                            VFS_NAME);
        r = rc == SQLITE_OK ? set_up(db, kind) : db_failed(db, rc);
        if (r < 0)
            error_set(err, r, "%s: %s", path, db->err.text);
    }
    if (r < 0)
        db_close(db);
    free(path);
    return r;
}

void
db_close(struct db *db)
{
    for (int i = 0; i < SQLS; i++)
        sqlite3_finalize(db->sql[i]);
    for (int lane = 0; lane < LANES; lane++) {
        for (int i = 0; db->lanes[lane] != NULL && i < LANE_SQLS; i++)
            sqlite3_finalize(db->lanes[lane][i]);
        free(db->lanes[lane]);
    }
    sqlite3_close(db->sqlite);
    free(db->directory);
    memset(db, 0, sizeof(*db));
}
