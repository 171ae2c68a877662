/* rig.c - what the conformance tests stand on. */
#include "tests/conformance/rig.h"

#include <dirent.h>
#include <semaphore.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/log.h"
#include "common/mem.h"
#include "common/own.h"
#include "tests/conformance/rig_kafka.h"

#define FOLLOWED_MAX 64

struct followed {
    pthread_mutex_t lock;
    pthread_cond_t moved;
    unsigned len;
    struct {
        struct ticket ticket;
        unsigned count;
        char text[200];
    } all[FOLLOWED_MAX];
};

static char queue_names[RIG_QUEUES][8] = {"one", "two"};
static char release_one[] = "1";

void
require_failed(const char *where, int line, const char *format, ...)
{
    va_list args;

    fprintf(stderr, "%s:%d: ", where, line);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    abort();
}

static struct timespec
deadline(span_ms within)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    t.tv_sec += within / 1000;
    t.tv_nsec += within % 1000 * 1000000;
    if (t.tv_nsec >= 1000000000) {
        t.tv_sec++;
        t.tv_nsec -= 1000000000;
    }
    return t;
}

/* True: signalled. False: the time is over. */
static bool
wait_until(pthread_cond_t *moved, pthread_mutex_t *lock,
           const struct timespec *until)
{
    return pthread_cond_clockwait(moved, lock, CLOCK_MONOTONIC, until) == 0;
}

void
wait_ms(span_ms span)
{
    const struct timespec t = {.tv_sec = span / 1000,
                               .tv_nsec = span % 1000 * 1000000};

    nanosleep(&t, NULL);
}

/* ---- the store ---------------------------------------------------------- */

bool
rig_is_distributed(void)
{
    return rig_is_on_kafka();
}

span_ms
rig_lease(span_ms lease)
{
    return rig_is_on_kafka() && lease < 2000 ? 2000 : lease;
}

static void
fill(struct rig *rig, const char *directory)
{
    memset(rig, 0, sizeof(*rig));
    snprintf(rig->directory, sizeof(rig->directory), "%s", directory);
    log_init("test", LOG_WARNING);
    for (unsigned i = 0; i < RIG_QUEUES; i++)
        rig->queues[i] = (struct queue_settings){
            .name = queue_names[i],
            .concurrency = 4,
            .timeout = 30000,
            .attempts = 3,
            .backoff_first = 20,
            .backoff_max = 40,
            .redeliver = REDELIVER_IDEMPOTENT,
            .ttl = 3600000,
            .retention_age = 3600000,
            .retention_bytes = 1 << 30,
            .keys = 86400000,
            .max_response = 16 << 20,
            .lease = 10000,
            .workers = 1,
            .release = release_one,
            .max_depth = 100000,
        };
    rig->settings.queues = rig->queues;
    rig->settings.queues_len = RIG_QUEUES;
    rig->settings.directory = rig->directory;
    if (rig_is_on_kafka())
        rig_kafka_fill(rig);
}

void
rig_init(struct rig *rig)
{
    char directory[] = "/tmp/cloakroom-conformance.XXXXXX";

    REQUIRE(mkdtemp(directory) != NULL, "no directory");
    fill(rig, directory);
}

void
rig_join(struct rig *rig, const char *directory)
{
    fill(rig, directory);
}

static void
remove_directory(const char *path)
{
    DIR *dir = opendir(path);
    char name[600];

    for (struct dirent *entry; dir != NULL && (entry = readdir(dir)) != NULL;) {
        snprintf(name, sizeof(name), "%s/%s", path, entry->d_name);
        if (entry->d_name[0] != '.' && unlink(name) < 0)
            remove_directory(name);
    }
    if (dir != NULL)
        closedir(dir);
    rmdir(path);
}

void
rig_fini(struct rig *rig)
{
    rig_close(rig);
    if (rig->is_made)
        rig_kafka_remove(rig);
    remove_directory(rig->directory);
}

static bool
is_wanted(void *opaque, const struct ticket *ticket)
{
    struct followed *followed = opaque;

    pthread_mutex_lock(&followed->lock);
    bool wanted = false;
    for (unsigned i = 0; i < followed->len; i++)
        wanted |= ticket_eq(&followed->all[i].ticket, ticket);
    pthread_mutex_unlock(&followed->lock);
    return wanted;
}

