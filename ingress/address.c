/* address.c - socket addresses as text, and listening on one. */
#include "ingress/address.h"

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define BACKLOG                                                                \
    4096 /* connections that wait while all descriptors are used               \
          */

static void
format(const struct sockaddr *address, socklen_t len, char text[ADDRESS_SIZE])
{
    char host[INET6_ADDRSTRLEN + 1], port[8];

    text[0] = '\0';
    if (getnameinfo(address, len, host, sizeof(host), port, sizeof(port),
                    NI_NUMERICHOST | NI_NUMERICSERV) != 0)
        return;
    snprintf(text, ADDRESS_SIZE,
             address->sa_family == AF_INET6 ? "[%s]:%s" : "%s:%s", host, port);
}

void
address_of_peer(int fd, char text[ADDRESS_SIZE])
{
    struct sockaddr_storage address = {0};
    socklen_t len = sizeof(address);

    text[0] = '\0';
    if (getpeername(fd, (struct sockaddr *)&address, &len) == 0)
        format((const struct sockaddr *)&address, len, text);
}

void
address_of_local(int fd, char text[ADDRESS_SIZE])
{
    struct sockaddr_storage address = {0};
    socklen_t len = sizeof(address);

    text[0] = '\0';
    if (getsockname(fd, (struct sockaddr *)&address, &len) == 0)
        format((const struct sockaddr *)&address, len, text);
}

static int
listen_on(const struct addrinfo *info)
{
    const int on = 1;
    int fd =
        socket(info->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0)
        return -errno;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (info->ai_family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
    if (bind(fd, info->ai_addr, info->ai_addrlen) < 0 ||
        listen(fd, BACKLOG) < 0) {
        int r = -errno;
        close(fd);
        return r;
    }
    return fd;
}

int
address_listen(const struct address *address, const char *key,
               struct error *err)
{
    const struct addrinfo hints = {.ai_family = AF_UNSPEC,
                                   .ai_socktype = SOCK_STREAM,
                                   .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV |
                                               AI_PASSIVE};
    struct addrinfo *info;
    char port[16];

    snprintf(port, sizeof(port), "%u", address->port);
    int r = getaddrinfo(address->host, port, &hints, &info);
    if (r != 0)
        return error_set(err, -EINVAL, "%s: %s: %s", key, address->host,
                         gai_strerror(r));
    r = listen_on(info);
    freeaddrinfo(info);
    if (r == -EADDRINUSE)
        return error_set(err, r,
                         "%s: %s port %u is taken by another process; stop it "
                         "or choose another port",
                         key, address->host, address->port);
    if (r < 0)
        return error_system(err, r, "%s: listening on %s port %u", key,
                            address->host, address->port);
    return r;
}
