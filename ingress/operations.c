/* operations.c - commands that an operator started over HTTP and may follow.
 *
 * One thread reads what they print and waits for their end. A pidfd tells the
 * end, not the end of the output: a command's own children may hold that open.
 */
#include "ingress/operations.h"

#include <assert.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/pidfd.h>
#include <sys/random.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/lock.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/own.h"

struct slot {
    struct operation is; /* id "": the slot is free */
    uint64_t number;     /* grows with each start */
    pid_t pid;           /* not reaped while RUNNING */
    int pidfd, printed;  /* -1: closed; only the thread closes them */
    char output[OPERATION_OUTPUT];
    size_t output_len;
    bool is_cut; /* more was printed than is kept */
};

struct operations {
    char *program;
    int bell; /* eventfd: one was started, or it is closing */
    pthread_t thread;
    pthread_mutex_t lock; /* guards all below */
    struct slot slots[OPERATIONS_KEPT];
    uint64_t started;
    bool is_closing;
    mono_ms kill_at; /* while closing */
};

static void
ring(struct operations *operations)
{
    const uint64_t one = 1;
    const ssize_t told = write(operations->bell, &one, sizeof(one));

    (void)told; /* it is rung already */
}

static bool
is_running(const struct slot *slot)
{
    return slot->is.id[0] != '\0' && slot->is.state == OPERATION_RUNNING;
}

/* ---- what they print ----------------------------------------------------- */

static void
keep_output(struct slot *slot, const char *at, size_t len)
{
    if (len > OPERATION_OUTPUT) {
        at += len - OPERATION_OUTPUT;
        len = OPERATION_OUTPUT;
    }
    if (slot->output_len + len > OPERATION_OUTPUT) {
        const size_t drop = slot->output_len + len - OPERATION_OUTPUT;
        memmove(slot->output, slot->output + drop, slot->output_len - drop);
        slot->output_len -= drop;
        slot->is_cut = true;
    }
    memcpy(slot->output + slot->output_len, at, len);
    slot->output_len += len;
}

static void
close_output(struct slot *slot)
{
    close(slot->printed);
    slot->printed = -1;
}

/* All that is there now, but no more than one turn may cost. */
static void
read_output(struct slot *slot)
{
    char piece[4096];
    ssize_t n = 0;

    for (int i = 0; i < 16 && slot->printed >= 0; i++) {
        n = read(slot->printed, piece, sizeof(piece));
        if (n > 0)
            keep_output(slot, piece, (size_t)n);
        else if (n == 0)
            close_output(slot);
        else
            break;
    }
}

/* ---- their end ----------------------------------------------------------- */

static void
log_end(const struct operation *operation)
{
    log_event(EVENT_NOTE, "operation=%s queue=%s text=\"%s ended, %s %d\"",
              operation->id, operation->queue, operation->command,
              operation->signal != 0 ? "signal" : "exit code",
              operation->signal != 0 ? operation->signal
                                     : operation->exit_code);
}

static void
reap(struct slot *slot)
{
    struct operation *operation = &slot->is;
    int status = 0;

    while (waitpid(slot->pid, &status, 0) < 0 && errno == EINTR)
        continue;
    read_output(slot);
    if (slot->printed >= 0)
        close_output(slot);
    close(slot->pidfd);
    slot->pidfd = -1;
    operation->ended = clock_wall();
    if (WIFSIGNALED(status))
        operation->signal = WTERMSIG(status);
    operation->exit_code =
        WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
    operation->state =
        operation->exit_code == 0 ? OPERATION_DONE : OPERATION_FAILED;
    log_end(operation);
}

/* ---- the thread ---------------------------------------------------------- */

/* What it waits for: the bell, and two of each slot. */
struct watch {
    struct pollfd fds[1 + 2 * OPERATIONS_KEPT];
    int timeout;
};

/* False: closing, and none is left. */
static bool
prepare(struct operations *operations, struct watch *watch)
{
    bool any = false;

    watch->fds[0] = (struct pollfd){operations->bell, POLLIN, 0};
    watch->timeout = -1;
    LOCKED(&operations->lock);
    for (size_t i = 0; i < OPERATIONS_KEPT; i++) {
        const struct slot *slot = &operations->slots[i];
        const bool runs = is_running(slot);
        any |= runs;
        watch->fds[1 + 2 * i] =
            (struct pollfd){runs ? slot->printed : -1, POLLIN, 0};
        watch->fds[2 + 2 * i] =
            (struct pollfd){runs ? slot->pidfd : -1, POLLIN, 0};
    }
    if (operations->kill_at != 0) {
        const span_ms left = operations->kill_at - clock_mono();
        watch->timeout = left > 0 ? (int)left : 0;
    }
    return any || !operations->is_closing;
}

