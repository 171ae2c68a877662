/* view_file.h - the SQLite file of a view: its slot, statements, results.
 *
 * Processes of one machine that share a directory have a file each: view-0.db,
 * view-1.db, ... A process takes the first one whose lock it gets
 * (view-N.lock), and goes on where its last owner left it.
 *
 * The file can be made anew from the log, so nothing is synced while it is in
 * use. A process that dies leaves it whole; a machine that does may not: a file
 * that was not closed in this boot is not believed.
 *
 * Results: 0 or a negative errno. -ENOSPC: the disk is full. -EUCLEAN: the file
 * is damaged. -EIO: else. err of the file has the sentence.
 *
 * Threads: the owner's.
 */
#ifndef BROKER_KAFKA_VIEW_FILE_H
#define BROKER_KAFKA_VIEW_FILE_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/error.h"
#include "common/slice.h"
#include "common/ticket.h"

enum view_sql {
#define SQL(name, text) VIEW_##name,
#include "broker/kafka/view.def"
#undef SQL
    VIEW_SQLS
};

struct view_file {
    sqlite3 *sqlite;
    sqlite3_stmt *statements[VIEW_SQLS];
    char *path;
    int lock_fd;
    bool in_transaction;
    struct error err; /* of the last thing that failed */
};

/* Takes a slot in the directory, which is made if it is missing, and opens its
 * file. *fresh: it is empty; it was, or it was of another installation, format
 * or number of partitions, or cannot be believed. */
int view_file_open(struct view_file *file, const char *directory,
                   const char *installation, int32_t partitions, bool *fresh,
                   struct error *err);
/* Commits nothing: view_file_commit before it. is_good: what stands in it may
 * be believed after a restart of the machine. */
void view_file_close(struct view_file *file, bool is_good);
/* Empties it. */
int view_file_remake(struct view_file *file, const char *installation,
                     int32_t partitions);

/* Begins a transaction unless one is open. */
int view_file_begin(struct view_file *file);
int view_file_commit(struct view_file *file);
void view_file_rollback(struct view_file *file);

/* ---- statements ---------------------------------------------------------- */

/* A value to be bound. */
struct cell {
    enum { CELL_INT, CELL_BLOB, CELL_TEXT } type;
    int len;
    int64_t number;
    const void *at; /* NULL: SQL's NULL */
};
#define CELL(n) ((struct cell){.type = CELL_INT, .number = (int64_t)(n)})
#define CELL_BYTES(p, n)                                                       \
    ((struct cell){.type = CELL_BLOB, .at = (p), .len = (int)(n)})
#define CELL_STRING(s) ((struct cell){.type = CELL_TEXT, .at = (s), .len = -1})
#define CELL_TICKET(t) CELL_BYTES((t)->bytes, TICKET_BYTES)
#define CELLS(...)                                                             \
    (const struct cell[]){__VA_ARGS__},                                        \
        (int)(sizeof((struct cell[]){__VA_ARGS__}) / sizeof(struct cell))
#define NO_CELLS NULL, 0

/* Runs a statement that gives no rows. */
int view_file_run(struct view_file *file, enum view_sql sql,
                  const struct cell *cells, int len);
/* Starts one that gives rows; NULL when that failed (file->err.code). Values
 * are lent until it is done. */
sqlite3_stmt *view_file_start(struct view_file *file, enum view_sql sql,
                              const struct cell *cells, int len);
/* 1: a row. 0: no more. Negative: failed. A NULL statement has failed. */
int view_file_step(struct view_file *file, sqlite3_stmt *stmt);
void view_file_done(sqlite3_stmt *stmt);
/* One row of one integer: 1 and the value; 0 for no row, or NULL. */
int view_file_number(struct view_file *file, enum view_sql sql,
                     const struct cell *cells, int len, int64_t *number);

/* Columns. A slice is lent until the next step. */
struct slice view_file_slice(sqlite3_stmt *stmt, int column);
bool view_file_ticket(sqlite3_stmt *stmt, int column, struct ticket *ticket);
void view_file_text(sqlite3_stmt *stmt, int column, char *text, size_t room);

#endif
