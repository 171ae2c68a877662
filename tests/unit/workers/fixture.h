/* fixture.h - a loop, a spawner and a handler without a broker, for tests.
 *
 * The spawner is this test program itself, started with the word `spawner`.
 */
#ifndef TESTS_UNIT_WORKERS_FIXTURE_H
#define TESTS_UNIT_WORKERS_FIXTURE_H

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

#include "broker/broker.h"
#include "common/fault.h"
#include "common/mem.h"
#include "common/message.h"
#include "common/own.h"
#include "workers/handlers/handler.h"
#include "workers/run.h"
#include "workers/spawner.h"
#include "workers/worker.h"

#define FIXTURE_WAIT 30000 /* ms; nothing in a test takes so long */

__attribute__((constructor)) static void
be_the_spawner(int argc, char **argv)
{
    fault_init();
    if (argc == 2 && strcmp(argv[1], "spawner") == 0)
        exit(spawner_main(STDIN_FILENO));
}

/* The path of a program of the zoo. */
static inline char *
zoo(const char *name)
{
    static const char here[] = __FILE__;
    size_t root = strlen(here) - strlen("unit/workers/fixture.h");

    return mem_printf("%.*shandlers/%s", (int)root, here, name);
}

/* ---- attempts -------------------------------------------------------------
 */

/* fields: whole lines with CRLF, or "". */
static inline struct attempt *
make_attempt(const char *method, const char *target, const char *fields,
             struct slice body)
{
    struct attempt *attempt = mem_new(struct attempt);
    struct buf *store = &attempt->store;

    for (size_t i = 0; i < TICKET_BYTES; i++)
        attempt->ticket.bytes[i] = (uint8_t)random();
    attempt->number = 1;
    attempt->id = (uint64_t)random();
    attempt->origin = (struct origin){
        .peer = SLICE("192.0.2.7:50123"),
        .local = SLICE("127.0.0.1:8080"),
        .scheme = SLICE("http"),
        .route = SLICE("/run"),
    };
    buf_init(store, body.len + 100000);
    ck_assert_int_eq(
        buf_addf(store, "%s %s HTTP/1.1\r\n%s", method, target, fields), 0);
    if (body.len > 0)
        ck_assert_int_eq(message_end(store, body.len), 0);
    else
        ck_assert_int_eq(message_end_bare(store), 0);
    ck_assert_int_eq(buf_add_slice(store, body), 0);
    attempt->message = buf_slice(store);
    return attempt;
}

static inline void
free_attempt(struct attempt *attempt)
{
    buf_fini(&attempt->response);
    buf_fini(&attempt->store);
    free(attempt);
}

/* ---- the fixture ----------------------------------------------------------
 */

struct fixture {
    uv_loop_t loop;
    uv_timer_t limit;
    struct queue_settings queue;
    char *command[4];
    struct handler_ground ground;
    struct spawner *spawner;
    struct handler *handler;
    struct runs *runs;
    struct attempt *ended; /* the last one */
    unsigned count;        /* how many ended */
    bool is_spawner_dead;
    unsigned lapses;
};

static inline void
on_fixture_limit(uv_timer_t *timer)
{
    (void)timer;
    ck_abort_msg("the test waited for too long");
}

static inline void
on_fixture_ended(void *opaque, struct attempt **attempt)
{
    struct fixture *it = opaque;

    if (it->ended != NULL)
        free_attempt(it->ended);
    it->ended = TAKE(*attempt);
    it->count++;
}

static inline void
on_fixture_dead(void *opaque)
{
    struct fixture *it = opaque;

    it->is_spawner_dead = true;
}

static inline void
on_fixture_lapsed(void *opaque)
{
    struct fixture *it = opaque;

    it->lapses++;
}

