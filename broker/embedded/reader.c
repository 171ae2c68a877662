/* reader.c - the thread that looks: lookups, lists, and new responses. */
#include "broker/embedded/reader.h"

#include <string.h>

#include "broker/embedded/look.h"
#include "common/log.h"
#include "common/own.h"
#include "common/thread.h"

#define LOOKS_AT_ONCE  64   /* in one read transaction */
#define FOLLOW_AT_ONCE 512  /* responses */
#define IDLE_LOOK      1000 /* ms; looks even if no bell was rung */

static struct lookup *
lookup_of(struct mail *mail)
{
    return CONTAINER_OF(mail, struct lookup, mail);
}

/* A read transaction holds the log back from being emptied: keep it short. */
static int
begin(struct reader *reader)
{
    return db_run(&reader->db, SQL_BEGIN_READ, NO_ARGS);
}

static void
end(struct reader *reader)
{
    if (!sqlite3_get_autocommit(reader->db.sqlite))
        db_run(&reader->db, SQL_COMMIT, NO_ARGS);
}

/* ---- lookups ------------------------------------------------------------ */

/* Cuts the first of a list; the rest stays in *list. */
static struct mail *
cut(struct mail **list, unsigned max)
{
    struct mail *first = *list;
    struct mail **at = list;

    for (unsigned n = 0; *at != NULL && n < max; n++)
        at = &(*at)->next;
    struct mail *rest = *at;
    if (at != list)
        *at = NULL;
    *list = rest;
    return first;
}

static void
serve_lookups(struct embedded *store, struct mail *list)
{
    struct reader *reader = &store->reader;

    while (list != NULL) {
        struct mail *some = cut(&list, LOOKS_AT_ONCE);
        int r = begin(reader);
        for (struct mail *mail = some; mail != NULL; mail = mail->next) {
            if (r == 0)
                look_ticket(store, lookup_of(mail));
            else
                lookup_of(mail)->r = -EIO;
        }
        end(reader);
        while (some != NULL) {
            struct lookup *lookup = lookup_of(some);
            some = some->next; /* the callback may free it */
            lookup->on_found(lookup);
        }
    }
}

static void
serve_calls(struct embedded *store, struct mail *list)
{
    struct reader *reader = &store->reader;

    while (list != NULL) {
        struct call *call = CONTAINER_OF(list, struct call, mail);
        list = list->next;
        int r = begin(reader);
        if (r == 0)
            r = call->read(store, call);
        end(reader);
        call->r = r < 0 ? error_set(&call->err, r == -ENOENT ? r : -EIO, "%s",
                                    reader->db.err.text)
                        : 0;
        sem_post(&call->done);
    }
}

/* ---- following ---------------------------------------------------------- */

/* SQL's wanted(ticket): so that only those responses are read. */
static void
wanted(sqlite3_context *context, int argc, sqlite3_value **argv)
{
    const struct embedded *store = sqlite3_user_data(context);
    struct ticket ticket;
    bool is_wanted = false;

    if (argc == 1 && sqlite3_value_bytes(argv[0]) == TICKET_BYTES) {
        memcpy(ticket.bytes, sqlite3_value_blob(argv[0]), TICKET_BYTES);
        is_wanted = store->options.wanted(store->options.opaque, &ticket);
    }
    sqlite3_result_int(context, is_wanted);
}

static int
last_end(struct db *db, unsigned lane, int64_t *last)
{
    sqlite3_stmt *stmt = db_start_lane(db, lane, LANE_RESPONSE_LAST, NO_ARGS);
    int r = db_step(db, stmt);

    *last = r == 1 ? sqlite3_column_int64(stmt, 0) : 0;
    db_done(stmt);
    return r;
}

static int
tell(struct embedded *store, unsigned lane, int64_t from, int64_t to)
{
    struct db *db = &store->reader.db;
    sqlite3_stmt *stmt =
        db_start_lane(db, lane, LANE_RESPONSE_FOLLOW, ARGS(ARG(from), ARG(to)));
    int r;

    while ((r = db_step(db, stmt)) == 1) {
        struct ticket ticket;
        bool damaged;
        db_ticket(stmt, 0, &ticket);
        struct stored *stored = look_stored(
            &ticket, sqlite3_column_int(stmt, 1), sqlite3_column_int(stmt, 2),
            sqlite3_column_int64(stmt, 3), db_slice(stmt, 4), &damaged);
        store->options.on_response(store->options.opaque, &ticket, &stored);
    }
    db_done(stmt);
    return r;
}

