/* ingress.c - the life of the ingress: open, serve, end in order. */
#include "ingress/ingress.h"

#include <malloc.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "common/asked.h"
#include "common/log.h"
#include "common/mem.h"
#include "ingress/ingress_priv.h"
#include "ingress/operations.h"

#define DRAIN_MS      10000 /* for open requests to end, at SIGTERM */
#define CUT_MS        10000 /* for a lane to take notice; it never blocks */
#define OPERATIONS_MS 5000  /* for commands to end that were asked to */
#define RESPONSE_ROOM 4096  /* of a connection, beside the request's header */
/* Descriptors that are kept for the store, the log and the admin side. */
#define DESCRIPTORS   (64 + ADMIN_CONNECTIONS)

/* ---- responses that arrive ---- */

static bool
on_wanted(void *opaque, const struct ticket *ticket)
{
    struct ingress *ingress = opaque;

    return waiters_wanted(ingress->waiters, ticket);
}

static void
on_response(void *opaque, const struct ticket *ticket, struct stored **stored)
{
    struct ingress *ingress = opaque;

    waiters_deliver(ingress->waiters, ticket, stored);
}

/* ---- limits ---- */

/* Raises the soft limit of descriptors to the hard one; returns it. */
static size_t
raise_descriptors(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return 1024;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    getrlimit(RLIMIT_NOFILE, &limit);
    return limit.rlim_cur;
}

/* How many connections each lane may have: what is over waits to be accepted.
 * Running out of descriptors instead would stop the store as well. */
static unsigned
connections_per_lane(const struct settings *settings, unsigned lanes)
{
    size_t descriptors = raise_descriptors();
    size_t most = descriptors > 2 * DESCRIPTORS ? descriptors - DESCRIPTORS
                                                : descriptors / 2;

    if (most > settings->max_connections)
        most = settings->max_connections;
    return most / lanes > 0 ? (unsigned)(most / lanes) : 1;
}

/* Half of the processors, for the broker's writer needs as much as a lane: on
 * two processors one lane accepts a tenth more than two do, at less of them. */
static unsigned
lanes_wanted(const struct settings *settings)
{
    long processors = sysconf(_SC_NPROCESSORS_ONLN);

    if (settings->threads > 0)
        return settings->threads;
    return processors > 2 ? (unsigned)processors / 2 : 1;
}

static span_ms
longest_wait(const struct settings *settings)
{
    span_ms longest = 0;

    for (size_t i = 0; i < settings->routes_len; i++)
        if (settings->routes[i].max_wait > longest)
            longest = settings->routes[i].max_wait;
    return longest;
}

/* ---- start ---- */

static int
open_broker(struct ingress *ingress, struct error *err)
{
    const struct broker_options options = {
        .settings = ingress->settings,
        .role = BROKER_INGRESS,
        .create = true,
        .wanted = on_wanted,
        .on_response = on_response,
        .opaque = ingress,
    };

    return broker_open(&options, &ingress->broker, err);
}

static int
start_lanes(struct ingress *ingress, struct error *err)
{
    unsigned wanted = lanes_wanted(ingress->settings);
    unsigned connections = connections_per_lane(ingress->settings, wanted);

    ingress->lanes = mem_zalloc(wanted * sizeof(*ingress->lanes));
    while (ingress->lanes_len < wanted) {
        int r = lane_start(&ingress->lanes[ingress->lanes_len], ingress,
                           connections, err);
        if (r < 0)
            return r;
        ingress->lanes_len++;
    }
    return 0;
}

static int
start(struct ingress *ingress, struct error *err)
{
    int r = address_listen(&ingress->settings->listen, "ingress.listen", err);

    if (r < 0)
        return r;
    ingress->listen_fd = r;
    r = open_broker(ingress, err);
    if (r == 0)
        r = start_lanes(ingress, err);
    if (r == 0)
        r = operations_new(ingress->options->program != NULL
                               ? ingress->options->program
                               : "/proc/self/exe",
                           &ingress->operations, err);
    if (r == 0)
        r = admin_start(ingress, &ingress->admin, err);
    return r;
}

/* ---- end ---- */

static void
ask_all(struct ingress *ingress, enum lane_stage stage, span_ms limit)
{
    mono_ms until = clock_mono() + limit;

    for (unsigned i = 0; i < ingress->lanes_len; i++)
        lane_ask(&ingress->lanes[i], stage);
    for (unsigned i = 0; i < ingress->lanes_len; i++)
        lane_await(&ingress->lanes[i], stage, until - clock_mono());
}

/* Commands that were started over HTTP end with us; those that an upgrade runs
 * get a moment for it. */
static void
stop_admin(struct ingress *ingress)
{
    if (ingress->operations != NULL)
        operations_stop(ingress->operations, OPERATIONS_MS);
    if (ingress->admin != NULL)
        MHD_stop_daemon(ingress->admin);
    operations_free(ingress->operations);
}

/* In this order: nothing new comes in; who waits gets a ticket and open
 * requests end; nobody calls the broker; it finishes what it was given and
 * answers it; the last answers go out. Also after half a start. */
static void
stop(struct ingress *ingress)
{
    if (ingress->operations != NULL)
        operations_close(ingress->operations);
    ask_all(ingress, LANE_DRAINING, DRAIN_MS);
    ask_all(ingress, LANE_CUT, CUT_MS);
    stop_admin(ingress);
    if (ingress->broker != NULL)
        broker_close(ingress->broker);
    for (unsigned i = 0; i < ingress->lanes_len; i++) {
        lane_ask(&ingress->lanes[i], LANE_CLOSING);
        lane_stop(&ingress->lanes[i]);
    }
    free(ingress->lanes);
    if (ingress->listen_fd >= 0)
        close(ingress->listen_fd);
    waiters_free(ingress->waiters);
}

/* ---- the door ---- */

/* Blocks the signals for all threads to come; they are read from the result. */
static int
open_signals(struct error *err)
{
    sigset_t set;

    asked_signals(&set);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
    int fd = signalfd(-1, &set, SFD_CLOEXEC);
    return fd < 0 ? error_system(err, -errno, "signalfd") : fd;
}

static void
await_signal(int signals)
{
    struct signalfd_siginfo info;

    while (read(signals, &info, sizeof(info)) < 0 && errno == EINTR)
        ;
}

int
ingress_run(const struct settings *settings,
            const struct ingress_options *options, struct error *err)
{
    struct ingress ingress = {
        .settings = settings,
        .options = options,
        .waiters = waiters_new(),
        .listen_fd = -1,
        .max_wait = longest_wait(settings),
        .pool_bytes = settings->max_header + RESPONSE_ROOM,
    };
    /* malloc_trim gives back nothing of the top of other arenas. */
    mallopt(M_ARENA_MAX, 1);
    /* Under a sanitizer glibc's own malloc wakes here, not in two lanes at
     * once, which it does not survive. */
    malloc_trim(0);
    int signals = open_signals(err);
    int r = signals < 0 ? signals : start(&ingress, err);

    if (r == 0) {
        log_event(EVENT_STARTED, "listen=%s:%u admin=%s:%u",
                  settings->listen.host, settings->listen.port,
                  settings->admin.host, settings->admin.port);
        if (options->on_ready != NULL)
            options->on_ready(options->opaque);
        await_signal(signals);
        log_event(EVENT_STOPPING, "text=\"waiting clients get their ticket\"");
    }
    stop(&ingress);
    if (signals >= 0)
        close(signals);
    if (r == 0)
        log_event(EVENT_STOPPED, "text=\"in order\"");
    return r;
}
