/* kin.c - the children that the kernel gave us: orphans of orphans. */
#include "workers/kin.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define KIN_AT_A_TIME ((size_t)1024)

void
kin_adopt(void)
{
    prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
}

/* Adds the children of one thread: numbers with a space behind each. */
static size_t
list_of_thread(int tasks, const char *tid, pid_t *pids, size_t max)
{
    char path[300], *text = NULL;
    size_t len = 0, room = 0;

    snprintf(path, sizeof(path), "%s/children", tid);
    int fd = openat(tasks, path, O_RDONLY | O_CLOEXEC);
    FILE *file = fd < 0 ? NULL : fdopen(fd, "r");
    if (file == NULL) {
        if (fd >= 0)
            close(fd);
        return 0;
    }
    while (len < max && getdelim(&text, &room, ' ', file) > 0) {
        long pid = strtol(text, NULL, 10);
        if (pid > 0)
            pids[len++] = (pid_t)pid;
    }
    free(text);
    fclose(file);
    return len;
}

size_t
kin_list(pid_t *pids, size_t max)
{
    DIR *tasks = opendir("/proc/self/task");
    const struct dirent *task;
    size_t len = 0;

    if (tasks == NULL)
        return 0;
    while ((task = readdir(tasks)) != NULL)
        if (task->d_name[0] != '.')
            len += list_of_thread(dirfd(tasks), task->d_name, pids + len,
                                  max - len);
    closedir(tasks);
    return len;
}

bool
kin_is_marked(pid_t pid, const char *mark)
{
    char path[32], *text = NULL;
    size_t room = 0;
    bool found = false;

    snprintf(path, sizeof(path), "/proc/%d/environ", (int)pid);
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return false;
    while (!found && getdelim(&text, &room, '\0', file) > 0)
        found = strcmp(text, mark) == 0;
    free(text);
    fclose(file);
    return found;
}

bool
kin_kill_all(span_ms limit)
{
    const mono_ms until = clock_mono() + limit;
    const struct timespec pause = {.tv_nsec = 1000000};
    pid_t pids[KIN_AT_A_TIME];

    for (;;) {
        size_t len = kin_list(pids, KIN_AT_A_TIME);
        for (size_t i = 0; i < len; i++)
            kill(pids[i], SIGKILL);
        while (waitpid(-1, NULL, WNOHANG) > 0)
            continue;
        if (waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD)
            return true;
        if (clock_mono() > until)
            return false;
        nanosleep(&pause, NULL);
    }
}
