/* spawner_test.c - children, their ends, the lease's clock, deaths. */
#include "tests/unit/test.h"
#include "tests/unit/workers/fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

struct one {
    uv_loop_t loop;
    struct spawner *spawner;
    struct spawned spawned;
    struct spawn_exit how;
    bool ended;
    bool dead;
    unsigned lapses;
};

static void
on_one_exit(struct spawned *spawned, const struct spawn_exit *how)
{
    struct one *it = CONTAINER_OF(spawned, struct one, spawned);

    it->how = *how;
    it->ended = true;
}

static void
on_one_dead(void *opaque)
{
    struct one *it = opaque;

    it->dead = true;
}

static void
on_one_lapsed(void *opaque)
{
    struct one *it = opaque;

    it->lapses++;
}

static void
open_guarded(struct one *it, int guard)
{
    const struct spawner_options options = {
        .loop = &it->loop,
        .slots = 4,
        .guard = guard,
        .on_dead = on_one_dead,
        .on_lapsed = on_one_lapsed,
        .opaque = it,
    };
    struct error err;

    uv_loop_init(&it->loop);
    ck_assert_int_eq(spawner_start(&options, &it->spawner, &err), 0);
    spawner_wind(it->spawner, 1, clock_boot() + 60000);
}

static void
open_one(struct one *it)
{
    open_guarded(it, 0);
}

static void
close_one(struct one *it)
{
    spawner_stop(it->spawner);
    uv_run(&it->loop, UV_RUN_DEFAULT);
    uv_loop_close(&it->loop);
}

/* Runs a line of shell; its output goes to the file. */
static void
spawn_shell(struct one *it, unsigned slot, const char *script, int output)
{
    struct spawn_plan plan = {.directory = "/", .program = "/bin/sh"};
    const int files[3] = {open("/dev/null", O_RDONLY | O_CLOEXEC),
                          fcntl(output, F_DUPFD_CLOEXEC, 3),
                          open("/dev/null", O_WRONLY | O_CLOEXEC)};

    buf_init(&plan.arguments, 10000);
    buf_init(&plan.environment, 10000);
    buf_add(&plan.arguments, "sh\0-c", 6);
    buf_add(&plan.arguments, script, strlen(script) + 1);
    plan.arguments_len = 3;
    buf_addf(&plan.environment, "CLOAKROOM_TICKET=test-%u-%d", slot,
             (int)getpid());
    buf_add(&plan.environment, "", 1);
    buf_add_text(&plan.environment, "PATH=/usr/bin:/bin");
    buf_add(&plan.environment, "", 1);
    plan.environment_len = 2;
    it->ended = false;
    it->spawned.on_exit = on_one_exit;
    ck_assert_int_eq(
        spawner_spawn(it->spawner, slot, &plan, files, &it->spawned), 0);
    spawn_plan_fini(&plan);
}

static void
await_one(struct one *it)
{
    while (!it->ended)
        uv_run(&it->loop, UV_RUN_ONCE);
}

static void
run_shell(struct one *it, const char *script)
{
    spawn_shell(it, 0, script, STDERR_FILENO);
    await_one(it);
}

/* A pid that a child printed, read from a pipe. */
static pid_t
read_pid(int fd)
{
    char text[32] = "";
    size_t len = 0;

    while (len < sizeof(text) - 1 && strchr(text, '\n') == NULL) {
        ssize_t r = read(fd, text + len, 1);
        ck_assert_int_gt((int)r, 0);
        len += (size_t)r;
    }
    return (pid_t)atoi(text);
}

/* Blocks until the process is gone; Check's limit ends a wait for ever. */
static void
await_death(pid_t pid)
{
    char path[40], text[200];

    for (;;) {
        snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
        FILE *file = fopen(path, "re");
        if (file == NULL)
            return;
        bool zombie = fgets(text, sizeof(text), file) == NULL ||
                      strstr(text, ") Z") != NULL;
        fclose(file);
        if (zombie)
            return;
        usleep(1000);
    }
}

START_TEST(an_exit_is_told_as_it_was)
{
    struct one it = {0};

    open_one(&it);
    run_shell(&it, "exit 7");
    ck_assert_int_eq(it.how.error, 0);
    ck_assert_int_eq(it.how.code, CLD_EXITED);
    ck_assert_int_eq(it.how.status, 7);
    ck_assert_uint_eq(it.how.strays, 0);
    run_shell(&it, "kill -9 $$");
    ck_assert_int_eq(it.how.code, CLD_KILLED);
    ck_assert_int_eq(it.how.status, SIGKILL);
    close_one(&it);
}
END_TEST

