/* view.c - folds facts into rows and counters; opens, writes, goes back. */
#include "broker/kafka/view_priv.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "common/own.h"
#include "common/problem.h"

#define FAILURE_CAP 4096
#define HOLD        100       /* ms from a first row to its being written */
#define BYTES_MAX   (8 << 20) /* of messages in memory */

static_assert(TICKET_QUEUED == 0 && TICKET_RUNNING == 1 && TICKET_DONE == 2,
              "view.def has these numbers");

/* ---- queues -------------------------------------------------------------- */

unsigned
view_queue(struct view *view, struct slice name)
{
    for (unsigned i = 0; i < view->lanes_len; i++) {
        if (slice_is(name, view->lanes[i].n.name))
            return i;
    }
    view->lanes =
        mem_grow(view->lanes, view->lanes_len + 1, sizeof(*view->lanes));
    struct view_lane *lane = &view->lanes[view->lanes_len];
    memset(lane, 0, sizeof(*lane));
    snprintf(lane->n.name, sizeof(lane->n.name), "%.*s", SLICE_ARG(name));
    lane->is_dirty = true;
    return view->lanes_len++;
}

const struct view_queue *
view_queue_at(const struct view *view, unsigned queue)
{
    assert(queue < view->lanes_len);
    return &view->lanes[queue].n;
}

unsigned
view_queues(const struct view *view)
{
    return view->lanes_len;
}

/* A row comes (1) into the numbers of its queue, or leaves them (-1), as it
 * stands. */
void
view_count(struct view *view, const struct view_row *row, int by)
{
    struct view_lane *lane = &view->lanes[row->queue];
    struct view_queue *n = &lane->n;

    if (!row->is_kept)
        return;
    lane->is_dirty = true;
    if (row->fold.state == TICKET_QUEUED)
        *(row->is_delayed ? &n->delayed : &n->queued) += (uint64_t)by;
    else if (row->fold.state == TICKET_RUNNING)
        n->running += (uint64_t)by;
    n->dead += row->dead >= 0 ? (uint64_t)by : 0;
    n->retained += (uint64_t)by * row->bytes;
}

/* An ending, for the rates of the last minute. */
static void
note_rate(struct view_lane *lane, bool is_done, wall_ms at)
{
    const int64_t second = at / 1000;
    const size_t i = (size_t)second % RATE_SECONDS;

    if (lane->second[i] > second)
        return; /* of a slow clock, or long ago */
    if (lane->second[i] < second) {
        lane->second[i] = second;
        lane->done[i] = lane->failed[i] = 0;
    }
    *(is_done ? &lane->done[i] : &lane->failed[i]) += 1;
}

static void
count_end(struct view_lane *lane, enum ticket_state state, wall_ms at)
{
    const bool is_done = state == TICKET_DONE;

    *(is_done ? &lane->n.done : &lane->n.failed) += 1;
    note_rate(lane, is_done, at);
}

void
view_minute(const struct view *view, unsigned queue, wall_ms now,
            uint64_t *done, uint64_t *failed)
{
    const struct view_lane *lane = &view->lanes[queue];

    *done = *failed = 0;
    for (size_t i = 0; i < RATE_SECONDS; i++) {
        const int64_t age = now / 1000 - lane->second[i];
        if (age < 0 || age >= 60)
            continue;
        *done += lane->done[i];
        *failed += lane->failed[i];
    }
}

/* No queue has another name: such a fact is none. */
static bool
has_queue(const struct fact *fact)
{
    return fact->queue.len > 0 &&
           fact->queue.len < sizeof(((struct view_queue *)0)->name);
}

/* ---- facts about a ticket ------------------------------------------------ */

static void
set_reason(struct view_row *row, struct slice reason)
{
    snprintf(row->reason, sizeof(row->reason), "%.*s", SLICE_ARG(reason));
}

static void
rest_on(struct view_row *row, const struct body_ref *body)
{
    for (unsigned i = 0; body->size > 0 && i < body->len; i++) {
        if (row->pieces < 0 || body->offsets[i] < row->pieces)
            row->pieces = body->offsets[i];
    }
}

