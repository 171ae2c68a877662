/* spawner_process.c - the spawner itself: parent of all handlers.
 *
 *               START              the child ended
 *     WARD_FREE ------> WARD_RUNNING ----------> WARD_LEAVING
 *         ^                                           | nothing of it is left
 *         +------------------ WARD_TELLING <----------+
 *           the worker's socket took the exit
 *
 * I1: a child is reaped only after its process group was killed, so its pid is
 * not another's while we use it.
 * I2: nothing here waits for the worker: what it does not read stays TELLING,
 * and there is at most one exit for each slot.
 *
 * Threads: one, which the vfork in spawn.c needs.
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/fault.h"
#include "common/mem.h"
#include "workers/cgroups.h"
#include "workers/kin.h"
#include "workers/spawn.h"
#include "workers/spawner_wire.h"
#include "workers/worker.h"

#define MARK_NAME "CLOAKROOM_TICKET="
#define MARK_SIZE 96
#define RECHECK   ((span_ms)10) /* for what was killed and is not gone yet */

enum ward_state {
    WARD_FREE,
    WARD_RUNNING,
    WARD_LEAVING,
    WARD_TELLING,
    WARD_STATES
};

struct ward {
    enum ward_state state;
    uint64_t id;
    pid_t pid;            /* of the child; also its group and session */
    char mark[MARK_SIZE]; /* in the environment of all its processes */
    struct spawn_exit how;
    boot_ms ended;
    bool caged;     /* born in its slot's cgroup */
    bool crowded;   /* something of it was there at the last look */
    unsigned found; /* so many processes */
};

struct spawner_process {
    int socket, signals, timer;
    struct cgroups *cgroups;      /* NULL: there are none */
    struct ward *wards;           /* WIRE_SLOTS_MAX */
    unsigned wards_len;           /* those that were ever used */
    unsigned counts[WARD_STATES]; /* of the used ones */
    uint64_t generation;
    boot_ms until; /* the lease's end, by its clock */
    bool lapsed;   /* it passed: nothing starts in this generation */
    char *message; /* WIRE_MAX */
    char *strings[WIRE_STRINGS_MAX + 2]; /* of a start */
};

static void
change(struct spawner_process *spawner, struct ward *ward,
       enum ward_state state)
{
    spawner->counts[ward->state]--;
    ward->state = state;
    spawner->counts[state]++;
}

/* The ward of a slot; slots come into use one by one. */
static struct ward *
ward_of_slot(struct spawner_process *spawner, unsigned slot)
{
    assert(slot < WIRE_SLOTS_MAX);
    while (spawner->wards_len <= slot) {
        spawner->counts[WARD_FREE]++;
        spawner->wards_len++;
    }
    return &spawner->wards[slot];
}

/* ---- telling --------------------------------------------------------------
 */

static void
tell(struct spawner_process *spawner, struct ward *ward)
{
    const struct wire_exit message = {
        .kind = WIRE_EXIT,
        .slot = (unsigned)(ward - spawner->wards),
        .id = ward->id,
        .how = ward->how,
    };

    if (ward->state != WARD_TELLING)
        change(spawner, ward, WARD_TELLING);
    if (send(spawner->socket, &message, sizeof(message),
             MSG_DONTWAIT | MSG_NOSIGNAL) >= 0)
        change(spawner, ward, WARD_FREE);
}

static void
tell_rest(struct spawner_process *spawner)
{
    for (unsigned i = 0; i < spawner->wards_len; i++)
        if (spawner->wards[i].state == WARD_TELLING)
            tell(spawner, &spawner->wards[i]);
}

/* ---- leaving: nothing of a child may outlive it ---------------------------
 */

static struct ward *
ward_of_pid(struct spawner_process *spawner, pid_t pid)
{
    for (unsigned i = 0; i < spawner->wards_len; i++)
        if (spawner->wards[i].state == WARD_RUNNING &&
            spawner->wards[i].pid == pid)
            return &spawner->wards[i];
    return NULL;
}

static void
kill_ward(struct spawner_process *spawner, struct ward *ward)
{
    kill(-ward->pid, SIGKILL);
    if (ward->caged)
        cgroups_kill(spawner->cgroups, (unsigned)(ward - spawner->wards));
}

static void
look_into_cgroup(struct spawner_process *spawner, struct ward *ward)
{
    unsigned slot = (unsigned)(ward - spawner->wards);

    ward->crowded = !cgroups_is_empty(spawner->cgroups, slot);
    if (!ward->crowded)
        return;
    ward->found = cgroups_count(spawner->cgroups, slot);
    cgroups_kill(spawner->cgroups, slot);
}

