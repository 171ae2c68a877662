/* events_test.c - streams of events: what is told, when, and how they end. */
#include "tests/unit/ingress/serve.h"

#define HOST "Host: t\r\n"

static const char *
request(const char *method, const char *path, const char *rest,
        const char *fields)
{
    static char text[512];

    snprintf(text, sizeof(text), "%s %s%s HTTP/1.1\r\n" HOST "%s\r\n", method,
             path, rest, fields);
    return text;
}

static const char *
accept_on(const char *target)
{
    static char path[128];
    const char *answer =
        ask(request("POST", target, "", "Prefer: respond-async\r\n"));

    ck_status(answer, 202);
    snprintf(path, sizeof(path), "%s", field_of(answer, "Location"));
    return path;
}

static int
open_stream(const char *path)
{
    int fd = dial(serve_port);
    const char *text = request("GET", path, "/events", "");

    send_bytes(fd, text, strlen(text));
    return fd;
}

/* Reads on until what has come in on this stream has word; "" starts anew.
 * False: the connection ended, or nothing came for the time. */
struct heard {
    char text[60000];
    size_t len;
};

static bool
hear(struct heard *heard, int fd, const char *word)
{
    mono_ms until = clock_mono() + 10000;

    for (;;) {
        heard->text[heard->len] = '\0';
        if (strstr(heard->text, word) != NULL)
            return true;
        struct pollfd pollfd = {.fd = fd, .events = POLLIN};
        if (clock_mono() > until || poll(&pollfd, 1, 10000) != 1)
            return false;
        ssize_t n = recv(fd, heard->text + heard->len,
                         sizeof(heard->text) - 1 - heard->len, 0);
        if (n <= 0)
            return false;
        heard->len += (size_t)n;
    }
}

/* From now on only what comes is heard. */
static void
forget(struct heard *heard)
{
    heard->len = 0;
}

START_TEST(a_stream_tells_the_state_at_once_and_then_its_end)
{
    static struct heard heard;
    char path[128], document[200];

    serve();
    snprintf(path, sizeof(path), "%s", accept_on("/now/late"));
    int fd = open_stream(path);
    forget(&heard);
    ck_assert(hear(&heard, fd, "\n\n"));
    ck_assert(hear(&heard, fd, "event: end"));
    ck_status(heard.text, 200);
    ck_assert_str_eq(field_of(heard.text, "Content-Type"), "text/event-stream");
    ck_assert_str_eq(field_of(heard.text, "Cache-Control"), "no-store");
    snprintf(document, sizeof(document),
             "event: status\ndata: {\"ticket\":\"%s\",\"state\":\"queued\",",
             path + 11);
    ck_assert_ptr_nonnull(strstr(heard.text, document));
    ck_assert(hear(&heard, fd, "\r\n0\r\n\r\n"));
    snprintf(
        document, sizeof(document),
        "event: end\nid: end\ndata: {\"ticket\":\"%s\",\"state\":\"done\",",
        path + 11);
    ck_assert_ptr_nonnull(strstr(heard.text, document));

    /* The connection serves on. */
    const char *text = request("GET", path, "", "");
    forget(&heard);
    send_bytes(fd, text, strlen(text));
    ck_assert(hear(&heard, fd, "\"state\":\"done\""));
    close(fd);
    serve_end();
}
END_TEST

START_TEST(a_stream_of_what_has_ended_ends_at_once)
{
    static struct heard heard;
    char path[128];

    serve();
    snprintf(path, sizeof(path), "%s", accept_on("/now/echo"));
    ck_status(ask(request("GET", path, "/response", "Prefer: wait=9\r\n")),
              200);
    int fd = open_stream(path);
    forget(&heard);
    ck_assert(hear(&heard, fd, "\r\n0\r\n\r\n"));
    ck_assert_ptr_nonnull(strstr(heard.text, "event: status\n"));
    ck_assert_ptr_nonnull(strstr(heard.text, "event: end\nid: end\n"));
    close(fd);
    serve_end();
}
END_TEST

START_TEST(who_has_seen_the_end_is_told_to_stop)
{
    char path[128];

    serve();
    snprintf(path, sizeof(path), "%s", accept_on("/now/echo"));
    ck_status(ask(request("GET", path, "/response", "Prefer: wait=9\r\n")),
              200);
    ck_status(ask(request("GET", path, "/events", "Last-Event-ID: end\r\n")),
              204);
    serve_end();
}
END_TEST

START_TEST(a_client_of_http_1_0_gets_a_stream_that_closes)
{
    static struct heard heard;
    char path[128], text[256];

    serve();
    snprintf(path, sizeof(path), "%s", accept_on("/now/late"));
    int fd = dial(serve_port);
    snprintf(text, sizeof(text), "GET %s/events HTTP/1.0\r\n\r\n", path);
    send_bytes(fd, text, strlen(text));
    forget(&heard);
    ck_assert(!hear(&heard, fd, "never"));
    ck_assert_ptr_nonnull(strstr(heard.text, "\r\n\r\nretry: "));
    ck_assert_ptr_nonnull(strstr(heard.text, "event: end\n"));
    close(fd);
    serve_end();
}
END_TEST

START_TEST(a_change_is_told_and_sameness_is_not)
{
    static struct heard heard;

    serve();
    int moving = open_stream(accept_on("/now/moves"));
    int resting = open_stream(accept_on("/now/x"));
    forget(&heard);
    ck_assert(hear(&heard, moving, "\"position\":4"));
    ck_assert(hear(&heard, moving, "\"position\":6"));
    close(moving);
    forget(&heard);
    ck_assert(hear(&heard, resting, "\"position\":3"));
    forget(&heard);
    struct pollfd pollfd = {.fd = resting, .events = POLLIN};
    ck_assert_int_eq(poll(&pollfd, 1, 0), 0);
    close(resting);
    serve_end();
}
END_TEST

