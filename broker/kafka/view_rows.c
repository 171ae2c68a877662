/* view_rows.c - the rows of a view that are in memory, and in its file. */
#include "broker/kafka/view_priv.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"

/* ---- in memory ----------------------------------------------------------- */

/* The tag is an HMAC: nobody chooses where a ticket comes to stand. */
static size_t
place_of(const struct view_rows *rows, const struct ticket *ticket)
{
    uint64_t tag;

    memcpy(&tag, ticket->bytes + TICKET_BYTES - sizeof(tag), sizeof(tag));
    size_t at = (size_t)tag & (rows->room - 1);
    while (rows->table[at] != NULL &&
           !ticket_eq(&rows->table[at]->ticket, ticket))
        at = (at + 1) & (rows->room - 1);
    return at;
}

struct view_row *
rows_find(const struct view_rows *rows, const struct ticket *ticket)
{
    return rows->room == 0 ? NULL : rows->table[place_of(rows, ticket)];
}

static void
grow(struct view_rows *rows)
{
    struct view_row **table = rows->table;
    const size_t room = rows->room;

    rows->room = room == 0 ? 2 * ROWS_MAX : 2 * room;
    while (rows->room & (rows->room - 1))
        rows->room += rows->room & -rows->room; /* up to a power of 2 */
    rows->table = mem_zalloc(rows->room * sizeof(*rows->table));
    for (size_t i = 0; i < room; i++) {
        if (table[i] != NULL)
            rows->table[place_of(rows, &table[i]->ticket)] = table[i];
    }
    free(table);
}

struct view_row *
rows_add(struct view_rows *rows, const struct ticket *ticket)
{
    if (2 * (rows->len + 1) > rows->room)
        grow(rows);
    if (rows->len == rows->pieces_len * ROWS_PIECE) {
        rows->pieces =
            mem_grow(rows->pieces, rows->pieces_len + 1, sizeof(*rows->pieces));
        rows->pieces[rows->pieces_len++] =
            mem_grow(NULL, ROWS_PIECE, sizeof(struct view_row));
    }
    struct view_row *row =
        &rows->pieces[rows->len / ROWS_PIECE][rows->len % ROWS_PIECE];
    memset(row, 0, sizeof(*row));
    row->ticket = *ticket;
    rows->len++;
    rows->table[place_of(rows, ticket)] = row;
    return row;
}

void
rows_clear(struct view_rows *rows)
{
    for (size_t i = 0; i < rows->len; i++) {
        struct view_row *row = &rows->pieces[i / ROWS_PIECE][i % ROWS_PIECE];
        free(row->body);
        buf_fini(&row->text);
    }
    while (rows->pieces_len * ROWS_PIECE > 2 * ROWS_MAX)
        free(rows->pieces[--rows->pieces_len]);
    if (rows->room > 0)
        memset(rows->table, 0, rows->room * sizeof(*rows->table));
    rows->len = rows->dirty = rows->bytes = 0;
}

void
rows_fini(struct view_rows *rows)
{
    rows_clear(rows);
    while (rows->pieces_len > 0)
        free(rows->pieces[--rows->pieces_len]);
    free(rows->pieces);
    free(rows->table);
    *rows = (struct view_rows){0};
}

/* ---- in the file --------------------------------------------------------- */

/* A body stands in the file as its bytes up to the last piece; the file is this
 * program's alone. */
static size_t
body_size(unsigned len)
{
    return offsetof(struct body_ref, offsets) + len * sizeof(int64_t);
}

static struct body_ref *
read_body(struct slice bytes)
{
    if (bytes.len < body_size(0) || bytes.len > sizeof(struct body_ref))
        return NULL;
    struct body_ref *body = mem_new(struct body_ref);
    memcpy(body, bytes.at, bytes.len);
    if (bytes.len != body_size(body->len)) {
        free(body);
        return NULL;
    }
    return body;
}

static void
read_row(sqlite3_stmt *stmt, struct view_row *row)
{
    struct fold_ticket *fold = &row->fold;
    const unsigned flags = (unsigned)sqlite3_column_int(stmt, 3);

    row->is_kept = true;
    row->queue = (unsigned)sqlite3_column_int(stmt, 0);
    row->partition = sqlite3_column_int(stmt, 1);
    fold->state = (enum ticket_state)sqlite3_column_int(stmt, 2);
    row->flags = flags & (ROW_READ - 1);
    row->is_read = flags & ROW_READ;
    row->is_delayed = flags & ROW_DELAYED;
    fold->is_cancelled = flags & ROW_CANCELLED;
    row->orphaned = sqlite3_column_int64(stmt, 4);
    fold->is_orphan = row->orphaned != 0;
    fold->run = (uint64_t)sqlite3_column_int64(stmt, 5);
    fold->session = (uint64_t)sqlite3_column_int64(stmt, 6);
    fold->attempts = (unsigned)sqlite3_column_int(stmt, 7);
    fold->put_backs = (unsigned)sqlite3_column_int(stmt, 8);
    fold->due = sqlite3_column_int64(stmt, 9);
    fold->request = sqlite3_column_int64(stmt, 10);
    row->dead = sqlite3_column_int64(stmt, 11);
    row->first = sqlite3_column_int64(stmt, 12);
    row->pieces = sqlite3_column_int64(stmt, 13);
    row->submitted = sqlite3_column_int64(stmt, 14);
    row->started = sqlite3_column_int64(stmt, 15);
    row->ended = sqlite3_column_int64(stmt, 16);
    row->size = (uint64_t)sqlite3_column_int64(stmt, 17);
    row->bytes = (uint64_t)sqlite3_column_int64(stmt, 18);
    row->message = sqlite3_column_int64(stmt, 19);
    view_file_text(stmt, 20, row->release, sizeof(row->release));
    view_file_text(stmt, 21, row->reason, sizeof(row->reason));
    row->has_replays = view_file_ticket(stmt, 22, &row->replays);
    row->has_replayed_by = view_file_ticket(stmt, 23, &row->replayed_by);
    row->body = read_body(view_file_slice(stmt, 24));
}

