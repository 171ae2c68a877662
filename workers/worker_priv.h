/* worker_priv.h - the inside of a worker process.
 *
 * news.c is what the broker's thread does; parts.c opens and closes what a
 * worker stands on; worker.c decides, in the loop.
 *
 * Threads: the loop, except where it says otherwise.
 */
#ifndef WORKERS_WORKER_PRIV_H
#define WORKERS_WORKER_PRIV_H

#include <uv.h>

#include "broker/broker.h"
#include "common/asked.h"
#include "workers/handlers/handler.h"
#include "workers/run.h"
#include "workers/spawner.h"
#include "workers/worker.h"

#define WORKER_MAGIC 0x776b7231

enum worker_state {
    WORKER_SERVING,
    WORKER_LOST,     /* the lease is over; no session, or one to be closed */
    WORKER_STOPPING, /* the session takes nothing more */
};

/* What the broker's thread has to say. */
enum news_kind { NEWS_TAKE, NEWS_LEASE, NEWS_LOST, NEWS_CANCEL, NEWS_DRAINED };
struct news {
    struct mail mail; /* first */
    enum news_kind kind;
    struct attempt *attempt; /* TAKE */
    boot_ms until;           /* LEASE */
    struct ticket ticket;    /* CANCEL */
    uint64_t attempt_id;     /* CANCEL */
    enum outcome why;        /* CANCEL */
};

struct worker {
    uint32_t magic;
    const struct settings *settings;
    const struct worker_options *options;
    const struct queue_settings *queue;
    struct session_options session_options;
    struct handler_ground ground;
    struct broker *broker;
    struct session *session; /* NULL between two of them */
    struct handler *handler; /* the broker's thread calls answer() of it */
    struct spawner *spawner; /* NULL: the handler needs none */
    struct runs *runs;       /* NULL: the handler answers at once */
    enum worker_state state;
    int result;
    struct error *err;
    uint64_t generation; /* of sessions, for the spawner's clock */
    span_ms backoff;     /* before the next hello, or the next taking */
    unsigned held;       /* slots that take nothing until the timer fires */
    bool is_void;        /* the session's lease is over, or there is none */
    struct asked asked;  /* to stop */
    uv_loop_t loop;
    uv_async_t wake;
    uv_timer_t timer; /* LOST: the next hello. SERVING: the end of holding */
    uv_poll_t signals;
    int signal_fd;
    struct mailbox mailbox;
};

/* ---- parts.c ------------------------------------------------------------ */

/* Blocks the signals, opens loop and broker, then the handler with its spawner,
 * which holds the broker's guard. parts_close is due, whatever it returns. */
int parts_open(struct worker *worker, struct error *err);
/* There is no session any more. */
void parts_close(struct worker *worker);

/* ---- news.c ------------------------------------------------------------- */

void news_init(struct worker *worker); /* the mailbox and the callbacks */
void news_on_drained(void *opaque);    /* the broker's thread */
/* Frees what the broker still said while the session was closed. */
void news_fini(struct worker *worker);

/* ---- worker.c: what happens ---------------------------------------------- */

void worker_on_wake(uv_async_t *async);
void worker_on_signal(uv_poll_t *poll, int status, int events);
void worker_on_run_ended(void *opaque, struct attempt **attempt);
void worker_on_spawner_lapsed(void *opaque);
void worker_on_spawner_dead(void *opaque);

#endif
