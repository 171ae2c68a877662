/* view_file.c - the SQLite file of a view: its slot, statements, results. */
#include "broker/kafka/view_file.h"

#include <assert.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/mem.h"

#define FORMAT     2
#define SLOTS      64
#define CHECKPOINT 4000 /* pages of the log, after which it is written back */

static const char *const sql_text[VIEW_SQLS] = {
#define SQL(name, text) [VIEW_##name] = text,
#include "broker/kafka/view.def"
#undef SQL
};

/* `state` as in control/lifecycle.def; `flags` as in view_priv.h, 256: it is
 * counted as delayed. `first`: the lowest offset of `tickets` that the row
 * rests on; `pieces`: the same of `bodies`, -1: of none. Responses stand apart,
 * so that `ticket` stays small. */
static const char tables[] =
    "CREATE TABLE file(one INTEGER PRIMARY KEY, installation TEXT NOT NULL,"
    " boot TEXT NOT NULL, clean INTEGER NOT NULL, partitions INTEGER NOT NULL);"
    "CREATE TABLE part(part INTEGER PRIMARY KEY, next INTEGER NOT NULL);"
    "CREATE TABLE share(part INTEGER NOT NULL, queue INTEGER NOT NULL,"
    " claim INTEGER NOT NULL, session INTEGER NOT NULL,"
    " next INTEGER NOT NULL, PRIMARY KEY(part, queue)) WITHOUT ROWID;"
    "CREATE TABLE queue(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE,"
    " queued INTEGER NOT NULL, delayed INTEGER NOT NULL,"
    " running INTEGER NOT NULL, dead INTEGER NOT NULL,"
    " accepted INTEGER NOT NULL, done INTEGER NOT NULL,"
    " failed INTEGER NOT NULL, retained INTEGER NOT NULL,"
    " trouble_at INTEGER NOT NULL, trouble TEXT NOT NULL);"
    "CREATE TABLE ticket(ticket BLOB PRIMARY KEY, queue INTEGER NOT NULL,"
    " part INTEGER NOT NULL, state INTEGER NOT NULL, flags INTEGER NOT NULL,"
    " orphaned INTEGER NOT NULL, run INTEGER NOT NULL,"
    " session INTEGER NOT NULL, attempts INTEGER NOT NULL,"
    " put_backs INTEGER NOT NULL, due INTEGER NOT NULL,"
    " request INTEGER NOT NULL, dead INTEGER NOT NULL, first INTEGER NOT NULL,"
    " pieces INTEGER NOT NULL, submitted INTEGER NOT NULL,"
    " started INTEGER NOT NULL, ended INTEGER NOT NULL, size INTEGER NOT NULL,"
    " bytes INTEGER NOT NULL, message INTEGER NOT NULL, release TEXT NOT NULL,"
    " reason TEXT NOT NULL, replays BLOB, replayed_by BLOB, body BLOB)"
    " WITHOUT ROWID;"
    "CREATE INDEX waiting ON ticket(queue, submitted) WHERE state = 0;"
    "CREATE INDEX running ON ticket(queue, started) WHERE state = 1;"
    "CREATE INDEX ended ON ticket(queue, ended) WHERE state > 1;"
    "CREATE INDEX dead ON ticket(queue, ended) WHERE dead >= 0;"
    "CREATE INDEX due ON ticket(due) WHERE flags & 256;"
    "CREATE INDEX first ON ticket(part, first);"
    "CREATE INDEX pieces ON ticket(part, pieces) WHERE pieces >= 0;"
    "CREATE TABLE message(id INTEGER PRIMARY KEY, bytes BLOB NOT NULL);"
    "CREATE TABLE key(scope BLOB PRIMARY KEY, fingerprint BLOB NOT NULL,"
    " ticket BLOB NOT NULL, until INTEGER NOT NULL, used INTEGER NOT NULL,"
    " part INTEGER NOT NULL, offset INTEGER NOT NULL) WITHOUT ROWID;"
    "CREATE INDEX key_until ON key(until);"
    "CREATE INDEX key_first ON key(part, offset);"
    "CREATE INDEX key_ticket ON key(ticket);"
    "PRAGMA user_version = 2;";