static struct view_share *
share_of(struct view *view, int32_t partition, unsigned queue)
{
    struct view_part *part = &view->parts[partition];

    if (queue >= part->shares_len) {
        part->shares = mem_grow(part->shares, queue + 1, sizeof(*part->shares));
        while (part->shares_len <= queue)
            part->shares[part->shares_len++] =
                (struct view_share){.claim.offset = -1, .next = -1};
    }
    return &part->shares[queue];
}

/* A ticket of which nothing was known, and of which no fact stands below that
 * offset. Who reads from the claim in force on comes to the same. */
static void
start_row(struct view *view, struct view_row *row, int32_t partition,
          unsigned queue, int64_t offset)
{
    const struct ticket ticket = row->ticket;
    const int64_t claim = share_of(view, partition, queue)->claim.offset;

    *row = (struct view_row){
        .ticket = ticket,
        .fold = fold_ticket_none(),
        .queue = queue,
        .partition = partition,
        .is_dirty = row->is_dirty,
        .submitted = ticket_time(&ticket), /* until it is told */
        .dead = -1,
        .first = claim >= 0 ? claim : offset,
        .pieces = -1,
    };
}

static void
start(struct view_row *row, const struct fact *fact)
{
    row->started = fact->at;
    if (!row->is_read) {
        row->flags = fact->flags;
        row->has_replays = fact->has_other;
        row->replays = fact->other;
    }
    snprintf(row->release, sizeof(row->release), "%.*s",
             SLICE_ARG(fact->release));
    row->reason[0] = '\0';
}

static void
keep_message(struct view *view, struct view_row *row, struct slice message)
{
    buf_init(&row->text, message.len);
    if (buf_add_slice(&row->text, message) < 0)
        abort(); /* of memory */
    row->bytes = message.len;
    view->rows.bytes += message.len;
}

/* Cloakroom's own answer, where the log has none. */
static void
answer(struct view *view, struct view_row *row, int status,
       enum outcome outcome, const char *reason)
{
    struct buf message;

    set_reason(row, slice_of(reason));
    buf_init(&message, FAILURE_CAP);
    if (problem_message(&message, status, outcome_word(outcome), reason,
                        &row->ticket) < 0)
        abort(); /* of memory */
    keep_message(view, row, buf_slice(&message));
    buf_fini(&message);
}

static void
answer_by_fact(struct view *view, struct view_row *row, const struct fact *fact)
{
    set_reason(row, fact->reason);
    rest_on(row, &fact->body);
    if (fact->kind == FACT_RESPONSE && fact->body.size > 0) {
        row->body = mem_new(struct body_ref);
        *row->body = fact->body;
        row->bytes = fact->body.size;
    } else {
        keep_message(view, row, fact->message);
    }
    if (fact->kind == FACT_FAILED && fact->dead >= 0) {
        row->dead = fact->dead;
        row->size = fact->size;
        row->bytes += row->size;
    }
}

static void
end(struct view *view, struct view_row *row, const struct fact *fact)
{
    row->ended = fact->at;
    if (fact->kind == FACT_EXPIRED)
        answer(view, row, 504, OUTCOME_EXPIRED,
               "waited in the queue for longer than its ttl");
    else if (fact->kind == FACT_CANCEL)
        answer(view, row, 410, OUTCOME_CANCELLED, VIEW_CANCELLED_QUEUED);
    else if (fact->kind == FACT_RETRY ||
             (fact->kind == FACT_FAILED && fact->state != row->fold.state))
        answer(view, row, 410, OUTCOME_CANCELLED,
               "cancelled by the client while it ran");
    else
        answer_by_fact(view, row, fact);
    count_end(&view->lanes[row->queue], row->fold.state, fact->at);
}

/* Handlers start again, or why they do not. */
static void
note_trouble(struct view_queue *queue, const struct fact *fact)
{
    if (fact->kind == FACT_RETRY && !fact->counted && fact->delay > 0) {
        snprintf(queue->trouble, sizeof(queue->trouble), "%.*s",
                 SLICE_ARG(fact->reason));
        queue->trouble_at = fact->at;
    } else if (fact->kind == FACT_RETRY || fact->kind == FACT_RESPONSE ||
               (fact->kind == FACT_FAILED && fact->run != 0)) {
        queue->trouble[0] = '\0';
    }
}

