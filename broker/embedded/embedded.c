/* embedded.c - opens and closes the embedded broker: SQLite in one directory.
 */
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "broker/embedded/directory.h"
#include "broker/embedded/embedded_priv.h"
#include "broker/embedded/reader.h"
#include "broker/embedded/reserve.h"
#include "broker/embedded/schema.h"
#include "broker/embedded/upkeep.h"
#include "broker/embedded/watch.h"
#include "broker/embedded/writer.h"
#include "common/log.h"
#include "common/mem.h"

#define READY_LIMIT 5000 /* ms that the write lock may take */

/* ---- the whole process -------------------------------------------------- */

void
embedded_break(struct embedded *store, const char *what)
{
    char quoted[700];

    atomic_store(&store->breaking, true);
    if (store->shared != NULL) {
        atomic_store(&store->shared->broken, true);
        shared_ring_all(store->shared);
    }
    log_event(EVENT_STORE_BROKEN,
              "directory=%s text=%s what_now=\"every process of the directory "
              "stops; see to the disk, then start again\"",
              store->directory,
              log_quote(slice_of(what), quoted, sizeof(quoted)));
    /* No close: it might write, or sync as if nothing had happened. */
    _exit(EXIT_BROKEN);
}

void
embedded_check_broken(struct embedded *store)
{
    if (!atomic_load(&store->shared->broken))
        return;
    while (atomic_load(&store->breaking))
        pause(); /* a thread of ours found it, and is to say why first */
    log_event(EVENT_STORE_BROKEN,
              "directory=%s text=\"another process found it broken\"",
              store->directory);
    _exit(EXIT_BROKEN);
}

const struct queue_settings *
embedded_lane_settings(const struct embedded *store, unsigned id)
{
    for (size_t i = 0; i < store->settings->queues_len; i++) {
        if (store->lane_ids[i] == id)
            return &store->settings->queues[i];
    }
    return NULL;
}

/* ---- opening ------------------------------------------------------------ */

/* The write lock, before we have a seat: the watch looks after its holder in
 * the shared file that the holder uses. */
static int
lock_first(struct embedded *store, struct error *err)
{
    int r = directory_try_lock(store->lock_fd);

    if (r == -EAGAIN) {
        store->shared = shared_peek(store->directory);
        atomic_store(&store->writer.waiting_since, clock_mono());
        if (store->shared != NULL)
            watch_start(store);
        r = directory_lock(store->lock_fd);
        if (store->shared != NULL)
            watch_stop(store);
        atomic_store(&store->writer.waiting_since, 0);
        shared_unpeek(TAKE(store->shared));
    }
    return r < 0 ? error_system(err, r, "%s/lock", store->directory) : 0;
}

static bool
has_file(const struct embedded *store, const char *name)
{
    char *path = mem_printf("%s/%s", store->directory, name);
    struct stat st;
    bool has = lstat(path, &st) == 0;

    free(path);
    return has;
}

static int
load_secret(struct embedded *store, bool is_new, struct error *err)
{
    char *path = mem_printf("%s/ticket.key", store->directory);
    /* A new key beside old tickets would make them all unknown. */
    int r = ticket_secret_load(path, is_new, &store->secret, err);

    if (r == -ENOENT)
        r = error_set(err, -EINVAL,
                      "%s: is missing, and without it no ticket can be told "
                      "from a made-up one; restore it",
                      path);
    free(path);
    return r;
}

static int
on_commit(void *opaque, sqlite3 *sqlite, const char *name, int pages)
{
    struct writer *writer = opaque;
    (void)sqlite;
    (void)name;

    if (pages < writer->wal_pages)
        writer->wal_left = 0; /* the log began anew */
    writer->wal_pages = pages;
    return SQLITE_OK;
}

static int
open_lanes(struct embedded *store, struct error *err)
{
    const struct settings *settings = store->settings;
    int r = 0;

    store->lane_ids = mem_zalloc((settings->queues_len + 1) * sizeof(unsigned));
    for (size_t i = 0; i < settings->queues_len && r == 0; i++)
        r = schema_queue(&store->writer.db, settings->queues[i].name,
                         settings->queues[i].release, &store->lane_ids[i], err);
    return r;
}

/* Queues that were taken out of the settings keep what they hold. */
static int
tell_forgotten(struct embedded *store, struct error *err)
{
    struct db *db = &store->writer.db;
    sqlite3_stmt *stmt = db_start(db, SQL_QUEUE_LIST, NO_ARGS);
    char name[65];
    int r;

    while ((r = db_step(db, stmt)) == 1) {
        const unsigned id = (unsigned)sqlite3_column_int(stmt, 0);
        const int64_t held = sqlite3_column_int64(stmt, 2);
        if (held == 0 || embedded_lane_settings(store, id) != NULL)
            continue;
        db_text(stmt, 1, name, sizeof(name));
        log_event(EVENT_NOTE,
                  "queue=%s requests=%lld text=\"it is not in the "
                  "configuration: they are kept, and wait until it is there "
                  "again\"",
                  name, (long long)held);
    }
    db_done(stmt);
    return r < 0 ? error_set(err, r, "%s", db->err.text) : 0;
}

