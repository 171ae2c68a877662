/* broker_bench.c - what the embedded broker alone can do, without HTTP.
 *
 *     broker_bench DIRECTORY submit|trip|pause COUNT IN_FLIGHT [IDEMPOTENT]
 *
 * submit: COUNT requests of 300 bytes are accepted, IN_FLIGHT at a time.
 * trip: each is also taken and answered by a second process, and its response
 * read by the first. Prints the rate, the quartiles of the time of one, and the
 * processor time per request of both processes.
 * pause: COUNT pauses by a third process under such trips; prints the lines of
 * pausing.h, and DIRECTORY/starts has when each attempt was given to the worker
 * (the wall clock in ns, 8 bytes each).
 */
#include <limits.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/pausing.h"
#include "broker/broker.h"
#include "common/log.h"
#include "common/own.h"

#define SLOTS_MAX 4096
#define TIMES_MAX 4000000

static char message[300];
static char queue_name[] = "bench";
static char release[] = "1";

static struct queue_settings queue = {
    .name = queue_name,
    .concurrency = 64,
    .attempts = 3,
    .backoff_first = 1000,
    .backoff_max = 60000,
    .ttl = 3600000,
    .retention_age = 3600000,
    .retention_bytes = 1UL << 30,
    .keys = 86400000,
    .max_response = 1 << 20,
    .lease = 10000,
    .release = release,
    .max_depth = 10000000,
};
static struct settings settings = {.queues = &queue, .queues_len = 1};

/* One request in flight. */
struct slot {
    struct submission submission;
    int64_t since; /* ns */
};

static struct broker *broker;
static struct slot slots[SLOTS_MAX];
static bool is_trip, is_pause, is_idempotent;
static atomic_long started, ended;
static atomic_long count;
static unsigned *times; /* us */
static sem_t done;

static int64_t
now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000L + t.tv_nsec;
}

static void on_submitted(struct submission *submission);

static void
start(struct slot *slot)
{
    const long n = atomic_fetch_add(&started, 1);

    if (n >= count)
        return;
    /* The slot's number stands in the ticket, so that a response finds it. */
    slot->since = now_ns();
    slot->submission = (struct submission){
        .ticket = ticket_make(broker_secret(broker), clock_wall(),
                              (int)(slot - slots)),
        .idempotent = is_idempotent,
        .origin = {.peer = SLICE("127.0.0.1:50000"),
                   .local = SLICE("127.0.0.1:8080"),
                   .scheme = SLICE("http"),
                   .route = SLICE("/hits")},
        .message = {message, sizeof(message)},
        .on_submitted = on_submitted};
    broker_submit(broker, &slot->submission);
}

static void
finish(struct slot *slot)
{
    const long n = atomic_fetch_add(&ended, 1);

    if (n < TIMES_MAX)
        times[n] = (unsigned)((now_ns() - slot->since) / 1000);
    if (n + 1 == count)
        sem_post(&done);
    else
        start(slot);
}

static void
on_submitted(struct submission *submission)
{
    if (submission->r == -ESHUTDOWN && is_pause)
        return;
    if (submission->r != 0) {
        fprintf(stderr, "submit: %s\n", error_word(submission->r));
        exit(EXIT_FAILURE);
    }
    if (!is_trip)
        finish(CONTAINER_OF(submission, struct slot, submission));
}

static bool
is_wanted(void *opaque, const struct ticket *ticket)
{
    (void)opaque;
    const struct slot *slot = &slots[ticket_slot(ticket) % SLOTS_MAX];

    return ticket_eq(&slot->submission.ticket, ticket);
}

static void
on_response(void *opaque, const struct ticket *ticket, struct stored **stored)
{
    (void)opaque;
    stored_free(TAKE(*stored));
    finish(&slots[ticket_slot(ticket) % SLOTS_MAX]);
}

/* ---- the worker --------------------------------------------------------- */

static struct session *session;
static int64_t *taken; /* when each was, ns of the wall clock */
static size_t taken_len;

static void
note_taken(void)
{
    struct timespec t;

    clock_gettime(CLOCK_REALTIME, &t);
    if (taken_len < TIMES_MAX)
        taken[taken_len++] = t.tv_sec * 1000000000L + t.tv_nsec;
}

static int
write_taken(void)
{
    char path[4096];
    FILE *f;

    snprintf(path, sizeof(path), "%s/starts", settings.directory);
    f = fopen(path, "w");
    return f != NULL &&
                   fwrite(taken, sizeof(*taken), taken_len, f) == taken_len &&
                   fclose(f) == 0
               ? 0
               : -1;
}

static void
on_take(void *opaque, struct attempt **attempt)
{
    (void)opaque;
    if (is_pause)
        note_taken();
    (*attempt)->outcome = OUTCOME_ANSWERED;
    (*attempt)->again = true;
    buf_add_text(&(*attempt)->response,
                 "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"
                 "Content-Length: 3\r\n\r\nok\n");
    broker_finish(session, attempt);
}

static void
on_lease(void *opaque, boot_ms until)
{
    (void)opaque;
    (void)until;
}

