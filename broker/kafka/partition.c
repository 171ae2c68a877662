/* partition.c - what a session knows of one partition of its queue. */
#include "broker/kafka/partition.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"

/* utlist's lists end in NULL forwards and are rings backwards, which the
 * analyzer does not follow.
 * NOLINTBEGIN(clang-analyzer-core.NullDereference,clang-analyzer-unix.Malloc)
 */

/* ---- the window ---------------------------------------------------------- */

static unsigned
join(struct node **list, struct node *node, struct node *next)
{
    node->to = next->to;
    if (next->base < node->base)
        node->base = next->base;
    DL_DELETE(*list, next);
    free(next);
    return 1;
}

/* A done node joins those that it touches; how many. */
static unsigned
settle(struct node **list, struct node *node)
{
    unsigned joined = 0;

    assert(node->entry == NULL);
    if (node->next != NULL && node->next->entry == NULL &&
        node->next->from == node->to)
        joined += join(list, node, node->next);
    if (node != *list && node->prev->entry == NULL &&
        node->prev->to == node->from)
        joined += join(list, node->prev, node);
    return joined;
}

static struct node *
node_new(int64_t from, int64_t to, struct entry *entry, int64_t base)
{
    struct node *node = mem_new(struct node);

    node->from = from;
    node->to = to;
    node->entry = entry;
    node->base = base;
    return node;
}

static void
append_done(struct partition *partition, int64_t offset, int64_t base)
{
    struct node *node = node_new(offset, offset + 1, NULL, base);

    DL_APPEND(partition->window, node);
    partition->done += 1 - settle(&partition->window, node);
}

/* Done, but not fetched: told by facts when one catches up. */
static void
add_ahead(struct partition *partition, int64_t offset, int64_t base)
{
    struct node **list = &partition->ahead;
    struct node *after = *list == NULL ? NULL : (*list)->prev;

    while (after != NULL && after->from > offset)
        after = after == *list ? NULL : after->prev;
    if (after != NULL && offset < after->to)
        return;
    struct node *node = node_new(offset, offset + 1, NULL, base);
    if (after == NULL)
        DL_PREPEND(*list, node);
    else
        DL_APPEND_ELEM(*list, after, node);
    settle(list, node);
}

/* Was it told that the request at that offset is done? */
static bool
is_ahead(struct partition *partition, int64_t offset, int64_t *base)
{
    struct node *node;

    while ((node = partition->ahead) != NULL && node->to <= offset) {
        DL_DELETE(partition->ahead, node);
        free(node);
    }
    if (node == NULL || node->from > offset)
        return false;
    *base = node->base;
    return true;
}

/* Nodes at the front that are done are below the watermark. */
static void
advance(struct partition *partition)
{
    struct node *node;

    while ((node = partition->window) != NULL && node->entry == NULL) {
        DL_DELETE(partition->window, node);
        partition->done--;
        free(node);
    }
}

/* The node's request has ended: only its base is still needed. */
static void
finish_node(struct partition *partition, struct node *node)
{
    struct entry *entry = node->entry;

    node->base = entry->base;
    node->entry = NULL;
    entry->nodes--;
    partition->done += 1 - settle(&partition->window, node);
}

int64_t
partition_watermark(const struct partition *partition)
{
    return partition->window != NULL ? partition->window->from
                                     : partition->fetched;
}

int64_t
partition_position(const struct partition *partition)
{
    /* Where none is in force, who begins here knows as much as we do. */
    int64_t position = partition->claim.offset >= 0 ? partition->claim.offset
                                                    : partition->read;

    if (partition->by_base != NULL && partition->by_base->base < position)
        position = partition->by_base->base;
    unsigned left = partition->done;
    for (const struct node *node = partition->window; left > 0;
         node = node->next) {
        if (node->entry != NULL)
            continue;
        left--;
        if (node->base < position)
            position = node->base;
    }
    for (const struct node *node = partition->ahead; node != NULL;
         node = node->next)
        if (node->base < position)
            position = node->base;
    return position;
}

/* ---- entries ------------------------------------------------------------- */

static struct entry *
find(const struct partition *partition, const struct ticket *ticket)
{
    struct entry *entry;

    HASH_FIND(hh, partition->entries, ticket, sizeof(*ticket), entry);
    return entry;
}