/* Its state has changed. */
static void
follow_state(struct view *view, struct view_row *row, const struct fact *fact)
{
    row->orphaned = row->fold.is_orphan ? row->orphaned : 0;
    row->is_delayed =
        row->fold.state == TICKET_QUEUED && row->fold.due > clock_wall();
    if (row->is_delayed && row->fold.due < view->due)
        view->due = row->fold.due;
    note_trouble(&view->lanes[row->queue].n, fact);
    if (fact->kind == FACT_STARTED)
        start(row, fact);
    else if (ticket_state_is_final(row->fold.state))
        end(view, row, fact);
    else if (fact->kind == FACT_RETRY)
        set_reason(row, fact->reason);
}

static bool
drop_letter(struct view_row *row)
{
    if (!row->is_kept || row->dead < 0)
        return false;
    row->dead = -1;
    row->bytes -= row->size;
    return true;
}

static bool
fold_row(struct view *view, struct view_row *row, const struct fact *fact)
{
    switch (fact->kind) {
    case FACT_DROPPED:
        return drop_letter(row);
    case FACT_REPLAYED:
        row->has_replayed_by = row->is_kept;
        row->replayed_by = fact->other;
        return row->is_kept;
    default:
        if (!fold_fact(&row->fold,
                       &share_of(view, row->partition, row->queue)->claim,
                       fact))
            return false;
        follow_state(view, row, fact);
        return true;
    }
}

/* Its request is still to be read. */
static bool
is_ahead(const struct view *view, const struct view_row *row)
{
    return row->fold.request >=
           view_request_next(view, row->queue, row->partition);
}

/* A new view may know a key's ticket only by a `started` whose claim is gone
 * from the log: there was a request, and its end is forgotten. */
static int
use_key(struct view *view, const struct ticket *ticket)
{
    int r = view_file_begin(&view->file);

    return r < 0 ? r
                 : view_file_run(&view->file, VIEW_KEY_USE,
                                 CELLS(CELL_TICKET(ticket)));
}

static void
keep_row(struct view *view, struct view_row *row)
{
    struct view_lane *lane = &view->lanes[row->queue];

    lane->n.accepted += !row->is_kept;
    lane->is_dirty = true;
    row->is_kept = true;
    view_touch(view, row);
}

static int
fold_ticket(struct view *view, int32_t partition, int64_t offset,
            const struct fact *fact, const struct view_row **out)
{
    struct view_row *row;
    int r = view_row(view, &fact->ticket, &row);

    if (r < 0 || !has_queue(fact))
        return r;
    if (!row->is_kept)
        start_row(view, row, partition, view_queue(view, fact->queue), offset);
    *out = row;
    view_count(view, row, -1);
    const bool counts = fold_row(view, row, fact);
    if (counts && !row->is_kept && is_ahead(view, row))
        view->lanes[row->queue].n.ahead++;
    if (counts)
        keep_row(view, row);
    view_count(view, row, 1);
    if (!row->is_kept && fact->kind == FACT_STARTED &&
        (fact->flags & REQUEST_KEYED))
        r = use_key(view, &fact->ticket);
    return r < 0 ? r : counts;
}

/* ---- requests ------------------------------------------------------------ */

static void
add_request(struct view_row *row, int64_t offset, const struct queued *request)
{
    rest_on(row, &request->body);
    if (row->is_read) {
        row->flags |= request->flags & REQUEST_TWIN;
        return;
    }
    row->is_read = true;
    row->submitted = request->at;
    row->flags = request->flags;
    row->has_replays = request->has_replays;
    row->replays = request->replays;
    if (row->fold.request < 0)
        row->fold.request = offset;
    if (row->dead < 0) /* else it is known, and counted */
        row->size =
            request->body.size > 0 ? request->body.size : request->message.len;
}

int
view_request(struct view *view, unsigned queue, int32_t partition,
             int64_t offset, const struct queued *request)
{
    struct view_row *row;
    int r = view_row(view, &request->ticket, &row);

    assert(offset >= view_request_next(view, queue, partition));
    if (r < 0)
        return r;
    if (!row->is_kept)
        start_row(view, row, partition, queue, view->parts[partition].next);
    uint64_t *ahead = &view->lanes[row->queue].n.ahead;
    *ahead -= row->is_kept && !row->is_read && *ahead > 0;
    view_count(view, row, -1);
    add_request(row, offset, request);
    keep_row(view, row);
    view_count(view, row, 1);
    view_request_move(view, queue, partition, offset + 1);
    return 0;
}