/* 1: there is more of this queue. */
static int
follow_lane(struct embedded *store, unsigned lane)
{
    struct reader *reader = &store->reader;
    int64_t last = 0;
    int r = begin(reader);

    if (r == 0)
        r = last_end(&reader->db, lane, &last);
    const int64_t from = reader->seen[lane];
    const int64_t to =
        last - from > FOLLOW_AT_ONCE ? from + FOLLOW_AT_ONCE : last;
    if (r >= 0 && to > from) {
        r = tell(store, lane, from, to);
        if (r == 0)
            reader->seen[lane] = to;
    }
    end(reader);
    if (r < 0)
        log_event(EVENT_FAILED, "text=\"following responses: %s\"",
                  reader->db.err.text);
    return r < 0 ? r : to < last;
}

/* everything: also queues of which nobody said that they have something. */
static void
follow(struct embedded *store, bool everything)
{
    struct reader *reader = &store->reader;

    for (size_t i = 0; i < store->settings->queues_len; i++) {
        const unsigned lane = store->lane_ids[i];
        if (!everything &&
            atomic_load(&store->shared->ended[lane]) <= reader->seen[lane])
            continue;
        while (follow_lane(store, lane) == 1)
            ;
    }
}

/* ---- the thread --------------------------------------------------------- */

static void *
reader_main(void *opaque)
{
    struct embedded *store = opaque;
    struct reader *reader = &store->reader;
    struct bell *bell = &store->own->reader;
    const bool follows = store->options.wanted != NULL;
    mono_ms looked = 0;

    for (;;) {
        const uint32_t seen = bell_seen(bell);
        const bool stop = atomic_load(&reader->stop);
        const mono_ms now = clock_mono();
        const bool everything = now - looked >= IDLE_LOOK;
        struct mail *calls = mailbox_take(&reader->calls);
        struct mail *lookups = mailbox_take(&reader->lookups);
        embedded_check_broken(store);
        if (everything)
            looked = now;
        if (follows)
            follow(store, everything);
        serve_lookups(store, lookups);
        serve_calls(store, calls);
        if (stop)
            return NULL;
        bell_wait(bell, seen, IDLE_LOOK);
    }
}

static void
on_mail(void *opaque)
{
    struct embedded *store = opaque;

    bell_ring(&store->own->reader);
}

void
reader_init(struct embedded *store)
{
    mailbox_init(&store->reader.lookups, on_mail, store);
    mailbox_init(&store->reader.calls, on_mail, store);
}

int
reader_prepare(struct embedded *store, struct error *err)
{
    struct db *db = &store->reader.db;
    int r = 0;

    if (store->options.wanted == NULL)
        return 0;
    int rc = sqlite3_create_function(db->sqlite, "wanted", 1, SQLITE_UTF8,
                                     store, wanted, NULL, NULL);
    if (rc != SQLITE_OK)
        return error_set(err, -EIO, "SQLite: result %d", rc);
    for (size_t i = 0; i < store->settings->queues_len && r >= 0; i++) {
        const unsigned lane = store->lane_ids[i];
        r = last_end(db, lane, &store->reader.seen[lane]);
    }
    if (r < 0)
        return error_set(err, r, "%s", db->err.text);
    atomic_store(&store->own->follows, true);
    return 0;
}

void
reader_start(struct embedded *store)
{
    thread_start(&store->reader.thread, reader_main, store);
}

void
reader_stop(struct embedded *store)
{
    atomic_store(&store->reader.stop, true);
    bell_ring(&store->own->reader);
    pthread_join(store->reader.thread, NULL);
    serve_lookups(store, mailbox_take(&store->reader.lookups));
    serve_calls(store, mailbox_take(&store->reader.calls));
    mailbox_fini(&store->reader.lookups);
    mailbox_fini(&store->reader.calls);
}