START_TEST(a_silent_stream_has_a_heartbeat)
{
    static struct heard heard;

    serve();
    int fd = open_stream(accept_on("/now/x"));
    forget(&heard);
    ck_assert(hear(&heard, fd, "event: status"));
    for (int i = 0; i < 3; i++) {
        forget(&heard);
        accept_on("/now/leap");
        ck_assert(hear(&heard, fd, "\n: waiting\n\n") ||
                  hear(&heard, fd, "\r\n: waiting\n\n"));
        ck_assert_ptr_null(strstr(heard.text, "event:"));
    }
    close(fd);
    serve_end();
}
END_TEST

START_TEST(what_cannot_be_streamed_is_refused)
{
    char path[128];

    serve();
    snprintf(path, sizeof(path), "%s", accept_on("/now/x"));
    static const char *const methods[] = {"HEAD", "POST", "DELETE", "OPTIONS"};
    for (size_t i = 0; i < ARRAY_LEN(methods); i++) {
        const char *answer =
            ask(request(methods[i], path, "/events", "Connection: close\r\n"));
        ck_status(answer, 405);
        ck_assert_str_eq(field_of(answer, "Allow"), "GET");
    }
    ck_status(ask(request("GET", path, "/event", "")), 404);
    path[20] = path[20] == '0' ? '1' : '0';
    ck_status(ask(request("GET", path, "/events", "")), 404);
    ck_status(ask(request("GET", accept_on("/now/forgotten"), "/events", "")),
              410);
    serve_end();
}
END_TEST

START_TEST(streams_count_among_those_who_wait)
{
    static struct heard heard;
    char path[128];

    serve_with("  max_waiting: 1\n");
    snprintf(path, sizeof(path), "%s", accept_on("/now/x"));
    int fd = open_stream(path);
    forget(&heard);
    ck_assert(hear(&heard, fd, "event: status"));
    const char *answer = ask(request("GET", path, "/events", ""));
    ck_status(answer, 503);
    ck_assert_ptr_nonnull(strstr(answer, "\"busy\""));
    ck_assert_str_ne(field_of(answer, "Retry-After"), "");
    ck_status(ask(request("GET", "/wait/late", "", "")), 202);
    close(fd); /* which is noticed */
    mono_ms start = clock_mono();
    while (status_of(ask(request("GET", "/wait/late", "", ""))) != 200)
        ck_assert_int_lt(clock_mono() - start, 5000);
    serve_end();
}
END_TEST

START_TEST(a_place_is_given_back_at_a_stream_s_end)
{
    serve_with("  max_waiting: 1\n");
    for (int i = 0; i < 3; i++) {
        static struct heard heard;
        int fd = open_stream(accept_on("/now/late"));
        forget(&heard);
        ck_assert(hear(&heard, fd, "\r\n0\r\n\r\n"));
        ck_status(ask(request("GET", "/wait/late", "", "")), 200);
        close(fd);
        ck_status(
            ask(request("GET", accept_on("/now/forgotten"), "/events", "")),
            410);
    }
    serve_end();
}
END_TEST

START_TEST(the_end_of_the_ingress_ends_streams)
{
    static struct heard heard;
    char path[128];
    int fds[50];

    serve();
    snprintf(path, sizeof(path), "%s", accept_on("/now/x"));
    for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
        fds[i] = open_stream(path);
        forget(&heard);
        ck_assert(hear(&heard, fds[i], "event: status"));
    }
    mono_ms start = clock_mono();
    kill(serve_pid, SIGTERM);
    for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
        forget(&heard);
        ck_assert(hear(&heard, fds[i], "0\r\n\r\n"));
        ck_assert_ptr_null(strstr(heard.text, "event: end"));
        close(fds[i]);
    }
    serve_end();
    ck_assert_int_lt(clock_mono() - start, 5000);
}
END_TEST

START_TEST(many_streams_of_many_tickets_all_end)
{
    static struct heard heard[100];
    int fds[100];

    serve();
    for (size_t i = 0; i < ARRAY_LEN(fds); i++)
        fds[i] = open_stream(accept_on(i % 3 == 0 ? "/now/echo" : "/now/late"));
    for (size_t i = 0; i < ARRAY_LEN(fds); i += 7)
        close(fds[i]); /* without a word */
    for (size_t i = 0; i < ARRAY_LEN(fds); i++)
        if (i % 7 != 0) {
            ck_assert_msg(hear(&heard[i], fds[i], "\r\n0\r\n\r\n"),
                          "stream %zu: %s", i, heard[i].text);
            ck_assert_ptr_nonnull(strstr(heard[i].text, "event: end\n"));
            close(fds[i]);
        }
    serve_end();
}
END_TEST

TESTS("ingress", "events", a_stream_tells_the_state_at_once_and_then_its_end,
      a_stream_of_what_has_ended_ends_at_once,
      who_has_seen_the_end_is_told_to_stop,
      a_client_of_http_1_0_gets_a_stream_that_closes,
      a_change_is_told_and_sameness_is_not, a_silent_stream_has_a_heartbeat,
      what_cannot_be_streamed_is_refused, streams_count_among_those_who_wait,
      a_place_is_given_back_at_a_stream_s_end,
      the_end_of_the_ingress_ends_streams, many_streams_of_many_tickets_all_end)