/* ---- other facts --------------------------------------------------------- */

static int
fold_new_claim(struct view *view, int32_t partition, int64_t offset,
               const struct fact *fact)
{
    if (!has_queue(fact))
        return 0;
    const unsigned queue = view_queue(view, fact->queue);
    struct view_share *share = share_of(view, partition, queue);
    fold_claim(&share->claim, fact, offset);
    share->is_dirty = true;
    return 1;
}

/* The runs of one session in one partition. */
static int
list_of_session(struct view *view, int32_t partition, uint64_t session,
                struct ticket **out, size_t *len)
{
    struct view_file *file = &view->file;
    int r = view_settle(view);

    if (r < 0)
        return r;
    sqlite3_stmt *stmt = view_file_start(file, VIEW_LIST_OF_SESSION,
                                         CELLS(CELL(session), CELL(partition)));
    while ((r = view_file_step(file, stmt)) == 1) {
        *out = mem_grow(*out, *len + 1, sizeof(**out));
        *len += view_file_ticket(stmt, 0, &(*out)[*len]);
    }
    view_file_done(stmt);
    return r;
}

static int
orphan_all(struct view *view, int32_t partition, uint64_t session)
{
    struct ticket *tickets = NULL;
    struct view_row *row;
    size_t len = 0;
    int r = list_of_session(view, partition, session, &tickets, &len);

    for (size_t i = 0; i < len && r == 0; i++) {
        r = view_row(view, &tickets[i], &row);
        if (r == 0 && fold_orphan(&row->fold, session)) {
            row->orphaned = clock_wall();
            view_touch(view, row);
        }
    }
    free(tickets);
    return r;
}

static int
fold_session_over(struct view *view, int32_t partition, uint64_t session)
{
    struct view_part *part = &view->parts[partition];

    for (unsigned i = 0; i < part->shares_len; i++) {
        fold_over(&part->shares[i].claim, session);
        part->shares[i].is_dirty = true;
    }
    int r = orphan_all(view, partition, session);
    return r < 0 ? r : 1;
}

/* The first one wins until its time is over, by the time of the next one. */
static int
fold_key(struct view *view, int32_t partition, int64_t offset,
         const struct fact *fact)
{
    struct view_key key;
    int r = view_key(view, fact->key.scope, fact->at, &key);

    if (r != 0)
        return r < 0 ? r : 0;
    r = view_file_begin(&view->file);
    if (r == 0)
        r = view_file_run(&view->file, VIEW_KEY_SET,
                          CELLS(CELL_BYTES(fact->key.scope, KEY_BYTES),
                                CELL_BYTES(fact->key.fingerprint, KEY_BYTES),
                                CELL_TICKET(&fact->ticket), CELL(fact->until),
                                CELL(partition), CELL(offset)));
    return r < 0 ? r : 1;
}

int
view_fact(struct view *view, int32_t partition, int64_t offset,
          const struct fact *fact, const struct view_row **row)
{
    const struct view_row *other;
    int r;

    assert(partition >= 0 && partition < view->partitions);
    assert(offset >= view->parts[partition].next);
    if (row == NULL)
        row = &other;
    *row = NULL;
    switch (fact->kind) {
    case FACT_CLAIM:
        r = fold_new_claim(view, partition, offset, fact);
        break;
    case FACT_OVER:
        r = fold_session_over(view, partition, fact->session);
        break;
    case FACT_KEY:
        r = fold_key(view, partition, offset, fact);
        break;
    default:
        r = fold_ticket(view, partition, offset, fact, row);
    }
    if (r >= 0)
        view_move(view, partition, offset + 1);
    return r;
}

int64_t
view_next(const struct view *view, int32_t partition)
{
    return view->parts[partition].next;
}

void
view_move(struct view *view, int32_t partition, int64_t next)
{
    view->parts[partition].next = next;
    view->parts[partition].is_dirty = true;
    if (view->since == 0)
        view->since = clock_mono();
}

int64_t
view_request_next(const struct view *view, unsigned queue, int32_t partition)
{
    const struct view_part *part = &view->parts[partition];

    return queue < part->shares_len ? part->shares[queue].next : -1;
}