START_TEST(a_program_that_cannot_run_tells_the_step)
{
    struct one it = {0};
    struct spawn_plan plan = {.directory = "/nowhere", .program = "/bin/sh"};
    int files[3];

    open_one(&it);
    it.spawned.on_exit = on_one_exit;
    for (int i = 0; i < 3; i++)
        files[i] = open("/dev/null", O_RDWR | O_CLOEXEC);
    ck_assert_int_eq(spawner_spawn(it.spawner, 0, &plan, files, &it.spawned),
                     0);
    await_one(&it);
    ck_assert_int_eq(it.how.error, ENOENT);
    ck_assert_int_eq(it.how.step, SPAWN_CHDIR);

    plan.directory = "/";
    plan.program = "/etc/passwd";
    it.ended = false;
    for (int i = 0; i < 3; i++)
        files[i] = open("/dev/null", O_RDWR | O_CLOEXEC);
    ck_assert_int_eq(spawner_spawn(it.spawner, 0, &plan, files, &it.spawned),
                     0);
    await_one(&it);
    ck_assert_int_eq(it.how.error, EACCES);
    ck_assert_int_eq(it.how.step, SPAWN_EXEC);
    close_one(&it);
}
END_TEST

START_TEST(a_kill_hits_the_whole_group)
{
    struct one it = {0};
    int ends[2];

    open_one(&it);
    ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
    spawn_shell(&it, 0, "sleep 1000 & echo $!; wait", ends[1]);
    pid_t grandchild = read_pid(ends[0]);
    spawner_kill(it.spawner, &it.spawned, SIGTERM);
    await_one(&it);
    ck_assert_int_eq(it.how.status, SIGTERM);
    await_death(grandchild);
    close_one(&it);
}
END_TEST

START_TEST(a_slot_is_good_again_after_a_kill)
{
    struct one it = {0};

    open_one(&it);
    for (int i = 0; i < 5; i++) {
        spawn_shell(&it, 0, "setsid sleep 1000 & sleep 1000", STDERR_FILENO);
        spawner_kill(it.spawner, &it.spawned, SIGKILL);
        await_one(&it);
        ck_assert_int_eq(it.how.status, SIGKILL);
        run_shell(&it, "sleep 0; exit 7");
        ck_assert_int_eq(it.how.code, CLD_EXITED);
        ck_assert_int_eq(it.how.status, 7);
    }
    close_one(&it);
}
END_TEST

START_TEST(who_left_the_session_dies_with_the_child)
{
    struct one it = {0};
    int ends[2];

    open_one(&it);
    ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
    spawn_shell(&it, 0,
                "setsid sh -c 'setsid sleep 1000 & echo $!; sleep 1000' & "
                "read -r x < /dev/null; sleep 0.2; exit 0",
                ends[1]);
    pid_t daemon = read_pid(ends[0]);
    await_one(&it);
    /* No wait: at the exit it is gone already. */
    ck_assert_int_eq(kill(daemon, 0), -1);
    ck_assert_uint_ge(it.how.strays, 1);
    ck_assert(!it.how.stubborn);
    close_one(&it);
}
END_TEST

START_TEST(a_daemon_of_a_running_child_lives_while_it_runs)
{
    struct one it = {0}, other = {0};
    int ends[2];

    open_one(&it);
    ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
    spawn_shell(&it, 0,
                "(setsid sh -c 'echo $$; exec sleep 1000' &) ; exec sleep 1000",
                ends[1]);
    pid_t daemon = read_pid(ends[0]);
    /* Another child of the same spawner ends meanwhile. */
    other.spawner = it.spawner;
    spawn_shell(&other, 1, "exit 0", STDERR_FILENO);
    while (!other.ended)
        uv_run(&it.loop, UV_RUN_ONCE);
    ck_assert_int_eq(kill(daemon, 0), 0);
    spawner_kill(it.spawner, &it.spawned, SIGKILL);
    await_one(&it);
    ck_assert_int_eq(kill(daemon, 0), -1);
    close_one(&it);
}
END_TEST

START_TEST(a_clock_that_runs_down_kills_and_is_final)
{
    struct one it = {0};
    int ends[2];

    open_one(&it);
    ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
    spawn_shell(&it, 0, "echo $$; trap '' TERM; sleep 1000", ends[1]);
    read_pid(ends[0]);
    spawner_wind(it.spawner, 1, clock_boot() + 50);
    await_one(&it);
    ck_assert_int_eq(it.how.status, SIGKILL);
    ck_assert(it.how.lapsed);
    ck_assert_uint_eq(it.lapses, 1);

    spawner_wind(it.spawner, 1, clock_boot() + 60000);
    run_shell(&it, "exit 0");
    ck_assert_int_eq(it.how.error, ESTALE);
    ck_assert_uint_eq(it.lapses, 2);

    spawner_wind(it.spawner, 2, clock_boot() + 60000);
    run_shell(&it, "exit 0");
    ck_assert_int_eq(it.how.error, 0);
    ck_assert_uint_eq(it.lapses, 2);
    close_one(&it);
}
END_TEST

START_TEST(nothing_starts_before_it_is_wound)
{
    const struct spawner_options options = {
        .slots = 1, .on_dead = on_one_dead, .on_lapsed = on_one_lapsed};
    struct one it = {0};
    struct spawner_options mine = options;
    struct error err;

    uv_loop_init(&it.loop);
    mine.loop = &it.loop;
    mine.opaque = &it;
    ck_assert_int_eq(spawner_start(&mine, &it.spawner, &err), 0);
    run_shell(&it, "exit 0");
    ck_assert_int_eq(it.how.error, ESTALE);
    close_one(&it);
}
END_TEST