static_assert(FORMAT == 2, "the user_version");

/* ---- results ------------------------------------------------------------- */

static int
code_of(sqlite3 *sqlite, int rc)
{
    const int number = sqlite3_system_errno(sqlite);

    switch (rc & 0xff) {
    case SQLITE_FULL:
        return -ENOSPC;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return -EUCLEAN;
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN:
        return number == ENOSPC || number == EDQUOT ? -ENOSPC : -EIO;
    default:
        return -EIO;
    }
}

static int
failed(struct view_file *file, int rc)
{
    return error_set(&file->err, code_of(file->sqlite, rc),
                     "%s: %s (SQLite result %d)", file->path,
                     sqlite3_errmsg(file->sqlite), rc);
}

/* ---- statements ---------------------------------------------------------- */

static void
bind(sqlite3_stmt *stmt, const struct cell *cells, int len)
{
    int rc = SQLITE_OK;

    for (int i = 0; i < len && rc == SQLITE_OK; i++) {
        const struct cell *cell = &cells[i];
        switch (cell->type) {
        case CELL_INT:
            rc = sqlite3_bind_int64(stmt, i + 1, cell->number);
            break;
        case CELL_BLOB:
            rc = sqlite3_bind_blob(stmt, i + 1, cell->at, cell->len,
                                   SQLITE_STATIC);
            break;
        case CELL_TEXT:
            rc = sqlite3_bind_text(stmt, i + 1, cell->at, cell->len,
                                   SQLITE_STATIC);
            break;
        }
    }
    assert(rc == SQLITE_OK); /* a wrong number of values, or a busy statement */
}

sqlite3_stmt *
view_file_start(struct view_file *file, enum view_sql sql,
                const struct cell *cells, int len)
{
    sqlite3_stmt **stmt = &file->statements[sql];

    if (*stmt == NULL) {
        int rc = sqlite3_prepare_v3(file->sqlite, sql_text[sql], -1,
                                    SQLITE_PREPARE_PERSISTENT, stmt, NULL);
        if (rc != SQLITE_OK) {
            failed(file, rc);
            return NULL;
        }
    }
    bind(*stmt, cells, len);
    return *stmt;
}

int
view_file_step(struct view_file *file, sqlite3_stmt *stmt)
{
    if (stmt == NULL)
        return file->err.code;
    int rc = sqlite3_step(stmt);
    if (rc == SQLITE_ROW)
        return 1;
    return rc == SQLITE_DONE ? 0 : failed(file, rc);
}

void
view_file_done(sqlite3_stmt *stmt)
{
    sqlite3_reset(stmt); /* NULL is fine */
}

int
view_file_run(struct view_file *file, enum view_sql sql,
              const struct cell *cells, int len)
{
    sqlite3_stmt *stmt = view_file_start(file, sql, cells, len);
    int r = view_file_step(file, stmt);

    view_file_done(stmt);
    return r < 0 ? r : 0;
}

int
view_file_number(struct view_file *file, enum view_sql sql,
                 const struct cell *cells, int len, int64_t *number)
{
    sqlite3_stmt *stmt = view_file_start(file, sql, cells, len);
    int r = view_file_step(file, stmt);

    if (r == 1 && sqlite3_column_type(stmt, 0) == SQLITE_NULL)
        r = 0;
    if (r == 1)
        *number = sqlite3_column_int64(stmt, 0);
    view_file_done(stmt);
    return r;
}

struct slice
view_file_slice(sqlite3_stmt *stmt, int column)
{
    const void *at = sqlite3_column_blob(stmt, column);

    return (struct slice){at, (size_t)sqlite3_column_bytes(stmt, column)};
}

bool
view_file_ticket(sqlite3_stmt *stmt, int column, struct ticket *ticket)
{
    const struct slice s = view_file_slice(stmt, column);

    if (s.len != TICKET_BYTES)
        return false;
    memcpy(ticket->bytes, s.at, TICKET_BYTES);
    return true;
}

void
view_file_text(sqlite3_stmt *stmt, int column, char *text, size_t room)
{
    const struct slice s = view_file_slice(stmt, column);

    snprintf(text, room, "%.*s", SLICE_ARG(s));
}

