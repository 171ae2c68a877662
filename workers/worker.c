/* worker.c - one worker process: takes requests of one queue and runs them.
 *
 * The broker's callbacks come on its own thread; each becomes a piece of news
 * in the mailbox, and the loop acts on them in order. Only a handler that
 * answers at once is called right there: a hand-over would cost more than its
 * answer.
 */
#include "workers/worker.h"

#include <assert.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>
#include <uv.h>

#include "broker/broker.h"
#include "common/asked.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/own.h"
#include "workers/handlers/handler.h"
#include "workers/run.h"
#include "workers/spawner.h"

#define WORKER_MAGIC  0x776b7231
#define BACKOFF_FIRST ((span_ms)250)
#define BACKOFF_MAX   ((span_ms)10000)
#define MARGIN_MAX    ((span_ms)1000)

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
    bool supervised;
    struct asked asked; /* to stop */
    uv_loop_t loop;
    uv_async_t wake;
    uv_timer_t timer; /* LOST: the next hello. SERVING: the end of holding */
    uv_poll_t signals;
    int signal_fd;
    struct mailbox mailbox;
};

/* ---- on the broker's thread -----------------------------------------------
 */

static void
wake(void *opaque)
{
    struct worker *worker = OBJ_CAST(worker, WORKER_MAGIC, opaque);

    uv_async_send(&worker->wake);
}

static void
post(void *opaque, const struct news *news)
{
    struct worker *worker = OBJ_CAST(worker, WORKER_MAGIC, opaque);
    struct news *copy = mem_new(struct news);

    *copy = *news;
    mailbox_post(&worker->mailbox, &copy->mail);
}

static void
on_take(void *opaque, struct attempt **attempt)
{
    struct worker *worker = OBJ_CAST(worker, WORKER_MAGIC, opaque);

    if (worker->runs != NULL) {
        post(worker,
             &(struct news){.kind = NEWS_TAKE, .attempt = TAKE(*attempt)});
        return;
    }
    worker->handler->kind->answer(worker->handler, *attempt);
    (*attempt)->again = true;
    broker_finish(worker->session, attempt);
}

static void
on_lease(void *opaque, boot_ms until)
{
    post(opaque, &(struct news){.kind = NEWS_LEASE, .until = until});
}

static void
on_lost(void *opaque)
{
    post(opaque, &(struct news){.kind = NEWS_LOST});
}

static void
on_cancel(void *opaque, const struct ticket *ticket, uint64_t attempt_id,
          enum outcome why)
{
    post(opaque, &(struct news){.kind = NEWS_CANCEL,
                                .ticket = *ticket,
                                .attempt_id = attempt_id,
                                .why = why});
}

static void
on_drained(void *opaque)
{
    post(opaque, &(struct news){.kind = NEWS_DRAINED});
}

/* ---- the session ----------------------------------------------------------
 */

static void on_timer(uv_timer_t *timer);
static void read_news(struct worker *worker);

static bool
is_idle(const struct worker *worker)
{
    return worker->runs == NULL || runs_running(worker->runs) == 0;
}

/* Starts the timer and lets the next wait be twice as long. */
static void
back_off(struct worker *worker)
{
    uv_timer_start(&worker->timer, on_timer, (uint64_t)worker->backoff, 0);
    worker->backoff *= 2;
    if (worker->backoff > BACKOFF_MAX)
        worker->backoff = BACKOFF_MAX;
}

/* The spawner's clock runs down a little before the lease, so that all handlers
 * are dead when another worker may begin. */
static void
wind(const struct worker *worker, boot_ms until)
{
    span_ms margin = worker->queue->lease / 10;

    if (margin > MARGIN_MAX)
        margin = MARGIN_MAX;
    if (worker->spawner != NULL)
        spawner_wind(worker->spawner, worker->generation, until - margin);
}

/* Says hello and takes. */
static int
greet(struct worker *worker, struct error *err)
{
    boot_ms before = clock_boot();

    worker->generation++;
    int r = session_open(worker->broker, &worker->session_options,
                         &worker->session, err);
    if (r < 0)
        return r;
    worker->state = WORKER_SERVING;
    worker->is_void = false;
    worker->backoff = BACKOFF_FIRST;
    worker->held = 0;
    /* The first lease began after `before`, so this promises too little. */
    wind(worker, before + worker->queue->lease);
    session_want(worker->session, worker->queue->concurrency);
    return 0;
}

