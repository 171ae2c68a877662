/* waiting_test.c - clients that wait: Prefer, caps, hang-ups, the end. */
#include "tests/unit/ingress/serve.h"

#define HOST "Host: t\r\n"

static const char *
get(const char *target, const char *fields)
{
    char request[512];

    snprintf(request, sizeof(request), "GET %s HTTP/1.1\r\n" HOST "%s\r\n",
             target, fields);
    return ask(request);
}

/* Sends and leaves the connection open. */
static int
begin(const char *target)
{
    char request[256];
    int fd = dial(serve_port);

    snprintf(request, sizeof(request), "GET %s HTTP/1.1\r\n" HOST "\r\n",
             target);
    send_bytes(fd, request, strlen(request));
    return fd;
}

START_TEST(the_table_of_preferences_holds)
{
    static const struct {
        const char *target, *prefer;
        int status;
        const char *applied, *vary;
    } rows[] = {
        {"/wait/echo", "", 200, "", ""},
        {"/now", "", 202, "", ""},
        {"/short", "", 202, "", ""},
        {"/wait/echo", "respond-async", 202, "respond-async", "Prefer"},
        {"/wait/late", "wait=0", 202, "wait=0", "Prefer"},
        {"/wait/late", "respond-async, wait=9", 200, "wait=9", "Prefer"},
        {"/wait/late", "wait=9", 200, "wait=9", "Prefer"},
        {"/wait/late", "wait=999999", 200, "wait=60", "Prefer"},
        {"/wait/late", "wait=-1", 200, "", ""},
        {"/wait/late", "wait=x, foo", 200, "", ""},
        {"/wait/late", "RESPOND-async;x=1, wait=\"0\"", 202,
         "respond-async, wait=0", "Prefer"},
        {"/short/x", "wait=5", 202, "wait=1", "Prefer"},
        {"/short/x", "respond-async, wait=5", 202, "respond-async, wait=1",
         "Prefer"},
        {"/now/late", "wait=5", 200, "wait=5", "Prefer"},
        {"/strict/x", "", 504, "", ""},
        {"/strict/x", "wait=1", 504, "wait=1", "Prefer"},
        {"/strict/x", "respond-async", 202, "respond-async", "Prefer"},
        {"/strict/late", "wait=5", 200, "wait=5", "Prefer"},
    };

    serve();
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char field[100] = "";
        if (rows[i].prefer[0] != '\0')
            snprintf(field, sizeof(field), "Prefer: %s\r\n", rows[i].prefer);
        const char *answer = get(rows[i].target, field);
        ck_assert_msg(status_of(answer) == rows[i].status, "row %zu: %.300s", i,
                      answer);
        ck_assert_str_eq(field_of(answer, "Preference-Applied"),
                         rows[i].applied);
        ck_assert_str_eq(field_of(answer, "Vary"), rows[i].vary);
        if (rows[i].status == 504)
            ck_assert_str_ne(field_of(answer, "Location"), "");
    }
    serve_end();
}
END_TEST

/* With max_waiting: 1, a connection that holds the place. */
static int
hold_the_place(void)
{
    mono_ms start = clock_mono();
    int fd = begin("/wait/x");

    while (status_of(get("/wait/late", "")) == 200) {
        struct pollfd pollfd = {.fd = fd, .events = POLLIN};
        ck_assert_int_lt(clock_mono() - start, 10000);
        if (poll(&pollfd, 1, 0) == 1) { /* came too late, and has its ticket */
            close(fd);
            fd = begin("/wait/x");
        }
    }
    return fd;
}

START_TEST(over_max_waiting_a_client_gets_its_ticket_at_once)
{
    serve_with("  max_waiting: 1\n");
    int fd = hold_the_place();
    ck_status(get("/wait/y", ""), 202);
    close(fd);
    serve_end();
}
END_TEST

START_TEST(a_client_that_goes_away_frees_its_place)
{
    serve_with("  max_waiting: 1\n");
    int fd = hold_the_place();
    close(fd);
    mono_ms start = clock_mono();
    while (status_of(get("/wait/late", "")) != 200)
        ck_assert_int_lt(clock_mono() - start, 5000);
    serve_end();
}
END_TEST

START_TEST(the_end_gives_waiting_clients_their_ticket)
{
    int fds[20];

    serve();
    for (size_t i = 0; i < ARRAY_LEN(fds); i++)
        fds[i] = begin(i == 0 ? "/strict/x" : "/wait/x");
    ck_status(get("/wait/late", ""), 200); /* all are in by now */
    kill(serve_pid, SIGTERM);
    for (size_t i = 1; i < ARRAY_LEN(fds); i++) {
        const char *answer = read_answers(fds[i], 1);
        ck_status(answer, 202);
        ck_assert_str_ne(field_of(answer, "Location"), "");
        ck_assert_str_eq(field_of(answer, "Connection"), "close");
    }
    ck_status(read_answers(fds[0], 1), 504);
    for (size_t i = 0; i < ARRAY_LEN(fds); i++)
        close(fds[i]);
    serve_end();
}
END_TEST

START_TEST(many_clients_wait_at_once_and_each_gets_its_own)
{
    int fds[200];
    char target[40];

    serve();
    for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
        snprintf(target, sizeof(target), "/wait/late/%zu", i);
        fds[i] = begin(target);
    }
    for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
        const char *answer = read_answers(fds[i], 1);
        ck_status(answer, 200);
        snprintf(target, sizeof(target), "GET /wait/late/%zu ", i);
        ck_assert_ptr_nonnull(strstr(answer, target));
        close(fds[i]);
    }
    serve_end();
}
END_TEST

START_TEST(the_end_does_not_wait_for_idle_or_half_sent_requests)
{
    serve();
    int idle = dial(serve_port), half = dial(serve_port);
    send_bytes(half, "GET /now HT", 11);
    ck_status(get("/now", ""), 202);
    mono_ms start = clock_mono();
    serve_end();
    ck_assert_int_lt(clock_mono() - start, 5000);
    close(idle);
    close(half);
}
END_TEST

TESTS("ingress", "waiting", the_table_of_preferences_holds,
      over_max_waiting_a_client_gets_its_ticket_at_once,
      a_client_that_goes_away_frees_its_place,
      the_end_gives_waiting_clients_their_ticket,
      many_clients_wait_at_once_and_each_gets_its_own,
      the_end_does_not_wait_for_idle_or_half_sent_requests)