/* ---- transactions -------------------------------------------------------- */

int
view_file_begin(struct view_file *file)
{
    if (file->in_transaction)
        return 0;
    int r = view_file_run(file, VIEW_BEGIN, NO_CELLS);
    file->in_transaction = r == 0;
    return r;
}

int
view_file_commit(struct view_file *file)
{
    if (!file->in_transaction)
        return 0;
    int r = view_file_run(file, VIEW_COMMIT, NO_CELLS);
    if (r == 0)
        file->in_transaction = false;
    return r;
}

void
view_file_rollback(struct view_file *file)
{
    if (!sqlite3_get_autocommit(file->sqlite))
        sqlite3_exec(file->sqlite, "ROLLBACK", NULL, NULL, NULL);
    file->in_transaction = false;
}

/* ---- opening ------------------------------------------------------------- */

static int
run_text(struct view_file *file, const char *text)
{
    int rc = sqlite3_exec(file->sqlite, text, NULL, NULL, NULL);

    return rc == SQLITE_OK ? 0 : failed(file, rc);
}

/* Says what errno says; what is in the way is not the log but this folder. */
static int
refused(const char *path, struct error *err)
{
    int number = errno;

    if (number == ENOSPC || number == EDQUOT)
        return error_system(err, -ENOSPC, "%s", path);
    error_system(err, -number, "%s", path);
    if (err != NULL)
        err->code = -ENOTCONN;
    return -ENOTCONN;
}

/* 0, or -EAGAIN: another process has it. */
static int
take_slot(struct view_file *file, const char *directory, unsigned slot,
          struct error *err)
{
    struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    char *path = mem_printf("%s/view-%u.lock", directory, slot);
    int r = 0;

    file->lock_fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (file->lock_fd < 0)
        r = refused(path, err);
    else if (fcntl(file->lock_fd, F_OFD_SETLK, &whole) < 0)
        r = errno == EAGAIN || errno == EACCES ? -EAGAIN : refused(path, err);
    if (r < 0 && file->lock_fd >= 0) {
        close(file->lock_fd);
        file->lock_fd = -1;
    }
    free(path);
    if (r == 0)
        file->path = mem_printf("%s/view-%u.db", directory, slot);
    return r;
}

static int
find_slot(struct view_file *file, const char *directory, struct error *err)
{
    int r = -EAGAIN;

    if (mkdir(directory, 0700) < 0 && errno != EEXIST)
        return refused(directory, err);
    for (unsigned slot = 0; slot < SLOTS && r == -EAGAIN; slot++)
        r = take_slot(file, directory, slot, err);
    return r == -EAGAIN
               ? error_set(err, -ENOTCONN, "%s: %d processes have a view there",
                           directory, SLOTS)
               : r;
}

/* SQLite would make it readable by others, and gives its mode to the log. */
static void
make_private(const char *path)
{
    int fd =
        open(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);

    if (fd >= 0)
        close(fd);
}

