/* supervisor.c - the loop over signals, children and their times. */
#include "cli/supervisor.h"

#include <assert.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/orphans.h"
#include "cli/restart.h"
#include "common/asked.h"
#include "common/log.h"
#include "common/mem.h"

#define WORDS_MAX    16
#define READY_FD     3
#define LINE_SIZE    256
/* An orphaned spawner ends its handlers by itself and cleans up after them. */
#define ORPHAN_GRACE 1000 /* ms */
#define ORPHANS_END  5000 /* ms, for killed ones to be gone at our end */

struct child {
    char *name;
    char *program;
    char *argv[WORDS_MAX];
    unsigned step;
    span_ms patience;
    unsigned first_starts;
    void (*on_line)(void *opaque, const char *line);
    void *opaque;
    bool ready;         /* it said so, in some life */
    bool going;         /* dismissed; forgotten when it has ended */
    bool asked, killed; /* SIGTERM, SIGKILL was sent in this life */
    unsigned starts;
    pid_t pid;       /* 0: not running */
    int ready_fd;    /* our end; -1: none */
    bool told;       /* there is something to be read on it */
    mono_ms since;   /* of this life */
    mono_ms due;     /* when it is started again, while pid is 0 */
    mono_ms kill_at; /* once asked */
    struct restart restart;
    char line[LINE_SIZE]; /* begun, without an end so far */
    size_t line_len;
    bool line_bad; /* to be dropped */
};

struct supervisor {
    struct child **children; /* each stays where it is while the list grows */
    size_t len;
    struct pollfd *fds; /* of wait_events: room for all and the signals */
    int signals;        /* signalfd */
    sigset_t old;       /* the mask before us */
    struct asked asked; /* to stop */
    bool stopping;
    bool told_ready;
    int end;            /* the exit code to be */
    mono_ms orphans_at; /* when orphans are killed; 0: there are none */
    void (*on_ready)(void *opaque);
    void *opaque;
};

/* ---- made and taken apart ------------------------------------------------ */

int
supervisor_new(struct supervisor **out, struct error *err)
{
    struct supervisor *supervisor = mem_new(struct supervisor);
    sigset_t set;

    asked_signals(&set);
    sigaddset(&set, SIGCHLD);
    sigprocmask(SIG_BLOCK, &set, &supervisor->old);
    /* A log or a terminal that nobody reads any more must not stop us. */
    signal(SIGPIPE, SIG_IGN);
    supervisor->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (supervisor->signals < 0) {
        supervisor_free(supervisor);
        return error_system(err, -errno, "signalfd");
    }
    supervisor->fds = mem_new(struct pollfd);
    orphans_adopt();
    *out = supervisor;
    return 0;
}

static void
child_free(struct child *child)
{
    assert(child->pid == 0 && child->ready_fd < 0);
    for (char **word = child->argv; *word != NULL; word++)
        free(*word);
    free(child->program);
    free(child->name);
    free(child);
}

void
supervisor_free(struct supervisor *supervisor)
{
    if (supervisor == NULL)
        return;
    for (size_t i = 0; i < supervisor->len; i++)
        child_free(supervisor->children[i]);
    if (supervisor->signals >= 0)
        close(supervisor->signals);
    sigprocmask(SIG_SETMASK, &supervisor->old, NULL);
    free(supervisor->children);
    free(supervisor->fds);
    free(supervisor);
}

struct child *
supervisor_add(struct supervisor *supervisor, const char *program,
               const struct child_options *options)
{
    struct child *child = mem_new(struct child);
    size_t word = 0;

    *child = (struct child){
        .name = mem_strdup(options->name),
        .program = mem_strdup(program),
        .step = options->step,
        .patience = options->patience,
        .first_starts = options->first_starts,
        .on_line = options->on_line,
        .opaque = options->opaque,
        .ready_fd = -1,
    };
    assert(child->on_line == NULL || child->first_starts > 0);
    child->argv[word++] = mem_strdup("cloakroom");
    for (size_t i = 0; options->words[i] != NULL; i++)
        child->argv[word++] = mem_strdup(options->words[i]);
    child->argv[word++] = mem_strdup("--up");
    child->argv[word++] = mem_printf("%d", getpid());
    if (options->first_starts > 0) {
        child->argv[word++] = mem_strdup("--ready");
        child->argv[word++] = mem_printf("%d", READY_FD);
    }
    assert(word < WORDS_MAX);
    supervisor->children = mem_grow(supervisor->children, supervisor->len + 1,
                                    sizeof(*supervisor->children));
    supervisor->children[supervisor->len++] = child;
    supervisor->fds = mem_grow(supervisor->fds, supervisor->len + 1,
                               sizeof(*supervisor->fds));
    return child;
}

