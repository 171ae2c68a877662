/* requests_test.c - requests, tickets and answers over a real connection. */
#include "tests/unit/ingress/serve.h"

#define HOST "Host: t\r\n"

static const char *
body_of(const char *answer)
{
    const char *end = strstr(answer, "\r\n\r\n");

    ck_assert_ptr_nonnull(end);
    return end + 4;
}

/* Accepts a request on target and gives its ticket's path. */
static const char *
accept_on(const char *target)
{
    static char path[128];
    char request[256];

    snprintf(request, sizeof(request),
             "POST %s HTTP/1.1\r\n" HOST
             "Prefer: respond-async\r\nContent-Length: 2\r\n\r\nhi",
             target);
    const char *answer = ask(request);
    ck_status(answer, 202);
    snprintf(path, sizeof(path), "%s", field_of(answer, "Location"));
    return path;
}

static const char *
ask_for(const char *method, const char *path, const char *rest,
        const char *fields)
{
    char request[512];

    snprintf(request, sizeof(request), "%s %s%s HTTP/1.1\r\n" HOST "%s\r\n",
             method, path, rest, fields);
    return ask(request);
}

/* ---- accepting
 * --------------------------------------------------------------- */

START_TEST(an_accepted_request_gets_a_ticket_and_its_status)
{
    serve();
    const char *answer =
        ask("POST /now HTTP/1.1\r\n" HOST "Content-Length: 2\r\n\r\nhi");
    ck_status(answer, 202);
    char path[128];
    snprintf(path, sizeof(path), "%s", field_of(answer, "Location"));
    ck_assert_int_eq(strncmp(path, "/-/tickets/", 11), 0);
    ck_assert_uint_eq(strlen(path), 11 + TICKET_TEXT);
    ck_assert_str_eq(field_of(answer, "Content-Location"), path);
    ck_assert_str_eq(field_of(answer, "Cache-Control"), "no-store");
    ck_assert_str_eq(field_of(answer, "Retry-After"), "1");
    ck_assert_str_eq(field_of(answer, "Content-Type"), "application/json");
    ck_assert_ptr_nonnull(strstr(field_of(answer, "Link"), "rel=\"monitor\""));
    ck_assert_ptr_nonnull(strstr(body_of(answer), "\"state\":\"queued\""));
    ck_assert_ptr_nonnull(strstr(body_of(answer), path + 11));
    ck_assert_ptr_null(strstr(body_of(answer), "started"));

    answer = ask_for("GET", path, "", "");
    ck_status(answer, 200);
    ck_assert_ptr_nonnull(strstr(body_of(answer), "\"queue\":\"q\""));
    ck_status(ask_for("HEAD", path, "", "Connection: close\r\n"), 200);
    serve_end();
}
END_TEST

/* The ticket in each place of an answer that names it, and the time of it. */
static void
check_receipt(const char *answer, const char *preference, char path[128],
              char time[25])
{
    char expected[600], link[160];

    ck_status(answer, 202);
    snprintf(path, 128, "%s", field_of(answer, "Location"));
    ck_assert_str_eq(field_of(answer, "Content-Location"), path);
    snprintf(link, sizeof(link), "<%s>; rel=\"monitor\"", path);
    ck_assert_str_eq(field_of(answer, "Link"), link);
    ck_assert_str_eq(field_of(answer, "Preference-Applied"), preference);
    ck_assert_str_eq(field_of(answer, "Vary"),
                     preference[0] == '\0' ? "" : "Prefer");
    snprintf(time, 25, "%s", strstr(body_of(answer), "submitted") + 12);
    snprintf(expected, sizeof(expected),
             "{\"ticket\":\"%s\",\"state\":\"queued\",\"queue\":\"q\","
             "\"attempts\":0,\"submitted\":\"%s\",\"response\":"
             "\"%s/response\"}\n",
             path + 11, time, path);
    ck_assert_str_eq(body_of(answer), expected);
}

