/* pausing.c - pauses a queue again and again, and says when. */
#include "bench/pausing.h"

#include <inttypes.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define OPEN_MIN  60 /* ms */
#define OPEN_MORE 60
#define SETTLE    20
#define LOOK      1000

static int64_t
now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_REALTIME, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static void
sleep_ms(long ms)
{
    nanosleep(&(struct timespec){.tv_nsec = ms * 1000000}, NULL);
}

static void
fail(const char *what)
{
    fprintf(stderr, "pausing: %s\n", what);
    exit(EXIT_FAILURE);
}

static void
change(const struct pausing *pausing, enum change_kind kind)
{
    const struct change change = {.kind = kind, .by = "bench"};
    struct error err;

    if (broker_change(pausing->broker, &pausing->queue, 1, &change, NULL,
                      &err) < 0)
        fail(err.text);
}

static void
run_program(const struct pausing *pausing)
{
    static char pause_word[] = "pause", option[] = "-c";
    char *argv[] = {pausing->program, pause_word, option, pausing->config,
                    NULL};
    posix_spawn_file_actions_t actions;
    pid_t pid;
    int status;

    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", 1,
                                     0);
    posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", 1,
                                     0);
    if (posix_spawn(&pid, pausing->program, &actions, NULL, argv, environ) !=
            0 ||
        waitpid(pid, &status, 0) != pid || status != 0)
        fail("cloakroom pause failed");
    posix_spawn_file_actions_destroy(&actions);
}

static void
await_drained(const struct pausing *pausing)
{
    struct control control;
    struct error err;

    for (;;) {
        const uint64_t seen = broker_control_seen(pausing->broker);
        if (broker_control(pausing->broker, pausing->queue, &control, &err) < 0)
            fail(err.text);
        if (control.state == CONTROL_DRAINED)
            return;
        broker_control_wait(pausing->broker, seen, LOOK);
    }
}

static void
pause_once(const struct pausing *pausing)
{
    const int64_t asked = now_ns();

    if (pausing->program != NULL)
        run_program(pausing);
    else
        change(pausing, CHANGE_PAUSE);
    const int64_t durable = now_ns();
    await_drained(pausing);
    const int64_t drained = now_ns();
    sleep_ms(SETTLE);
    printf("%" PRId64 " %" PRId64 " %" PRId64 " %" PRId64 "\n", asked, durable,
           drained, now_ns());
    change(pausing, CHANGE_RESUME);
}

void
pausing_run(const struct pausing *pausing)
{
    for (long left = pausing->count; left > 0; left--) {
        sleep_ms(OPEN_MIN + random() % OPEN_MORE);
        pause_once(pausing);
    }
    fflush(stdout);
}