/* It is GONE. */
static void
forget(struct supervisor *supervisor, struct child *child)
{
    size_t i = 0;

    while (supervisor->children[i] != child)
        i++;
    supervisor->len--;
    memmove(&supervisor->children[i], &supervisor->children[i + 1],
            (supervisor->len - i) * sizeof(struct child *));
    child_free(child);
}

/* ---- starting ------------------------------------------------------------ */

/* A process group of its own, so that the terminal's ^C comes to us alone and
 * the stop keeps its order; the signals as they were before us. */
static int
spawn(struct child *child, const sigset_t *mask, int ready_fd)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t all;
    int r;

    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null",
                                     O_RDONLY, 0);
    if (ready_fd >= 0)
        posix_spawn_file_actions_adddup2(&actions, ready_fd, READY_FD);
    sigfillset(&all);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setsigdefault(&attributes, &all);
    posix_spawnattr_setsigmask(&attributes, mask);
    posix_spawnattr_setpgroup(&attributes, 0);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF |
                                              POSIX_SPAWN_SETSIGMASK |
                                              POSIX_SPAWN_SETPGROUP);
    r = posix_spawn(&child->pid, child->program, &actions, &attributes,
                    child->argv, environ);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    if (r != 0)
        child->pid = 0;
    return -r;
}

static void
log_start(const struct child *child)
{
    if (child->starts > 1)
        log_event(EVENT_CHILD_RESTART, "child=\"%s\" child_pid=%d after=%lldms",
                  child->name, child->pid, (long long)child->restart.last);
}

static void
start_child(struct supervisor *supervisor, struct child *child)
{
    int ends[2] = {-1, -1};
    int r = 0;

    child->asked = child->killed = false;
    child->starts++;
    child->since = clock_mono();
    if (child->first_starts > 0 && pipe2(ends, O_CLOEXEC) < 0)
        r = -errno;
    if (r == 0)
        r = spawn(child, &supervisor->old, ends[1]);
    if (ends[1] >= 0)
        close(ends[1]);
    if (r == 0) {
        child->ready_fd = ends[0];
        child->line_len = 0;
        child->line_bad = false;
        log_start(child);
        return;
    }
    if (ends[0] >= 0)
        close(ends[0]);
    child->due = child->since + restart_after(&child->restart, 0);
    log_event(EVENT_FAILED, "child=\"%s\" text=\"cannot be started: %s\"",
              child->name, strerror(-r));
}

static void
start_due(struct supervisor *supervisor)
{
    const mono_ms now = clock_mono();

    for (size_t i = 0; i < supervisor->len && !supervisor->stopping; i++) {
        struct child *child = supervisor->children[i];
        if (child->pid == 0 && child->due <= now)
            start_child(supervisor, child);
    }
}

/* ---- stopping ------------------------------------------------------------ */

static void
stop_all(struct supervisor *supervisor, int end)
{
    if (supervisor->stopping)
        return;
    supervisor->stopping = true;
    supervisor->end = end;
}

static void
kill_child(struct child *child, const char *why)
{
    if (child->pid == 0 || child->killed)
        return;
    log_event(EVENT_NOTE, "child=\"%s\" child_pid=%d text=\"killed: %s\"",
              child->name, child->pid, why);
    kill(child->pid, SIGKILL);
    child->killed = true;
}

static void
ask_child(struct child *child)
{
    if (child->pid == 0 || child->asked)
        return;
    kill(child->pid, SIGTERM);
    child->asked = true;
    child->kill_at = clock_mono() + child->patience;
}

/* I1: asks those of the first step that has any left. */
static void
stop_step(struct supervisor *supervisor)
{
    unsigned step = ~0U;

    for (size_t i = 0; i < supervisor->len; i++) {
        const struct child *child = supervisor->children[i];
        if (child->pid != 0 && child->step < step)
            step = child->step;
    }
    for (size_t i = 0; i < supervisor->len; i++) {
        if (supervisor->children[i]->step == step)
            ask_child(supervisor->children[i]);
    }
}

static void
kill_late(struct supervisor *supervisor)
{
    const mono_ms now = clock_mono();

    for (size_t i = 0; i < supervisor->len; i++) {
        struct child *child = supervisor->children[i];
        if (child->asked && child->kill_at <= now)
            kill_child(child, "it did not end in time");
    }
}

void
supervisor_dismiss(struct supervisor *supervisor, struct child **dismissed)
{
    struct child *child = TAKE(*dismissed);

    assert(!child->going);
    child->going = true;
    if (child->pid == 0)
        forget(supervisor, child);
    else if (!supervisor->stopping) /* else its step comes (I1) */
        ask_child(child);
}