static void
on_lost(void *opaque)
{
    (void)opaque;
}

static void
on_cancel(void *opaque, const struct ticket *ticket, uint64_t id,
          enum outcome why)
{
    (void)opaque;
    (void)why;
    (void)ticket;
    (void)id;
}

static struct broker *
open_broker(enum broker_role role)
{
    const struct broker_options options = {
        .settings = &settings,
        .role = role,
        .create = role == BROKER_INGRESS,
        .wanted = role == BROKER_INGRESS && is_trip ? is_wanted : NULL,
        .on_response = on_response};
    struct broker *opened = NULL;
    struct error err;

    if (broker_open(&options, &opened, &err) < 0) {
        fprintf(stderr, "%s\n", err.text);
        exit(EXIT_FAILURE);
    }
    return opened;
}

static int
work(int stop_fd)
{
    const struct session_options options = {.name = "bench",
                                            .release = release,
                                            .concurrency = 64,
                                            .on_take = on_take,
                                            .on_lease = on_lease,
                                            .on_lost = on_lost,
                                            .on_cancel = on_cancel};
    struct error err;
    char byte;

    broker = open_broker(BROKER_WORKER);
    if (session_open(broker, &options, &session, &err) < 0) {
        fprintf(stderr, "%s\n", err.text);
        return EXIT_FAILURE;
    }
    session_want(session, 64);
    if (read(stop_fd, &byte, 1) < 0)
        return EXIT_FAILURE;
    session_close(session);
    broker_close(broker);
    return is_pause && write_taken() < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* ---- the pauser --------------------------------------------------------- */

static int
pause_often(long pauses)
{
    const struct pausing pausing = {.broker = open_broker(BROKER_VISITOR),
                                    .count = pauses};

    pausing_run(&pausing);
    broker_close(pausing.broker);
    return EXIT_SUCCESS;
}

/* Trips go on until the pauser is done. */
static int
await_pauser(pid_t pauser)
{
    int status;

    if (waitpid(pauser, &status, 0) != pauser || status != 0)
        return -1;
    atomic_store(&count, atomic_load(&started));
    return 0;
}

/* ---- the run ------------------------------------------------------------ */

static double
cpu(int who)
{
    struct rusage used;

    getrusage(who, &used);
    return (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) * 1e6 +
           (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec);
}

static int
compare(const void *a, const void *b)
{
    const unsigned x = *(const unsigned *)a;
    const unsigned y = *(const unsigned *)b;

    return (x > y) - (x < y);
}

int
main(int argc, char **argv)
{
    if (argc < 5) {
        fprintf(stderr, "usage: broker_bench DIRECTORY submit|trip|pause "
                        "COUNT IN_FLIGHT [idempotent]\n");
        return EXIT_FAILURE;
    }
    int stop[2];
    const int in_flight = atoi(argv[4]) < SLOTS_MAX ? atoi(argv[4]) : SLOTS_MAX;

    settings.directory = argv[1];
    is_pause = strcmp(argv[2], "pause") == 0;
    is_trip = is_pause || strcmp(argv[2], "trip") == 0;
    is_idempotent = argc > 5;
    count = is_pause ? LONG_MAX : atol(argv[3]);
    times = calloc(TIMES_MAX, sizeof(*times));
    taken = calloc(TIMES_MAX, sizeof(*taken));
    memset(message, 'x', sizeof(message));
    log_init("bench", LOG_WARNING);
    sem_init(&done, 0, 0);
    broker_close(open_broker(BROKER_INGRESS)); /* makes the store */
    if (pipe(stop) < 0)
        return EXIT_FAILURE;
    pid_t worker = is_trip ? fork() : 0;
    if (is_trip && worker == 0) {
        close(stop[1]);
        return work(stop[0]);
    }
    pid_t pauser = is_pause ? fork() : 0;
    if (is_pause && pauser == 0)
        return pause_often(atol(argv[3]));
    broker = open_broker(BROKER_INGRESS);

    const double before = cpu(RUSAGE_SELF);
    const int64_t begin = now_ns();
    for (int i = 0; i < in_flight; i++)
        start(&slots[i]);
    if (is_pause && await_pauser(pauser) < 0)
        return EXIT_FAILURE;
    while (sem_wait(&done) < 0)
        ;
    const double seconds = (double)(now_ns() - begin) / 1e9;
    const double own = cpu(RUSAGE_SELF) - before;
    broker_close(broker);
    close(stop[1]);
    if (is_trip)
        waitpid(worker, NULL, 0);
    if (is_pause)
        return EXIT_SUCCESS;

    const size_t n = count < TIMES_MAX ? (size_t)count : TIMES_MAX;
    qsort(times, n, sizeof(*times), compare);
    printf("%s %ld at %d: %.0f/s, p50 %u us, p99 %u us, cpu %.2f + %.2f us\n",
           argv[2], count, in_flight, (double)count / seconds, times[n / 2],
           times[n / 100 * 99], own / (double)count,
           cpu(RUSAGE_CHILDREN) / (double)count);
    return EXIT_SUCCESS;
}
