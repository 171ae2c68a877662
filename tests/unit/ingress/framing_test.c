/* framing_test.c - requests whose end or shape is in doubt, as bytes. */
#include "tests/unit/ingress/serve.h"

#define HOST "Host: t\r\n"

/* Refused with this code, and the connection is closed after it. */
static void
refused_bytes(const char *at, size_t len, int status)
{
    int fd = dial(serve_port);
    char byte;

    send_bytes(fd, at, len);
    const char *answer = read_answers(fd, 1);
    ck_assert_msg(status_of(answer) == status, "%.300s\n-> %.500s", at, answer);
    ck_assert_str_eq(field_of(answer, "Connection"), "close");
    ck_assert_str_eq(field_of(answer, "Content-Type"),
                     "application/problem+json");
    struct pollfd pollfd = {.fd = fd, .events = POLLIN};
    ck_assert_int_eq(poll(&pollfd, 1, 5000), 1);
    ck_assert_int_le(recv(fd, &byte, 1, 0), 0);
    close(fd);
}

static void
refused(const char *request, int status)
{
    refused_bytes(request, strlen(request), status);
}

START_TEST(framing_tricks_are_refused_and_the_connection_is_closed)
{
    static const char *const fields[] = {
        "Content-Length: 3\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 3",
        "Content-Length: 3\r\nContent-Length: 3",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding: chunked, identity",
        "Transfer-Encoding: gzip, chunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding : chunked",
        "Content-Length : 3",
        "X-Folded: a\r\n b",
        "X Y: 1",
        "X-Control: a\x01z",
        "Host: u",
    };
    char request[400];

    serve();
    for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
        snprintf(request, sizeof(request),
                 "POST /now HTTP/1.1\r\n" HOST "%s\r\n\r\n0\r\n\r\nabc",
                 fields[i]);
        refused(request, 400);
    }
    serve_end();
}
END_TEST

/* libmicrohttpd finds these itself, and answers in its own words. */
START_TEST(odd_lengths_are_refused)
{
    static const char *const lengths[] = {"3, 3", "+3", "-3", "0x3", "3a", ""};
    char request[400];

    serve();
    for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
        snprintf(request, sizeof(request),
                 "POST /now HTTP/1.1\r\n" HOST "Content-Length: %s\r\n\r\nabc",
                 lengths[i]);
        ck_status(ask(request), 400);
    }
    ck_status(ask("POST /now HTTP/1.1\r\n" HOST
                  "Content-Length: 99999999999999999999\r\n\r\nabc"),
              413);
    serve_end();
}
END_TEST

START_TEST(bytes_that_libmicrohttpd_hides_are_refused)
{
    static const char nul[] = "GET /now HTTP/1.1\r\n" HOST "X: a\0b\r\n\r\n";
    static const char last[] = "GET /now HTTP/1.1\r\n" HOST "X: a\0\r\n\r\n";
    static const char target[] = "GET /now\0x HTTP/1.1\r\n" HOST "\r\n";

    serve();
    refused_bytes(nul, sizeof(nul) - 1, 400);
    refused_bytes(last, sizeof(last) - 1, 400);
    refused_bytes(target, sizeof(target) - 1, 400);
    refused("GET /now HTTP/1.1\n" HOST "\r\n", 400);
    refused("GET /now HTTP/1.1\r\nHost: t\nX: y\r\n\r\n", 400);
    refused("GET  /now HTTP/1.1\r\n" HOST "\r\n", 400);
    refused("GET /now  HTTP/1.1\r\n" HOST "\r\n", 400);
    refused("GET /now x HTTP/1.1\r\n" HOST "\r\n", 400);
    serve_end();
}
END_TEST

START_TEST(a_host_is_needed_and_must_be_one)
{
    serve();
    refused("GET /now HTTP/1.1\r\n\r\n", 400);
    refused("GET /now HTTP/1.1\r\nHost: a b\r\n\r\n", 400);
    refused("GET /now HTTP/1.1\r\nHost: a:x\r\n\r\n", 400);
    refused("GET /now HTTP/1.1\r\nHost: a/b\r\n\r\n", 400);
    refused("GET http://u/now HTTP/1.1\r\n" HOST "\r\n", 400);
    ck_status(ask("GET http://t/now HTTP/1.1\r\n" HOST "\r\n"), 202);
    ck_status(ask("GET /now HTTP/1.0\r\n\r\n"), 202);
    serve_end();
}
END_TEST

START_TEST(targets_that_could_be_read_two_ways_are_refused)
{
    serve();
    refused("GET /now/../x HTTP/1.1\r\n" HOST "\r\n", 400);
    refused("GET /now/%2e%2E/x HTTP/1.1\r\n" HOST "\r\n", 400);
    refused("GET /now/%00 HTTP/1.1\r\n" HOST "\r\n", 400);
    refused("GET /now/%zz HTTP/1.1\r\n" HOST "\r\n", 400);
    refused("GET now HTTP/1.1\r\n" HOST "\r\n", 400);
    ck_status(ask("GET /now/a..b/...?x=/../ HTTP/1.1\r\n" HOST "\r\n"), 202);
    serve_end();
}
END_TEST

