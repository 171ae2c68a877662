/* run.c - the attempts that this worker runs, each in a slot. */
#include "workers/run.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/mem.h"
#include "common/own.h"
#include "common/problem.h"

#define REFUSAL_MAX ((size_t)16 * 1024)

struct runs {
    const struct handler_ground *ground;
    struct handler *handler;
    run_ended_fn on_ended;
    void *opaque;
    unsigned running;
    unsigned open; /* timers whose close is not through; to be freed at 0 */
    unsigned slots_len;
    struct run slots[];
};

/* ---- ending ---------------------------------------------------------------
 */

static void on_time(uv_timer_t *timer);

static void
set_reason(struct attempt *attempt, const char *text)
{
    snprintf(attempt->reason, sizeof(attempt->reason), "%s", text);
}

static void
end(struct run *run, enum outcome outcome)
{
    struct runs *runs = run->runs;
    struct attempt *attempt = TAKE(run->attempt);

    assert(run->state != RUN_FREE && attempt != NULL);
    const bool has_answered =
        outcome == OUTCOME_ANSWERED && run_may_answer(run);
    if (run_is_interrupted(run) && outcome != OUTCOME_NOT_STARTED &&
        !has_answered) {
        outcome = run->interruption;
        set_reason(attempt, run->why);
    }
    if (outcome != OUTCOME_ANSWERED)
        buf_fini(&attempt->response);
    attempt->outcome = outcome;
    run->state = RUN_FREE;
    run->opaque = NULL;
    uv_timer_stop(&run->timer);
    runs->running--;
    runs->on_ended(runs->opaque, &attempt);
}

void
run_answered(struct run *run)
{
    assert(run->attempt->response.len > 0);
    end(run, OUTCOME_ANSWERED);
}

void
run_failed(struct run *run, enum outcome outcome, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(run->attempt->reason, sizeof(run->attempt->reason), format, args);
    va_end(args);
    end(run, outcome);
}

void
run_refuse(struct run *run, int status, const char *code, const char *format,
           ...)
{
    struct attempt *attempt = run->attempt;
    char detail[500];
    va_list args;

    va_start(args, format);
    vsnprintf(detail, sizeof(detail), format, args);
    va_end(args);
    buf_fini(&attempt->response);
    buf_init(&attempt->response, REFUSAL_MAX);
    int r = problem_message(&attempt->response, status, code, detail,
                            &attempt->ticket);
    assert(r == 0); /* the detail is cut above */
    end(run, OUTCOME_ANSWERED);
}

bool
run_is_interrupted(const struct run *run)
{
    return run->state == RUN_ENDING || run->state == RUN_KILLED;
}

bool
run_may_answer(const struct run *run)
{
    return !run_is_interrupted(run) || run->interruption == OUTCOME_KILLED;
}

void
run_tell_strays(const struct run *run, unsigned count, bool stubborn)
{
    log_ticket(EVENT_STRAY, &run->attempt->ticket,
               run->runs->ground->queue->name, run->attempt->number,
               "count=%u gone=%s", count, stubborn ? "no" : "yes");
}

/* ---- interrupting ---------------------------------------------------------
 */

static void
kill_run(struct run *run, enum kill_how how)
{
    struct handler *handler = run->runs->handler;

    run->state = how == KILL_NOW ? RUN_KILLED : RUN_ENDING;
    /* A kill is repeated until the run has ended: should one get lost, or a
     * child be born just behind it, the next one hits. */
    uv_timer_start(&run->timer, on_time, RUN_GRACE, 0);
    handler->kind->kill(handler, run, how);
    if (++run->kills == RUN_KILLS_MAX)
        spawner_abandon(run->runs->ground->spawner);
}

static void
interrupt(struct run *run, enum kill_how how, enum outcome outcome,
          const char *why)
{
    if (!run_is_interrupted(run)) {
        run->interruption = outcome;
        snprintf(run->why, sizeof(run->why), "%s", why);
    }
    kill_run(run, how);
}

static void
on_time(uv_timer_t *timer)
{
    struct run *run = CONTAINER_OF(timer, struct run, timer);
    const struct queue_settings *queue = run->runs->ground->queue;
    char why[100];

    if (run->state != RUN_RUNNING) {
        kill_run(run, KILL_NOW);
        return;
    }
    snprintf(why, sizeof(why),
             "the handler did not end within its timeout of %lld ms",
             (long long)queue->timeout);
    interrupt(run, KILL_GENTLY, OUTCOME_TIMED_OUT, why);
}

void
runs_interrupt(struct runs *runs, const struct ticket *ticket,
               uint64_t attempt_id, enum outcome outcome, const char *why)
{
    for (unsigned i = 0; i < runs->slots_len; i++) {
        struct run *run = &runs->slots[i];
        if (run->state == RUN_RUNNING && run->attempt->id == attempt_id &&
            ticket_eq(&run->attempt->ticket, ticket)) {
            interrupt(run, KILL_GENTLY, outcome, why);
            return;
        }
    }
}

void
runs_end_all(struct runs *runs, enum kill_how how, enum outcome outcome,
             const char *why)
{
    for (unsigned i = 0; i < runs->slots_len; i++)
        if (runs->slots[i].state != RUN_FREE)
            interrupt(&runs->slots[i], how, outcome, why);
}

/* ---- beginning ------------------------------------------------------------
 */

static struct run *
free_slot(struct runs *runs)
{
    for (unsigned i = 0; i < runs->slots_len; i++)
        if (runs->slots[i].state == RUN_FREE)
            return &runs->slots[i];
    return NULL;
}

void
runs_begin(struct runs *runs, struct attempt **attempt)
{
    struct run *run = free_slot(runs);

    assert(run != NULL);
    run->attempt = TAKE(*attempt);
    run->state = RUN_RUNNING;
    run->kills = 0;
    runs->running++;
    uv_timer_start(&run->timer, on_time, (uint64_t)runs->ground->queue->timeout,
                   0);
    runs->handler->kind->start(runs->handler, run);
}

unsigned
runs_running(const struct runs *runs)
{
    return runs->running;
}

/* ---- the table ------------------------------------------------------------
 */

struct runs *
runs_new(const struct handler_ground *ground, struct handler *handler,
         run_ended_fn on_ended, void *opaque)
{
    unsigned len = ground->queue->concurrency;
    struct runs *runs =
        mem_zalloc(sizeof(*runs) + len * sizeof(runs->slots[0]));

    runs->ground = ground;
    runs->handler = handler;
    runs->on_ended = on_ended;
    runs->opaque = opaque;
    runs->slots_len = runs->open = len;
    for (unsigned i = 0; i < len; i++) {
        runs->slots[i].runs = runs;
        runs->slots[i].slot = i;
        uv_timer_init(ground->loop, &runs->slots[i].timer);
    }
    return runs;
}

static void
on_timer_closed(uv_handle_t *handle)
{
    uv_timer_t *timer = (uv_timer_t *)handle;
    struct runs *runs = CONTAINER_OF(timer, struct run, timer)->runs;

    if (--runs->open == 0)
        free(runs);
}

void
runs_free(struct runs *runs)
{
    if (runs == NULL)
        return;
    assert(runs->running == 0);
    for (unsigned i = 0; i < runs->slots_len; i++)
        uv_close((uv_handle_t *)&runs->slots[i].timer, on_timer_closed);
}