static void
on_stop_signal(struct supervisor *supervisor, int signal)
{
    switch (asked_now(&supervisor->asked)) {
    case ASKED_FIRST:
        log_event(EVENT_STOPPING,
                  "signal=%s text=\"in order; one more, a second later, "
                  "kills\"",
                  sigabbrev_np(signal));
        stop_all(supervisor, END_OK);
        break;
    case ASKED_ECHO:
        break;
    case ASKED_AGAIN:
        for (size_t i = 0; i < supervisor->len; i++)
            kill_child(supervisor->children[i], "told twice to stop");
        break;
    }
}

/* ---- ends ---------------------------------------------------------------- */

static const char *
describe_end(int status, char *text, size_t room)
{
    if (WIFSIGNALED(status))
        snprintf(text, room, "killed by signal %d (%s)%s", WTERMSIG(status),
                 strsignal(WTERMSIG(status)),
                 WCOREDUMP(status) ? ", core dumped" : "");
    else
        snprintf(text, room, "exit code %d", WEXITSTATUS(status));
    return text;
}

/* Would it end the same way again? Then its exit code is ours. A configuration
 * that somebody breaks later is mended, and the others need it no more. */
static bool
is_beyond_help(const struct supervisor *supervisor, const struct child *child,
               int status)
{
    if (!WIFEXITED(status) || WEXITSTATUS(status) == 0)
        return false;
    return WEXITSTATUS(status) == END_STORE ||
           (WEXITSTATUS(status) == END_CONFIG && !supervisor->told_ready) ||
           (!child->ready && child->starts == child->first_starts);
}

static void
close_ready(struct child *child)
{
    if (child->ready_fd >= 0)
        close(child->ready_fd);
    child->ready_fd = -1;
}

static void
on_child_end(struct supervisor *supervisor, struct child *child, int status)
{
    const span_ms lived = clock_mono() - child->since;
    const pid_t pid = child->pid;
    char how[100];

    child->pid = 0;
    close_ready(child);
    if (!child->asked || !WIFEXITED(status) || WEXITSTATUS(status) != 0)
        log_event(EVENT_CHILD_EXIT,
                  "child=\"%s\" child_pid=%d lived=%lldms text=\"%s\"",
                  child->name, pid, (long long)lived,
                  describe_end(status, how, sizeof(how)));
    if (is_beyond_help(supervisor, child, status))
        stop_all(supervisor, WEXITSTATUS(status));
    if (child->going) {
        forget(supervisor, child); /* I3 */
        return;
    }
    child->due = clock_mono() + restart_after(&child->restart, lived);
}

static struct child *
child_of(const struct supervisor *supervisor, pid_t pid)
{
    for (size_t i = 0; i < supervisor->len; i++) {
        if (supervisor->children[i]->pid == pid)
            return supervisor->children[i];
    }
    return NULL;
}

static bool
is_child(void *opaque, pid_t pid)
{
    return child_of(opaque, pid) != NULL;
}

static void
reap(struct supervisor *supervisor)
{
    struct child *child;
    pid_t pid;
    int status;

    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        child = child_of(supervisor, pid);
        if (child != NULL)
            on_child_end(supervisor, child, status);
    }
    if (orphans_signal(0, is_child, supervisor) == 0)
        supervisor->orphans_at = 0;
    else if (supervisor->orphans_at == 0)
        supervisor->orphans_at = clock_mono() + ORPHAN_GRACE;
}

static void
kill_orphans(struct supervisor *supervisor)
{
    if (supervisor->orphans_at == 0 || supervisor->orphans_at > clock_mono())
        return;
    unsigned found = orphans_signal(SIGKILL, is_child, supervisor);
    if (found > 0)
        log_event(EVENT_STRAY, "count=%u text=\"killed: their parent died\"",
                  found);
    supervisor->orphans_at = 0; /* the SIGCHLD of each looks for more */
}

/* ---- the loop ------------------------------------------------------------ */

static void
read_signals(struct supervisor *supervisor)
{
    struct signalfd_siginfo info;

    while (read(supervisor->signals, &info, sizeof(info)) == sizeof(info)) {
        if (info.ssi_signo == SIGCHLD)
            reap(supervisor);
        else
            on_stop_signal(supervisor, (int)info.ssi_signo);
    }
}

/* Those that go will not tell any more. */
static bool
all_are_ready(const struct supervisor *supervisor)
{
    for (size_t i = 0; i < supervisor->len; i++) {
        const struct child *child = supervisor->children[i];
        if (child->first_starts > 0 && !child->ready && !child->going)
            return false;
    }
    return true;
}