static struct entry *
add(struct partition *partition, const struct ticket *ticket)
{
    struct entry *entry = mem_new(struct entry);

    entry->ticket = *ticket;
    entry->fold = fold_ticket_none();
    entry->base = NO_BASE;
    entry->offset = -1;
    HASH_ADD(hh, partition->entries, ticket, sizeof(entry->ticket), entry);
    return entry;
}

static void
drop(struct partition *partition, struct entry *entry)
{
    assert(entry->nodes == 0 && entry->held == NULL);
    partition_place(partition, entry, PLACE_NONE);
    if (entry->base != NO_BASE)
        DL_DELETE2(partition->by_base, entry, older, newer);
    if (entry->ended != 0)
        DL_DELETE2(partition->ended, entry, ended_prev, ended_next);
    HASH_DEL(partition->entries, entry);
    free(entry);
}

static int
by_due(const struct entry *a, const struct entry *b)
{
    return (a->fold.due > b->fold.due) - (a->fold.due < b->fold.due);
}

/* As they stand in the log, so that a returned one stands before newer ones.
 * (Tickets of one millisecond are in no order.) */
static int
by_offset(const struct entry *a, const struct entry *b)
{
    return (a->offset > b->offset) - (a->offset < b->offset);
}

/* Mostly it belongs at the end. */
static void
insert(struct entry **list, struct entry *entry,
       int (*compare)(const struct entry *, const struct entry *))
{
    struct entry *after = *list == NULL ? NULL : (*list)->prev;

    while (after != NULL && compare(after, entry) > 0)
        after = after == *list ? NULL : after->prev;
    if (after == NULL)
        DL_PREPEND(*list, entry);
    else
        DL_APPEND_ELEM(*list, after, entry);
}

void
partition_place(struct partition *partition, struct entry *entry,
                enum entry_place place)
{
    if (entry->place == PLACE_READY)
        DL_DELETE(partition->ready, entry);
    if (entry->place == PLACE_DELAYED)
        DL_DELETE(partition->delayed, entry);
    partition->ready_len -= entry->place == PLACE_READY;
    partition->ready_len += place == PLACE_READY;
    entry->place = place;
    if (place == PLACE_READY)
        insert(&partition->ready, entry, by_offset);
    if (place == PLACE_DELAYED)
        insert(&partition->delayed, entry, by_due);
}

/* ---- the beginning and the end ------------------------------------------- */

void
partition_init(struct partition *partition, int32_t id)
{
    *partition = (struct partition){.id = id, .claim = {.offset = -1}};
}

static void
free_nodes(struct node *list)
{
    struct node *node, *next;

    DL_FOREACH_SAFE(list, node, next)
    free(node);
}

void
partition_fini(struct partition *partition, void (*free_held)(struct held *))
{
    struct entry *entry, *next;

    HASH_ITER(hh, partition->entries, entry, next)
    {
        HASH_DEL(partition->entries, entry);
        if (entry->held != NULL)
            free_held(entry->held);
        free(entry);
    }
    free_nodes(partition->window);
    free_nodes(partition->ahead);
    partition_init(partition, partition->id);
}

void
partition_begin(struct partition *partition, int64_t watermark,
                int64_t position)
{
    partition->fetched = watermark;
    partition->read = position;
}

/* ---- facts --------------------------------------------------------------- */

/* What is needed of a fact about a ticket of which nothing is known. */
static bool
makes_known(const struct partition *partition, const struct fact *fact)
{
    switch (fact->kind) {
    case FACT_STARTED:
        return fact->request >= partition_watermark(partition);
    case FACT_FAILED:
        return fact->run == 0;
    case FACT_CANCEL:
    case FACT_EXPIRED:
        return true;
    default:
        return false;
    }
}

static void
remember_base(struct partition *partition, struct entry *entry, int64_t offset)
{
    if (entry->base != NO_BASE)
        return;
    entry->base =
        partition->claim.offset >= 0 ? partition->claim.offset : offset;
    /* Where claims in force stand only grows. */
    DL_APPEND2(partition->by_base, entry, older, newer);
}

static void
note_end(struct partition *partition, struct entry *entry, wall_ms now)
{
    entry->ended = now;
    DL_APPEND2(partition->ended, entry, ended_prev, ended_next);
    if (entry->nodes > 0)
        partition->pending--;
}