/* Before fixture_open the test may change queue. */
static inline void
fixture_init(struct fixture *it, const char *program)
{
    *it = (struct fixture){0};
    it->queue = (struct queue_settings){
        .name = mem_strdup("tests"),
        .handler = {.type = HANDLER_CGI},
        .concurrency = 8,
        .timeout = 20000,
        .attempts = 3,
        .max_response = (size_t)1024 * 1024,
        .lease = 10000,
        .release = mem_strdup("v1"),
    };
    if (program != NULL) {
        it->command[0] = zoo(program);
        it->queue.handler.cgi.command = it->command;
    } else {
        it->queue.handler.cgi.directory = zoo("");
    }
}

static inline void
fixture_open(struct fixture *it)
{
    const struct spawner_options options = {
        .loop = &it->loop,
        .slots = it->queue.concurrency,
        .on_dead = on_fixture_dead,
        .on_lapsed = on_fixture_lapsed,
        .opaque = it,
    };
    struct error err;

    signal(SIGPIPE, SIG_IGN);
    ck_assert_int_eq(uv_loop_init(&it->loop), 0);
    uv_timer_init(&it->loop, &it->limit);
    uv_timer_start(&it->limit, on_fixture_limit, FIXTURE_WAIT, 0);
    ck_assert_int_eq(spawner_start(&options, &it->spawner, &err), 0);
    spawner_wind(it->spawner, 1, clock_boot() + 600000);
    it->ground = (struct handler_ground){
        .loop = &it->loop,
        .spawner = it->spawner,
        .queue = &it->queue,
        .release = it->queue.release,
    };
    ck_assert_int_eq(handler_open(&it->ground, &it->handler, &err), 0);
    it->runs = runs_new(&it->ground, it->handler, on_fixture_ended, it);
}

/* Runs the loop until so many attempts have ended. */
static inline void
fixture_await(struct fixture *it, unsigned count)
{
    while (it->count < count)
        uv_run(&it->loop, UV_RUN_ONCE);
}

static inline void
fixture_turn(struct fixture *it)
{
    uv_run(&it->loop, UV_RUN_NOWAIT);
}

static inline void
fixture_begin(struct fixture *it, const char *method, const char *target,
              const char *fields, struct slice body)
{
    struct attempt *attempt = make_attempt(method, target, fields, body);

    runs_begin(it->runs, &attempt);
}

/* One whole attempt; the result is valid until the next one. */
static inline struct attempt *
fixture_run(struct fixture *it, const char *method, const char *target,
            const char *fields, struct slice body)
{
    unsigned count = it->count + 1;

    fixture_begin(it, method, target, fields, body);
    fixture_await(it, count);
    return it->ended;
}

static inline struct attempt *
fixture_get(struct fixture *it, const char *target)
{
    return fixture_run(it, "GET", target, "", SLICE(""));
}

static inline void
fixture_close(struct fixture *it)
{
    if (it->ended != NULL)
        free_attempt(it->ended);
    runs_free(it->runs);
    handler_close(it->handler);
    spawner_stop(it->spawner);
    uv_close((uv_handle_t *)&it->limit, NULL);
    uv_run(&it->loop, UV_RUN_DEFAULT);
    ck_assert_int_eq(uv_loop_close(&it->loop), 0);
    free(it->queue.name);
    free(it->queue.release);
    free(it->command[0]);
    free(it->queue.handler.cgi.directory);
}

/* The response parsed; its bytes live as long as the attempt. */
static inline struct message
response_of(const struct attempt *attempt)
{
    struct message message;
    struct error err = {0};

    ck_assert_msg(attempt->outcome == OUTCOME_ANSWERED, "outcome %s: %s",
                  outcome_word(attempt->outcome), attempt->reason);
    int r = message_parse(buf_slice(&attempt->response), &message, &err);
    ck_assert_msg(r == 0, "%s", err.text);
    return message;
}

static inline bool
body_has(const struct message *message, const char *text)
{
    return memmem(message->body.at, message->body.len, text, strlen(text)) !=
           NULL;
}

#endif