/* What was recovered goes into the file, synced, before anything is built upon
 * it. */
static int
open_alone(struct embedded *store, struct error *err)
{
    struct db *db = &store->writer.db;
    int r = store->options.role != BROKER_VISITOR ? schema_check(db, err) : 0;

    if (r < 0)
        return r;
    int rc = sqlite3_wal_checkpoint_v2(db->sqlite, NULL,
                                       SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
    if (rc == SQLITE_OK)
        return 0;
    r = db_failed(db, rc);
    return r == -ENOSPC ? 0 : error_set(err, -EIO, "%s", db->err.text);
}

static int
open_store(struct embedded *store, bool is_new, bool alone, struct error *err)
{
    struct writer *writer = &store->writer;
    const bool create = store->options.create;
    int r = load_secret(store, is_new, err);

    if (r == 0 && alone)
        r = directory_forget_cache(store->directory, err);
    if (r == 0)
        r = db_open(&writer->db, store->directory, DB_WRITER, create, err);
    if (r == 0)
        r = schema_open(&writer->db, create, err);
    if (r == 0 && alone)
        r = open_alone(store, err);
    if (r == 0)
        r = open_lanes(store, err);
    if (r == 0 && store->options.role == BROKER_INGRESS)
        r = tell_forgotten(store, err);
    if (r == 0)
        r = reserve_open(store, err);
    if (r == 0)
        r = db_open(&store->reader.db, store->directory, DB_READER, false, err);
    if (r == 0)
        r = reader_prepare(store, err);
    if (r == 0)
        sqlite3_wal_hook(writer->db.sqlite, on_commit, writer);
    return r;
}

/* Everything that is done under the write lock. */
static int
open_locked(struct embedded *store, struct error *err)
{
    const bool is_new = !has_file(store, "cloakroom.db");
    int r;

    if (is_new && !store->options.create)
        return error_set(err, -ENOENT,
                         "%s: there is no store; an ingress makes it",
                         store->directory);
    r = shared_open(store->directory, store->lock_fd, &store->shared,
                    &store->seat, err);
    if (r < 0)
        return r;
    if (store->options.role == BROKER_WORKER || store->options.guarded) {
        store->guard_fd = shared_guard(store->lock_fd, store->seat, err);
        if (store->guard_fd < 0)
            return store->guard_fd;
    }
    store->own = &store->shared->seats[store->seat];
    atomic_store(&store->own->tid, gettid());
    shared_hold(store->shared, store->seat);
    const bool alone = shared_is_alone(store->lock_fd, store->seat);
    if (!alone && atomic_load(&store->shared->broken))
        return error_set(err, -EIO,
                         "%s: a write or sync failed and its processes are "
                         "stopping; see to the disk, then start again",
                         store->directory);
    r = open_store(store, is_new, alone, err);
    if (r == -EIO && !alone) { /* a write or sync of ours: the others stop */
        atomic_store(&store->shared->broken, true);
        shared_ring_all(store->shared);
    }
    return r;
}

static void
embedded_free(struct embedded *store)
{
    db_close(&store->reader.db);
    db_close(&store->writer.db);
    for (int i = 0; i < LANES; i++)
        free(store->writer.lanes[i]);
    shared_close(store->shared, store->seat);
    if (store->reserve_fd >= 0)
        close(store->reserve_fd);
    if (store->guard_fd >= 0)
        close(store->guard_fd);
    if (store->lock_fd >= 0)
        close(store->lock_fd);
    ticket_secret_free(store->secret);
    free(store->lane_ids);
    free(store->directory);
    free(store);
}

static const struct backend embedded_backend;

int
embedded_open(const struct broker_options *options, struct broker **out,
              struct error *err)
{
    struct embedded *store = mem_new(struct embedded);
    int r;

    store->base.backend = &embedded_backend;
    store->settings = options->settings;
    store->options = *options;
    store->lock_fd = store->guard_fd = store->reserve_fd = -1;
    writer_init(store);
    reader_init(store);
    r = sodium_init() < 0
            ? error_set(err, -EIO, "libsodium does not start")
            : directory_open(options->settings->directory, options->create,
                             &store->directory, &store->lock_fd, err);
    if (r == 0)
        r = lock_first(store, err);
    if (r == 0) {
        r = open_locked(store, err);
        directory_unlock(store->lock_fd);
        if (store->shared != NULL)
            shared_let_go(store->shared, store->seat);
    }
    if (r == -EUCLEAN)
        r = error_wrap(err, -EIO,
                       "%s is damaged and was left alone; restore it from a "
                       "backup, or move it away and lose what it holds",
                       store->directory);
    if (r < 0) {
        embedded_free(store);
        return r;
    }
    watch_start(store);
    reader_start(store);
    writer_start(store);
    *out = &store->base;
    return 0;
}

/* ---- closing ------------------------------------------------------------ */

static void
embedded_close(struct broker *broker)
{
    struct embedded *store = embedded_of(broker);

    atomic_store(&store->closing, true);
    assert(store->writer.sessions == NULL); /* they are closed before */
    writer_stop(store);
    reader_stop(store);
    watch_stop(store);
    embedded_free(store);
}

/* ---- calls -------------------------------------------------------------- */

int
embedded_call(struct embedded *store, struct call *call, struct error *err)
{
    if (atomic_load(&store->closing))
        return error_set(err, -ESHUTDOWN, "the broker is closed");
    sem_init(&call->done, 0, 0);
    mailbox_post(call->run != NULL ? &store->writer.calls
                                   : &store->reader.calls,
                 &call->mail);
    while (sem_wait(&call->done) < 0)
        ; /* EINTR */
    sem_destroy(&call->done);
    if (call->r < 0 && err != NULL)
        *err = call->err;
    return call->r;
}

static const struct ticket_secret *
embedded_secret(const struct broker *broker)
{
    return ((const struct embedded *)broker)->secret;
}

static int
embedded_guard(const struct broker *broker)
{
    return ((const struct embedded *)broker)->guard_fd;
}

static int
embedded_ready(struct broker *broker, struct error *err)
{
    struct embedded *store = embedded_of(broker);
    const mono_ms since = atomic_load(&store->writer.waiting_since);

    if (atomic_load(&store->closing))
        return error_set(err, -ESHUTDOWN, "the broker is closed");
    if (atomic_load(&store->shared->broken))
        return error_set(err, -EIO, "a write or sync failed");
    if (atomic_load(&store->shared->full))
        return error_set(err, -ENOSPC, "no space left for %s",
                         store->directory);
    if (since != 0 && clock_mono() - since > READY_LIMIT)
        return error_set(err, -ENOTCONN,
                         "waiting for the write lock of %s for %lld ms",
                         store->directory, (long long)(clock_mono() - since));
    return 0;
}

static void
embedded_submit(struct broker *broker, struct submission *submission)
{
    struct embedded *store = embedded_of(broker);

    assert(submission->queue < store->settings->queues_len);
    if (!atomic_load(&store->closing)) {
        mailbox_post(&store->writer.submissions, &submission->mail);
        return;
    }
    submission->r = -ESHUTDOWN;
    submission->on_submitted(submission);
}

static void
embedded_cancel(struct broker *broker, struct cancellation *cancellation)
{
    struct embedded *store = embedded_of(broker);

    if (!atomic_load(&store->closing)) {
        mailbox_post(&store->writer.cancellations, &cancellation->mail);
        return;
    }
    cancellation->r = -ESHUTDOWN;
    cancellation->on_cancelled(cancellation);
}

static void
embedded_lookup(struct broker *broker, struct lookup *lookup)
{
    struct embedded *store = embedded_of(broker);

    if (!atomic_load(&store->closing)) {
        mailbox_post(&store->reader.lookups, &lookup->mail);
        return;
    }
    lookup->stored = NULL;
    lookup->r = -ESHUTDOWN;
    lookup->on_found(lookup);
}

static const struct backend embedded_backend = {
    .close = embedded_close,
    .secret = embedded_secret,
    .guard = embedded_guard,
    .ready = embedded_ready,
    .submit = embedded_submit,
    .lookup = embedded_lookup,
    .cancel = embedded_cancel,
    .session_open = worker_session_open,
    .session_want = worker_session_want,
    .session_stop = worker_session_stop,
    .session_close = worker_session_close,
    .finish = worker_session_finish,
    .control = operator_control,
    .change = operator_change,
    .kill = operator_kill,
    .barrier = operator_barrier,
    .running = operator_running,
    .control_seen = operator_control_seen,
    .control_wait = operator_control_wait,
    .history = operator_history,
    .waiting = operator_waiting,
    .queue_stats = operator_queue_stats,
    .workers = operator_workers,
    .dead_list = operator_dead_list,
    .dead_replay = operator_dead_replay,
    .dead_drop = operator_dead_drop,
};