static int
open_sqlite(struct view_file *file)
{
    make_private(file->path);
    int rc = sqlite3_open_v2(file->path, &file->sqlite,
                             SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE |
                                 SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_NOFOLLOW |
                                 SQLITE_OPEN_PRIVATECACHE,
                             NULL);

    if (rc != SQLITE_OK)
        return failed(file, rc);
    sqlite3_extended_result_codes(file->sqlite, 1);
    sqlite3_wal_autocheckpoint(file->sqlite, CHECKPOINT);
    sqlite3_db_config(file->sqlite, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    sqlite3_db_config(file->sqlite, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    return run_text(file, "PRAGMA locking_mode = EXCLUSIVE;"
                          "PRAGMA page_size = 4096;"
                          "PRAGMA journal_mode = WAL;"
                          "PRAGMA temp_store = MEMORY;"
                          "PRAGMA journal_size_limit = 33554432;"
                          "PRAGMA cache_size = -16384;"
                          "PRAGMA synchronous = FULL;");
}

static void
close_sqlite(struct view_file *file)
{
    for (int i = 0; i < VIEW_SQLS; i++) {
        sqlite3_finalize(file->statements[i]);
        file->statements[i] = NULL;
    }
    sqlite3_close(file->sqlite);
    file->sqlite = NULL;
    file->in_transaction = false;
}

static void
delete_file(const struct view_file *file)
{
    static const char *const ends[] = {"", "-wal", "-shm", "-journal"};

    for (size_t i = 0; i < sizeof(ends) / sizeof(*ends); i++) {
        char *path = mem_printf("%s%s", file->path, ends[i]);
        unlink(path);
        free(path);
    }
}

/* 1: it goes on. 0: it is empty, or is not to be gone on with. */
static int
is_ours(struct view_file *file, const char *installation, int32_t partitions)
{
    sqlite3_stmt *stmt = NULL;
    bool good = false;
    int rc = sqlite3_prepare_v2(file->sqlite, "PRAGMA user_version", -1, &stmt,
                                NULL);

    if (rc == SQLITE_OK)
        rc = sqlite3_step(stmt);
    good = rc == SQLITE_ROW && sqlite3_column_int(stmt, 0) == FORMAT;
    sqlite3_finalize(stmt);
    if (rc != SQLITE_ROW)
        return failed(file, rc);
    if (!good)
        return 0;

    stmt = view_file_start(file, VIEW_FILE_LOAD, NO_CELLS);
    int r = view_file_step(file, stmt);
    good = r == 1 && slice_is(view_file_slice(stmt, 0), installation) &&
           (sqlite3_column_int(stmt, 2) != 0 ||
            slice_is(view_file_slice(stmt, 1), clock_boot_id())) &&
           sqlite3_column_int(stmt, 3) == partitions;
    view_file_done(stmt);
    return r < 0 ? r : good;
}

/* What was written is synced, from here on nothing is. */
static int
let_go(struct view_file *file)
{
    int r = run_text(file, "PRAGMA wal_checkpoint(TRUNCATE);");

    return r < 0 ? r : run_text(file, "PRAGMA synchronous = OFF;");
}

int
view_file_remake(struct view_file *file, const char *installation,
                 int32_t partitions)
{
    close_sqlite(file);
    delete_file(file);
    int r = open_sqlite(file);

    if (r == 0)
        r = view_file_begin(file);
    if (r == 0)
        r = run_text(file, tables);
    if (r == 0)
        r = view_file_run(file, VIEW_FILE_ADD,
                          CELLS(CELL_STRING(installation),
                                CELL_STRING(clock_boot_id()),
                                CELL(partitions)));
    if (r == 0)
        r = view_file_commit(file);
    return r < 0 ? r : let_go(file);
}

int
view_file_open(struct view_file *file, const char *directory,
               const char *installation, int32_t partitions, bool *fresh,
               struct error *err)
{
    memset(file, 0, sizeof(*file));
    file->lock_fd = -1;
    int r = find_slot(file, directory, err);
    if (r < 0)
        return r;

    r = open_sqlite(file);
    if (r == 0)
        r = is_ours(file, installation, partitions);
    *fresh = r == 0 || r == -EUCLEAN;
    if (*fresh) {
        r = view_file_remake(file, installation, partitions);
    } else if (r == 1) {
        r = view_file_run(file, VIEW_FILE_OPENED,
                          CELLS(CELL_STRING(clock_boot_id())));
        if (r == 0)
            r = let_go(file);
    }
    if (r < 0) {
        error_set(err, r, "%s", file->err.text);
        view_file_close(file, false);
    }
    return r;
}

void
view_file_close(struct view_file *file, bool is_good)
{
    if (file->sqlite != NULL && is_good && !file->in_transaction &&
        run_text(file, "PRAGMA synchronous = FULL;"
                       "PRAGMA wal_checkpoint(TRUNCATE);") == 0 &&
        view_file_run(file, VIEW_FILE_CLOSED, NO_CELLS) == 0)
        run_text(file, "PRAGMA wal_checkpoint(TRUNCATE);");
    close_sqlite(file);
    free(file->path);
    if (file->lock_fd >= 0)
        close(file->lock_fd);
    memset(file, 0, sizeof(*file));
    file->lock_fd = -1;
}