void
view_request_move(struct view *view, unsigned queue, int32_t partition,
                  int64_t next)
{
    struct view_share *share = share_of(view, partition, queue);

    share->next = next;
    share->is_dirty = true;
    view->parts[partition].is_dirty = true;
    if (view->since == 0)
        view->since = clock_mono();
}

/* ---- writing ------------------------------------------------------------- */

bool
view_is_due(const struct view *view, mono_ms now)
{
    return view->rows.len >= ROWS_MAX || view->rows.bytes >= BYTES_MAX ||
           (view->since != 0 && now - view->since >= HOLD);
}

static int
write_shares(struct view *view, int32_t partition)
{
    struct view_part *part = &view->parts[partition];
    int r = 0;

    for (unsigned i = 0; i < part->shares_len && r == 0; i++) {
        struct view_share *share = &part->shares[i];
        if (share->is_dirty)
            r = view_file_run(
                &view->file, VIEW_SHARE_SAVE,
                CELLS(CELL(partition), CELL(i), CELL(share->claim.offset),
                      CELL(share->claim.session), CELL(share->next)));
        share->is_dirty = false;
    }
    return r;
}

static int
write_parts(struct view *view)
{
    int r = 0;

    for (int32_t i = 0; i < view->partitions && r == 0; i++) {
        struct view_part *part = &view->parts[i];
        if (!part->is_dirty)
            continue;
        r = view_file_run(&view->file, VIEW_PART_SAVE,
                          CELLS(CELL(i), CELL(part->next)));
        if (r == 0)
            r = write_shares(view, i);
        part->is_dirty = false;
    }
    return r;
}

static int
write_lanes(struct view *view)
{
    int r = 0;

    for (unsigned i = 0; i < view->lanes_len && r == 0; i++) {
        struct view_lane *lane = &view->lanes[i];
        const struct view_queue *n = &lane->n;
        if (lane->is_dirty)
            r = view_file_run(
                &view->file, VIEW_QUEUE_SAVE,
                CELLS(CELL(i), CELL_STRING(n->name), CELL(n->queued),
                      CELL(n->delayed), CELL(n->running), CELL(n->dead),
                      CELL(n->accepted), CELL(n->done), CELL(n->failed),
                      CELL(n->retained), CELL(n->trouble_at),
                      CELL_STRING(n->trouble)));
        lane->is_dirty = false;
    }
    return r;
}

int
view_commit(struct view *view)
{
    int r = view_settle(view);

    if (r == 0)
        r = write_parts(view);
    if (r == 0)
        r = write_lanes(view);
    if (r == 0)
        r = view_file_commit(&view->file);
    if (r == 0) {
        rows_clear(&view->rows);
        view->since = 0;
    }
    return r;
}

/* ---- opening ------------------------------------------------------------- */

static void
forget(struct view *view)
{
    rows_fini(&view->rows);
    for (int32_t i = 0; i < view->partitions; i++) {
        free(view->parts[i].shares);
        view->parts[i] = (struct view_part){0};
    }
    free(TAKE(view->lanes));
    view->lanes_len = 0;
    view->since = 0;
    view->due = 0; /* to be asked */
}

static int
load_lanes(struct view *view)
{
    sqlite3_stmt *stmt =
        view_file_start(&view->file, VIEW_QUEUE_LIST, NO_CELLS);
    int r;

    while ((r = view_file_step(&view->file, stmt)) == 1) {
        const unsigned id = view_queue(view, view_file_slice(stmt, 1));
        struct view_queue *n = &view->lanes[id].n;
        uint64_t *const numbers[] = {&n->queued, &n->delayed,  &n->running,
                                     &n->dead,   &n->accepted, &n->done,
                                     &n->failed, &n->retained};
        if (id != (unsigned)sqlite3_column_int(stmt, 0)) {
            r = error_set(&view->file.err, -EUCLEAN, "%s: its queues are mixed",
                          view->file.path);
            break;
        }
        for (int i = 0; i < (int)ARRAY_LEN(numbers); i++)
            *numbers[i] = (uint64_t)sqlite3_column_int64(stmt, i + 2);
        n->trouble_at = sqlite3_column_int64(stmt, 10);
        const struct slice trouble = view_file_slice(stmt, 11);
        snprintf(n->trouble, sizeof(n->trouble), "%.*s", SLICE_ARG(trouble));
        view->lanes[id].is_dirty = false;
    }
    view_file_done(stmt);
    return r;
}

