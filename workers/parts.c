/* parts.c - what a worker stands on: loop, signals, broker, spawner, handler.
 */
#include <assert.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include "common/own.h"
#include "workers/worker_priv.h"

/* What asks us to stop comes by descriptor; a handler that does not read must
 * not kill us by SIGPIPE. All threads inherit it. */
static int
block_signals(void)
{
    sigset_t pipe;

    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe, NULL);
    return asked_open();
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
    uv_async_init(&worker->loop, &worker->wake, worker_on_wake);
    uv_timer_init(&worker->loop, &worker->timer);
    uv_poll_init(&worker->loop, &worker->signals, worker->signal_fd);
    uv_poll_start(&worker->signals, UV_READABLE, worker_on_signal);
}

static int
open_handler(struct worker *worker, struct error *err)
{
    const struct spawner_options spawner_options = {
        .loop = &worker->loop,
        .slots = worker->queue->concurrency,
        .program = worker->options->program,
        .guard = broker_guard(worker->broker),
        .on_dead = worker_on_spawner_dead,
        .on_lapsed = worker_on_spawner_lapsed,
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
        worker->runs = runs_new(&worker->ground, worker->handler,
                                worker_on_run_ended, worker);
    return r;
}

int
parts_open(struct worker *worker, struct error *err)
{
    const struct broker_options broker_options = {.settings = worker->settings,
                                                  .role = BROKER_WORKER};

    news_init(worker);
    open_loop(worker); /* before any thread is made */
    int r = broker_open(&broker_options, &worker->broker, err);
    return r < 0 ? r : open_handler(worker, err);
}

void
parts_close(struct worker *worker)
{
    if (worker->broker != NULL)
        broker_close(TAKE(worker->broker));
    news_fini(worker);
    runs_free(TAKE(worker->runs));
    handler_close(TAKE(worker->handler));
    spawner_stop(TAKE(worker->spawner));
    uv_close((uv_handle_t *)&worker->wake, NULL);
    uv_close((uv_handle_t *)&worker->timer, NULL);
    uv_close((uv_handle_t *)&worker->signals, NULL);
    uv_run(&worker->loop, UV_RUN_DEFAULT);
    uv_loop_close(&worker->loop);
    close(worker->signal_fd);
    worker->magic = 0;
}