static void
on_response(void *opaque, const struct ticket *ticket, struct stored **stored)
{
    struct followed *followed = opaque;
    struct stored *taken = TAKE(*stored);

    pthread_mutex_lock(&followed->lock);
    for (unsigned i = 0; i < followed->len; i++) {
        if (!ticket_eq(&followed->all[i].ticket, ticket))
            continue;
        followed->all[i].count++;
        snprintf(followed->all[i].text, sizeof(followed->all[i].text), "%.*s",
                 SLICE_ARG(buf_slice(&taken->bytes)));
    }
    pthread_cond_broadcast(&followed->moved);
    pthread_mutex_unlock(&followed->lock);
    stored_free(taken);
}

struct broker *
rig_open(struct rig *rig)
{
    struct error err;

    rig->followed = mem_new(struct followed);
    pthread_mutex_init(&rig->followed->lock, NULL);
    pthread_cond_init(&rig->followed->moved, NULL);
    const struct broker_options options = {.settings = &rig->settings,
                                           .role = BROKER_INGRESS,
                                           .create = true,
                                           .wanted = is_wanted,
                                           .on_response = on_response,
                                           .opaque = rig->followed};
    if (rig_is_on_kafka() && !rig->is_made) {
        rig_kafka_make(rig);
        rig->is_made = true;
    }
    int r = broker_open(&options, &rig->broker, &err);
    REQUIRE(r == 0, "%s", r < 0 ? err.text : "");
    return rig->broker;
}

struct broker *
rig_worker(struct rig *rig)
{
    const struct broker_options options = {.settings = &rig->settings,
                                           .role = BROKER_WORKER};
    struct broker *broker = NULL;
    struct error err;

    int r = broker_open(&options, &broker, &err);
    REQUIRE(r == 0, "%s", r < 0 ? err.text : "");
    return broker;
}

void
rig_close(struct rig *rig)
{
    broker_close(TAKE(rig->broker));
    free(TAKE(rig->followed));
}

/* ---- clients ------------------------------------------------------------ */

struct asking {
    struct submission submission;
    sem_t done;
};

static void
on_submitted(struct submission *submission)
{
    sem_post(&CONTAINER_OF(submission, struct asking, submission)->done);
}

static int
slot_of(const struct ask *ask, const struct request_key *key)
{
    if (ask->key != NULL)
        return request_key_slot(key);
    return ask->spread ? TICKET_RANDOM_SLOT : 0;
}

static void
make_key(uint8_t bytes[KEY_BYTES], const char *text)
{
    memset(bytes, 0, KEY_BYTES);
    memcpy(bytes, text, strnlen(text, KEY_BYTES));
}

int
submit_joined(struct broker *broker, struct ask ask, struct ticket *ticket,
              bool *joined)
{
    struct request_key key;
    struct asking asking = {
        .submission = {.queue = ask.queue,
                       .idempotent = ask.idempotent,
                       .origin = {.peer = SLICE("192.0.2.1:50000"),
                                  .scheme = SLICE("http"),
                                  .route = SLICE("/hits")},
                       .message = slice_of(ask.text),
                       .replays = ask.replays,
                       .on_submitted = on_submitted}};

    if (ask.key != NULL) {
        make_key(key.scope, ask.key);
        make_key(key.fingerprint, ask.print != NULL ? ask.print : ask.text);
        asking.submission.key = &key;
    }
    asking.submission.ticket =
        ticket_make(broker_secret(broker), clock_wall(), slot_of(&ask, &key));
    sem_init(&asking.done, 0, 0);
    broker_submit(broker, &asking.submission);
    while (sem_wait(&asking.done) < 0)
        ;
    sem_destroy(&asking.done);
    if (asking.submission.r == 0) {
        *ticket = asking.submission.ticket;
        *joined = asking.submission.joined;
    }
    return asking.submission.r;
}

int
submit(struct broker *broker, struct ask ask, struct ticket *ticket)
{
    bool joined;

    return submit_joined(broker, ask, ticket, &joined);
}

struct looking {
    struct lookup lookup;
    sem_t done;
};

static void
on_found(struct lookup *found)
{
    sem_post(&CONTAINER_OF(found, struct looking, lookup)->done);
}

static void
look(struct broker *broker, struct looking *looking)
{
    looking->lookup.on_found = on_found;
    sem_init(&looking->done, 0, 0);
    broker_lookup(broker, &looking->lookup);
    while (sem_wait(&looking->done) < 0)
        ;
    sem_destroy(&looking->done);
}

