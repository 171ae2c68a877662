/* programs.c - looks for each queue's program before anything starts. */
#include "cli/programs.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int
check_program(const char *path)
{
    struct stat st;

    if (stat(path, &st) < 0)
        return -errno;
    if (!S_ISREG(st.st_mode))
        return -EISDIR;
    return access(path, X_OK) < 0 ? -errno : 0;
}

static int
check_directory(const char *path)
{
    struct stat st;

    if (stat(path, &st) < 0)
        return -errno;
    if (!S_ISDIR(st.st_mode))
        return -ENOTDIR;
    return access(path, X_OK) < 0 ? -errno : 0;
}

static const char *
advice(int r)
{
    switch (r) {
    case -ENOENT:
        return "it is not there";
    case -EACCES:
        return "it may not be run: chmod +x it, and +x the folders above it";
    case -EISDIR:
        return "it is no program; a folder of programs is `directory:`";
    default:
        return strerror(-r);
    }
}

int
programs_check(const struct settings *settings, FILE *errors)
{
    int wrong = 0;

    for (size_t i = 0; i < settings->queues_len; i++) {
        const struct queue_settings *queue = &settings->queues[i];
        const struct cgi_settings *cgi = &queue->handler.cgi;

        if (queue->handler.type != HANDLER_CGI)
            continue;
        const char *path =
            cgi->command != NULL ? cgi->command[0] : cgi->directory;
        int r =
            cgi->command != NULL ? check_program(path) : check_directory(path);
        if (r == 0)
            continue;
        wrong = -ENOENT;
        fprintf(errors, "%s: queue %s: %s: %s\n", settings->path, queue->name,
                path, advice(r));
    }
    return wrong;
}
