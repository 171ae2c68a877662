/* guard.c - is a process of this machine gone? */
#include "broker/kafka/guard.h"

#include <errno.h>
#include <sodium.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/* It begins with a NUL, and is no longer than its text. */
static socklen_t
make_address(const char *guard, struct sockaddr_un *address)
{
    const size_t len = strlen(guard);

    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    memcpy(address->sun_path + 1, guard, len);
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + len);
}

static int
open_socket(void)
{
    return socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
}

int
guard_open(struct place *place)
{
    struct sockaddr_un address;
    struct stat st;
    uint8_t random[16];
    char hex[33];

    *place = (struct place){0};
    snprintf(place->boot, sizeof(place->boot), "%s", clock_boot_id());
    if (stat("/proc/self/ns/net", &st) < 0)
        return -1;
    snprintf(place->net, sizeof(place->net), "%llu",
             (unsigned long long)st.st_ino);
    randombytes_buf(random, sizeof(random));
    sodium_bin2hex(hex, sizeof(hex), random, sizeof(random));
    snprintf(place->guard, sizeof(place->guard), "cloakroom-%s", hex);
    int fd = open_socket();
    if (fd >= 0 && bind(fd, (struct sockaddr *)&address,
                        make_address(place->guard, &address)) == 0)
        return fd;
    if (fd >= 0)
        close(fd);
    place->guard[0] = '\0';
    return -1;
}

bool
guard_is_gone(const struct place *theirs, const struct place *ours)
{
    struct sockaddr_un address;

    if (theirs->guard[0] == '\0' || theirs->net[0] == '\0' ||
        strcmp(theirs->boot, ours->boot) != 0 ||
        strcmp(theirs->net, ours->net) != 0)
        return false;
    int fd = open_socket();
    if (fd < 0)
        return false;
    const socklen_t len = make_address(theirs->guard, &address);
    const bool is_gone = connect(fd, (struct sockaddr *)&address, len) < 0 &&
                         errno == ECONNREFUSED;
    close(fd);
    return is_gone;
}
