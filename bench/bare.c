/* bare.c - the ceiling: libmicrohttpd that answers 202 at once, stores nothing.
 *
 * bench_bare PORT [THREADS]: epoll, on loopback, one thread unless told
 * otherwise. It reads the body as any server must and answers about as many
 * bytes as a ticket takes.
 */
#include <microhttpd.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { CONNECTIONS_MAX = 8192 };

static char ticket[] =
    "{\"ticket\":\"0123456789abcdef0123456789abcdef0123456\","
    "\"state\":\"queued\",\"pad\":\"yyyyyyyyyyyyyyyy\"}";

/* Called at the header, at each piece of the body and at its end. */
static enum MHD_Result
on_request(void *cls, struct MHD_Connection *connection, const char *url,
           const char *method, const char *version, const char *body,
           size_t *body_len, void **request)
{
    static int seen;

    (void)url, (void)method, (void)version, (void)body;
    if (*request == NULL) {
        *request = &seen;
        return MHD_YES;
    }
    if (*body_len > 0) {
        *body_len = 0;
        return MHD_YES;
    }
    return MHD_queue_response(connection, MHD_HTTP_ACCEPTED, cls);
}

static struct MHD_Daemon *
serve(uint16_t port, unsigned threads, struct MHD_Response *answer)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_port = htons(port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    /* A pool of one is refused by the library; no pool is one thread. */
    struct MHD_OptionItem pool[] = {
        {threads > 1 ? MHD_OPTION_THREAD_POOL_SIZE : MHD_OPTION_END, threads,
         NULL},
        {MHD_OPTION_END, 0, NULL},
    };

    return MHD_start_daemon(
        MHD_USE_EPOLL_INTERNAL_THREAD, port, NULL, NULL, on_request, answer,
        MHD_OPTION_SOCK_ADDR, &address, MHD_OPTION_CONNECTION_LIMIT,
        (unsigned)CONNECTIONS_MAX, MHD_OPTION_ARRAY, pool, MHD_OPTION_END);
}

int
main(int argc, char **argv)
{
    struct MHD_Response *answer;

    if (argc < 2) {
        fprintf(stderr, "usage: %s PORT [THREADS]\n", argv[0]);
        return 64;
    }
    answer = MHD_create_response_from_buffer(sizeof(ticket) - 1, ticket,
                                             MHD_RESPMEM_PERSISTENT);
    if (serve((uint16_t)atoi(argv[1]), argc > 2 ? (unsigned)atoi(argv[2]) : 1,
              answer) == NULL) {
        fprintf(stderr, "%s: cannot listen on 127.0.0.1:%s\n", argv[0],
                argv[1]);
        return 1;
    }
    for (;;)
        pause();
}