/* Whose is an orphan that came to us? NULL: its environment does not say. */
static struct ward *
ward_of_orphan(struct spawner_process *spawner, pid_t pid)
{
    for (unsigned i = 0; i < spawner->wards_len; i++) {
        struct ward *ward = &spawner->wards[i];
        if ((ward->state == WARD_RUNNING || ward->state == WARD_LEAVING) &&
            !ward->caged && ward->mark[0] != '\0' &&
            kin_is_marked(pid, ward->mark))
            return ward;
    }
    return NULL;
}

/* Where there is no cgroup: kills those of our children that belong to a ward
 * that is leaving, and those that belong to none once nothing runs. */
static void
look_among_orphans(struct spawner_process *spawner)
{
    pid_t pids[1024];
    size_t len = kin_list(pids, sizeof(pids) / sizeof(pids[0]));
    bool nothing_runs = spawner->counts[WARD_RUNNING] == 0;

    for (size_t i = 0; i < len; i++) {
        if (ward_of_pid(spawner, pids[i]) != NULL)
            continue;
        struct ward *ward = ward_of_orphan(spawner, pids[i]);
        if (ward == NULL ? nothing_runs : ward->state == WARD_LEAVING)
            kill(pids[i], SIGKILL);
        if (ward != NULL && ward->state == WARD_LEAVING) {
            ward->crowded = true;
            ward->found++;
        }
    }
}

/* Lets those go of whom nothing is left. */
static void
see_off(struct spawner_process *spawner)
{
    bool wild = false; /* one that leaves was born in no cgroup */

    for (unsigned i = 0; i < spawner->wards_len; i++) {
        struct ward *ward = &spawner->wards[i];
        if (ward->state != WARD_LEAVING)
            continue;
        ward->crowded = false;
        ward->found = 0;
        if (ward->caged)
            look_into_cgroup(spawner, ward);
        else
            wild = true;
    }
    if (wild)
        look_among_orphans(spawner);
    for (unsigned i = 0; i < spawner->wards_len; i++) {
        struct ward *ward = &spawner->wards[i];
        if (ward->state != WARD_LEAVING)
            continue;
        if (ward->found > ward->how.strays)
            ward->how.strays = ward->found;
        ward->how.stubborn =
            ward->crowded && clock_boot() - ward->ended > SPAWNER_STUBBORN;
        if (!ward->crowded || ward->how.stubborn)
            tell(spawner, ward);
    }
}

static void
reap(struct spawner_process *spawner, const siginfo_t *info)
{
    struct ward *ward = ward_of_pid(spawner, info->si_pid);

    if (ward != NULL) {
        kill(-ward->pid, SIGKILL); /* before it is reaped: I1 */
        change(spawner, ward, WARD_LEAVING);
        ward->ended = clock_boot();
        ward->how.code = info->si_code;
        ward->how.status = info->si_status;
    }
    waitpid(info->si_pid, NULL, WNOHANG);
}

static void
reap_all(struct spawner_process *spawner)
{
    struct signalfd_siginfo signal;
    siginfo_t info;

    while (read(spawner->signals, &signal, sizeof(signal)) > 0)
        continue;
    for (;;) {
        info.si_pid = 0;
        if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) < 0 ||
            info.si_pid == 0)
            return;
        reap(spawner, &info);
    }
}

/* Has the lease's clock run down? Then, for good, everything is killed. It is
 * asked before anything is started or wound, whatever woke us first. */
static bool
has_lapsed(struct spawner_process *spawner)
{
    if (spawner->lapsed || clock_boot() < spawner->until)
        return spawner->lapsed;
    spawner->lapsed = true;
    for (unsigned i = 0; i < spawner->wards_len; i++) {
        struct ward *ward = &spawner->wards[i];
        if (ward->state != WARD_RUNNING)
            continue;
        ward->how.lapsed = true;
        kill_ward(spawner, ward);
    }
    return true;
}

/* ---- requests -------------------------------------------------------------
 */

/* Points `to` at len strings from *at on. False: they do not end within it. */
static bool
cut_strings(char **at, const char *end, char **to, unsigned len)
{
    for (unsigned i = 0; i < len; i++) {
        char *nul = memchr(*at, '\0', (size_t)(end - *at));
        if (nul == NULL)
            return false;
        to[i] = *at;
        *at = nul + 1;
    }
    return true;
}

/* The strings of a start, in place: directory, program, arguments, NULL,
 * environment, NULL. */
static void
read_strings(struct spawner_process *spawner,
             const struct wire_request *request, char *at, const char *end,
             struct spawn *spawn)
{
    char *places[2];
    char **strings = spawner->strings;

