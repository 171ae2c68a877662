/* child.c - one program's run: its three pipes, served at once, and its end. */
#include "workers/child.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "common/own.h"

#define READ_SIZE   ((size_t)64 * 1024) /* a pipe's size */
#define DRAIN_READS 64

/* ---- pipes ----------------------------------------------------------------
 */

/* A pipe whose end `ours` (0: we read, 1: we write) does not block. */
static int
make_pipe(int ends[2], int ours)
{
    int yes = 1;

    if (pipe2(ends, O_CLOEXEC) < 0)
        return -errno;
    ioctl(ends[ours], FIONBIO, &yes);
    return 0;
}

static void
on_pipe_closed(uv_handle_t *handle)
{
    uv_poll_t *poll = (uv_poll_t *)handle;
    struct child *child = CONTAINER_OF(poll, struct child_pipe, poll)->child;

    if (--child->open == 0 && child->exited)
        child->on_end(child);
}

static void
close_pipe(struct child_pipe *pipe)
{
    if (pipe->fd < 0)
        return;
    if (pipe->watched)
        uv_close((uv_handle_t *)&pipe->poll, on_pipe_closed);
    close(pipe->fd);
    pipe->fd = -1;
}

static void
watch(struct child_pipe *pipe, int events, uv_poll_cb on_ready)
{
    struct child *child = pipe->child;

    uv_poll_init(child->loop, &pipe->poll, pipe->fd);
    uv_poll_start(&pipe->poll, events, on_ready);
    pipe->watched = true;
    child->open++;
}

/* ---- the three streams ----------------------------------------------------
 */

/* Writes what the pipe takes; closes it when all is written or nobody reads. */
static void
feed(struct child *child)
{
    while (child->body.len > 0) {
        ssize_t len = write(child->in.fd, child->body.at, child->body.len);
        if (len < 0 && errno == EINTR)
            continue;
        if (len < 0 && errno == EAGAIN)
            return;
        if (len < 0)
            break; /* EPIPE: a program need not read its input */
        child->body = slice_from(child->body, (size_t)len);
    }
    close_pipe(&child->in);
}

static void
take_output(struct child *child, const char *at, size_t len)
{
    if (child->overflowed || buf_add(&child->output, at, len) == 0)
        return;
    child->overflowed = true;
    child_kill(child, SIGKILL);
}

/* Reads once. False: there is nothing now, or it is closed. */
static bool
drain(struct child_pipe *pipe)
{
    static char bytes[READ_SIZE]; /* there is one loop */
    struct child *child = pipe->child;

    if (pipe->fd < 0)
        return false;
    ssize_t len = read(pipe->fd, bytes, sizeof(bytes));
    if (len < 0 && (errno == EAGAIN || errno == EINTR))
        return false;
    if (len <= 0) {
        close_pipe(pipe);
        return false;
    }
    if (pipe == &child->out)
        take_output(child, bytes, (size_t)len);
    else
        stderr_log_add(child->log, bytes, (size_t)len);
    return true;
}

static void
on_input(uv_poll_t *poll, int status, int events)
{
    struct child_pipe *pipe = CONTAINER_OF(poll, struct child_pipe, poll);

    (void)events;
    if (status < 0)
        close_pipe(pipe);
    else
        feed(pipe->child);
}

static void
on_output(uv_poll_t *poll, int status, int events)
{
    (void)status;
    (void)events;
    drain(CONTAINER_OF(poll, struct child_pipe, poll));
}

/* ---- beginning and end ----------------------------------------------------
 */

/* Reads what the pipe holds, and no more: a process that escaped may fill it on
 * and on. (A pipe is at most 1 MiB unless root raised it.) */
static void
drain_rest(struct child_pipe *pipe)
{
    for (int reads = 0; reads < DRAIN_READS && drain(pipe); reads++)
        continue;
    close_pipe(pipe);
}

static void
on_exit_told(struct spawned *spawned, const struct spawn_exit *how)
{
    struct child *child = CONTAINER_OF(spawned, struct child, spawned);

    child->how = *how;
    child->open++; /* no end before all three are closed */
    close_pipe(&child->in);
    drain_rest(&child->out);
    drain_rest(&child->errors);
    stderr_log_end(child->log);
    child->exited = true;
    if (--child->open == 0)
        child->on_end(child);
}

static void
close_both(int ends[2])
{
    for (int i = 0; i < 2; i++)
        if (ends[i] >= 0)
            close(ends[i]);
}

/* The pipes of one child; without a body there is none for its input. */
static int
make_pipes(int in[2], int out[2], int errors[2], bool with_body)
{
    int r = make_pipe(out, 0);

    if (r == 0)
        r = make_pipe(errors, 0);
    if (r == 0 && with_body)
        r = make_pipe(in, 1);
    else if (r == 0 && (in[0] = open("/dev/null", O_RDONLY | O_CLOEXEC)) < 0)
        r = -errno;
    return r;
}

int
child_start(struct child *child, uv_loop_t *loop, struct spawner *spawner,
            unsigned slot, const struct spawn_plan *plan, struct slice body,
            size_t output_max, struct stderr_log *log)
{
    int in[2] = {-1, -1}, out[2] = {-1, -1}, errors[2] = {-1, -1};

    int r = make_pipes(in, out, errors, body.len > 0);
    if (r == 0) {
        const int files[3] = {in[0], out[1], errors[1]};
        r = spawner_spawn(spawner, slot, plan, files, &child->spawned);
        in[0] = out[1] = errors[1] = -1; /* closed there */
    }
    if (r < 0) {
        close_both(in);
        close_both(out);
        close_both(errors);
        return r;
    }
    child->spawner = spawner;
    child->loop = loop;
    child->log = log;
    child->body = body;
    child->overflowed = child->exited = false;
    child->open = 0;
    buf_init(&child->output, output_max);
    child->in = (struct child_pipe){.child = child, .fd = in[1]};
    child->out = (struct child_pipe){.child = child, .fd = out[0]};
    child->errors = (struct child_pipe){.child = child, .fd = errors[0]};
    child->spawned.on_exit = on_exit_told;
    if (body.len > 0)
        feed(child); /* what fits a pipe is through now */
    if (child->in.fd >= 0)
        watch(&child->in, UV_WRITABLE, on_input);
    watch(&child->out, UV_READABLE, on_output);
    watch(&child->errors, UV_READABLE, on_output);
    return 0;
}

void
child_kill(struct child *child, int signal)
{
    if (!child->exited)
        spawner_kill(child->spawner, &child->spawned, signal);
}
