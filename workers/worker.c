/* worker.c - one worker process: takes requests of one queue and runs them. */
#include "workers/worker.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "common/log.h"
#include "common/own.h"
#include "workers/worker_priv.h"

#define BACKOFF_FIRST ((span_ms)250)
#define BACKOFF_MAX   ((span_ms)10000)
#define MARGIN_MAX    ((span_ms)1000)
#define PROBE_LOOK    ((span_ms)250) /* for a signal, while another one runs */

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
    session_want(worker->session, worker->session_options.concurrency);
    return 0;
}

/* Waits until no other probe runs. */
static int
greet_probe(struct worker *worker, struct error *err)
{
    for (bool told = false;; told = true) {
        uint64_t seen = broker_control_seen(worker->broker);
        int r = greet(worker, err);
        if (r != -EINPROGRESS)
            return r;
        if (!told)
            log_event(EVENT_NOTE, "queue=%s text=\"waits for another probe\"",
                      worker->queue->name);
        broker_control_wait(worker->broker, seen, PROBE_LOOK);
        uv_run(&worker->loop, UV_RUN_NOWAIT);
        if (worker->result < 0)
            return worker->result;
    }
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
        session_stop(worker->session, news_on_drained);
    else if (is_idle(worker))
        uv_stop(&worker->loop);
}

/* For a probe, whose session is its only one. */
static void
give_up(struct worker *worker, int r, const char *why)
{
    worker->result = error_set(worker->err, r, "%s", why);
    stop(worker);
    if (worker->runs != NULL)
        runs_end_all(worker->runs, KILL_GENTLY, OUTCOME_KILLED, why);
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

void
worker_on_run_ended(void *opaque, struct attempt **attempt)
{
    struct worker *worker = OBJ_CAST(worker, WORKER_MAGIC, opaque);
    const struct worker_options *options = worker->options;

    if (options->probe != NULL) {
        options->on_probed(options->opaque, *attempt);
        if (worker->state == WORKER_SERVING)
            stop(worker);
    }
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
    if (worker->runs != NULL) {
        runs_begin(worker->runs, attempt);
        return;
    }
    worker->handler->kind->answer(worker->handler, *attempt);
    worker_on_run_ended(worker, attempt);
}

/* The session is over, or to be closed. */
static void
lose_session(struct worker *worker)
{
    worker->state = WORKER_LOST;
    if (worker->options->probe == NULL)
        return;
    worker->state = WORKER_STOPPING;
    worker->result =
        error_set(worker->err, -ESTALE, "its lease ended while the probe ran");
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
        lose_session(worker);
    if (!is_idle(worker))
        runs_end_all(worker->runs, KILL_NOW, OUTCOME_LOST,
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

void
worker_on_wake(uv_async_t *async)
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

void
worker_on_signal(uv_poll_t *poll, int status, int events)
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
        if (worker->options->probe == NULL)
            stop(worker);
        else if (worker->state != WORKER_STOPPING)
            give_up(worker, -EINTR, "the probe was told to end");
        break;
    case ASKED_ECHO:
        break;
    case ASKED_AGAIN:
        if (worker->runs != NULL && !worker->options->supervised)
            runs_end_all(worker->runs, KILL_NOW, OUTCOME_LOST,
                         "the worker was told twice to stop");
        break;
    }
}

/* The spawner killed everything though the broker renewed the lease: we or the
 * disk stood still for most of it. It starts nothing more in this session, so
 * that one is ended and a new one begun. */
void
worker_on_spawner_lapsed(void *opaque)
{
    struct worker *worker = OBJ_CAST(worker, WORKER_MAGIC, opaque);

    runs_end_all(worker->runs, KILL_NOW, OUTCOME_LOST,
                 "the worker stood still until its lease was nearly over");
    if (worker->state != WORKER_SERVING)
        return;
    log_event(EVENT_LEASE_LOST, "queue=%s text=\"nearly: it stood still\"",
              worker->queue->name);
    lose_session(worker);
    uv_timer_stop(&worker->timer);
    session_stop(worker->session, news_on_drained);
}

void
worker_on_spawner_dead(void *opaque)
{
    struct worker *worker = OBJ_CAST(worker, WORKER_MAGIC, opaque);

    worker->result =
        error_set(worker->err, -EIO,
                  "the spawner died; its handlers were killed, and this "
                  "worker ends so that a new one can be started");
    runs_end_all(worker->runs, KILL_NOW, OUTCOME_LOST,
                 "the spawner of handlers died");
    if (worker->state != WORKER_STOPPING)
        stop(worker);
}

/* ---- running --------------------------------------------------------------
 */

int
worker_run(const struct settings *settings,
           const struct worker_options *options, struct error *err)
{
    const struct queue_settings *queue = &settings->queues[options->queue];
    char host[65] = "localhost", name[80];
    struct worker worker = {
        .magic = WORKER_MAGIC,
        .settings = settings,
        .options = options,
        .queue = queue,
        .backoff = BACKOFF_FIRST,
        .is_void = true,
        .err = err,
        .session_options =
            {
                .queue = options->queue,
                .name = options->name,
                .release = options->release == NULL ? queue->release
                                                    : options->release,
                .concurrency = options->probe != NULL ? 1 : queue->concurrency,
                .probe = options->probe,
            },
    };

    if (options->name == NULL) {
        gethostname(host, sizeof(host) - 1);
        snprintf(name, sizeof(name), "%s:%d", host, (int)getpid());
        worker.session_options.name = name;
    }
    int r = parts_open(&worker, err);
    if (r == 0)
        r = options->probe != NULL ? greet_probe(&worker, err)
                                   : greet(&worker, err);
    if (r == 0) {
        uv_run(&worker.loop, UV_RUN_DEFAULT);
        r = worker.result;
    }
    worker.state = WORKER_STOPPING;
    part(&worker);
    parts_close(&worker);
    return r;
}