static unsigned
flags_of(const struct view_row *row)
{
    return row->flags | (row->is_read ? ROW_READ : 0) |
           (row->is_delayed ? ROW_DELAYED : 0) |
           (row->fold.is_cancelled ? ROW_CANCELLED : 0);
}

static int
write_message(struct view *view, struct view_row *row)
{
    const int64_t place = view->messages + 1;
    int r = view_file_run(
        &view->file, VIEW_MESSAGE_ADD,
        CELLS(CELL(place), CELL_BYTES(row->text.at, row->text.len)));

    if (r < 0)
        return r;
    view->messages = row->message = place;
    view->rows.bytes -= row->text.len;
    buf_fini(&row->text);
    return 0;
}

static int
write_row(struct view *view, struct view_row *row)
{
    const struct fold_ticket *fold = &row->fold;
    const void *replays = row->has_replays ? row->replays.bytes : NULL;
    const void *by = row->has_replayed_by ? row->replayed_by.bytes : NULL;
    int r = row->text.len > 0 ? write_message(view, row) : 0;

    if (r < 0)
        return r;
    return view_file_run(
        &view->file, VIEW_TICKET_SAVE,
        CELLS(CELL_TICKET(&row->ticket), CELL(row->queue), CELL(row->partition),
              CELL(fold->state), CELL(flags_of(row)), CELL(row->orphaned),
              CELL(fold->run), CELL(fold->session), CELL(fold->attempts),
              CELL(fold->put_backs), CELL(fold->due), CELL(fold->request),
              CELL(row->dead), CELL(row->first), CELL(row->pieces),
              CELL(row->submitted), CELL(row->started), CELL(row->ended),
              CELL(row->size), CELL(row->bytes), CELL(row->message),
              CELL_STRING(row->release), CELL_STRING(row->reason),
              CELL_BYTES(replays, TICKET_BYTES), CELL_BYTES(by, TICKET_BYTES),
              CELL_BYTES(row->body,
                         row->body == NULL ? 0 : body_size(row->body->len))));
}

/* ---- the view's rows ----------------------------------------------------- */

int
view_row(struct view *view, const struct ticket *ticket, struct view_row **out)
{
    struct view_row *row = rows_find(&view->rows, ticket);

    if (row != NULL) {
        *out = row;
        return 0;
    }
    sqlite3_stmt *stmt = view_file_start(&view->file, VIEW_TICKET_FIND,
                                         CELLS(CELL_TICKET(ticket)));
    int r = view_file_step(&view->file, stmt);
    if (r >= 0)
        row = rows_add(&view->rows, ticket);
    if (r == 1)
        read_row(stmt, row);
    view_file_done(stmt);
    if (r < 0)
        return r;
    *out = row;
    return 0;
}

void
view_touch(struct view *view, struct view_row *row)
{
    if (view->since == 0)
        view->since = clock_mono();
    if (row->is_dirty)
        return;
    row->is_dirty = true;
    view->rows.dirty++;
}

int
view_settle(struct view *view)
{
    struct view_rows *rows = &view->rows;
    int r = view_file_begin(&view->file);

    for (size_t i = 0; r == 0 && rows->dirty > 0 && i < rows->len; i++) {
        struct view_row *row = &rows->pieces[i / ROWS_PIECE][i % ROWS_PIECE];
        if (!row->is_dirty)
            continue;
        r = write_row(view, row);
        row->is_dirty = false;
        rows->dirty--;
    }
    return r;
}

int
view_find(struct view *view, const struct ticket *ticket,
          const struct view_row **out)
{
    struct view_row *row;
    int r = view_row(view, ticket, &row);

    if (r < 0 || !row->is_kept)
        return r;
    *out = row;
    return 1;
}

int
view_message(struct view *view, const struct view_row *row, struct buf *message)
{
    if (row->text.len > 0)
        return buf_add_slice(message, buf_slice(&row->text));
    if (row->message == 0)
        return 0; /* an empty one */
    sqlite3_stmt *stmt = view_file_start(&view->file, VIEW_MESSAGE_FIND,
                                         CELLS(CELL(row->message)));
    int r = view_file_step(&view->file, stmt);
    if (r == 1)
        r = buf_add_slice(message, view_file_slice(stmt, 0));
    else if (r == 0)
        r = error_set(&view->file.err, -EUCLEAN, "%s: a response is missing",
                      view->file.path);
    view_file_done(stmt);
    return r;
}

int
view_drop(struct view *view, const struct view_row *lent)
{
    struct view_row *row = NULL;
    int r = view_settle(view); /* so that nothing writes it again */

    if (r == 0)
        r = view_row(view, &lent->ticket, &row);
    if (r == 0)
        r = view_file_run(&view->file, VIEW_TICKET_DROP,
                          CELLS(CELL_TICKET(&row->ticket)));
    if (r == 0 && row->message != 0)
        r = view_file_run(&view->file, VIEW_MESSAGE_DROP,
                          CELLS(CELL(row->message)));
    /* Whoever comes with its key is still joined to it. */
    if (r == 0 && (!row->is_read || (row->flags & REQUEST_KEYED)))
        r = view_file_run(&view->file, VIEW_KEY_USE,
                          CELLS(CELL_TICKET(&row->ticket)));
    if (r < 0 || row == NULL)
        return r;
    if (view->since == 0)
        view->since = clock_mono();
    view_count(view, row, -1);
    row->is_kept = false;
    free(TAKE(row->body));
    return 0;
}