/* A worker that is killed: its spawner and all its handlers end. */
START_TEST(a_killed_worker_takes_everything_with_it)
{
    int ends[2];

    prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
    pid_t worker = fork();
    if (worker == 0) {
        struct one it = {0};
        char text[32];
        open_one(&it);
        int len =
            snprintf(text, sizeof(text), "%d\n", (int)spawner_pid(it.spawner));
        if (write(ends[1], text, (size_t)len) != len)
            _exit(1);
        spawn_shell(&it, 0,
                    "setsid sleep 1000 & echo $!; echo $$; exec sleep 1000",
                    ends[1]);
        for (;;)
            uv_run(&it.loop, UV_RUN_ONCE);
    }
    pid_t spawner = read_pid(ends[0]);
    pid_t daemon = read_pid(ends[0]);
    pid_t child = read_pid(ends[0]);
    kill(worker, SIGKILL);
    await_death(spawner);
    ck_assert_int_eq(waitpid(worker, NULL, 0), worker);
    await_death(child);
    await_death(daemon);
    while (waitpid(-1, NULL, 0) > 0)
        continue;
}
END_TEST

START_TEST(a_killed_spawner_is_noticed_and_nothing_is_left)
{
    struct one it = {0};
    int ends[2];

    open_one(&it);
    ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
    spawn_shell(&it, 0, "setsid sleep 1000 & echo $!; echo $$; exec sleep 1000",
                ends[1]);
    pid_t daemon = read_pid(ends[0]);
    pid_t child = read_pid(ends[0]);
    kill(spawner_pid(it.spawner), SIGKILL);
    await_one(&it);
    ck_assert(it.dead);
    ck_assert_int_eq(kill(child, 0), -1);
    ck_assert_int_eq(kill(daemon, 0), -1);
    close_one(&it);
}
END_TEST

/* Its worker stopped, the clock still runs. */
START_TEST(a_stopped_worker_does_not_stop_the_clock)
{
    int ends[2];

    prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
    pid_t worker = fork();
    if (worker == 0) {
        struct one it = {0};
        open_one(&it);
        spawner_wind(it.spawner, 1, clock_boot() + 500);
        spawn_shell(&it, 0, "echo $$; exec sleep 1000", ends[1]);
        for (;;)
            uv_run(&it.loop, UV_RUN_ONCE);
    }
    pid_t child = read_pid(ends[0]);
    kill(worker, SIGSTOP);
    await_death(child);
    kill(worker, SIGKILL);
    while (waitpid(-1, NULL, 0) > 0)
        continue;
}
END_TEST

START_TEST(a_plan_that_is_too_large_is_refused)
{
    struct one it = {0};
    struct spawn_plan plan = {.directory = "/", .program = "/bin/sh"};
    char *text = malloc(500000);
    const int files[3] = {dup(0), dup(0), dup(0)};

    open_one(&it);
    memset(text, 'a', 500000);
    buf_init(&plan.environment, 500000);
    buf_add(&plan.environment, text, 500000);
    ck_assert_int_eq(spawner_spawn(it.spawner, 0, &plan, files, &it.spawned),
                     -E2BIG);
    spawn_plan_fini(&plan);
    free(text);
    close_one(&it);
}
END_TEST

START_TEST(a_guard_is_held_by_the_spawner_and_by_no_child)
{
    struct one it = {0};
    struct stat st;
    char script[100], byte;
    int ends[2];

    ck_assert_int_eq(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
    ck_assert_int_eq(fstat(ends[0], &st), 0);
    open_guarded(&it, ends[1]);
    close(ends[1]);
    snprintf(script, sizeof(script),
             "! ls -l /proc/$$/fd | grep -q 'pipe:\\[%llu\\]'",
             (unsigned long long)st.st_ino);
    run_shell(&it, script);
    ck_assert_int_eq(it.how.code, CLD_EXITED);
    ck_assert_int_eq(it.how.status, 0);
    ck_assert_int_lt(read(ends[0], &byte, 1), 0); /* somebody may write */
    close_one(&it);
    ck_assert_int_eq(read(ends[0], &byte, 1), 0);
    close(ends[0]);
}
END_TEST

TESTS("workers", "spawner", an_exit_is_told_as_it_was,
      a_program_that_cannot_run_tells_the_step, a_kill_hits_the_whole_group,
      a_slot_is_good_again_after_a_kill,
      who_left_the_session_dies_with_the_child,
      a_daemon_of_a_running_child_lives_while_it_runs,
      a_clock_that_runs_down_kills_and_is_final,
      nothing_starts_before_it_is_wound,
      a_killed_worker_takes_everything_with_it,
      a_killed_spawner_is_noticed_and_nothing_is_left,
      a_stopped_worker_does_not_stop_the_clock,
      a_plan_that_is_too_large_is_refused,
      a_guard_is_held_by_the_spawner_and_by_no_child)