START_TEST(each_answer_on_one_connection_names_its_own_ticket)
{
    static const struct {
        const char *fields, *applied;
    } kinds[] = {{"", ""},
                 {"", ""},
                 {"Prefer: respond-async\r\n", "respond-async"},
                 {"Prefer: respond-async\r\n", "respond-async"},
                 {"Prefer: wait=0\r\n", "wait=0"},
                 {"Idempotency-Key: a\r\n", ""},
                 {"", ""}};
    char request[200], path[128], last[128] = "", time[25];

    serve();
    int fd = dial(serve_port);
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        usleep(2000); /* so that their times differ */
        snprintf(request, sizeof(request),
                 "POST /now HTTP/1.1\r\n" HOST "%s\r\n", kinds[i].fields);
        send_bytes(fd, request, strlen(request));
        const char *answer = read_answers(fd, 1);
        check_receipt(answer, kinds[i].applied, path, time);
        ck_assert_str_ne(path, last);
        ck_assert_ptr_nonnull(strstr(ask_for("GET", path, "", ""), time));
        strcpy(last, path);
    }
    close(fd);
    serve_end();
}
END_TEST

START_TEST(what_is_stored_is_what_was_sent_without_hop_by_hop_fields)
{
    serve();
    const char *answer =
        ask("POST /wait/echo?a=b&c=%20+ HTTP/1.1\r\n" HOST
            "X-One:  1 \r\nConnection: X-Two, keep-alive\r\nX-Two: 2\r\n"
            "TE: trailers\r\nKeep-Alive: 5\r\nX-ONE: \xe9\r\nUpgrade: h2c\r\n"
            "Proxy-Authorization: x\r\nCookie: a=b; c\r\n"
            "Content-Length: 2\r\n\r\nhi");
    ck_status(answer, 200);
    ck_assert_str_eq(body_of(answer),
                     "POST /wait/echo?a=b&c=%20+ HTTP/1.1\r\n" HOST
                     "X-One: 1\r\nX-ONE: \xe9\r\nCookie: a=b; c\r\n"
                     "Content-Length: 2\r\n\r\nhi");
    serve_end();
}
END_TEST

START_TEST(a_chunked_body_is_stored_with_its_length)
{
    serve();
    const char *answer = ask(
        "PUT /wait/echo HTTP/1.1\r\n" HOST "Transfer-Encoding: Chunked\r\n\r\n"
        "3\r\nabc\r\n4;x=y\r\ndefg\r\n0\r\nTrailer: t\r\n\r\n");
    ck_status(answer, 200);
    ck_assert_str_eq(body_of(answer), "PUT /wait/echo HTTP/1.1\r\n" HOST
                                      "Content-Length: 7\r\n\r\nabcdefg");
    ck_assert_str_eq(body_of(ask_for("GET", "/wait/echo", "", "")),
                     "GET /wait/echo HTTP/1.1\r\n" HOST "\r\n");
    serve_end();
}
END_TEST

START_TEST(routes_choose_by_path_and_method)
{
    serve();
    ck_status(ask_for("GET", "/nowhere", "", ""), 404);
    ck_status(ask_for("GET", "/nowx", "", ""), 404);
    ck_status(ask_for("GET", "/now/x", "", ""), 202);
    const char *answer = ask_for("DELETE", "/read", "", "");
    ck_status(answer, 405);
    ck_assert_str_eq(field_of(answer, "Allow"), "GET, HEAD");
    answer = ask_for("POST", "/read", "", "Transfer-Encoding: chunked\r\n");
    ck_status(answer, 405);
    ck_assert_str_eq(field_of(answer, "Allow"), "GET, HEAD");
    ck_status(ask_for("GET", "/-/x", "", ""), 404);
    ck_status(ask_for("GET", "/-", "", ""), 404);
    serve_end();
}
END_TEST