static void
part(struct worker *worker)
{
    if (worker->session == NULL)
        return;
    read_news(worker); /* gives back what came last */
    session_close(TAKE(worker->session));
}

static void
greet_again(struct worker *worker)
{
    char quoted[sizeof(struct error)];
    struct error err;

    part(worker);
    if (greet(worker, &err) == 0)
        return;
    error_wrap(&err, err.code, "no new session");
    log_event(EVENT_NOTE, "queue=%s text=%s", worker->queue->name,
              log_quote(slice_of(err.text), quoted, sizeof(quoted)));
    back_off(worker);
}

static void
stop(struct worker *worker)
{
    worker->state = WORKER_STOPPING;
    uv_timer_stop(&worker->timer);
    if (!worker->is_void)
        session_stop(worker->session, on_drained);
    else if (is_idle(worker))
        uv_stop(&worker->loop);
}

/* ---- attempts -------------------------------------------------------------
 */

/* Takes the attempt; its slot takes another one. */
static void
finish(struct worker *worker, struct attempt **attempt)
{
    bool failed_to_start = (*attempt)->outcome == OUTCOME_NOT_STARTED;

    (*attempt)->again = worker->state == WORKER_SERVING && !failed_to_start;
    if (log_is_on(LOG_DEBUG) && (*attempt)->outcome == OUTCOME_ANSWERED)
        log_ticket(EVENT_FINISHED, &(*attempt)->ticket, worker->queue->name,
                   (*attempt)->number, "bytes=%zu", (*attempt)->response.len);
    broker_finish(worker->session, attempt);
    if (worker->state != WORKER_SERVING)
        return;
    if (!failed_to_start) {
        if (worker->held == 0)
            worker->backoff = BACKOFF_FIRST;
        return;
    }
    /* What kept this one from starting would keep the next: a missing program
     * would else send the whole backlog round. */
    if (worker->held++ == 0)
        back_off(worker);
}

static void
put_back(struct worker *worker, struct attempt **attempt, const char *why)
{
    (*attempt)->outcome = OUTCOME_NOT_STARTED;
    snprintf((*attempt)->reason, sizeof((*attempt)->reason), "%s", why);
    finish(worker, attempt);
}

static void
on_run_ended(void *opaque, struct attempt **attempt)
{
    struct worker *worker = OBJ_CAST(worker, WORKER_MAGIC, opaque);

    finish(worker, attempt);
    if (!worker->is_void || !is_idle(worker))
        return;
    if (worker->state == WORKER_STOPPING)
        uv_stop(&worker->loop);
    else
        back_off(worker);
}

static void
begin(struct worker *worker, struct attempt **attempt)
{
    if (worker->state != WORKER_SERVING) {
        put_back(worker, attempt, "the worker stopped before it began");
        return;
    }
    runs_begin(worker->runs, attempt);
}

static void
lose(struct worker *worker)
{
    log_event(EVENT_LEASE_LOST, "queue=%s idle=%s", worker->queue->name,
              is_idle(worker) ? "yes" : "no");
    worker->is_void = true;
    worker->backoff = BACKOFF_FIRST;
    uv_timer_stop(&worker->timer);
    if (worker->state == WORKER_SERVING)
        worker->state = WORKER_LOST;
    if (!is_idle(worker))
        runs_kill_all(worker->runs, OUTCOME_LOST,
                      "the worker's lease ended while the handler ran");
    else if (worker->state == WORKER_STOPPING)
        uv_stop(&worker->loop);
    else
        back_off(worker);
}

static void
drained(struct worker *worker)
{
    if (worker->state == WORKER_STOPPING)
        uv_stop(&worker->loop);
    if (worker->state != WORKER_LOST || worker->is_void)
        return;
    worker->is_void = true; /* it lapsed; see on_spawner_lapsed */
    worker->backoff = BACKOFF_FIRST;
    back_off(worker);
}

/* ---- the loop's events ----------------------------------------------------
 */

