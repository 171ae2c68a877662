/* session.c - a worker's session, from the worker's side. */
#include <stdlib.h>
#include <string.h>

#include "broker/embedded/embedded_priv.h"
#include "broker/embedded/lease.h"
#include "broker/embedded/probe.h"
#include "broker/embedded/writer.h"
#include "common/log.h"
#include "common/mem.h"

static struct worker_session *
session_of(struct session *session)
{
    return (struct worker_session *)session;
}

static void
session_free(struct worker_session *session)
{
    if (session->probed != NULL)
        attempt_free(&session->probed->attempt);
    free(session->name);
    free(session->release);
    free(session);
}

/* ---- hello and goodbye -------------------------------------------------- */

static int
run_open(struct txn *txn, struct call *call)
{
    struct worker_session *session = call->arg;

    if (session->options.probe == NULL)
        return lease_begin(txn, session);
    if (session->probed != NULL) /* of a try that was rolled back */
        attempt_free(&TAKE(session->probed)->attempt);
    return probe_begin(txn, call, session);
}

static void
after_open(struct embedded *store, struct call *call)
{
    struct worker_session *session = call->arg;

    if (call->r < 0)
        return;
    session->next = store->writer.sessions;
    store->writer.sessions = session;
    session->options.on_lease(session->options.opaque, session->lease);
}

int
worker_session_open(struct broker *broker,
                    const struct session_options *options, struct session **out,
                    struct error *err)
{
    struct embedded *store = embedded_of(broker);
    struct worker_session *session = mem_new(struct worker_session);
    struct call call = {.run = run_open, .after = after_open, .arg = session};

    session->base.backend = broker->backend;
    session->store = store;
    session->options = *options;
    session->name = mem_strdup(options->name);
    session->release = mem_strdup(options->release);
    int r = embedded_call(store, &call, err);
    if (r < 0) {
        session_free(session);
        return r;
    }
    log_event(EVENT_HELLO, "queue=%s session=%lld release=%s",
              store->settings->queues[options->queue].name,
              (long long)session->id, session->release);
    *out = &session->base;
    return 0;
}

static int
run_close(struct txn *txn, struct call *call)
{
    struct worker_session *session = call->arg;
    int r = 1;

    if (!session->lost)
        r = lease_end(txn, session->lane, session->id, session->release,
                      MEMBER_LEFT, "its worker said goodbye while it ran",
                      UINT32_MAX);
    return r < 0 ? r : 0;
}

static void
after_close(struct embedded *store, struct call *call)
{
    writer_drop_session(store, call->arg);
}

void
worker_session_close(struct session *base)
{
    struct worker_session *session = session_of(base);
    struct call call = {.run = run_close, .after = after_close, .arg = session};
    struct error err = {0};

    /* A finish in the same transaction must not take for it again. */
    atomic_store(&session->stopping, true);
    /* On failure nobody says goodbye and the lease runs out by itself. */
    if (embedded_call(session->store, &call, &err) < 0)
        log_event(EVENT_NOTE, "session=%lld text=\"goodbye: %s\"",
                  (long long)session->id, err.text);
    else
        log_event(EVENT_GOODBYE, "session=%lld", (long long)session->id);
    session_free(session);
}

/* ---- in between --------------------------------------------------------- */

void
worker_session_want(struct session *base, unsigned slots)
{
    struct worker_session *session = session_of(base);

    atomic_fetch_add(&session->want, slots);
    atomic_store(&session->try_take, true);
    writer_ring(session->store);
}

void
worker_session_stop(struct session *base, void (*on_drained)(void *opaque))
{
    struct worker_session *session = session_of(base);

    atomic_store(&session->stopping, true);
    atomic_store(&session->on_drained, on_drained);
    writer_ring(session->store);
}

void
worker_session_finish(struct session *base, struct attempt **attempt)
{
    struct worker_session *session = session_of(base);
    struct attempt *taken = TAKE(*attempt);

    mailbox_post(&session->store->writer.finishes, &taken->mail);
}
