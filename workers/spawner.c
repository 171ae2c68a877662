/* spawner.c - the worker's side of its spawner. */
#include "workers/spawner.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/mem.h"
#include "common/own.h"
#include "workers/kin.h"
#include "workers/spawner_wire.h"

/* A message that the socket had no room for. At most a start for each slot and
 * a few kills stand here. */
struct letter {
    struct letter *next;
    size_t len;
    int files[3]; /* -1: none */
    char bytes[];
};

struct spawner {
    uv_poll_t poll; /* first: freed by its close callback */
    struct spawner_options options;
    int socket;
    size_t message_max; /* that the socket takes */
    pid_t pid;
    bool dead;
    uint64_t generation;
    uint64_t last_id;
    struct letter *first, **last;
    struct spawned **spawned; /* by slot; NULL: free */
};

void
spawn_plan_fini(struct spawn_plan *plan)
{
    buf_fini(&plan->arguments);
    buf_fini(&plan->environment);
}

/* ---- sending --------------------------------------------------------------
 */

static void on_socket(uv_poll_t *poll, int status, int events);

static void
close_files(int files[3])
{
    for (int i = 0; i < 3; i++)
        if (files[i] >= 0)
            close(files[i]);
}

/* 0, or -EAGAIN and the like. */
static int
send_letter(const struct spawner *spawner, struct letter *letter)
{
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(3 * sizeof(int))];
    } control = {.bytes = {0}};
    struct iovec part = {letter->bytes, letter->len};
    struct msghdr header = {.msg_iov = &part, .msg_iovlen = 1};

    if (letter->files[0] >= 0) {
        header.msg_control = control.bytes;
        header.msg_controllen = sizeof(control.bytes);
        struct cmsghdr *files = CMSG_FIRSTHDR(&header);
        files->cmsg_level = SOL_SOCKET;
        files->cmsg_type = SCM_RIGHTS;
        files->cmsg_len = CMSG_LEN(3 * sizeof(int));
        memcpy(CMSG_DATA(files), letter->files, 3 * sizeof(int));
    }
    if (sendmsg(spawner->socket, &header, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
        return -errno;
    return 0;
}

static void
letter_free(struct letter *letter)
{
    close_files(letter->files);
    free(letter);
}

/* Sends what it can, in order. A dead spawner takes everything and is noticed
 * by the end of its socket. */
static void
flush_letters(struct spawner *spawner)
{
    while (spawner->first != NULL) {
        struct letter *letter = spawner->first;
        int r = spawner->dead ? 0 : send_letter(spawner, letter);
        if (r == -EAGAIN || r == -ENOBUFS || r == -ENOMEM || r == -ETOOMANYREFS)
            break;
        spawner->first = letter->next;
        if (spawner->first == NULL)
            spawner->last = &spawner->first;
        letter_free(letter);
    }
    if (!spawner->dead)
        uv_poll_start(&spawner->poll,
                      spawner->first == NULL ? UV_READABLE
                                             : UV_READABLE | UV_WRITABLE,
                      on_socket);
}

/* Takes the letter. */
static void
post(struct spawner *spawner, struct letter *letter)
{
    bool waits = spawner->first != NULL;

    *spawner->last = letter;
    spawner->last = &letter->next;
    if (!waits && !spawner->dead && send_letter(spawner, letter) == 0) {
        spawner->first = NULL;
        spawner->last = &spawner->first;
        letter_free(letter);
        return;
    }
    flush_letters(spawner);
}

static struct letter *
letter_new(const struct wire_request *request, size_t more)
{
    struct letter *letter =
        mem_zalloc(sizeof(*letter) + sizeof(*request) + more);

    letter->files[0] = letter->files[1] = letter->files[2] = -1;
    letter->len = sizeof(*request) + more;
    memcpy(letter->bytes, request, sizeof(*request));
    return letter;
}

int
spawner_spawn(struct spawner *spawner, unsigned slot,
              const struct spawn_plan *plan, const int files[3],
              struct spawned *spawned)
{
    const struct wire_request request = {
        .kind = WIRE_START,
        .slot = slot,
        .id = ++spawner->last_id,
        .generation = spawner->generation,
        .arguments_len = plan->arguments_len,
        .environment_len = plan->environment_len,
    };
    const struct slice parts[] = {
        {plan->directory, strlen(plan->directory) + 1},
        {plan->program, strlen(plan->program) + 1},
        buf_slice(&plan->arguments),
        buf_slice(&plan->environment),
    };
    size_t more = 0;

    for (size_t i = 0; i < 4; i++)
        more += parts[i].len;
    if (more + sizeof(request) > spawner->message_max ||
        plan->arguments_len + plan->environment_len > WIRE_STRINGS_MAX) {
        close_files((int[3]){files[0], files[1], files[2]});
        return -E2BIG;
    }
    assert(slot < spawner->options.slots && spawner->spawned[slot] == NULL);
    struct letter *letter = letter_new(&request, more);
    char *to = letter->bytes + sizeof(request);
    for (size_t i = 0; i < 4; i++) {
        if (parts[i].len > 0)
            memcpy(to, parts[i].at, parts[i].len);
        to += parts[i].len;
    }
    memcpy(letter->files, files, sizeof(letter->files));
    spawned->id = request.id;
    spawned->slot = slot;
    spawner->spawned[slot] = spawned;
    post(spawner, letter);
    return 0;
}

void
spawner_kill(struct spawner *spawner, const struct spawned *spawned, int signal)
{
    const struct wire_request request = {.kind = WIRE_KILL,
                                         .slot = spawned->slot,
                                         .id = spawned->id,
                                         .signal = signal};

    post(spawner, letter_new(&request, 0));
}

void
spawner_wind(struct spawner *spawner, uint64_t generation, boot_ms until)
{
    const struct wire_request request = {
        .kind = WIRE_WIND, .generation = generation, .until = until};

    spawner->generation = generation;
    post(spawner, letter_new(&request, 0));
}

void
spawner_abandon(struct spawner *spawner)
{
    if (!spawner->dead)
        kill(spawner->pid, SIGKILL); /* we reap it: still its pid */
}

pid_t
spawner_pid(const struct spawner *spawner)
{
    return spawner->pid;
}

/* ---- hearing --------------------------------------------------------------
 */

static void
give_exit(struct spawner *spawner, unsigned slot, const struct spawn_exit *how)
{
    struct spawned *spawned = spawner->spawned[slot];

    if (how->lapsed)
        spawner->options.on_lapsed(spawner->options.opaque);
    spawner->spawned[slot] = NULL;
    spawned->on_exit(spawned, how);
}

/* It ended by itself. Its children died with it (PDEATHSIG), theirs came to us
 * and are killed here; so every exit can be told. */
static void
bury(struct spawner *spawner)
{
    const struct spawn_exit killed = {.code = CLD_KILLED, .status = SIGKILL};

    spawner->dead = true;
    uv_poll_stop(&spawner->poll);
    flush_letters(spawner);
    kill(spawner->pid, SIGKILL); /* not reaped yet: still its pid */
    kin_kill_all(SPAWNER_STUBBORN);
    spawner->options.on_dead(spawner->options.opaque);
    for (unsigned i = 0; i < spawner->options.slots; i++)
        if (spawner->spawned[i] != NULL)
            give_exit(spawner, i, &killed);
}

static void
on_socket(uv_poll_t *poll, int status, int events)
{
    struct spawner *spawner = CONTAINER_OF(poll, struct spawner, poll);
    struct wire_exit message;
    ssize_t len = 0;

    if (status == 0 && (events & UV_WRITABLE))
        flush_letters(spawner);
    while ((len = recv(spawner->socket, &message, sizeof(message),
                       MSG_DONTWAIT)) == (ssize_t)sizeof(message)) {
        assert(message.slot < spawner->options.slots);
        assert(spawner->spawned[message.slot] != NULL &&
               spawner->spawned[message.slot]->id == message.id);
        give_exit(spawner, message.slot, &message.how);
    }
    if (len < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    bury(spawner);
}

/* ---- starting and stopping ------------------------------------------------
 */

static int
run_program(const char *program, int socket, int guard, pid_t *pid)
{
    char name[] = "cloakroom", word[] = "spawner";
    char *const arguments[] = {name, word, NULL};
    posix_spawn_file_actions_t actions;

    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, socket, 0);
    if (guard > 2)
        posix_spawn_file_actions_adddup2(&actions, guard, WIRE_GUARD);
    posix_spawn_file_actions_addclosefrom_np(&actions,
                                             guard > 2 ? WIRE_GUARD + 1 : 3);
    int r = posix_spawn(pid, program, &actions, NULL, arguments, environ);
    posix_spawn_file_actions_destroy(&actions);
    return -r;
}

/* Room for a start of any size; the kernel doubles it, within its own limit.
 * Returns what one message may have. */
static size_t
make_room(int socket)
{
    int room = (int)WIRE_MAX;
    socklen_t len = sizeof(room);

    if (setsockopt(socket, SOL_SOCKET, SO_SNDBUFFORCE, &room, len) < 0)
        setsockopt(socket, SOL_SOCKET, SO_SNDBUF, &room, len);
    getsockopt(socket, SOL_SOCKET, SO_SNDBUF, &room, &len);
    return (size_t)room < WIRE_MAX + 1024 ? (size_t)room - 1024 : WIRE_MAX;
}

int
spawner_start(const struct spawner_options *options, struct spawner **out,
              struct error *err)
{
    const char *program =
        options->program == NULL ? "/proc/self/exe" : options->program;
    int ends[2];

    assert(options->slots <= WIRE_SLOTS_MAX);
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
        return error_system(err, -errno, "making the spawner's socket");
    struct spawner *spawner = mem_new(struct spawner);
    kin_adopt();
    int r = run_program(program, ends[1], options->guard, &spawner->pid);
    close(ends[1]);
    if (r < 0) {
        close(ends[0]);
        free(spawner);
        return error_system(err, r, "starting the spawner (%s spawner)",
                            program);
    }
    spawner->options = *options;
    spawner->socket = ends[0];
    spawner->message_max = make_room(ends[0]);
    spawner->last = &spawner->first;
    spawner->spawned = mem_zalloc(options->slots * sizeof(struct spawned *));
    uv_poll_init(options->loop, &spawner->poll, spawner->socket);
    uv_poll_start(&spawner->poll, UV_READABLE, on_socket);
    *out = spawner;
    return 0;
}

static void
on_closed(uv_handle_t *handle)
{
    uv_poll_t *poll = (uv_poll_t *)handle;
    struct spawner *spawner = CONTAINER_OF(poll, struct spawner, poll);

    free(spawner->spawned);
    free(spawner);
}

void
spawner_stop(struct spawner *spawner)
{
    if (spawner == NULL)
        return;
    bool was_dead = spawner->dead;
    spawner->dead = true;
    flush_letters(spawner);
    uv_poll_stop(&spawner->poll);
    close(spawner->socket); /* which is what it ends by */
    if (!was_dead)
        waitpid(spawner->pid, NULL, 0);
    uv_close((uv_handle_t *)&spawner->poll, on_closed);
}
