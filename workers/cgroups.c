/* cgroups.c - a cgroup for each slot, so that nothing can leave its attempt. */
#include "workers/cgroups.h"

#include <assert.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/fault.h"
#include "common/mem.h"

#define NAME_PREFIX "cloakroom-"
#define NAME_SIZE   48

/* Both descriptors -1: not made yet, or it could not be made.
 *
 * A cgroup that was killed once is not used again: kernels since 6.14 compare
 * how often it was killed with the same count of the forking process's cgroup,
 * and kill at birth what is born into one that differs. */
struct slot {
    int directory;
    int events;    /* its cgroup.events */
    unsigned made; /* how often; a part of its name */
    bool was_killed;
};

struct cgroups {
    int parent;           /* our own cgroup's directory */
    int directory;        /* ours below it, flocked as long as we live */
    char name[NAME_SIZE]; /* of ours */
    struct slot *slots;
    unsigned slots_len;
};

/* ---- where ----------------------------------------------------------------
 */

/* The mount point of the cgroup v2 hierarchy, and which part of it that is. */
static bool
find_mount(char *point, char *root, size_t size)
{
    char *line = NULL;
    size_t room = 0;
    bool found = false;
    FILE *file = fopen("/proc/self/mountinfo", "re");

    if (file == NULL)
        return false;
    while (!found && getline(&line, &room, file) > 0) {
        char *text = line, *words[5];
        if (strstr(line, " - cgroup2 ") == NULL)
            continue;
        for (int i = 0; i < 5; i++)
            words[i] = strsep(&text, " ");
        if (text == NULL)
            continue;
        found = (size_t)snprintf(root, size, "%s", words[3]) < size &&
                (size_t)snprintf(point, size, "%s", words[4]) < size;
    }
    free(line);
    fclose(file);
    return found;
}

/* Our own cgroup's path in the v2 hierarchy. */
static bool
find_own(char *path, size_t size)
{
    char line[4096];
    bool found = false;
    FILE *file = fopen("/proc/self/cgroup", "re");

    if (file == NULL)
        return false;
    while (!found && fgets(line, sizeof(line), file) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        if (strncmp(line, "0::/", 4) == 0)
            found = (size_t)snprintf(path, size, "%s", line + 3) < size;
    }
    fclose(file);
    return found;
}