START_TEST(other_protocols_and_methods_are_refused)
{
    serve();
    refused("CONNECT t:80 HTTP/1.1\r\n" HOST "\r\n", 501);
    refused("TRACE /now HTTP/1.1\r\n" HOST "\r\n", 501);
    refused("G@T /now HTTP/1.1\r\n" HOST "\r\n", 400);
    ck_status(ask("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), 505);
    ck_status(ask("GET /now HTTP/0.9\r\n\r\n"), 505);
    ck_status(ask("GET /now\r\n\r\n"), 400);
    ck_status(ask("BREW /now HTTP/1.1\r\n" HOST "\r\n"), 202);
    serve_end();
}
END_TEST

START_TEST(limits_of_the_header_hold)
{
    char *request = mem_zalloc(200000);

    serve();
    sprintf(request, "GET /now HTTP/1.1\r\n" HOST "X: %0*d\r\n\r\n", 17000, 0);
    refused(request, 431);
    sprintf(request, "GET /now/%0*d HTTP/1.1\r\n" HOST "\r\n", 17000, 0);
    refused(request, 414);
    sprintf(request, "GET /now HTTP/1.1\r\n" HOST "X: %0*d\r\n\r\n", 100000, 0);
    ck_status(ask(request), 431);
    sprintf(request, "GET /now/%0*d HTTP/1.1\r\n" HOST "\r\n", 100000, 0);
    ck_status(ask(request), 414);
    size_t len = (size_t)sprintf(request, "GET /now HTTP/1.1\r\n" HOST);
    for (int i = 0; i < 1000; i++)
        len += (size_t)sprintf(request + len, "X: y\r\n");
    strcpy(request + len, "\r\n");
    ck_status(ask(request), 431);
    sprintf(request, "GET /now HTTP/1.1\r\n" HOST "X: %0*d\r\n\r\n", 15000, 0);
    ck_status(ask(request), 202);
    free(request);
    serve_end();
}
END_TEST

START_TEST(a_body_over_the_limit_is_refused_however_it_comes)
{
    char *request = mem_zalloc(200000);

    serve_with("  max_body: 1000B\n");
    refused("POST /now HTTP/1.1\r\n" HOST "Content-Length: 100000\r\n\r\nabc",
            413);
    refused("POST /now HTTP/1.1\r\n" HOST
            "Content-Length: 1001\r\nExpect: 100-continue\r\n\r\n",
            413);
    sprintf(request,
            "POST /now HTTP/1.1\r\n" HOST
            "Transfer-Encoding: chunked\r\n\r\n186A0\r\n%0100000d\r\n",
            0);
    refused(request, 413);
    sprintf(request,
            "POST /now HTTP/1.1\r\n" HOST "Content-Length: 1001\r\n\r\n%01001d",
            0);
    ck_status(ask(request), 413);
    refused("POST /now HTTP/1.1\r\n" HOST
            "Content-Length: 3\r\nExpect: 200-ok\r\n\r\n",
            417);
    free(request);
    serve_end();
}
END_TEST

START_TEST(chunks_that_are_none_are_refused)
{
    serve();
    ck_status(ask("POST /now HTTP/1.1\r\n" HOST
                  "Transfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n0\r\n\r\n"),
              400);
    ck_status(ask("POST /now HTTP/1.1\r\n" HOST
                  "Transfer-Encoding: chunked\r\n\r\n3\r\nabcX0\r\n\r\n"),
              400);
    ck_status(ask("POST /now HTTP/1.1\r\n" HOST
                  "Transfer-Encoding: chunked\r\n\r\n"
                  "10000000000000000\r\nabc\r\n0\r\n\r\n"),
              413);
    serve_end();
}
END_TEST

START_TEST(slow_requests_get_a_408_and_idle_connections_are_cut_off)
{
    serve_with("  body_timeout: 1s\n  header_timeout: 1s\n");
    refused("POST /now HTTP/1.1\r\n" HOST "Content-Length: 10\r\n\r\nabc", 408);
    refused("POST /now HTTP/1.1\r\nHost:", 408);
    ck_assert_str_eq(ask(""), "");
    ck_assert_str_eq(ask("POST /no"), "");

    const char *request = "GET /now HTTP/1.1\r\n" HOST "\r\n";
    int fd = dial(serve_port);
    send_bytes(fd, request, strlen(request));
    const char *all = read_answers(fd, 2); /* the end comes instead */
    ck_status(all, 202);
    ck_assert_ptr_null(strstr(all + 1, "HTTP/1.1"));
    close(fd);
    serve_end();
}
END_TEST

TESTS("ingress", "framing",
      framing_tricks_are_refused_and_the_connection_is_closed,
      odd_lengths_are_refused, bytes_that_libmicrohttpd_hides_are_refused,
      a_host_is_needed_and_must_be_one,
      targets_that_could_be_read_two_ways_are_refused,
      other_protocols_and_methods_are_refused, limits_of_the_header_hold,
      a_body_over_the_limit_is_refused_however_it_comes,
      chunks_that_are_none_are_refused,
      slow_requests_get_a_408_and_idle_connections_are_cut_off)