int
lookup(struct broker *broker, const struct ticket *ticket,
       struct ticket_status *status)
{
    struct looking looking = {.lookup = {.ticket = *ticket}};

    look(broker, &looking);
    *status = looking.lookup.status;
    return looking.lookup.r;
}

const char *
response(struct broker *broker, const struct ticket *ticket)
{
    static char text[8192];
    struct looking looking = {
        .lookup = {.ticket = *ticket, .with_response = true}};

    look(broker, &looking);
    text[0] = '\0';
    if (looking.lookup.r == 0 && looking.lookup.stored != NULL)
        snprintf(text, sizeof(text), "%.*s",
                 SLICE_ARG(buf_slice(&looking.lookup.stored->bytes)));
    stored_free(looking.lookup.stored);
    return text;
}

size_t
response_size(struct broker *broker, const struct ticket *ticket)
{
    struct looking looking = {
        .lookup = {.ticket = *ticket, .with_response = true}};

    look(broker, &looking);
    REQUIRE(looking.lookup.r == 0 && looking.lookup.stored != NULL,
            "no response");
    const size_t size = looking.lookup.stored->bytes.len;
    stored_free(looking.lookup.stored);
    return size;
}

struct cancelling {
    struct cancellation cancellation;
    sem_t done;
};

static void
on_cancelled(struct cancellation *cancellation)
{
    sem_post(
        &CONTAINER_OF(cancellation, struct cancelling, cancellation)->done);
}

int
cancel(struct broker *broker, const struct ticket *ticket)
{
    struct cancelling cancelling = {
        .cancellation = {.ticket = *ticket, .on_cancelled = on_cancelled}};

    sem_init(&cancelling.done, 0, 0);
    broker_cancel(broker, &cancelling.cancellation);
    while (sem_wait(&cancelling.done) < 0)
        ;
    sem_destroy(&cancelling.done);
    return cancelling.cancellation.r;
}

enum ticket_state
wait_end(struct broker *broker, const struct ticket *ticket)
{
    const mono_ms until = clock_mono() + RIG_LIMIT;
    struct ticket_status status;

    for (;;) {
        REQUIRE(lookup(broker, ticket, &status) == 0, "the ticket is not kept");
        if (ticket_state_is_final(status.state))
            return status.state;
        REQUIRE(clock_mono() < until, "no end: %s, \"%s\"",
                ticket_state_word(status.state), status.reason);
        wait_ms(2);
    }
}

enum ticket_state
wait_state(struct broker *broker, const struct ticket *ticket,
           enum ticket_state state)
{
    const mono_ms until = clock_mono() + RIG_LIMIT;
    struct ticket_status status;

    for (;;) {
        REQUIRE(lookup(broker, ticket, &status) == 0, "the ticket is not kept");
        if (status.state == state || clock_mono() > until)
            return status.state;
        wait_ms(2);
    }
}

void
wait_gone(struct broker *broker, const struct ticket *ticket)
{
    const mono_ms until = clock_mono() + RIG_LIMIT;
    struct ticket_status status;

    while (lookup(broker, ticket, &status) != -ENOENT) {
        REQUIRE(clock_mono() < until, "the ticket is still kept");
        wait_ms(2);
    }
}

void
follow(struct rig *rig, const struct ticket *ticket)
{
    struct followed *followed = rig->followed;

    pthread_mutex_lock(&followed->lock);
    REQUIRE(followed->len < FOLLOWED_MAX, "too many followed");
    followed->all[followed->len++].ticket = *ticket;
    pthread_mutex_unlock(&followed->lock);
}

const char *
wait_followed(struct rig *rig, const struct ticket *ticket)
{
    struct followed *followed = rig->followed;
    const struct timespec until = deadline(RIG_LIMIT);
    const char *text = NULL;

    pthread_mutex_lock(&followed->lock);
    while (text == NULL) {
        for (unsigned i = 0; i < followed->len; i++) {
            if (ticket_eq(&followed->all[i].ticket, ticket) &&
                followed->all[i].count > 0)
                text = followed->all[i].text;
        }
        if (text == NULL &&
            !wait_until(&followed->moved, &followed->lock, &until))
            break;
    }
    pthread_mutex_unlock(&followed->lock);
    REQUIRE(text != NULL, "on_response was not called");
    return text;
}