    assert(request->arguments_len + request->environment_len <=
           WIRE_STRINGS_MAX);
    bool whole = cut_strings(&at, end, places, 2) &&
                 cut_strings(&at, end, strings, request->arguments_len);
    spawn->directory = whole ? places[0] : NULL;
    spawn->program = whole ? places[1] : NULL;
    spawn->arguments = strings;
    strings[request->arguments_len] = NULL;
    strings += request->arguments_len + 1;
    whole = whole && cut_strings(&at, end, strings, request->environment_len);
    spawn->environment = strings;
    strings[request->environment_len] = NULL;
    assert(whole);
}

static void
remember_mark(struct ward *ward, char *const *environment)
{
    ward->mark[0] = '\0';
    for (; *environment != NULL; environment++)
        if (strncmp(*environment, MARK_NAME, strlen(MARK_NAME)) == 0)
            snprintf(ward->mark, MARK_SIZE, "%s", *environment);
}

/* In its slot's cgroup; without one if the kernel will not have that. */
static pid_t
bear(struct spawner_process *spawner, struct ward *ward, struct spawn *spawn)
{
    unsigned slot = (unsigned)(ward - spawner->wards);
    enum spawn_step *step = &ward->how.step;

    if (FAULT("workers.fork"))
        return -EAGAIN;
    spawn->cgroup =
        spawner->cgroups == NULL ? -1 : cgroups_slot(spawner->cgroups, slot);
    ward->caged = spawn->cgroup >= 0;
    pid_t pid = spawn_child(spawn, step);
    if (!ward->caged || pid > 0 || *step != SPAWN_FORK || pid == -EAGAIN ||
        pid == -ENOMEM)
        return pid;
    ward->caged = false;
    spawn->cgroup = -1;
    return spawn_child(spawn, step);
}

static void
start(struct spawner_process *spawner, const struct wire_request *request,
      char *end, int files[3])
{
    struct ward *ward = ward_of_slot(spawner, request->slot);
    struct spawn spawn = {.files = {files[0], files[1], files[2]}};
    pid_t pid = -ESTALE;

    assert(ward->state == WARD_FREE);
    *ward = (struct ward){.id = request->id};
    read_strings(spawner, request, spawner->message + sizeof(*request), end,
                 &spawn);
    remember_mark(ward, spawn.environment);
    if (files[2] < 0)
        pid = -EMFILE; /* the kernel dropped those that had no room here */
    else if (request->generation == spawner->generation && !has_lapsed(spawner))
        pid = bear(spawner, ward, &spawn);
    if (pid > 0) {
        ward->pid = pid;
        change(spawner, ward, WARD_RUNNING);
        return;
    }
    ward->how.error = -pid;
    ward->how.lapsed = pid == -ESTALE;
    tell(spawner, ward);
}

static void
send_signal(struct spawner_process *spawner, const struct wire_request *request)
{
    struct ward *ward = ward_of_slot(spawner, request->slot);

    if (ward->state != WARD_RUNNING || ward->id != request->id)
        return; /* it has ended meanwhile */
    if (request->signal == SIGKILL)
        kill_ward(spawner, ward);
    else
        kill(-ward->pid, request->signal);
}

static void
wind(struct spawner_process *spawner, const struct wire_request *request)
{
    /* 1 ns past 0, for 0 would switch it off. */
    const struct itimerspec when = {
        .it_value = {.tv_sec = request->until / 1000,
                     .tv_nsec = request->until % 1000 * 1000000 + 1}};

    if (request->generation < spawner->generation ||
        (request->generation == spawner->generation && has_lapsed(spawner)))
        return; /* a lapsed lease is final */
    spawner->generation = request->generation;
    spawner->until = request->until;
    spawner->lapsed = false;
    timerfd_settime(spawner->timer, TFD_TIMER_ABSTIME, &when, NULL);
}

static void
on_timer(struct spawner_process *spawner)
{
    uint64_t times;

    if (read(spawner->timer, &times, sizeof(times)) > 0)
        has_lapsed(spawner);
}