/* The part that a row of a list is about, by its first column. */
static struct view_part *
part_at(struct view *view, sqlite3_stmt *stmt)
{
    const int64_t part = sqlite3_column_int64(stmt, 0);

    return part >= 0 && part < view->partitions ? &view->parts[part] : NULL;
}

static int
load_parts(struct view *view)
{
    struct view_file *file = &view->file;
    struct view_part *part;
    int r;

    sqlite3_stmt *stmt = view_file_start(file, VIEW_PART_LIST, NO_CELLS);
    while ((r = view_file_step(file, stmt)) == 1) {
        if ((part = part_at(view, stmt)) != NULL)
            part->next = sqlite3_column_int64(stmt, 1);
    }
    view_file_done(stmt);
    if (r < 0)
        return r;

    stmt = view_file_start(file, VIEW_SHARE_LIST, NO_CELLS);
    while ((r = view_file_step(file, stmt)) == 1) {
        const unsigned queue = (unsigned)sqlite3_column_int(stmt, 1);
        if (part_at(view, stmt) != NULL && queue < view->lanes_len)
            *share_of(view, sqlite3_column_int(stmt, 0),
                      queue) = (struct view_share){
                .claim = {.offset = sqlite3_column_int64(stmt, 2),
                          .session = (uint64_t)sqlite3_column_int64(stmt, 3)},
                .next = sqlite3_column_int64(stmt, 4)};
    }
    view_file_done(stmt);
    return r;
}

/* What ended lately, so that who opens the view knows the last minute too. */
static int
load_rates(struct view *view)
{
    const wall_ms since = clock_wall() - 1000 * RATE_SECONDS;
    int r = 0;

    for (unsigned i = 0; i < view->lanes_len && r == 0; i++) {
        sqlite3_stmt *stmt = view_file_start(&view->file, VIEW_QUEUE_MINUTE,
                                             CELLS(CELL(i), CELL(since)));
        while ((r = view_file_step(&view->file, stmt)) == 1)
            note_rate(&view->lanes[i],
                      sqlite3_column_int(stmt, 1) == TICKET_DONE,
                      sqlite3_column_int64(stmt, 0));
        view_file_done(stmt);
    }
    return r;
}

static int
load(struct view *view)
{
    int r = load_lanes(view);

    if (r == 0)
        r = load_rates(view);
    if (r == 0)
        r = load_parts(view);
    if (r == 0)
        r = view_file_number(&view->file, VIEW_MESSAGE_LAST, NO_CELLS,
                             &view->messages);
    return r < 0 ? r : 0;
}

int
view_rewind(struct view *view)
{
    view_file_rollback(&view->file);
    forget(view);
    return load(view);
}

int
view_remake(struct view *view)
{
    int r;

    forget(view);
    r = view_file_remake(&view->file, view->installation, view->partitions);
    return r < 0 ? r : load(view);
}

int
view_open(const char *directory, const char *installation, int32_t partitions,
          struct view **out, struct error *err)
{
    struct view *view = mem_new(struct view);
    bool fresh = false;

    view->installation = mem_strdup(installation);
    view->partitions = partitions;
    view->parts = mem_zalloc((size_t)partitions * sizeof(*view->parts));
    int r = view_file_open(&view->file, directory, installation, partitions,
                           &fresh, err);
    if (r < 0) {
        view_close(view);
        return r;
    }
    r = load(view);
    if (r == -EUCLEAN)
        r = view_remake(view);
    if (r < 0) {
        error_set(err, r, "%s", view->file.err.text);
        view_close(view);
        return r;
    }
    *out = view;
    return 0;
}

void
view_close(struct view *view)
{
    if (view == NULL)
        return;
    const bool good = view->file.sqlite != NULL && view_commit(view) == 0;
    view_file_close(&view->file, good);
    forget(view);
    free(view->parts);
    free(view->installation);
    free(view);
}

const char *
view_error(const struct view *view)
{
    return view->file.err.text;
}
