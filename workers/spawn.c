/* spawn.c - one vfork and exec, as cheap as the kernel allows.
 *
 * posix_spawn cannot set limits, a death signal or a cgroup; a helper program
 * that does would cost an exec more for each CGI. So the child runs a few lines
 * of ours in the parent's memory while the parent waits (vfork semantics). That
 * is sound here, and only here: the spawner has one thread, handles no signal,
 * and the child's part makes nothing but system calls, past libc's wrappers,
 * which sanitizers replace.
 */
#include "workers/spawn.h"

#include <errno.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* Programs that use select() break above 1024; who needs more raises it. */
#define CHILD_FILES 1024

/* What the child needs and tells; it shares our memory until it execs. */
struct birth {
    const struct spawn *spawn;
    pid_t parent;
    rlim_t files_max;
    volatile enum spawn_step step;
    volatile int error;
};

/* ---- in the child ---------------------------------------------------------
 */

static _Noreturn void
give_up(struct birth *birth, enum spawn_step step)
{
    birth->step = step;
    birth->error = errno;
    for (;;)
        syscall(SYS_exit_group, 127);
}

static void
limit_files(const struct birth *birth)
{
    struct rlimit limit = {.rlim_cur = CHILD_FILES,
                           .rlim_max = birth->files_max};

    if (limit.rlim_cur > limit.rlim_max)
        limit.rlim_cur = limit.rlim_max;
    syscall(SYS_prlimit64, 0, RLIMIT_NOFILE, &limit, NULL);
}

__attribute__((noinline, no_sanitize("address", "undefined", "thread"))) //
static _Noreturn void
become_child(struct birth *birth)
{
    const struct spawn *spawn = birth->spawn;
    const uint64_t no_signals = 0;

    /* A group of its own, so that it can be killed with its children, and no
     * terminal to read from. */
    syscall(SYS_setsid);
    syscall(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    errno = ESRCH;
    if (syscall(SYS_getppid) != birth->parent)
        give_up(birth, SPAWN_FORK); /* died before we asked to be told */
    for (int i = 0; i < 3; i++)
        if (syscall(SYS_dup3, spawn->files[i], i, 0) < 0)
            give_up(birth, SPAWN_FORK);
    if (syscall(SYS_chdir, spawn->directory) < 0)
        give_up(birth, SPAWN_CHDIR);
    limit_files(birth);
    syscall(SYS_rt_sigprocmask, SIG_SETMASK, &no_signals, NULL,
            sizeof(no_signals));
    syscall(SYS_execve, spawn->program, spawn->arguments, spawn->environment);
    give_up(birth, SPAWN_EXEC);
}

/* ---- in the parent --------------------------------------------------------
 */

#if defined(__x86_64__)
/* No function may return in the child of a shared stack, so the system call
 * stands in its caller's frame. */
#define SHARED_CALL(result, number, a, b, c, d, e)                             \
    do {                                                                       \
        register long r10_ __asm__("r10") = (long)(d);                         \
        register long r8_ __asm__("r8") = (long)(e);                           \
        __asm__ volatile("syscall"                                             \
                         : "=a"(result)                                        \
                         : "0"((long)(number)), "D"((long)(a)),                \
                           "S"((long)(b)), "d"((long)(c)), "r"(r10_), "r"(r8_) \
                         : "rcx", "r11", "memory");                            \
    } while (0)
#elif defined(__aarch64__)
#define SHARED_CALL(result, number, a, b, c, d, e)                             \
    do {                                                                       \
        register long x8_ __asm__("x8") = (long)(number);                      \
        register long x0_ __asm__("x0") = (long)(a);                           \
        register long x1_ __asm__("x1") = (long)(b);                           \
        register long x2_ __asm__("x2") = (long)(c);                           \
        register long x3_ __asm__("x3") = (long)(d);                           \
        register long x4_ __asm__("x4") = (long)(e);                           \
        __asm__ volatile("svc 0"                                               \
                         : "+r"(x0_)                                           \
                         : "r"(x8_), "r"(x1_), "r"(x2_), "r"(x3_), "r"(x4_)    \
                         : "memory");                                          \
        (result) = x0_;                                                        \
    } while (0)
#endif

#ifdef SHARED_CALL
/* vfork into a cgroup. libc has no word for clone3, and vfork none for cgroups.
 */
__attribute__((noinline, no_sanitize("address", "undefined", "thread"))) //
static long
clone_into(struct birth *birth, int cgroup)
{
    struct clone_args args = {
        .flags = CLONE_VM | CLONE_VFORK | (cgroup >= 0 ? CLONE_INTO_CGROUP : 0),
        .exit_signal = SIGCHLD,
        .cgroup = cgroup >= 0 ? (uint64_t)cgroup : 0,
    };
    long pid;

    SHARED_CALL(pid, SYS_clone3, &args, sizeof(args), 0, 0, 0);
    if (pid == 0)
        become_child(birth);
    return pid;
}
#else
static long
clone_into(struct birth *birth, int cgroup)
{
    (void)birth;
    (void)cgroup;
    return -ENOSYS;
}
#endif

/* Where clone3 is not to be had: old kernels, some containers' filters, other
 * processors. */
static long
clone_plainly(struct birth *birth)
{
    long pid = vfork();

    if (pid == 0)
        become_child(birth);
    return pid < 0 ? -errno : pid;
}

pid_t
spawn_child(const struct spawn *spawn, enum spawn_step *step)
{
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    struct birth birth = {
        .spawn = spawn, .parent = getpid(), .files_max = limit.rlim_max};

    long pid = clone_into(&birth, spawn->cgroup);
    if (pid == -ENOSYS && spawn->cgroup < 0)
        pid = clone_plainly(&birth);
    *step = SPAWN_FORK;
    if (pid < 0)
        return (pid_t)pid;
    if (birth.error == 0)
        return (pid_t)pid;
    *step = birth.step;
    waitpid((pid_t)pid, NULL, 0);
    return -birth.error;
}
