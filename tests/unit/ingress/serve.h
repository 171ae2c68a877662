/* serve.h - an ingress over the fake broker in a child process, and a client
 * that sends bytes as they are. Include it in one file of a program.
 */
#ifndef TESTS_UNIT_INGRESS_SERVE_H
#define TESTS_UNIT_INGRESS_SERVE_H

#include <arpa/inet.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/log.h"
#include "ingress/ingress.h"
#include "tests/unit/ingress/fake_broker.h"
#include "tests/unit/test.h"

static char serve_directory[64];
static unsigned serve_port, serve_admin;
static pid_t serve_pid;
static const char *serve_program = "/bin/false"; /* that operations run */
static size_t serve_worked_len; /* 1: queue q is to have a worker */

static struct sockaddr_in
serve_address(unsigned port)
{
    return (struct sockaddr_in){.sin_family = AF_INET,
                                .sin_port = htons((uint16_t)port),
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

static unsigned
free_port(void)
{
    struct sockaddr_in address = serve_address(0);
    socklen_t len = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, len), 0);
    ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&address, &len), 0);
    close(fd);
    return ntohs(address.sin_port);
}

static void
write_settings(const char *path, const char *more)
{
    FILE *file = fopen(path, "w");

    ck_assert_ptr_nonnull(file);
    fprintf(file,
            "ingress:\n"
            "  listen: 127.0.0.1:%u\n"
            "  admin: 127.0.0.1:%u\n"
            "  threads: 2\n"
            "%s"
            "routes:\n"
            "  - {path: /now, queue: q, wait: 0s}\n"
            "  - {path: /wait, queue: q, wait: 30s, max_wait: 60s}\n"
            "  - {path: /short, queue: q, wait: 100ms, max_wait: 1s}\n"
            "  - {path: /strict, queue: q, wait: 100ms, strict: true}\n"
            "  - {path: /read, methods: [GET, HEAD], queue: q, wait: 30s}\n"
            "queues:\n"
            "  - {name: q, handler: {respond: {status: 200, body: ok}}}\n",
            serve_port, serve_admin, more);
    fclose(file);
}

static void
run_child(const char *path)
{
    static const unsigned worked[] = {0};
    const struct ingress_options options = {
        .program = serve_program,
        .worked_queues = worked,
        .worked_queues_len = serve_worked_len,
    };
    struct error err = {0};
    struct settings *settings = settings_load(path, stderr);

    log_init("ingress", LOG_WARNING);
    if (settings == NULL)
        _exit(2);
    fake_directory = serve_directory;
    int r = ingress_run(settings, &options, &err);
    if (r < 0)
        fprintf(stderr, "%s\n", err.text);
    settings_free(settings);
    exit(r < 0 ? 1 : 0); /* and so the sanitizers look for leaks */
}

static int
dial(unsigned port)
{
    struct sockaddr_in address = serve_address(port);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
        return fd;
    close(fd);
    return -1;
}

/* more: further lines under `ingress:`, each with two spaces in front. */
static void
serve_with(const char *more)
{
    char path[80];

    strcpy(serve_directory, "/tmp/cloakroom-ingress-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(serve_directory));
    serve_port = free_port();
    do
        serve_admin = free_port();
    while (serve_admin == serve_port);
    snprintf(path, sizeof(path), "%s/c.yaml", serve_directory);
    write_settings(path, more);
    serve_pid = fork();
    if (serve_pid == 0)
        run_child(path);
    int fd;
    while ((fd = dial(serve_admin)) < 0) {
        ck_assert_int_eq(waitpid(serve_pid, NULL, WNOHANG), 0);
        usleep(2000);
    }
    close(fd);
}

static void
serve(void)
{
    serve_with("");
}

/* Asks it to end, which it must do in order. */
static void
serve_end(void)
{
    char command[100];
    int status;

    kill(serve_pid, SIGTERM);
    ck_assert_int_eq(waitpid(serve_pid, &status, 0), serve_pid);
    ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0,
                  "the ingress ended with status %x", status);
    snprintf(command, sizeof(command), "rm -r %s", serve_directory);
    ck_assert_int_eq(system(command), 0);
}

static void
send_bytes(int fd, const char *at, size_t len)
{
    while (len > 0) {
        ssize_t n = send(fd, at, len, MSG_NOSIGNAL);
        if (n <= 0)
            return; /* refused half-way: the answer says so */
        at += n;
        len -= (size_t)n;
    }
}

/* Reads until there are `answers` whole ones, or the end. Text, kept until the
 * next call. */
static const char *
read_answers(int fd, unsigned answers)
{
    static char text[200000];
    size_t len = 0;

    for (;;) {
        text[len] = '\0';
        unsigned whole = 0;
        for (const char *at = text;;) {
            const char *end = strstr(at, "\r\n\r\n");
            if (end == NULL || whole == answers)
                break;
            const char *length = strstr(at, "Content-Length: ");
            size_t body = length != NULL && length < end
                              ? strtoul(length + 16, NULL, 10)
                              : 0;
            at = end + 4 + body;
            if (at > text + len)
                break;
            whole++;
        }
        if (whole == answers)
            return text;
        struct pollfd pollfd = {.fd = fd, .events = POLLIN};
        ck_assert_msg(poll(&pollfd, 1, 10000) == 1, "no answer: %s", text);
        ssize_t n = recv(fd, text + len, sizeof(text) - 1 - len, 0);
        if (n <= 0)
            return text;
        len += (size_t)n;
    }
}

/* One request on a connection of its own, and its answer. */
static const char *
ask_bytes(const char *at, size_t len)
{
    int fd = dial(serve_port);

    ck_assert_int_ge(fd, 0);
    send_bytes(fd, at, len);
    const char *text = read_answers(fd, 1);
    close(fd);
    return text;
}

static const char *
ask(const char *request)
{
    return ask_bytes(request, strlen(request));
}

/* The value of a field of an answer, kept until the next call. */
static const char *
field_of(const char *answer, const char *name)
{
    static char value[512];
    char start[64];

    snprintf(start, sizeof(start), "\r\n%s: ", name);
    const char *at = strstr(answer, start);
    if (at == NULL || at > strstr(answer, "\r\n\r\n"))
        return "";
    at += strlen(start);
    snprintf(value, sizeof(value), "%.*s", (int)strcspn(at, "\r"), at);
    return value;
}

static int
status_of(const char *answer)
{
    return strncmp(answer, "HTTP/1.1 ", 9) == 0 ? atoi(answer + 9) : -1;
}

#define ck_status(answer, status)                                              \
    do {                                                                       \
        const char *answer_ = (answer);                                        \
        ck_assert_msg(status_of(answer_) == (status), "not %d: %.500s",        \
                      (status), answer_);                                      \
    } while (0)

#endif