static void
kill_all(struct operations *operations)
{
    for (size_t i = 0; i < OPERATIONS_KEPT; i++) {
        if (is_running(&operations->slots[i]))
            kill(-operations->slots[i].pid, SIGKILL);
    }
}

static void
handle(struct operations *operations, const struct watch *watch)
{
    uint64_t rung;

    if (watch->fds[0].revents != 0 &&
        read(operations->bell, &rung, sizeof(rung)) < 0)
        assert(errno == EAGAIN || errno == EINTR);
    LOCKED(&operations->lock);
    for (size_t i = 0; i < OPERATIONS_KEPT; i++) {
        if (watch->fds[1 + 2 * i].revents != 0)
            read_output(&operations->slots[i]);
        if (watch->fds[2 + 2 * i].revents != 0)
            reap(&operations->slots[i]);
    }
    if (operations->kill_at != 0 && operations->kill_at <= clock_mono()) {
        kill_all(operations);
        operations->kill_at = 0; /* their ends come by the pidfds */
    }
}

static void *
follow(void *opaque)
{
    struct operations *operations = opaque;
    struct watch watch;

    while (prepare(operations, &watch)) {
        if (poll(watch.fds, ARRAY_LEN(watch.fds), watch.timeout) >= 0)
            handle(operations, &watch);
    }
    return NULL;
}

/* ---- starting ------------------------------------------------------------ */

/* Stands in no process group of ours, blocks no signals, inherits nothing but
 * the pipe. */
static int
spawn(const char *program, char *const argv[], int output, pid_t *pid)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t all, none;

    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null",
                                     O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&actions, output, STDERR_FILENO);
    posix_spawn_file_actions_addclosefrom_np(&actions, STDERR_FILENO + 1);
    sigfillset(&all);
    sigemptyset(&none);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setsigdefault(&attributes, &all);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setpgroup(&attributes, 0);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF |
                                              POSIX_SPAWN_SETSIGMASK |
                                              POSIX_SPAWN_SETPGROUP);
    int r = posix_spawn(pid, program, &actions, &attributes, argv, environ);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    return -r;
}

static int
start_process(struct slot *slot, const char *program, char *const argv[])
{
    int ends[2];

    if (pipe2(ends, O_CLOEXEC) < 0)
        return -errno;
    int r = spawn(program, argv, ends[1], &slot->pid);
    close(ends[1]);
    if (r == 0) {
        slot->pidfd = pidfd_open(slot->pid, 0);
        r = slot->pidfd < 0 ? -errno : 0;
        if (r < 0) {
            kill(slot->pid, SIGKILL);
            waitpid(slot->pid, NULL, 0);
        }
    }
    if (r < 0) {
        close(ends[0]);
        return r;
    }
    fcntl(ends[0], F_SETFL, O_NONBLOCK); /* our end alone */
    slot->printed = ends[0];
    return 0;
}

/* A free slot, or that of the oldest one which has ended (I2). NULL: I1. */
static struct slot *
choose_slot(struct operations *operations)
{
    struct slot *chosen = NULL;
    unsigned running = 0;

    for (size_t i = 0; i < OPERATIONS_KEPT; i++) {
        struct slot *slot = &operations->slots[i];
        if (is_running(slot))
            running++;
        else if (chosen == NULL || slot->number < chosen->number)
            chosen = slot;
    }
    return running < OPERATIONS_AT_ONCE ? chosen : NULL;
}

bool
operations_have_room(struct operations *operations)
{
    LOCKED(&operations->lock);
    return !operations->is_closing && choose_slot(operations) != NULL;
}

/* Not a count: after a restart it would stand for another operation. */
static void
make_id(char id[OPERATION_ID_SIZE])
{
    uint64_t bits;
    const ssize_t got = getrandom(&bits, sizeof(bits), 0);

    assert(got == sizeof(bits));
    snprintf(id, OPERATION_ID_SIZE, "%016" PRIx64, bits);
}

