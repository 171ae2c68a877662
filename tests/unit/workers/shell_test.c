/* shell_test.c - lines of shell: how they end, and what is left of them. */
#include "tests/unit/test.h"
#include "tests/unit/workers/fixture.h"
#include "workers/shell.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

static char *const nothing[] = {NULL};

static enum shell_wish
on_ask(void *opaque)
{
    return opaque == NULL ? SHELL_GO_ON : *(enum shell_wish *)opaque;
}

static struct shell_end
run_line(const char *line, char *const *added, enum shell_wish *wish)
{
    const struct shell_options options = {
        .line = line,
        .added = added,
        .ask = on_ask,
        .wake_fd = -1,
        .opaque = wish,
    };
    struct shell_end end;
    struct error err;

    ck_assert_msg(shell_run(&options, &end, &err) == 0, "%s", err.text);
    return end;
}

START_TEST(its_end_is_told)
{
    struct shell_end end = run_line("exit 0", nothing, NULL);

    ck_assert_int_eq(end.status, 0);
    ck_assert(!end.by_wish);
    end = run_line("exit 3", nothing, NULL);
    ck_assert_int_eq(end.status, 3);
    end = run_line("kill -9 $$", nothing, NULL);
    ck_assert_int_eq(end.status, -1);
    ck_assert_int_eq(end.signal, SIGKILL);
    ck_assert(!end.by_wish);
}
END_TEST

START_TEST(it_has_our_directory_and_environment_and_no_input)
{
    char place[] = "/tmp/shell-test.XXXXXX";
    char *added[] = {mem_strdup("ADDED=one two"), mem_strdup("OURS=new"), NULL};

    ck_assert_ptr_nonnull(mkdtemp(place));
    ck_assert_int_eq(chdir(place), 0);
    setenv("OURS", "old", 1);
    setenv("KEPT", "kept", 1);
    struct shell_end end =
        run_line("echo \"$ADDED $OURS $KEPT$(cat)\" >said", added, NULL);
    ck_assert_int_eq(end.status, 0);
    char text[40] = "";
    FILE *said = fopen("said", "re");
    ck_assert_ptr_nonnull(said);
    ck_assert_ptr_nonnull(fgets(text, sizeof(text), said));
    fclose(said);
    ck_assert_str_eq(text, "one two new kept\n");
    unlink("said");
    rmdir(place);
    free(added[0]);
    free(added[1]);
}
END_TEST

START_TEST(a_wish_ends_it)
{
    enum shell_wish wish = SHELL_END;
    struct shell_end end = run_line("sleep 1000", nothing, &wish);

    ck_assert(end.by_wish);
    ck_assert_int_eq(end.signal, SIGTERM);
    wish = SHELL_KILL;
    end = run_line("trap '' TERM; sleep 1000; sleep 1000", nothing, &wish);
    ck_assert(end.by_wish);
    ck_assert_int_eq(end.signal, SIGKILL);
}
END_TEST

START_TEST(who_does_not_heed_a_wish_is_killed)
{
    enum shell_wish wish = SHELL_END;
    const mono_ms start = clock_mono();
    const struct shell_end end =
        run_line("trap '' TERM; while :; do sleep 1000; done", nothing, &wish);

    ck_assert(end.by_wish);
    ck_assert_int_eq(end.signal, SIGKILL);
    ck_assert_int_ge(clock_mono() - start, SHELL_PATIENCE);
}
END_TEST

START_TEST(what_wakes_it_is_asked_about_at_once)
{
    enum shell_wish wish = SHELL_END;
    struct shell_options options = {
        .line = "sleep 1000", .added = nothing, .ask = on_ask, .opaque = &wish};
    int ends[2];
    const mono_ms start = clock_mono();
    struct shell_end end;

    ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
    options.wake_fd = ends[0];
    ck_assert_int_eq((int)write(ends[1], "x", 1), 1);
    ck_assert_int_eq(shell_run(&options, &end, NULL), 0);
    ck_assert(end.by_wish);
    ck_assert_int_lt(clock_mono() - start, SHELL_PATIENCE);
    close(ends[0]);
    close(ends[1]);
}
END_TEST

static pid_t
read_pid(int fd)
{
    char text[32] = "";
    size_t len = 0;

    while (len < sizeof(text) - 1 && strchr(text, '\n') == NULL) {
        ck_assert_int_eq((int)read(fd, text + len, 1), 1);
        len++;
    }
    return (pid_t)atoi(text);
}

/* A line that prints the pids of what it leaves behind into a descriptor. */
static char *
printing_line(int fd, const char *rest)
{
    return mem_printf("sleep 1000 & echo $! >/proc/%d/fd/%d; "
                      "setsid sh -c 'echo $$ >/proc/%d/fd/%d; exec sleep 1000' "
                      "& sleep 0.2; %s",
                      (int)getpid(), fd, (int)getpid(), fd, rest);
}

START_TEST(what_it_leaves_behind_is_dead_at_its_end)
{
    int ends[2];

    ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
    char *line = printing_line(ends[1], "exit 0");
    const struct shell_end end = run_line(line, nothing, NULL);
    ck_assert_int_eq(end.status, 0);
    ck_assert_int_eq(kill(read_pid(ends[0]), 0), -1);
    ck_assert_int_eq(kill(read_pid(ends[0]), 0), -1);
    free(line);
}
END_TEST

/* Until nothing is left that may write to it: the children hold no copy, so
 * each is looked for by its pid. */
static void
await_death(pid_t pid)
{
    char path[40], text[200];

    for (;;) {
        snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
        FILE *file = fopen(path, "re");
        if (file == NULL)
            return;
        const bool zombie = fgets(text, sizeof(text), file) == NULL ||
                            strstr(text, ") Z") != NULL;
        fclose(file);
        if (zombie)
            return;
        usleep(1000);
    }
}

START_TEST(it_dies_with_us_though_we_are_killed)
{
    int ends[2];

    prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
    const pid_t parent = fork();
    if (parent == 0) {
        char *line = printing_line(ends[1], "sleep 1000");
        run_line(line, nothing, NULL);
        _exit(1);
    }
    const pid_t child = read_pid(ends[0]);
    const pid_t daemon = read_pid(ends[0]);
    ck_assert_int_eq(kill(child, 0), 0);
    ck_assert_int_eq(kill(daemon, 0), 0);
    kill(parent, SIGKILL);
    await_death(child);
    await_death(daemon);
    while (waitpid(-1, NULL, 0) > 0)
        continue;
}
END_TEST

START_TEST(a_line_that_is_too_long_is_refused)
{
    char *line = mem_zalloc(2000000);
    struct shell_end end;
    struct error err;
    const struct shell_options options = {
        .line = line, .added = nothing, .ask = on_ask, .wake_fd = -1};

    memset(line, 'a', 1999999);
    ck_assert_int_lt(shell_run(&options, &end, &err), 0);
    line[600000] = '\0';
    ck_assert_int_lt(shell_run(&options, &end, &err), 0);
    free(line);
}
END_TEST

TESTS("workers", "shell", its_end_is_told,
      it_has_our_directory_and_environment_and_no_input, a_wish_ends_it,
      who_does_not_heed_a_wish_is_killed, what_wakes_it_is_asked_about_at_once,
      what_it_leaves_behind_is_dead_at_its_end,
      it_dies_with_us_though_we_are_killed, a_line_that_is_too_long_is_refused)