static void
act(struct worker *worker, struct news *news)
{
    switch (news->kind) {
    case NEWS_TAKE:
        begin(worker, &news->attempt);
        break;
    case NEWS_LEASE:
        wind(worker, news->until);
        break;
    case NEWS_LOST:
        lose(worker);
        break;
    case NEWS_CANCEL:
        if (worker->runs != NULL)
            runs_interrupt(
                worker->runs, &news->ticket, news->attempt_id, news->why,
                news->why == OUTCOME_KILLED ? "an operator's pause ended it"
                                            : "the client cancelled it");
        break;
    case NEWS_DRAINED:
        drained(worker);
        break;
    }
}

static void
read_news(struct worker *worker)
{
    struct mail *mail = mailbox_take(&worker->mailbox);

    while (mail != NULL) {
        struct news *news = CONTAINER_OF(mail, struct news, mail);
        mail = mail->next;
        act(worker, news);
        free(news);
    }
}

static void
on_wake(uv_async_t *async)
{
    read_news(CONTAINER_OF(async, struct worker, wake));
}

static void
on_timer(uv_timer_t *timer)
{
    struct worker *worker = CONTAINER_OF(timer, struct worker, timer);

    if (worker->state == WORKER_LOST) {
        greet_again(worker);
    } else if (worker->state == WORKER_SERVING) {
        session_want(worker->session, worker->held);
        worker->held = 0;
    }
}

static void
on_signal(uv_poll_t *poll, int status, int events)
{
    struct worker *worker = CONTAINER_OF(poll, struct worker, signals);
    struct signalfd_siginfo info;

    (void)status;
    (void)events;
    if (read(worker->signal_fd, &info, sizeof(info)) < 0)
        return;
    switch (asked_now(&worker->asked)) {
    case ASKED_FIRST:
        log_event(EVENT_STOPPING, "queue=%s running=%u", worker->queue->name,
                  worker->runs == NULL ? 0 : runs_running(worker->runs));
        stop(worker);
        break;
    case ASKED_ECHO:
        break;
    case ASKED_AGAIN:
        if (worker->runs != NULL && !worker->supervised)
            runs_kill_all(worker->runs, OUTCOME_LOST,
                          "the worker was told twice to stop");
        break;
    }
}

/* The spawner killed everything though the broker renewed the lease: we or the
 * disk stood still for most of it. It starts nothing more in this session, so
 * that one is ended and a new one begun. */
static void
on_spawner_lapsed(void *opaque)
{
    struct worker *worker = OBJ_CAST(worker, WORKER_MAGIC, opaque);

    runs_kill_all(worker->runs, OUTCOME_LOST,
                  "the worker stood still until its lease was nearly over");
    if (worker->state != WORKER_SERVING)
        return;
    log_event(EVENT_LEASE_LOST, "queue=%s text=\"nearly: it stood still\"",
              worker->queue->name);
    worker->state = WORKER_LOST;
    uv_timer_stop(&worker->timer);
    session_stop(worker->session, on_drained);
}

static void
on_spawner_dead(void *opaque)
{
    struct worker *worker = OBJ_CAST(worker, WORKER_MAGIC, opaque);

    worker->result =
        error_set(worker->err, -EIO,
                  "the spawner died; its handlers were killed, and this "
                  "worker ends so that a new one can be started");
    runs_kill_all(worker->runs, OUTCOME_LOST, "the spawner of handlers died");
    if (worker->state != WORKER_STOPPING)
        stop(worker);
}

/* ---- putting it together --------------------------------------------------
 */

/* What asks us to stop comes by descriptor (SIGHUP: our terminal was closed); a
 * handler that does not read must not kill us by SIGPIPE. Before any thread is
 * made, for they inherit it. */
static int
block_signals(void)
{
    sigset_t asked, blocked;

    sigemptyset(&asked);
    sigaddset(&asked, SIGTERM);
    sigaddset(&asked, SIGINT);
    sigaddset(&asked, SIGHUP);
    blocked = asked;
    sigaddset(&blocked, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &blocked, NULL);
    return signalfd(-1, &asked, SFD_CLOEXEC | SFD_NONBLOCK);
}

/* Four files for each attempt and some; the spawner gives handlers the usual
 * limit again. */