START_TEST(a_continue_is_sent_when_the_body_is_wanted)
{
    serve();
    int fd = dial(serve_port);
    const char *head = "POST /now HTTP/1.1\r\n" HOST
                       "Expect: 100-continue\r\nContent-Length: 2\r\n\r\n";
    send_bytes(fd, head, strlen(head));
    ck_status(read_answers(fd, 1), 100);
    send_bytes(fd, "hi", 2);
    ck_status(read_answers(fd, 1), 202);
    close(fd);
    ck_status(ask("POST /nowhere HTTP/1.1\r\n" HOST
                  "Expect: 100-continue\r\nContent-Length: 2\r\n\r\n"),
              404);
    serve_end();
}
END_TEST

START_TEST(pipelined_requests_are_answered_in_order)
{
    serve();
    int fd = dial(serve_port);
    const char *requests =
        "GET /wait/late/1 HTTP/1.1\r\n" HOST "\r\n"
        "GET /nowhere HTTP/1.1\r\n" HOST "\r\n"
        "POST /wait/echo/2 HTTP/1.1\r\n" HOST "Content-Length: 2\r\n\r\nhi"
        "GET /wait/echo/3 HTTP/1.1\r\n" HOST "\r\n";
    send_bytes(fd, requests, strlen(requests));
    const char *answer = read_answers(fd, 4);
    const char *first = strstr(answer, "GET /wait/late/1");
    const char *second = strstr(answer, "no-route");
    const char *third = strstr(answer, "POST /wait/echo/2");
    const char *fourth = strstr(answer, "GET /wait/echo/3");
    ck_assert(first != NULL && first < second && second < third &&
              third < fourth);
    close(fd);
    serve_end();
}
END_TEST

START_TEST(what_the_broker_refuses_is_said)
{
    serve();
    const char *answer = ask_for("GET", "/now/full", "", "");
    ck_status(answer, 503);
    ck_assert_ptr_nonnull(strstr(answer, "queue-full"));
    ck_assert_str_ne(field_of(answer, "Retry-After"), "");
    ck_status(ask_for("GET", "/wait/disk", "", ""), 507);
    serve_end();
}
END_TEST

/* ---- tickets
 * ----------------------------------------------------------------- */

START_TEST(a_response_is_replayed_as_often_as_it_is_asked_for)
{
    serve();
    const char *path = accept_on("/now/late/fields");
    const char *answer = ask_for("GET", path, "/response", "");
    ck_status(answer, 202);
    ck_assert_str_eq(field_of(answer, "Location"), path);
    answer = ask_for("GET", path, "/response", "Prefer: wait=10\r\n");
    ck_status(answer, 200);
    ck_assert_str_eq(field_of(answer, "Preference-Applied"), "wait=10");
    for (int i = 0; i < 2; i++) {
        answer = ask_for("GET", path, "/response", "");
        ck_status(answer, 200);
        ck_assert_ptr_nonnull(
            strstr(field_of(answer, "Cloakroom-Ticket"), "; state=done"));
        ck_assert_str_eq(field_of(answer, "Content-Type"), "text/fake");
        ck_assert_ptr_nonnull(
            strstr(answer, "\r\nSet-Cookie: a=1\r\nSet-Cookie: b=\xe9\r\n"));
        ck_assert_str_eq(field_of(answer, "X-Hop"), "");
        ck_assert_str_eq(field_of(answer, "Connection"), "");
        ck_assert_ptr_nonnull(strstr(body_of(answer), "\r\n\r\nhi"));
    }
    answer = ask_for("HEAD", path, "/response", "Connection: close\r\n");
    ck_status(answer, 200);
    ck_status(ask_for("GET", path, "", ""), 200);
    serve_end();
}
END_TEST