static void
take_byte(struct child *child, char byte)
{
    if (byte == '\n') {
        child->line[child->line_len] = '\0';
        child->line_len = 0;
        if (!child->line_bad)
            child->on_line(child->opaque, child->line);
        child->line_bad = false;
    } else if (byte == '\0' || child->line_len == LINE_SIZE - 1) {
        child->line_bad = true;
    } else {
        child->line[child->line_len++] = byte;
    }
}

/* What a child says on --ready. */
static void
read_told(struct supervisor *supervisor, struct child *child)
{
    char bytes[512];
    const ssize_t len = read(child->ready_fd, bytes, sizeof(bytes));

    /* The end of the file: it ended; SIGCHLD tells the rest. */
    if (len <= 0 || child->on_line == NULL)
        close_ready(child);
    if (len <= 0)
        return;
    for (ssize_t i = 0; i < len && child->on_line != NULL; i++)
        take_byte(child, bytes[i]);
    child->ready = true;
    if (!supervisor->told_ready && !supervisor->stopping &&
        all_are_ready(supervisor)) {
        supervisor->told_ready = true;
        supervisor->on_ready(supervisor->opaque);
    }
}

static int
least_wait(int timeout, mono_ms due, mono_ms now)
{
    const span_ms wait = due > now ? due - now : 0;

    return timeout < 0 || wait < timeout ? (int)wait : timeout;
}

/* How long nothing is to be done, for poll; -1: until something comes. */
static int
next_timeout(const struct supervisor *supervisor)
{
    const mono_ms now = clock_mono();
    int timeout = -1;

    for (size_t i = 0; i < supervisor->len; i++) {
        const struct child *child = supervisor->children[i];
        if (child->pid == 0 && !supervisor->stopping)
            timeout = least_wait(timeout, child->due, now);
        else if (child->pid != 0 && child->asked && !child->killed)
            timeout = least_wait(timeout, child->kill_at, now);
    }
    if (supervisor->orphans_at != 0)
        timeout = least_wait(timeout, supervisor->orphans_at, now);
    return timeout;
}

static void
wait_events(struct supervisor *supervisor)
{
    const size_t len = supervisor->len;
    struct pollfd *fds = supervisor->fds;

    for (size_t i = 0; i < len; i++)
        fds[i] = (struct pollfd){.fd = supervisor->children[i]->ready_fd,
                                 .events = POLLIN};
    fds[len] = (struct pollfd){.fd = supervisor->signals, .events = POLLIN};
    if (poll(fds, len + 1, next_timeout(supervisor)) <= 0)
        return;
    for (size_t i = 0; i < len; i++)
        supervisor->children[i]->told = fds[i].revents != 0;
    const bool signalled = fds[len].revents != 0;
    /* on_line may add and dismiss: who is passed over is polled again. */
    for (size_t i = 0; i < supervisor->len; i++) {
        if (supervisor->children[i]->told)
            read_told(supervisor, supervisor->children[i]);
    }
    if (signalled)
        read_signals(supervisor);
}

static bool
is_over(const struct supervisor *supervisor)
{
    for (size_t i = 0; i < supervisor->len; i++) {
        if (supervisor->children[i]->pid != 0)
            return false;
    }
    return supervisor->stopping;
}

/* I2. Kills level by level: the death of one brings its children to us. */
static void
end_orphans(struct supervisor *supervisor)
{
    const struct timespec pause = {.tv_nsec = 1000000};
    const mono_ms until = clock_mono() + ORPHANS_END;
    unsigned left;
    pid_t pid;

    do {
        left = orphans_signal(SIGKILL, is_child, supervisor);
        while ((pid = waitpid(-1, NULL, WNOHANG)) > 0)
            continue;
        if (pid < 0) /* ECHILD */
            return;
        nanosleep(&pause, NULL);
    } while (clock_mono() < until);
    log_event(EVENT_STRAY,
              "count=%u text=\"left: they do not die of SIGKILL, or are "
              "another user's\"",
              left);
}

int
supervisor_run(struct supervisor *supervisor, void (*on_ready)(void *opaque),
               void *opaque)
{
    supervisor->on_ready = on_ready;
    supervisor->opaque = opaque;
    while (!is_over(supervisor)) {
        if (supervisor->stopping)
            stop_step(supervisor);
        else
            start_due(supervisor);
        kill_late(supervisor);
        kill_orphans(supervisor);
        wait_events(supervisor);
    }
    end_orphans(supervisor);
    return supervisor->end;
}
