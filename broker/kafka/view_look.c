/* view_look.c - what a view is asked: places, lists, keys, what it rests on. */
#include "broker/kafka/view_priv.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"

#define AT_ONCE 1000 /* delayed ones that are counted as queued again */

/* ---- places -------------------------------------------------------------- */

/* Ones that were submitted in the same millisecond count as before it; those
 * that wait for a retry's time do not. */
int
view_ahead(struct view *view, const struct view_row *row, int64_t *ahead)
{
    int64_t count = 0;
    int r = view_settle(view);

    if (r == 0)
        r = view_file_number(&view->file, VIEW_AHEAD,
                             CELLS(CELL(row->queue), CELL(row->submitted),
                                   CELL(VIEW_AHEAD_MAX + 1)),
                             &count);
    if (!row->is_delayed && count > 0)
        count--; /* itself */
    *ahead = count;
    return r < 0 ? r : 0;
}

int
view_oldest(struct view *view, unsigned queue, wall_ms *submitted)
{
    int r = view_settle(view);

    *submitted = 0;
    if (r == 0)
        r = view_file_number(&view->file, VIEW_OLDEST, CELLS(CELL(queue)),
                             submitted);
    return r < 0 ? r : 0;
}

/* ---- lists --------------------------------------------------------------- */

static int
list_tickets(struct view *view, enum view_sql sql, const struct cell *cells,
             int cells_len, struct ticket **out, size_t *len)
{
    struct ticket *list = NULL;
    size_t n = 0;
    int r = view_settle(view);

    if (r < 0)
        return r;
    sqlite3_stmt *stmt = view_file_start(&view->file, sql, cells, cells_len);
    while ((r = view_file_step(&view->file, stmt)) == 1) {
        list = mem_grow(list, n + 1, sizeof(*list));
        n += view_file_ticket(stmt, 0, &list[n]);
    }
    view_file_done(stmt);
    if (r < 0) {
        free(list);
        return r;
    }
    *out = list;
    *len = n;
    return 0;
}

int
view_list(struct view *view, enum view_list which, unsigned queue, size_t max,
          wall_ms until, struct ticket **out, size_t *len)
{
    static const enum view_sql texts[] = {
        [VIEW_WAIT] = VIEW_LIST_WAITING, [VIEW_READY] = VIEW_LIST_READY,
        [VIEW_RUN] = VIEW_LIST_RUNNING,  [VIEW_ORPHANS] = VIEW_LIST_ORPHANS,
        [VIEW_END] = VIEW_LIST_ENDED,    [VIEW_LETTERS] = VIEW_LIST_DEAD,
    };
    const struct cell cells[] = {
        CELL(queue), CELL(max < INT64_MAX ? max : INT64_MAX), CELL(until)};

    return list_tickets(view, texts[which], cells,
                        which == VIEW_ORPHANS ? 3 : 2, out, len);
}

/* ---- delayed ones -------------------------------------------------------- */

static int
next_due(struct view *view)
{
    int64_t due = 0;
    int r = view_settle(view);

    if (r == 0)
        r = view_file_number(&view->file, VIEW_NEXT_DUE, NO_CELLS, &due);
    if (r >= 0)
        view->due = r == 1 ? due : INT64_MAX;
    return r < 0 ? r : 0;
}

int
view_promote(struct view *view, wall_ms now)
{
    int r = view->due == 0 ? next_due(view) : 0;

    while (r == 0 && view->due <= now) {
        struct ticket *tickets = NULL;
        size_t len = 0;
        r = list_tickets(view, VIEW_LIST_DUE, CELLS(CELL(now), CELL(AT_ONCE)),
                         &tickets, &len);
        for (size_t i = 0; i < len && r == 0; i++) {
            struct view_row *row = NULL;
            r = view_row(view, &tickets[i], &row);
            if (r < 0)
                break;
            view_count(view, row, -1);
            row->is_delayed = false;
            view_count(view, row, 1);
            view_touch(view, row);
        }
        free(tickets);
        if (r == 0)
            r = next_due(view);
    }
    return r;
}

/* ---- keys ---------------------------------------------------------------- */

int
view_key(struct view *view, const uint8_t scope[KEY_BYTES], wall_ms at,
         struct view_key *key)
{
    sqlite3_stmt *stmt = view_file_start(&view->file, VIEW_KEY_FIND,
                                         CELLS(CELL_BYTES(scope, KEY_BYTES)));
    int r = view_file_step(&view->file, stmt);

    if (r == 1) {
        const struct slice fingerprint = view_file_slice(stmt, 0);
        key->until = sqlite3_column_int64(stmt, 2);
        key->is_used = sqlite3_column_int(stmt, 3) != 0;
        if (fingerprint.len == KEY_BYTES &&
            view_file_ticket(stmt, 1, &key->ticket) && key->until > at)
            memcpy(key->fingerprint, fingerprint.at, KEY_BYTES);
        else
            r = 0;
    }
    view_file_done(stmt);
    return r;
}

int
view_drop_keys(struct view *view, wall_ms now, unsigned max)
{
    int r = view_file_begin(&view->file);

    if (r == 0)
        r = view_file_run(&view->file, VIEW_KEY_SWEEP,
                          CELLS(CELL(now), CELL(max)));
    if (view->since == 0)
        view->since = clock_mono();
    return r < 0 ? r : sqlite3_changes(view->file.sqlite);
}

/* ---- the log ------------------------------------------------------------- */

static int
lower(struct view *view, enum view_sql sql, int32_t partition, int64_t *floor)
{
    int64_t first = 0;
    int r = view_file_number(&view->file, sql, CELLS(CELL(partition)), &first);

    if (r == 1 && first < *floor)
        *floor = first;
    return r < 0 ? r : 0;
}

int
view_floor(struct view *view, int32_t partition, int64_t *facts,
           int64_t *pieces)
{
    const struct view_part *part = &view->parts[partition];
    int r = view_settle(view);

    *facts = part->next;
    *pieces = INT64_MAX;
    for (unsigned i = 0; i < part->shares_len; i++) {
        const int64_t claim = part->shares[i].claim.offset;
        if (claim >= 0 && claim < *facts)
            *facts = claim;
    }
    if (r == 0)
        r = lower(view, VIEW_FIRST_FACT, partition, facts);
    if (r == 0)
        r = lower(view, VIEW_FIRST_KEY, partition, facts);
    if (r == 0)
        r = lower(view, VIEW_FIRST_PIECE, partition, pieces);
    return r;
}

/* ---- for tests ----------------------------------------------------------- */

void
view_check(struct view *view)
{
    sqlite3_stmt *stmt = NULL;
    int rc;

    assert(view_settle(view) == 0);
    rc = sqlite3_prepare_v2(
        view->file.sqlite,
        "SELECT sum(state = 0 AND flags & 256 = 0), sum(state = 0 AND flags &"
        " 256), sum(state = 1), sum(dead >= 0), sum(bytes) FROM ticket"
        " WHERE queue = ?1",
        -1, &stmt, NULL);
    assert(rc == SQLITE_OK);
    for (unsigned i = 0; i < view->lanes_len; i++) {
        const struct view_queue *n = &view->lanes[i].n;
        const uint64_t numbers[] = {n->queued, n->delayed, n->running, n->dead,
                                    n->retained};
        sqlite3_bind_int64(stmt, 1, i);
        rc = sqlite3_step(stmt);
        assert(rc == SQLITE_ROW);
        for (int k = 0; k < 5; k++)
            assert((uint64_t)sqlite3_column_int64(stmt, k) == numbers[k]);
        sqlite3_reset(stmt);
    }
    sqlite3_finalize(stmt);
}