int
operations_start(struct operations *operations, const struct operation *what,
                 char *const argv[], char id[OPERATION_ID_SIZE],
                 struct error *err)
{
    LOCKED(&operations->lock);
    if (operations->is_closing)
        return error_set(err, -ESHUTDOWN, "the ingress is ending");
    struct slot *slot = choose_slot(operations);
    if (slot == NULL)
        return error_set(err, -EAGAIN, "%d operations run already",
                         OPERATIONS_AT_ONCE);
    memset(slot, 0, sizeof(*slot));
    int r = start_process(slot, operations->program, argv);
    if (r < 0)
        return error_set(err, -EIO, "%s cannot be started: %s", argv[0],
                         strerror(-r));
    slot->is = *what;
    slot->is.state = OPERATION_RUNNING;
    slot->is.started = clock_wall();
    slot->number = ++operations->started;
    make_id(slot->is.id);
    memcpy(id, slot->is.id, OPERATION_ID_SIZE);
    ring(operations);
    return 0;
}

/* ---- looking ------------------------------------------------------------- */

static char *
copy_output(const struct slot *slot)
{
    const char *at = slot->output, *end = at + slot->output_len;

    if (slot->is_cut) {
        const char *line = memchr(at, '\n', slot->output_len);
        if (line != NULL && line + 1 < end)
            at = line + 1;
    }
    char *copy = mem_zalloc((size_t)(end - at) + 1);
    for (size_t i = 0; at < end; i++, at++)
        copy[i] = *at == '\0' ? '?' : *at; /* the text does not end there */
    return copy;
}

int
operations_find(struct operations *operations, const char *id,
                struct operation *out, char **output)
{
    LOCKED(&operations->lock);
    for (size_t i = 0; i < OPERATIONS_KEPT; i++) {
        const struct slot *slot = &operations->slots[i];
        if (slot->number == 0 || strcmp(slot->is.id, id) != 0)
            continue;
        *out = slot->is;
        *output = copy_output(slot);
        return 0;
    }
    return -ENOENT;
}

static int
compare_newest(const void *a, const void *b)
{
    const struct slot *const *one = a, *const *other = b;

    return (*one)->number < (*other)->number ? 1 : -1;
}

size_t
operations_list(struct operations *operations,
                struct operation out[OPERATIONS_KEPT])
{
    const struct slot *order[OPERATIONS_KEPT];
    size_t len = 0;

    LOCKED(&operations->lock);
    for (size_t i = 0; i < OPERATIONS_KEPT; i++) {
        if (operations->slots[i].number != 0)
            order[len++] = &operations->slots[i];
    }
    qsort(order, len, sizeof(order[0]), compare_newest);
    for (size_t i = 0; i < len; i++)
        out[i] = order[i]->is;
    return len;
}

/* ---- life ---------------------------------------------------------------- */

int
operations_new(const char *program, struct operations **out, struct error *err)
{
    struct operations *operations = mem_new(struct operations);

    operations->program = mem_strdup(program);
    operations->bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    pthread_mutex_init(&operations->lock, NULL);
    int r = operations->bell < 0 ? -errno
                                 : -pthread_create(&operations->thread, NULL,
                                                   follow, operations);
    if (r == 0) {
        *out = operations;
        return 0;
    }
    operations_free(operations);
    return error_system(err, r, "the thread that follows operations");
}

void
operations_close(struct operations *operations)
{
    LOCKED(&operations->lock);
    if (operations->is_closing)
        return;
    operations->is_closing = true;
    for (size_t i = 0; i < OPERATIONS_KEPT; i++) {
        if (is_running(&operations->slots[i]))
            kill(operations->slots[i].pid, SIGTERM);
    }
    ring(operations);
}

void
operations_stop(struct operations *operations, span_ms limit)
{
    operations_close(operations);
    {
        LOCKED(&operations->lock);
        operations->kill_at = clock_mono() + limit;
        ring(operations);
    }
    pthread_join(operations->thread, NULL);
}

void
operations_free(struct operations *operations)
{
    if (operations == NULL)
        return;
    if (operations->bell >= 0)
        close(operations->bell);
    pthread_mutex_destroy(&operations->lock);
    free(operations->program);
    free(operations);
}