static void
raise_files(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static void
open_loop(struct worker *worker)
{
    raise_files();
    worker->signal_fd = block_signals();
    int r = uv_loop_init(&worker->loop);
    assert(r == 0);
    mailbox_init(&worker->mailbox, wake, worker);
    uv_async_init(&worker->loop, &worker->wake, on_wake);
    uv_timer_init(&worker->loop, &worker->timer);
    uv_poll_init(&worker->loop, &worker->signals, worker->signal_fd);
    uv_poll_start(&worker->signals, UV_READABLE, on_signal);
}

static int
open_handler(struct worker *worker, const struct worker_options *options,
             struct error *err)
{
    const struct spawner_options spawner_options = {
        .loop = &worker->loop,
        .slots = worker->queue->concurrency,
        .program = options->program,
        .guard = broker_guard(worker->broker),
        .on_dead = on_spawner_dead,
        .on_lapsed = on_spawner_lapsed,
        .opaque = worker,
    };
    const struct handler_kind *kind =
        handler_kind_of(worker->queue->handler.type);

    if (kind->needs_spawner) {
        int r = spawner_start(&spawner_options, &worker->spawner, err);
        if (r < 0)
            return r;
    }
    worker->ground = (struct handler_ground){
        .loop = &worker->loop,
        .spawner = worker->spawner,
        .queue = worker->queue,
        .release = worker->session_options.release,
    };
    int r = handler_open(&worker->ground, &worker->handler, err);
    if (r == 0 && kind->answer == NULL)
        worker->runs =
            runs_new(&worker->ground, worker->handler, on_run_ended, worker);
    return r;
}

/* The broker first, for the spawner holds its guard; and the handler before the
 * hello, after which attempts come. */
static int
open_parts(struct worker *worker, const struct worker_options *options,
           struct error *err)
{
    const struct broker_options broker_options = {.settings = worker->settings,
                                                  .role = BROKER_WORKER};

    int r = broker_open(&broker_options, &worker->broker, err);
    if (r == 0)
        r = open_handler(worker, options, err);
    return r < 0 ? r : greet(worker, err);
}

/* What the broker still said while the session was closed. */
static void
drop_news(struct worker *worker)
{
    struct mail *mail = mailbox_take(&worker->mailbox);

    while (mail != NULL) {
        struct news *news = CONTAINER_OF(mail, struct news, mail);
        mail = mail->next;
        if (news->attempt != NULL)
            attempt_free(news->attempt);
        free(news);
    }
}

/* Ends the session and frees everything, in any state. */
static void
take_apart(struct worker *worker)
{
    worker->state = WORKER_STOPPING;
    part(worker);
    if (worker->broker != NULL)
        broker_close(TAKE(worker->broker));
    drop_news(worker);
    runs_free(TAKE(worker->runs));
    handler_close(TAKE(worker->handler));
    spawner_stop(TAKE(worker->spawner));
    uv_close((uv_handle_t *)&worker->wake, NULL);
    uv_close((uv_handle_t *)&worker->timer, NULL);
    uv_close((uv_handle_t *)&worker->signals, NULL);
    uv_run(&worker->loop, UV_RUN_DEFAULT);
    uv_loop_close(&worker->loop);
    close(worker->signal_fd);
    mailbox_fini(&worker->mailbox);
    worker->magic = 0;
}

int
worker_run(const struct settings *settings,
           const struct worker_options *options, struct error *err)
{
    const struct queue_settings *queue = &settings->queues[options->queue];
    char host[65] = "localhost", name[80];
    struct worker worker = {
        .magic = WORKER_MAGIC,
        .settings = settings,
        .queue = queue,
        .backoff = BACKOFF_FIRST,
        .is_void = true,
        .err = err,
        .supervised = options->supervised,
        .session_options =
            {
                .queue = options->queue,
                .name = options->name,
                .release = options->release == NULL ? queue->release
                                                    : options->release,
                .concurrency = queue->concurrency,
                .on_take = on_take,
                .on_lease = on_lease,
                .on_lost = on_lost,
                .on_cancel = on_cancel,
                .opaque = &worker,
            },
    };

    if (options->name == NULL) {
        gethostname(host, sizeof(host) - 1);
        snprintf(name, sizeof(name), "%s:%d", host, (int)getpid());
        worker.session_options.name = name;
    }
    open_loop(&worker);
    int r = open_parts(&worker, options, err);
    if (r == 0) {
        uv_run(&worker.loop, UV_RUN_DEFAULT);
        r = worker.result;
    }
    take_apart(&worker);
    return r;
}