START_TEST(made_up_tickets_are_not_found)
{
    serve();
    char path[128];
    snprintf(path, sizeof(path), "%s", accept_on("/now"));
    ck_status(ask_for("GET", path, "x", ""), 404);
    ck_status(ask_for("GET", path, "/other", ""), 404);
    path[20] = path[20] == 'a' ? 'b' : 'a';
    const char *answer = ask_for("GET", path, "", "");
    ck_status(answer, 404);
    ck_assert_ptr_nonnull(strstr(answer, "there is no such ticket"));
    ck_status(ask_for("GET", path, "/response", ""), 404);
    ck_status(ask_for("DELETE", path, "", ""), 404);
    ck_status(ask_for("GET", "/-/tickets/", "", ""), 404);
    ck_status(ask_for("GET", "/-/tickets/..%2f..%2fetc", "", ""), 404);
    serve_end();
}
END_TEST

START_TEST(cancelling_ends_a_queued_request_once)
{
    serve();
    char path[128];
    snprintf(path, sizeof(path), "%s", accept_on("/now"));
    const char *answer = ask_for("DELETE", path, "", "");
    ck_status(answer, 200);
    ck_assert_ptr_nonnull(strstr(answer, "\"state\":\"cancelled\""));
    ck_status(ask_for("DELETE", path, "", ""), 409);
    ck_status(ask_for("GET", path, "/response", ""), 410);
    answer = ask_for("PUT", path, "", "");
    ck_status(answer, 405);
    ck_assert_str_eq(field_of(answer, "Allow"), "GET, HEAD, DELETE");
    ck_status(ask_for("DELETE", path, "/response", ""), 405);
    serve_end();
}
END_TEST

START_TEST(a_ticket_of_ours_that_is_not_kept_is_gone)
{
    struct ticket_secret *secret;
    char text[TICKET_TEXT + 1], key[100], path[128];

    serve();
    snprintf(key, sizeof(key), "%s/ticket.key", serve_directory);
    ck_assert_int_eq(ticket_secret_load(key, false, &secret, NULL), 0);
    struct ticket ticket =
        ticket_make(secret, clock_wall(), TICKET_RANDOM_SLOT);
    ticket_format(&ticket, text);
    snprintf(path, sizeof(path), "/-/tickets/%s", text);
    ck_status(ask_for("GET", path, "", ""), 410);
    ck_status(ask_for("GET", path, "/response", "Prefer: wait=1\r\n"), 410);
    ck_status(ask_for("DELETE", path, "", ""), 410);
    ticket_secret_free(secret);
    serve_end();
}
END_TEST

START_TEST(a_response_with_too_many_fields_is_explained)
{
    serve();
    const char *answer = ask_for("GET", "/wait/echo/wide", "", "");
    ck_status(answer, 502);
    ck_assert_ptr_nonnull(strstr(answer, "header-too-large"));
    serve_end();
}
END_TEST

/* ---- keys
 * -------------------------------------------------------------------- */

START_TEST(a_key_joins_the_first_request)
{
    serve();
    const char *answer =
        ask_for("POST", "/now", "", "Idempotency-Key: \"k1\"\r\n");
    ck_status(answer, 202);
    ck_assert_str_eq(field_of(answer, "Idempotency-Replayed"), "");
    char path[128];
    snprintf(path, sizeof(path), "%s", field_of(answer, "Location"));

    answer = ask_for("POST", "/now", "", "Idempotency-Key: k1\r\n");
    ck_status(answer, 202);
    ck_assert_str_eq(field_of(answer, "Location"), path);
    ck_assert_str_eq(field_of(answer, "Idempotency-Replayed"), "true");

    answer = ask("POST /now HTTP/1.1\r\n" HOST
                 "Idempotency-Key: k1\r\nContent-Length: 2\r\n\r\nhi");
    ck_status(answer, 422);
    ck_assert_ptr_nonnull(strstr(answer, "key-reused"));
    answer = ask_for("PUT", "/now", "", "Idempotency-Key: k1\r\n");
    ck_status(answer, 202);
    ck_assert_str_ne(field_of(answer, "Location"), path);
    ck_status(ask_for("POST", "/now", "", "Idempotency-Key: \"\"\r\n"), 400);
    serve_end();
}
END_TEST

