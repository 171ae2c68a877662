/* fake_broker.h - a broker of one session that the test drives, for worker_run.
 *
 * It defines the functions of broker.h that a worker calls, so the real ones
 * are not linked. The script of the test runs on a thread of its own, which is
 * the broker's thread to the worker.
 */
#ifndef TESTS_UNIT_WORKERS_FAKE_BROKER_H
#define TESTS_UNIT_WORKERS_FAKE_BROKER_H

#include <pthread.h>
#include <sched.h>

#include "tests/unit/workers/fixture.h"

struct session {
    struct session_options options;
};

static struct {
    pthread_mutex_t lock; /* guards all below */
    pthread_cond_t moved;
    struct session session;
    unsigned hellos, goodbyes;
    unsigned wanted; /* slots told, less those given */
    unsigned out;    /* attempts given and not finished */
    unsigned finished;
    struct attempt *last; /* finished */
    bool stopping;
    void (*on_drained)(void *opaque);
    bool drained;
    /* of the worker */
    bool supervised;
    const char *release; /* NULL: the queue's */
    const struct probe *probe;
    int refusal;         /* what session_open says, and */
    unsigned refusals;   /* how often, before it opens one */
    enum outcome probed; /* what on_probed heard */
    unsigned probes;     /* how often */
} fake = {.lock = PTHREAD_MUTEX_INITIALIZER, .moved = PTHREAD_COND_INITIALIZER};

/* ---- what the worker calls ------------------------------------------------
 */

int
broker_open(const struct broker_options *options, struct broker **out,
            struct error *err)
{
    static char broker;

    (void)err;
    ck_assert_int_eq(options->role, BROKER_WORKER);
    *out = (struct broker *)&broker;
    return 0;
}

int
broker_guard(const struct broker *broker)
{
    (void)broker;
    return -1;
}

void
attempt_free(struct attempt *attempt)
{
    free_attempt(attempt);
}

void
broker_close(struct broker *broker)
{
    (void)broker;
}

int
session_open(struct broker *broker, const struct session_options *options,
             struct session **out, struct error *err)
{
    (void)broker;
    pthread_mutex_lock(&fake.lock);
    if (fake.refusals > 0) {
        fake.refusals--;
        pthread_cond_broadcast(&fake.moved);
        pthread_mutex_unlock(&fake.lock);
        return error_set(err, fake.refusal, "refused");
    }
    fake.session.options = *options;
    fake.hellos++;
    fake.wanted = 0;
    fake.stopping = fake.drained = false;
    pthread_cond_broadcast(&fake.moved);
    pthread_mutex_unlock(&fake.lock);
    *out = &fake.session;
    options->on_lease(options->opaque, clock_boot() + 10000);
    return 0;
}

uint64_t
broker_control_seen(struct broker *broker)
{
    (void)broker;
    return 0;
}

void
broker_control_wait(struct broker *broker, uint64_t seen, span_ms limit)
{
    (void)broker;
    (void)seen;
    (void)limit;
    sched_yield();
}

void
session_want(struct session *session, unsigned slots)
{
    (void)session;
    pthread_mutex_lock(&fake.lock);
    fake.wanted += slots;
    pthread_cond_broadcast(&fake.moved);
    pthread_mutex_unlock(&fake.lock);
}

static void
drain_if_due(void)
{
    if (!fake.stopping || fake.out > 0 || fake.drained)
        return;
    fake.drained = true;
    fake.on_drained(fake.session.options.opaque);
}

void
session_stop(struct session *session, void (*on_drained)(void *opaque))
{
    (void)session;
    pthread_mutex_lock(&fake.lock);
    fake.stopping = true;
    fake.on_drained = on_drained;
    drain_if_due();
    pthread_cond_broadcast(&fake.moved);
    pthread_mutex_unlock(&fake.lock);
}

void
session_close(struct session *session)
{
    (void)session;
    pthread_mutex_lock(&fake.lock);
    fake.goodbyes++;
    pthread_cond_broadcast(&fake.moved);
    pthread_mutex_unlock(&fake.lock);
    /* The goodbye may have renewed the lease. */
    fake.session.options.on_lease(fake.session.options.opaque,
                                  clock_boot() + 10000);
}

void
broker_finish(struct session *session, struct attempt **attempt)
{
    (void)session;
    pthread_mutex_lock(&fake.lock);
    if (fake.last != NULL)
        free_attempt(fake.last);
    fake.last = TAKE(*attempt);
    fake.wanted += fake.last->again;
    fake.finished++;
    fake.out--;
    drain_if_due();
    pthread_cond_broadcast(&fake.moved);
    pthread_mutex_unlock(&fake.lock);
}

/* ---- what the script calls ------------------------------------------------
 */

/* Waits until the condition holds; Check's limit ends a wait for ever. */
#define FAKE_AWAIT(condition)                                                  \
    do {                                                                       \
        pthread_mutex_lock(&fake.lock);                                        \
        while (!(condition))                                                   \
            pthread_cond_wait(&fake.moved, &fake.lock);                        \
        pthread_mutex_unlock(&fake.lock);                                      \
    } while (0)

static inline void
fake_give(struct attempt *attempt)
{
    FAKE_AWAIT(fake.wanted > 0);
    pthread_mutex_lock(&fake.lock);
    fake.wanted--;
    fake.out++;
    pthread_mutex_unlock(&fake.lock);
    fake.session.options.on_take(fake.session.options.opaque, &attempt);
}

/* Gives one and waits for its end. */
static inline struct attempt *
fake_run(const char *target)
{
    unsigned count = fake.finished;

    fake_give(make_attempt("GET", target, "", SLICE("")));
    FAKE_AWAIT(fake.finished > count);
    return fake.last;
}

static inline void
fake_on_probed(void *opaque, const struct attempt *attempt)
{
    ck_assert_ptr_eq(opaque, &fake);
    pthread_mutex_lock(&fake.lock);
    ck_assert_uint_eq(fake.finished, 0);
    fake.probed = attempt->outcome;
    fake.probes++;
    pthread_mutex_unlock(&fake.lock);
}

/* Runs a worker for the queue with the script beside it; its result. */
static inline int
fake_worker(struct queue_settings *queue, void *(*script)(void *),
            struct error *err)
{
    struct settings settings = {.queues = queue, .queues_len = 1};
    const struct worker_options options = {
        .queue = 0,
        .release = fake.release,
        .supervised = fake.supervised,
        .probe = fake.probe,
        .on_probed = fake_on_probed,
        .opaque = &fake,
    };
    pthread_t thread;
    sigset_t asked;

    /* The script must not get the signals that it sends to the worker. */
    sigemptyset(&asked);
    sigaddset(&asked, SIGTERM);
    sigaddset(&asked, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &asked, NULL);
    pthread_create(&thread, NULL, script, NULL);
    int r = worker_run(&settings, &options, err);
    pthread_join(thread, NULL);
    if (fake.last != NULL)
        free_attempt(fake.last);
    return r;
}

#endif