/* The files that came with a message; all -1 when there are not three. */
static void
take_files(struct msghdr *header, int files[3])
{
    const struct cmsghdr *control = CMSG_FIRSTHDR(header);
    size_t len = 0;

    if (control != NULL && control->cmsg_type == SCM_RIGHTS) {
        len = (control->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        memcpy(files, CMSG_DATA(control), len * sizeof(int));
    }
    for (size_t i = 0; i < len && len < 3; i++)
        close(files[i]);
    if (len < 3)
        files[0] = files[1] = files[2] = -1;
}

/* False: the worker is gone. */
static bool
serve(struct spawner_process *spawner)
{
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(3 * sizeof(int))];
    } control;
    struct iovec part = {spawner->message, WIRE_MAX};
    struct msghdr header = {.msg_iov = &part,
                            .msg_iovlen = 1,
                            .msg_control = control.bytes,
                            .msg_controllen = sizeof(control.bytes)};
    struct wire_request request;
    int files[3] = {-1, -1, -1};

    ssize_t len =
        recvmsg(spawner->socket, &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (len < 0)
        return errno == EAGAIN || errno == EINTR;
    if (len == 0)
        return false;
    assert((size_t)len >= sizeof(request) && !(header.msg_flags & MSG_TRUNC));
    memcpy(&request, spawner->message, sizeof(request));
    take_files(&header, files);
    switch (request.kind) {
    case WIRE_START:
        start(spawner, &request, spawner->message + len, files);
        break;
    case WIRE_KILL:
        send_signal(spawner, &request);
        break;
    case WIRE_WIND:
        wind(spawner, &request);
        break;
    case WIRE_EXIT:
        assert(!"a worker tells no exits");
    }
    for (int i = 0; i < 3; i++)
        if (files[i] >= 0)
            close(files[i]);
    return true;
}

/* ---- the process ----------------------------------------------------------
 */

/* Blocks all signals: a ^C is for the worker, who ends us by its socket. And
 * nothing may stay ignored, for children inherit that; libc would not let us
 * near the two signals that it uses itself, so the kernel is asked. */
static void
settle_signals(void)
{
    static const char by_default[64]; /* the kernel's struct sigaction */
    sigset_t all;

    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
    for (int i = 1; i <= SIGRTMAX; i++)
        syscall(SYS_rt_sigaction, i, by_default, NULL, sizeof(uint64_t));
}

/* Leaves the socket on a high descriptor and nothing on 0 and 1, so that a
 * child's files never stand where they are to go. stderr stays for a cry; and
 * the guard, if we were given it, is held to our end, but never by a child. */
static int
settle_files(int socket_fd)
{
    fcntl(WIRE_GUARD, F_SETFD, FD_CLOEXEC);
    int socket = fcntl(socket_fd, F_DUPFD_CLOEXEC, 3);
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);

    if (socket < 0 || null < 0 || dup2(null, 0) < 0 || dup2(null, 1) < 0)
        return -1;
    if (socket_fd > 2)
        close(socket_fd);
    if (null > 2)
        close(null);
    return socket;
}

static int
open_signals(void)
{
    sigset_t child;

    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    return signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK);
}

static void
run(struct spawner_process *spawner)
{
    struct pollfd polled[] = {
        {.fd = spawner->socket},
        {.fd = spawner->signals, .events = POLLIN},
        {.fd = spawner->timer, .events = POLLIN},
    };

    for (bool worker_lives = true; worker_lives;) {
        polled[0].events =
            (short)(spawner->counts[WARD_TELLING] > 0 ? POLLIN | POLLOUT
                                                      : POLLIN);
        int wait = spawner->counts[WARD_LEAVING] > 0 ? (int)RECHECK : -1;
        if (poll(polled, 3, wait) < 0 && errno != EINTR)
            return;
        if (polled[2].revents != 0)
            on_timer(spawner);
        if (polled[1].revents != 0)
            reap_all(spawner);
        if (spawner->counts[WARD_LEAVING] > 0)
            see_off(spawner);
        if (polled[0].revents & POLLOUT)
            tell_rest(spawner);
        if (polled[0].revents & (POLLIN | POLLHUP | POLLERR))
            worker_lives = serve(spawner);
    }
}

int
spawner_main(int socket_fd)
{
    static struct spawner_process spawner;

    settle_signals();
    kin_adopt();
    prctl(PR_SET_NAME, "spawner");
    spawner.socket = settle_files(socket_fd);
    spawner.signals = open_signals();
    spawner.timer = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK);
    if (spawner.socket < 0 || spawner.signals < 0 || spawner.timer < 0) {
        perror("cloakroom spawner: it is a part of cloakroom worker, which "
               "gives it a socket");
        return EXIT_FAILURE;
    }
    spawner.lapsed = true; /* until it is wound */
    spawner.wards = mem_zalloc(WIRE_SLOTS_MAX * sizeof(*spawner.wards));
    spawner.message = mem_zalloc(WIRE_MAX);
    spawner.cgroups = cgroups_open(WIRE_SLOTS_MAX);
    run(&spawner);

    for (unsigned i = 0; i < spawner.wards_len; i++)
        if (spawner.wards[i].state == WARD_RUNNING)
            kill_ward(&spawner, &spawner.wards[i]);
    bool clean = kin_kill_all(SPAWNER_STUBBORN);
    cgroups_close(spawner.cgroups);
    free(spawner.message);
    free(spawner.wards);
    return clean ? EXIT_SUCCESS : EXIT_FAILURE;
}