START_TEST(a_key_joins_while_the_first_runs_and_after_it_is_done)
{
    serve();
    const char *request = "POST /wait/late HTTP/1.1\r\n" HOST
                          "Idempotency-Key: k\r\nContent-Length: 2\r\n\r\nhi";
    char tickets[3][128];
    int fds[2] = {dial(serve_port), dial(serve_port)};
    for (int i = 0; i < 2; i++)
        send_bytes(fds[i], request, strlen(request));
    for (int i = 0; i < 2; i++) {
        const char *answer = read_answers(fds[i], 1);
        ck_status(answer, 200);
        snprintf(tickets[i], 128, "%s", field_of(answer, "Cloakroom-Ticket"));
        close(fds[i]);
    }
    const char *answer = ask(request);
    ck_status(answer, 200);
    ck_assert_str_eq(field_of(answer, "Idempotency-Replayed"), "true");
    snprintf(tickets[2], 128, "%s", field_of(answer, "Cloakroom-Ticket"));
    ck_assert_str_eq(tickets[0], tickets[1]);
    ck_assert_str_eq(tickets[0], tickets[2]);
    serve_end();
}
END_TEST

/* Keys may be kept for longer than tickets. */
START_TEST(a_key_whose_request_is_not_kept_any_more_says_so)
{
    static const char *const paths[] = {"/now/forgotten", "/wait/forgotten"};

    serve();
    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        char path[128];
        const char *fields = "Idempotency-Key: k\r\nPrefer: respond-async\r\n";
        const char *answer = ask_for("POST", paths[i], "", fields);
        ck_status(answer, 202);
        snprintf(path, sizeof(path), "%s", field_of(answer, "Location"));
        answer = ask_for("POST", paths[i], "", "Idempotency-Key: k\r\n");
        ck_status(answer, 410);
        ck_assert_str_eq(field_of(answer, "Idempotency-Replayed"), "true");
        ck_assert_ptr_nonnull(strstr(body_of(answer), "\"code\":\"expired\""));
        ck_assert_ptr_nonnull(strstr(body_of(answer), path + 11));
    }
    serve_end();
}
END_TEST

/* ---- probes
 * ------------------------------------------------------------------ */

START_TEST(the_admin_listener_tells_health)
{
    serve();
    unsigned port = serve_port;
    serve_port = serve_admin;
    ck_status(ask_for("GET", "/healthz", "", ""), 200);
    ck_status(ask_for("GET", "/readyz", "", ""), 200);
    ck_status(ask_for("POST", "/readyz", "", ""), 405);
    ck_status(ask_for("GET", "/", "", ""), 404);
    serve_port = port;
    serve_end();
}
END_TEST

TESTS("ingress", "requests", an_accepted_request_gets_a_ticket_and_its_status,
      each_answer_on_one_connection_names_its_own_ticket,
      what_is_stored_is_what_was_sent_without_hop_by_hop_fields,
      a_chunked_body_is_stored_with_its_length,
      routes_choose_by_path_and_method,
      a_continue_is_sent_when_the_body_is_wanted,
      pipelined_requests_are_answered_in_order, what_the_broker_refuses_is_said,
      a_response_is_replayed_as_often_as_it_is_asked_for,
      made_up_tickets_are_not_found, cancelling_ends_a_queued_request_once,
      a_ticket_of_ours_that_is_not_kept_is_gone,
      a_response_with_too_many_fields_is_explained,
      a_key_joins_the_first_request,
      a_key_joins_while_the_first_runs_and_after_it_is_done,
      a_key_whose_request_is_not_kept_any_more_says_so,
      the_admin_listener_tells_health)
