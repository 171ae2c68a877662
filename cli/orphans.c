/* orphans.c - finds our children in /proc. */
#include "cli/orphans.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

void
orphans_adopt(void)
{
    prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
}

/* From /proc/PID/stat, "71 (a name) S 70 ...": the name may hold anything. -1
 * when the process is gone; 0 for a zombie, which only waits to be reaped. */
static pid_t
parent_of(pid_t pid)
{
    char path[32], line[512];
    const char *after;
    ssize_t len;
    int fd;

    snprintf(path, sizeof(path), "/proc/%d/stat", pid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    len = read(fd, line, sizeof(line) - 1);
    close(fd);
    if (len <= 0)
        return -1;
    line[len] = '\0';
    after = strrchr(line, ')');
    if (after == NULL || strlen(after) < 5)
        return -1;
    return after[2] == 'Z' ? 0 : (pid_t)strtol(after + 4, NULL, 10);
}

unsigned
orphans_signal(int signal, bool (*is_ours)(void *opaque, pid_t pid),
               void *opaque)
{
    const pid_t self = getpid();
    unsigned found = 0;
    struct dirent *entry;
    DIR *proc = opendir("/proc");

    if (proc == NULL)
        return 0;
    while ((entry = readdir(proc)) != NULL) {
        const pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);
        if (pid <= 0 || is_ours(opaque, pid) || parent_of(pid) != self)
            continue;
        found++;
        if (signal != 0)
            kill(pid, signal);
    }
    closedir(proc);
    return found;
}