unsigned
followed_count(struct rig *rig, const struct ticket *ticket)
{
    struct followed *followed = rig->followed;
    unsigned count = 0;

    pthread_mutex_lock(&followed->lock);
    for (unsigned i = 0; i < followed->len; i++) {
        if (ticket_eq(&followed->all[i].ticket, ticket))
            count = followed->all[i].count;
    }
    pthread_mutex_unlock(&followed->lock);
    return count;
}

struct queue_stats
stats(struct broker *broker, unsigned queue)
{
    struct queue_stats found;
    struct error err;

    REQUIRE(broker_queue_stats(broker, queue, &found, &err) == 0, "%s",
            err.text);
    return found;
}

/* ---- control --------------------------------------------------------------
 */

struct control
control_of(struct broker *broker, unsigned queue)
{
    struct control control;
    struct error err;
    int r = broker_control(broker, queue, &control, &err);

    REQUIRE(r == 0, "%s", err.text);
    return control;
}

enum control_state
queue_state(struct broker *broker, unsigned queue)
{
    return control_of(broker, queue).state;
}

void
wait_queue(struct broker *broker, unsigned queue, enum control_state state)
{
    const mono_ms until = clock_mono() + RIG_LIMIT;

    for (;;) {
        const uint64_t seen = broker_control_seen(broker);
        if (queue_state(broker, queue) == state)
            return;
        REQUIRE(clock_mono() < until, "the queue did not become %s",
                control_state_word(state));
        broker_control_wait(broker, seen, 100);
    }
}

void
pause_queue(struct broker *broker, unsigned queue)
{
    const struct change change = {
        .kind = CHANGE_PAUSE, .by = "test", .why = "words"};
    struct error err;
    int r = broker_change(broker, &queue, 1, &change, NULL, &err);

    REQUIRE(r == 0, "%s", err.text);
}

/* ---- workers ------------------------------------------------------------ */

static void
on_take(void *opaque, struct attempt **attempt)
{
    struct taker *taker = opaque;
    struct attempt *taken = TAKE(*attempt);
    struct attempt **last = &taker->first;

    pthread_mutex_lock(&taker->lock);
    while (*last != NULL)
        last = (struct attempt **)&(*last)->opaque;
    taken->opaque = NULL;
    *last = taken;
    taker->taken++;
    pthread_cond_broadcast(&taker->moved);
    pthread_mutex_unlock(&taker->lock);
}

static void
on_lease(void *opaque, boot_ms until)
{
    struct taker *taker = opaque;

    pthread_mutex_lock(&taker->lock);
    taker->lease = until;
    pthread_mutex_unlock(&taker->lock);
}

static void
set_flag(struct taker *taker, bool *flag)
{
    pthread_mutex_lock(&taker->lock);
    *flag = true;
    pthread_cond_broadcast(&taker->moved);
    pthread_mutex_unlock(&taker->lock);
}

static void
on_lost(void *opaque)
{
    struct taker *taker = opaque;

    set_flag(taker, &taker->lost);
}

static void
on_drained(void *opaque)
{
    struct taker *taker = opaque;

    set_flag(taker, &taker->drained);
}

static void
on_cancel(void *opaque, const struct ticket *ticket, uint64_t attempt_id,
          enum outcome why)
{
    struct taker *taker = opaque;
    (void)attempt_id;

    pthread_mutex_lock(&taker->lock);
    taker->cancelled = *ticket;
    taker->why = why;
    taker->cancels++;
    pthread_cond_broadcast(&taker->moved);
    pthread_mutex_unlock(&taker->lock);
}

static int
open_session(struct taker *taker, struct broker *broker, unsigned queue,
             const char *release, unsigned slots, const struct probe *probe,
             struct error *err)
{
    memset(taker, 0, sizeof(*taker));
    pthread_mutex_init(&taker->lock, NULL);
    pthread_cond_init(&taker->moved, NULL);
    const struct session_options options = {.queue = queue,
                                            .name = "test:1",
                                            .release = release,
                                            .concurrency = slots,
                                            .probe = probe,
                                            .on_take = on_take,
                                            .on_lease = on_lease,
                                            .on_lost = on_lost,
                                            .on_cancel = on_cancel,
                                            .opaque = taker};
    int r = session_open(broker, &options, &taker->session, err);
    if (r == 0 && slots > 0)
        session_want(taker->session, slots);
    return r;
}

void
taker_open(struct taker *taker, struct broker *broker, unsigned queue,
           const char *release, unsigned slots)
{
    struct error err;
    int r = open_session(taker, broker, queue, release, slots, NULL, &err);

    REQUIRE(r == 0, "%s", r < 0 ? err.text : "");
}