/* Opens our own cgroup's directory, or -1. */
static int
open_own(void)
{
    char point[4096], root[4096], own[4096], path[8192];
    const char *below = own;

    if (!find_mount(point, root, sizeof(point)) || !find_own(own, sizeof(own)))
        return -1;
    size_t len = strcmp(root, "/") == 0 ? 0 : strlen(root);
    if (strncmp(own, root, len) == 0)
        below = own + len;
    snprintf(path, sizeof(path), "%s/%s", point, below);
    return open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

/* ---- killing and removing -------------------------------------------------
 */

static void
kill_in(int directory)
{
    int fd = openat(directory, "cgroup.kill", O_WRONLY | O_CLOEXEC);

    if (fd < 0)
        return;
    if (write(fd, "1", 1) < 0) {
        /* Nothing helps; what stays inside is seen by cgroups_is_empty. */
    }
    close(fd);
}

/* Removes a cgroup and those below it, which a handler may have made. */
static void
remove_at(int parent, const char *name, unsigned depth)
{
    int fd =
        openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *entries = fd < 0 ? NULL : fdopendir(fd);
    const struct dirent *entry;

    if (entries != NULL) {
        while (depth < 16 && (entry = readdir(entries)) != NULL)
            if (entry->d_type == DT_DIR && entry->d_name[0] != '.')
                remove_at(fd, entry->d_name, depth + 1);
        closedir(entries);
    } else if (fd >= 0) {
        close(fd);
    }
    unlinkat(parent, name, AT_REMOVEDIR);
}

/* A spawner holds a lock on its directory: whoever gets it has found the
 * directory of a dead one. Pids could not tell, they come again. */
static void
sweep_one(int parent, const char *name)
{
    int fd =
        openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

    if (fd < 0)
        return;
    if (flock(fd, LOCK_EX | LOCK_NB) == 0) {
        kill_in(fd);
        remove_at(parent, name, 0);
    }
    close(fd);
}

static void
sweep(int parent)
{
    int fd = openat(parent, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *entries = fd < 0 ? NULL : fdopendir(fd);
    const struct dirent *entry;

    if (entries == NULL) {
        if (fd >= 0)
            close(fd);
        return;
    }
    while ((entry = readdir(entries)) != NULL)
        if (strncmp(entry->d_name, NAME_PREFIX, strlen(NAME_PREFIX)) == 0)
            sweep_one(parent, entry->d_name);
    closedir(entries);
}

/* ---- opening --------------------------------------------------------------
 */

static int
make_at(int parent, const char *name)
{
    if (mkdirat(parent, name, 0755) < 0)
        return -1;
    return openat(parent, name,
                  O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

static void
close_slot(struct slot *slot)
{
    if (slot->events >= 0)
        close(slot->events);
    if (slot->directory >= 0)
        close(slot->directory);
    slot->events = slot->directory = -1;
}

struct cgroups *
cgroups_open(unsigned slots)
{
    if (FAULT("workers.cgroups"))
        return NULL;
    struct cgroups *cgroups = mem_new(struct cgroups);
    cgroups->slots = mem_zalloc(slots * sizeof(*cgroups->slots));
    cgroups->slots_len = slots;
    for (unsigned i = 0; i < slots; i++)
        cgroups->slots[i] = (struct slot){.directory = -1, .events = -1};
    snprintf(cgroups->name, NAME_SIZE, NAME_PREFIX "%d", (int)getpid());
    cgroups->directory = -1;
    cgroups->parent = open_own();
    if (cgroups->parent >= 0) {
        sweep(cgroups->parent);
        cgroups->directory = make_at(cgroups->parent, cgroups->name);
    }
    /* Between its making and this lock another's sweep may take it: then the
     * slots cannot be made, and we go on without. */
    if (cgroups->directory < 0 ||
        flock(cgroups->directory, LOCK_EX | LOCK_NB) < 0 ||
        cgroups_slot(cgroups, 0) < 0) {
        cgroups_close(cgroups);
        return NULL;
    }
    return cgroups;
}

void
cgroups_close(struct cgroups *cgroups)
{
    if (cgroups == NULL)
        return;
    for (unsigned i = 0; i < cgroups->slots_len; i++)
        close_slot(&cgroups->slots[i]);
    if (cgroups->directory >= 0) {
        kill_in(cgroups->directory);
        remove_at(cgroups->parent, cgroups->name, 0);
        close(cgroups->directory);
    }
    if (cgroups->parent >= 0)
        close(cgroups->parent);
    free(cgroups->slots);
    free(cgroups);
}

/* ---- slots ----------------------------------------------------------------
 */

static void
name_slot(const struct cgroups *cgroups, unsigned slot, char name[NAME_SIZE])
{
    snprintf(name, NAME_SIZE, "slot-%u.%u", slot, cgroups->slots[slot].made);
}

static bool
make_slot(const struct cgroups *cgroups, unsigned slot, struct slot *made)
{
    char name[NAME_SIZE];

    name_slot(cgroups, slot, name);
    made->was_killed = false;
    made->directory = make_at(cgroups->directory, name);
    if (made->directory < 0)
        return false;
    made->events =
        openat(made->directory, "cgroup.events", O_RDONLY | O_CLOEXEC);
    /* cgroup.kill came with Linux 5.14. */
    if (made->events >= 0 &&
        faccessat(made->directory, "cgroup.kill", W_OK, 0) == 0)
        return true;
    close_slot(made);
    return false;
}

/* Lets go of a used-up cgroup. One that is not empty (what is in it cannot be
 * killed at the moment) stays until we end. */
static void
drop_slot(const struct cgroups *cgroups, unsigned slot)
{
    char name[NAME_SIZE];

    name_slot(cgroups, slot, name);
    close_slot(&cgroups->slots[slot]);
    remove_at(cgroups->directory, name, 0);
    cgroups->slots[slot].made++;
}

int
cgroups_slot(struct cgroups *cgroups, unsigned slot)
{
    assert(slot < cgroups->slots_len);
    struct slot *it = &cgroups->slots[slot];
    if (it->was_killed)
        drop_slot(cgroups, slot);
    if (it->directory < 0 && !make_slot(cgroups, slot, it))
        return -1;
    return it->directory;
}

bool
cgroups_is_empty(const struct cgroups *cgroups, unsigned slot)
{
    char text[256];
    int fd = cgroups->slots[slot].events;

    if (fd < 0)
        return true;
    ssize_t len = pread(fd, text, sizeof(text) - 1, 0);
    if (len <= 0)
        return true;
    text[len] = '\0';
    return strstr(text, "populated 1") == NULL;
}

unsigned
cgroups_count(const struct cgroups *cgroups, unsigned slot)
{
    char text[4096];
    ssize_t len = 0;
    unsigned count = 0;
    int fd = openat(cgroups->slots[slot].directory, "cgroup.procs",
                    O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return 0;
    while ((len = read(fd, text, sizeof(text))) > 0)
        for (ssize_t i = 0; i < len; i++)
            count += text[i] == '\n';
    close(fd);
    return count;
}

void
cgroups_kill(struct cgroups *cgroups, unsigned slot)
{
    if (cgroups->slots[slot].directory < 0)
        return;
    kill_in(cgroups->slots[slot].directory);
    cgroups->slots[slot].was_killed = true;
}
