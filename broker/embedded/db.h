/* db.h - one connection to the store: statements, values, results.
 *
 * Each connection keeps its prepared statements (sql.def). A statement is used
 * by db_run (no rows) or by db_start, db_step..., db_done (rows). Texts and
 * blobs are lent until the statement is done.
 *
 * Results: 0 or a negative errno. -ENOSPC: the disk is full. -ENOTCONN: some
 * other program holds the file locked. -EUCLEAN: the file is damaged. -EIO: a
 * read, write or sync failed. err of the connection has the sentence.
 *
 * Threads: the connection's owner.
 */
#ifndef BROKER_EMBEDDED_DB_H
#define BROKER_EMBEDDED_DB_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/error.h"
#include "common/slice.h"
#include "common/ticket.h"

enum sql {
#define SQL(name, text) SQL_##name,
#define LANE_SQL(name, text)
#include "broker/embedded/sql.def"
#undef SQL
#undef LANE_SQL
    SQLS
};

enum lane_sql {
#define SQL(name, text)
#define LANE_SQL(name, text) LANE_##name,
#include "broker/embedded/sql.def"
#undef SQL
#undef LANE_SQL
    LANE_SQLS
};

#define LANES 256 /* queues of a store; ids are below it */

struct db {
    sqlite3 *sqlite;
    sqlite3_stmt *sql[SQLS];
    sqlite3_stmt **lanes[LANES]; /* each LANE_SQLS long, or NULL */
    char *directory;
    struct error err; /* of the last thing that failed */
};

enum db_kind { DB_WRITER, DB_READER };

/* Opens directory/cloakroom.db; it is made if create is set. */
int db_open(struct db *db, const char *directory, enum db_kind kind,
            bool create, struct error *err);
void db_close(struct db *db);

/* A value to be bound. */
struct arg {
    enum { ARG_INT, ARG_BLOB, ARG_TEXT } type;
    int len;
    int64_t number;
    const void *at; /* NULL: SQL's NULL */
};
#define ARG(n) ((struct arg){.type = ARG_INT, .number = (int64_t)(n)})
#define ARG_BYTES(p, n)                                                        \
    ((struct arg){.type = ARG_BLOB, .at = (p), .len = (int)(n)})
/* Never NULL, however empty. */
#define ARG_SLICE(s)  ARG_BYTES((s).len > 0 ? (s).at : "", (s).len)
#define ARG_STRING(s) ((struct arg){.type = ARG_TEXT, .at = (s), .len = -1})
#define ARG_TICKET(t) ARG_BYTES((t)->bytes, TICKET_BYTES)
#define ARGS(...)                                                              \
    (const struct arg[]){__VA_ARGS__},                                         \
        (int)(sizeof((struct arg[]){__VA_ARGS__}) / sizeof(struct arg))
#define NO_ARGS NULL, 0

/* Runs a statement that gives no rows. */
int db_run(struct db *db, enum sql sql, const struct arg *args, int len);
int db_run_lane(struct db *db, unsigned lane, enum lane_sql sql,
                const struct arg *args, int len);
int db_run_text(struct db *db, const char *text); /* any SQL, unprepared */

/* Starts one that gives rows; NULL when that failed (db->err.code). */
sqlite3_stmt *db_start(struct db *db, enum sql sql, const struct arg *args,
                       int len);
sqlite3_stmt *db_start_lane(struct db *db, unsigned lane, enum lane_sql sql,
                            const struct arg *args, int len);
/* 1: a row. 0: no more. Negative: failed. A NULL statement has failed. */
int db_step(struct db *db, sqlite3_stmt *stmt);
void db_done(sqlite3_stmt *stmt);

/* One row of one integer: 1 and the value, 0 for no row, or negative. */
int db_number(struct db *db, enum sql sql, const struct arg *args, int len,
              int64_t *number);

/* Columns. A slice is lent until the next step. */
struct slice db_slice(sqlite3_stmt *stmt, int column);
bool db_ticket(sqlite3_stmt *stmt, int column, struct ticket *ticket);
void db_text(sqlite3_stmt *stmt, int column, char *text, size_t room);

/* Maps an SQLite result; sets db->err. */
int db_failed(struct db *db, int rc);

#endif
