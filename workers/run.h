/* run.h - the attempts that this worker runs, each in a slot.
 *
 *               handler->start                       run_end
 *     RUN_FREE ----------------> RUN_RUNNING ----------------------> RUN_FREE
 *                                    | timeout, cancel, loss           ^
 *                                    v                                 |
 *                                RUN_ENDING (asked) -> RUN_KILLED -----+
 *                                             after RUN_GRACE
 *
 * I1: what interrupted a run decides its outcome, whatever the handler still
 * answers (but for an operator's pause: then an answer counts), unless nothing
 * of it was ever started; the first interruption counts. I2: a free slot's
 * handler has no process and no handle left.
 *
 * Threads: the loop.
 */
#ifndef WORKERS_RUN_H
#define WORKERS_RUN_H

#include <stdbool.h>
#include <uv.h>

#include "broker/broker.h"
#include "workers/handlers/handler.h"

#define RUN_GRACE     ((span_ms)2000) /* between asking and killing */

/* Who does not end when killed so often has a spawner that does not kill. */
#define RUN_KILLS_MAX 5

enum run_state { RUN_FREE, RUN_RUNNING, RUN_ENDING, RUN_KILLED, RUN_STATES };

struct runs;

struct run {
    struct runs *runs;
    unsigned slot;
    enum run_state state;
    struct attempt *attempt; /* NULL: free */
    void *opaque;            /* the handler's */
    /* ours */
    uv_timer_t timer;
    unsigned kills;            /* so often it was told to end */
    enum outcome interruption; /* from ENDING on */
    char why[200];
};

/* An attempt has ended: outcome, response and reason are set. Takes it. */
typedef void (*run_ended_fn)(void *opaque, struct attempt **attempt);

/* The slots of a worker, all free. */
struct runs *runs_new(const struct handler_ground *ground,
                      struct handler *handler, run_ended_fn on_ended,
                      void *opaque);
/* None may be running. The loop must run once more to free it. NULL is fine. */
void runs_free(struct runs *runs);

/* Runs an attempt; takes it. There is a free slot: the broker gives no more
 * than it was told. */
void runs_begin(struct runs *runs, struct attempt **attempt);
unsigned runs_running(const struct runs *runs);
/* Ends the run of this ticket and attempt, if there still is one. */
void runs_interrupt(struct runs *runs, const struct ticket *ticket,
                    uint64_t attempt_id, enum outcome outcome, const char *why);
/* Ends all. */
void runs_end_all(struct runs *runs, enum kill_how how, enum outcome outcome,
                  const char *why);

/* ---- for handlers: each ends the run, once --------------------------------
 */

/* The handler's answer: attempt->response holds the message. */
void run_answered(struct run *run);
/* An answer of our own in the handler's place, such as a 404; it is an answer
 * like any other and final. */
void run_refuse(struct run *run, int status, const char *code,
                const char *format, ...) __attribute__((format(printf, 4, 5)));
/* No answer, and why: a sentence. */
void run_failed(struct run *run, enum outcome outcome, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

bool run_is_interrupted(const struct run *run);
/* Would an answer count? */
bool run_may_answer(const struct run *run);
/* Logs that processes outlived the handler's end and were killed (or, stubborn,
 * do not die). */
void run_tell_strays(const struct run *run, unsigned count, bool stubborn);

#endif
