/* shell.c - runs a line of shell to its end, which dies with us. */
#include "workers/shell.h"

#include <assert.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <uv.h>

#include "common/own.h"
#include "workers/spawner.h"

#define STRINGS_MAX ((size_t)1024 * 1024)
#define FAR_AHEAD   ((span_ms)1000 * 3600 * 24 * 365)

struct shell {
    const struct shell_options *options;
    uv_loop_t loop;
    uv_timer_t timer;
    uv_poll_t wake;
    struct spawner *spawner;
    struct spawned spawned;
    struct spawn_exit how;
    bool ended;
    bool dead;       /* the spawner */
    boot_ms kill_at; /* 0: it was not asked to end */
    bool killed;
};

/* ---- what happens -------------------------------------------------------- */

static void
on_exit_told(struct spawned *spawned, const struct spawn_exit *how)
{
    struct shell *shell = CONTAINER_OF(spawned, struct shell, spawned);

    shell->how = *how;
    shell->ended = true;
}

static void
on_dead(void *opaque)
{
    struct shell *shell = opaque;

    shell->dead = true;
}

static void
on_lapsed(void *opaque)
{
    (void)opaque; /* the clock is wound far ahead */
}

static void
kill_it(struct shell *shell)
{
    if (!shell->killed)
        spawner_kill(shell->spawner, &shell->spawned, SIGKILL);
    shell->killed = true;
}

static void
ask(struct shell *shell)
{
    const boot_ms now = clock_boot();

    if (shell->ended)
        return;
    switch (shell->options->ask(shell->options->opaque)) {
    case SHELL_GO_ON:
        break;
    case SHELL_END:
        if (shell->kill_at == 0) {
            spawner_kill(shell->spawner, &shell->spawned, SIGTERM);
            shell->kill_at = now + SHELL_PATIENCE;
        }
        break;
    case SHELL_KILL:
        kill_it(shell);
        break;
    }
    if (shell->kill_at != 0 && now >= shell->kill_at)
        kill_it(shell);
}

static void
on_timer(uv_timer_t *timer)
{
    ask(CONTAINER_OF(timer, struct shell, timer));
}

static void
on_wake(uv_poll_t *poll, int status, int events)
{
    (void)status;
    (void)events;
    ask(CONTAINER_OF(poll, struct shell, wake));
}

/* ---- what is run --------------------------------------------------------- */

static int
add_string(struct buf *buf, unsigned *len, const char *text)
{
    (*len)++;
    return buf_add(buf, text, strlen(text) + 1);
}

static bool
is_added(char *const *added, const char *variable)
{
    const size_t len = strcspn(variable, "=");

    for (; *added != NULL; added++) {
        if (strncmp(*added, variable, len) == 0 && (*added)[len] == '=')
            return true;
    }
    return false;
}

static int
make_plan(const struct shell_options *options, struct spawn_plan *plan)
{
    const char *const words[] = {"sh", "-c", options->line};
    int r = 0;

    *plan = (struct spawn_plan){.directory = ".", .program = "/bin/sh"};
    buf_init(&plan->arguments, STRINGS_MAX);
    buf_init(&plan->environment, STRINGS_MAX);
    for (size_t i = 0; i < ARRAY_LEN(words) && r == 0; i++)
        r = add_string(&plan->arguments, &plan->arguments_len, words[i]);
    for (char *const *at = options->added; *at != NULL && r == 0; at++)
        r = add_string(&plan->environment, &plan->environment_len, *at);
    for (char *const *at = environ; *at != NULL && r == 0; at++) {
        if (!is_added(options->added, *at))
            r = add_string(&plan->environment, &plan->environment_len, *at);
    }
    return r;
}

static int
spawn(struct shell *shell, struct error *err)
{
    struct spawn_plan plan;
    int r = make_plan(shell->options, &plan);

    if (r == 0) {
        const int files[3] = {
            open("/dev/null", O_RDONLY | O_CLOEXEC),
            fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3),
            fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3),
        };
        shell->spawned.on_exit = on_exit_told;
        r = spawner_spawn(shell->spawner, 0, &plan, files, &shell->spawned);
    }
    spawn_plan_fini(&plan);
    if (r < 0)
        return error_set(err, r,
                         "command line and environment are too large to be "
                         "given to a shell");
    return 0;
}

static int
start(struct shell *shell, struct error *err)
{
    const struct spawner_options options = {
        .loop = &shell->loop,
        .slots = 1,
        .program = shell->options->program,
        .guard = shell->options->guard,
        .on_dead = on_dead,
        .on_lapsed = on_lapsed,
        .opaque = shell,
    };
    int r = spawner_start(&options, &shell->spawner, err);

    if (r < 0)
        return r;
    spawner_wind(shell->spawner, 1, clock_boot() + FAR_AHEAD);
    r = spawn(shell, err);
    if (r < 0)
        return r;
    uv_timer_start(&shell->timer, on_timer, SHELL_ASKS, SHELL_ASKS);
    if (shell->options->wake_fd >= 0)
        uv_poll_start(&shell->wake, UV_READABLE, on_wake);
    while (!shell->ended)
        uv_run(&shell->loop, UV_RUN_ONCE);
    return 0;
}

/* ---- how it went --------------------------------------------------------- */

static int
judge(const struct shell *shell, struct shell_end *end, struct error *err)
{
    const struct spawn_exit *how = &shell->how;

    if (shell->dead)
        return error_set(err, -EIO,
                         "the process that watches over it died, and it was "
                         "killed");
    if (how->error != 0)
        return error_system(err, -how->error, "/bin/sh cannot be started");
    *end = (struct shell_end){
        .by_wish = shell->killed || shell->kill_at != 0,
        .status = how->code == CLD_EXITED ? how->status : -1,
        .signal = how->code == CLD_EXITED ? 0 : how->status,
        .stubborn = how->stubborn,
    };
    return 0;
}

int
shell_run(const struct shell_options *options, struct shell_end *end,
          struct error *err)
{
    struct shell shell = {.options = options};
    int r = uv_loop_init(&shell.loop);

    assert(r == 0);
    uv_timer_init(&shell.loop, &shell.timer);
    if (options->wake_fd >= 0)
        uv_poll_init(&shell.loop, &shell.wake, options->wake_fd);
    r = start(&shell, err);
    spawner_stop(shell.spawner);
    uv_close((uv_handle_t *)&shell.timer, NULL);
    if (options->wake_fd >= 0)
        uv_close((uv_handle_t *)&shell.wake, NULL);
    uv_run(&shell.loop, UV_RUN_DEFAULT);
    r = r < 0 ? r : judge(&shell, end, err);
    const int closed = uv_loop_close(&shell.loop);
    assert(closed == 0);
    (void)closed;
    return r;
}
