/* rig.h - what the conformance tests stand on: settings, a store, and clients
 * and workers that wait, so that a test reads as one story.
 *
 * Everything here speaks broker.h only. What a test starts is ended with its
 * process; the directory is removed by the process that made it.
 */
#ifndef TESTS_CONFORMANCE_RIG_H
#define TESTS_CONFORMANCE_RIG_H

#include <pthread.h>
#include <stdbool.h>

#include "broker/broker.h"

/* Holds in a test, and in a process that a test started, where Check has no
 * business: ends it with the sentence. */
#define REQUIRE(holds, ...)                                                    \
    do {                                                                       \
        if (!(holds))                                                          \
            require_failed(__FILE__, __LINE__, __VA_ARGS__);                   \
    } while (0)
_Noreturn void require_failed(const char *where, int line, const char *format,
                              ...) __attribute__((format(printf, 3, 4)));

#define RIG_QUEUES 2
#define RIG_LIMIT  10000 /* ms; longer than anything here may take */

struct rig {
    struct settings settings;
    struct queue_settings queues[RIG_QUEUES];
    char directory[200];
    char prefix[80], view[220], secret[220]; /* on Kafka */
    bool is_made;
    struct broker *broker; /* the one that rig_open opened */
    struct followed *followed;
};

/* Is the backend one of many machines? Then a process that was killed is missed
 * only when its lease is over. */
bool rig_is_distributed(void);
/* A short lease, as short as the backend bears it. */
span_ms rig_lease(span_ms lease);

/* Fresh settings on a fresh directory; a test changes them before rig_open.
 * Queue 0 is "one", queue 1 "two". */
void rig_init(struct rig *rig);
/* The same settings on a directory that another process has. */
void rig_join(struct rig *rig, const char *directory);
void rig_fini(struct rig *rig); /* closes, removes the directory */

struct broker *rig_open(struct rig *rig);   /* as an ingress that follows */
struct broker *rig_worker(struct rig *rig); /* another one, as a worker */
void rig_close(struct rig *rig);

/* ---- clients ------------------------------------------------------------ */

struct ask {
    unsigned queue;
    const char *text;  /* the message */
    const char *key;   /* names scope; NULL: none */
    const char *print; /* the fingerprint; NULL: the text */
    bool idempotent;
    const struct ticket *replays;
    bool spread; /* over all partitions, if there are any, and in no order */
};

/* Each waits for its callback; the result is the callback's r. */
int submit(struct broker *broker, struct ask ask, struct ticket *ticket);
int submit_joined(struct broker *broker, struct ask ask, struct ticket *ticket,
                  bool *joined);
int lookup(struct broker *broker, const struct ticket *ticket,
           struct ticket_status *status);
int cancel(struct broker *broker, const struct ticket *ticket);
/* The stored response as text in a static buffer; "" while there is none. */
const char *response(struct broker *broker, const struct ticket *ticket);
size_t response_size(struct broker *broker, const struct ticket *ticket);
/* Waits until the ticket has an end, and returns it. */
enum ticket_state wait_end(struct broker *broker, const struct ticket *ticket);
enum ticket_state wait_state(struct broker *broker, const struct ticket *ticket,
                             enum ticket_state state);
/* Waits until on_response brought this ticket; the rig's broker follows it. */
void follow(struct rig *rig, const struct ticket *ticket);
const char *wait_followed(struct rig *rig, const struct ticket *ticket);
unsigned followed_count(struct rig *rig, const struct ticket *ticket);

/* Waits until the ticket is not kept any more. */
void wait_gone(struct broker *broker, const struct ticket *ticket);
void wait_ms(span_ms span); /* for what must not happen meanwhile */

struct queue_stats stats(struct broker *broker, unsigned queue);

/* ---- control --------------------------------------------------------------
 */

struct control control_of(struct broker *broker, unsigned queue);
enum control_state queue_state(struct broker *broker, unsigned queue);
void wait_queue(struct broker *broker, unsigned queue,
                enum control_state state);
void pause_queue(struct broker *broker, unsigned queue); /* "words" */

/* ---- workers ------------------------------------------------------------ */

struct taker {
    pthread_mutex_t lock;
    pthread_cond_t moved;
    struct session *session;
    struct attempt *first; /* taken, not given out; linked by opaque */
    unsigned taken;        /* in all */
    unsigned cancels;
    struct ticket cancelled;
    enum outcome why;
    boot_ms lease;
    bool lost;
    bool drained;
};

void taker_open(struct taker *taker, struct broker *broker, unsigned queue,
                const char *release, unsigned slots);
/* The result of session_open; not 0: there is nothing to be closed. */
int taker_probe(struct taker *taker, struct broker *broker, unsigned queue,
                const char *release, const struct probe *probe);
void taker_close(struct taker *taker);
/* The next attempt; fails the test when none comes. */
struct attempt *taker_next(struct taker *taker);
struct attempt *taker_wait(struct taker *taker); /* without a limit */
/* Until this many in all were taken by takers. */
void wait_taken(struct taker *takers, unsigned len, unsigned count);
/* NULL: none came within the time. */
struct attempt *taker_try(struct taker *taker, span_ms within);
/* True when none comes within the time. */
bool taker_gets_nothing(struct taker *taker, span_ms within);
void taker_answer(struct taker *taker, struct attempt *attempt,
                  const char *text, bool again);
void taker_end(struct taker *taker, struct attempt *attempt,
               enum outcome outcome, const char *reason, bool again);
boot_ms taker_lease(struct taker *taker); /* 0: lost */
void taker_wait_lost(struct taker *taker);
void taker_wait_cancel(struct taker *taker);
void taker_stop(struct taker *taker); /* and waits until it is drained */

/* Takes one, answers it, and is gone: for what needs an ended request. */
void serve_one(struct broker *broker, unsigned queue, const char *text);

#endif