int
taker_probe(struct taker *taker, struct broker *broker, unsigned queue,
            const char *release, const struct probe *probe)
{
    return open_session(taker, broker, queue, release, 1, probe, NULL);
}

void
taker_close(struct taker *taker)
{
    session_close(TAKE(taker->session));
    while (taker->first != NULL) {
        struct attempt *attempt = taker->first;
        taker->first = attempt->opaque;
        attempt_free(attempt);
    }
}

struct attempt *
taker_try(struct taker *taker, span_ms within)
{
    const struct timespec until = deadline(within);

    pthread_mutex_lock(&taker->lock);
    while (taker->first == NULL &&
           wait_until(&taker->moved, &taker->lock, &until))
        ;
    struct attempt *attempt = taker->first;
    if (attempt != NULL)
        taker->first = attempt->opaque;
    pthread_mutex_unlock(&taker->lock);
    return attempt;
}

struct attempt *
taker_next(struct taker *taker)
{
    struct attempt *attempt = taker_try(taker, RIG_LIMIT);

    REQUIRE(attempt != NULL, "nothing was taken");
    return attempt;
}

struct attempt *
taker_wait(struct taker *taker)
{
    struct attempt *attempt;

    do
        attempt = taker_try(taker, RIG_LIMIT);
    while (attempt == NULL);
    return attempt;
}

void
wait_taken(struct taker *takers, unsigned len, unsigned count)
{
    const mono_ms until = clock_mono() + RIG_LIMIT;

    for (;;) {
        unsigned taken = 0;
        for (unsigned i = 0; i < len; i++) {
            pthread_mutex_lock(&takers[i].lock);
            taken += takers[i].taken;
            pthread_mutex_unlock(&takers[i].lock);
        }
        if (taken >= count)
            return;
        REQUIRE(clock_mono() < until, "only %u were taken", taken);
        wait_ms(2);
    }
}

bool
taker_gets_nothing(struct taker *taker, span_ms within)
{
    struct attempt *attempt = taker_try(taker, within);

    attempt_free(attempt);
    return attempt == NULL;
}

void
taker_answer(struct taker *taker, struct attempt *attempt, const char *text,
             bool again)
{
    attempt->outcome = OUTCOME_ANSWERED;
    attempt->again = again;
    REQUIRE(buf_add_text(&attempt->response, text) == 0, "too long");
    broker_finish(taker->session, &attempt);
    REQUIRE(attempt == NULL, "it was not taken");
}

void
taker_end(struct taker *taker, struct attempt *attempt, enum outcome outcome,
          const char *reason, bool again)
{
    attempt->outcome = outcome;
    attempt->again = again;
    snprintf(attempt->reason, sizeof(attempt->reason), "%s", reason);
    broker_finish(taker->session, &attempt);
}

boot_ms
taker_lease(struct taker *taker)
{
    pthread_mutex_lock(&taker->lock);
    const boot_ms lease = taker->lost ? 0 : taker->lease;
    pthread_mutex_unlock(&taker->lock);
    return lease;
}

static void
wait_flag(struct taker *taker, const bool *flag, const char *what)
{
    const struct timespec until = deadline(RIG_LIMIT);

    pthread_mutex_lock(&taker->lock);
    while (!*flag && wait_until(&taker->moved, &taker->lock, &until))
        ;
    bool was = *flag;
    pthread_mutex_unlock(&taker->lock);
    REQUIRE(was, "%s was not called", what);
}

void
taker_wait_lost(struct taker *taker)
{
    wait_flag(taker, &taker->lost, "on_lost");
}

void
taker_stop(struct taker *taker)
{
    session_stop(taker->session, on_drained);
    wait_flag(taker, &taker->drained, "on_drained");
}

void
taker_wait_cancel(struct taker *taker)
{
    const struct timespec until = deadline(RIG_LIMIT);

    pthread_mutex_lock(&taker->lock);
    while (taker->cancels == 0 &&
           wait_until(&taker->moved, &taker->lock, &until))
        ;
    unsigned cancels = taker->cancels;
    pthread_mutex_unlock(&taker->lock);
    REQUIRE(cancels > 0, "on_cancel was not called");
}

void
serve_one(struct broker *broker, unsigned queue, const char *text)
{
    struct taker taker;

    taker_open(&taker, broker, queue, "1", 1);
    taker_answer(&taker, taker_next(&taker), text, false);
    taker_close(&taker);
}