bool
partition_fold(struct partition *partition, const struct fact *fact,
               int64_t offset, wall_ms now, struct entry **out)
{
    struct entry *entry;

    partition->read = offset + 1;
    *out = NULL;
    if (fact->kind == FACT_OVER)
        fold_over(&partition->claim, fact->session);
    if (fact->kind == FACT_CLAIM)
        fold_claim(&partition->claim, fact, offset);
    if (fact->kind == FACT_OVER || fact->kind == FACT_CLAIM ||
        fact->kind == FACT_KEY || fact->kind == FACT_DROPPED ||
        fact->kind == FACT_REPLAYED)
        return true;
    entry = find(partition, &fact->ticket);
    if (entry == NULL && !makes_known(partition, fact))
        return false;
    struct fold_ticket fold = entry == NULL ? fold_ticket_none() : entry->fold;
    const bool counts = fold_fact(&fold, &partition->claim, fact);
    if (entry == NULL && counts)
        entry = add(partition, &fact->ticket);
    *out = entry;
    if (!counts)
        return false;
    entry->fold = fold;
    remember_base(partition, entry, offset);
    if (ticket_state_is_final(fold.state) && entry->ended == 0)
        note_end(partition, entry, now);
    return true;
}

static bool
is_ended(const struct entry *entry)
{
    return ticket_state_is_final(entry->fold.state);
}

/* ---- requests ------------------------------------------------------------ */

struct entry *
partition_fetch(struct partition *partition, int64_t offset,
                const struct ticket *ticket, bool *is_copy)
{
    struct entry *entry = find(partition, ticket);
    int64_t base = NO_BASE;

    assert(offset >= partition->fetched);
    partition->fetched = offset + 1;
    *is_copy = false;
    if (is_ahead(partition, offset, &base)) {
        append_done(partition, offset, base);
        advance(partition);
        return NULL;
    }
    if (entry == NULL)
        entry = add(partition, ticket);
    *is_copy = entry->nodes > 0 || entry->offset >= 0;
    if (entry->offset < 0)
        entry->offset = offset;
    struct node *node = node_new(offset, offset + 1, entry, NO_BASE);
    DL_APPEND(partition->window, node);
    if (entry->nodes++ == 0 && !is_ended(entry))
        partition->pending++;
    return is_ended(entry) ? NULL : entry;
}

void
partition_skip(struct partition *partition, int64_t offset)
{
    partition->fetched = offset + 1;
    append_done(partition, offset, NO_BASE);
    advance(partition);
}

/* ---- forgetting ---------------------------------------------------------- */

/* Can no copy of it come any more? */
static bool
is_old(const struct entry *entry, wall_ms now, span_ms linger)
{
    return now > ticket_time(&entry->ticket) + linger;
}

/* Of nothing fetched: was its request below the watermark all the time? It was
 * in the log before anybody could cancel it. */
static bool
is_stray(const struct partition *partition, const struct entry *entry,
         span_ms linger)
{
    return entry->offset < 0 && partition->at_end > entry->ended + linger;
}

static void
finish_window(struct partition *partition, wall_ms now, span_ms linger)
{
    struct node *node = partition->window;

    while (node != NULL) {
        struct node *next = node->next;
        while (next != NULL && next->entry == NULL)
            next = next->next; /* may be joined with this one */
        if (node->entry != NULL && !is_old(node->entry, now, linger))
            break;
        if (node->entry != NULL && is_ended(node->entry))
            finish_node(partition, node);
        node = next;
    }
    advance(partition);
}

/* Is its offset known, of what was not fetched, it is told to the window. */
static void
finish_unfetched(struct partition *partition, const struct entry *entry)
{
    if (entry->offset < 0 && entry->fold.request >= partition->fetched)
        add_ahead(partition, entry->fold.request, entry->base);
}

void
partition_trim(struct partition *partition, wall_ms now, span_ms linger)
{
    struct entry *entry, *next;

    finish_window(partition, now, linger);
    DL_FOREACH_SAFE2(partition->ended, entry, next, ended_next)
    {
        if (entry->ended + linger > now)
            break;
        if (entry->nodes > 0 || entry->place != PLACE_NONE ||
            entry->held != NULL)
            continue;
        const bool is_known = entry->offset >= 0 || entry->fold.run != 0;
        if (is_known ? !is_old(entry, now, linger)
                     : !is_stray(partition, entry, linger))
            continue;
        finish_unfetched(partition, entry);
        drop(partition, entry);
    }
}

/* NOLINTEND(clang-analyzer-core.NullDereference,clang-analyzer-unix.Malloc) */
