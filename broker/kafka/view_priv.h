/* view_priv.h - the parts of a view.
 *
 * Private to view.c, view_rows.c and view_look.c.
 */
#ifndef BROKER_KAFKA_VIEW_PRIV_H
#define BROKER_KAFKA_VIEW_PRIV_H

#include "broker/kafka/view.h"
#include "broker/kafka/view_file.h"

/* Beside enum request_flag in the file. */
enum row_flag {
    ROW_READ = 64,
    ROW_CANCELLED = 128,
    ROW_DELAYED = 256,
};

/* Rows in memory: an open table by the tag of tickets, in pieces of memory that
 * are given back all at once, when everything is written. */
#define ROWS_MAX   4000
#define ROWS_PIECE 128
struct view_rows {
    struct view_row **table;
    size_t room; /* a power of 2 */
    size_t len;
    size_t dirty;
    size_t bytes; /* of messages */
    struct view_row **pieces;
    size_t pieces_len;
};

struct view_row *rows_find(const struct view_rows *rows,
                           const struct ticket *ticket);
/* A new one, zeroed but for its ticket. */
struct view_row *rows_add(struct view_rows *rows, const struct ticket *ticket);
void rows_clear(struct view_rows *rows);
void rows_fini(struct view_rows *rows);

#define RATE_SECONDS 64
struct view_lane {
    struct view_queue n;
    bool is_dirty;
    int64_t second[RATE_SECONDS];
    uint32_t done[RATE_SECONDS], failed[RATE_SECONDS];
};

/* A queue's part of a partition. */
struct view_share {
    struct fold_claim claim;
    int64_t next; /* of its requests */
    bool is_dirty;
};

struct view_part {
    int64_t next; /* of the facts */
    bool is_dirty;
    struct view_share *shares; /* by queue */
    unsigned shares_len;
};

struct view {
    struct view_file file;
    char *installation;
    int32_t partitions;
    struct view_part *parts;
    struct view_lane *lanes;
    unsigned lanes_len;
    struct view_rows rows;
    int64_t messages; /* the last one's place */
    mono_ms since;    /* there is something to be written; 0: there is not */
    wall_ms due;      /* none delayed is due before */
};

/* The row of a ticket, from memory or the file; not kept if there is none. */
int view_row(struct view *view, const struct ticket *ticket,
             struct view_row **row);
void view_count(struct view *view, const struct view_row *row, int by);
void view_touch(struct view *view, struct view_row *row);
/* Writes the rows in memory into the transaction. */
int view_settle(struct view *view);

#endif
