/* pages_test.c - who gets the waiting page, and what a pause adds to answers.
 */
#include "tests/unit/ingress/serve.h"

#define BROWSER                                                                \
    "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,"           \
    "*/*;q=0.8\r\n"

static const char *
request(const char *method, const char *path, const char *rest,
        const char *fields)
{
    char text[512];

    snprintf(text, sizeof(text), "%s %s%s HTTP/1.1\r\nHost: t\r\n%s\r\n",
             method, path, rest, fields);
    return ask(text);
}

static const char *
accept_on(const char *target, const char *fields)
{
    static char path[128];
    const char *answer = request("POST", target, "", fields);

    ck_status(answer, 202);
    snprintf(path, sizeof(path), "%s", field_of(answer, "Location"));
    return path;
}

static bool
has(const char *answer, const char *part)
{
    return strstr(strstr(answer, "\r\n\r\n"), part) != NULL;
}

static void
check_page(const char *answer, const char *vary, bool has_policy)
{
    ck_status(answer, 202);
    ck_assert_str_eq(field_of(answer, "Content-Type"),
                     "text/html; charset=utf-8");
    ck_assert_str_eq(field_of(answer, "Cache-Control"), "no-store");
    ck_assert_str_eq(field_of(answer, "Vary"), vary);
    ck_assert_str_eq(field_of(answer, "Content-Location"), "");
    ck_assert_str_ne(field_of(answer, "Retry-After"), "");
    ck_assert_int_eq(field_of(answer, "Content-Security-Policy")[0] != '\0',
                     has_policy);
    ck_assert(has(answer, "<!doctype html>"));
    ck_assert_int_eq(has(answer, "data-place=\"here\""), !has_policy);
    const char *ticket = strrchr(field_of(answer, "Location"), '/');
    ck_assert(ticket != NULL && has(answer, ticket + 1));
}

START_TEST(a_browser_gets_a_page_in_place_of_a_ticket)
{
    char path[128];

    serve();
    check_page(request("GET", "/now", "", BROWSER), "Accept", false);
    ck_assert(has(request("GET", "/now", "", BROWSER), ">3</dd>"));
    check_page(request("GET", "/short", "", BROWSER), "Accept", false);
    check_page(
        request("POST", "/wait", "", BROWSER "Prefer: respond-async\r\n"),
        "Prefer, Accept", false);
    snprintf(path, sizeof(path), "%s", accept_on("/now", ""));
    check_page(request("GET", path, "/response", BROWSER), "Accept", true);
    check_page(request("GET", path, "/response", BROWSER "Prefer: wait=1\r\n"),
               "Prefer, Accept", true);
    serve_end();
}
END_TEST

START_TEST(a_browser_gets_everything_else_as_others_do)
{
    char path[128];

    serve();
    ck_status(request("GET", "/wait/echo", "", BROWSER), 200);
    const char *answer = request("GET", "/strict", "", BROWSER);
    ck_status(answer, 504);
    ck_assert_str_eq(field_of(answer, "Content-Type"),
                     "application/problem+json");
    ck_assert_str_eq(field_of(answer, "Vary"), "");
    snprintf(path, sizeof(path), "%s", accept_on("/now", ""));
    answer = request("GET", path, "", BROWSER);
    ck_status(answer, 200);
    ck_assert_str_eq(field_of(answer, "Content-Type"), "application/json");
    ck_status(request("DELETE", path, "", BROWSER), 200);
    answer = request("GET", path, "/response", BROWSER);
    ck_status(answer, 410);
    ck_assert_str_eq(field_of(answer, "Content-Security-Policy"), "");
    serve_end();
}
END_TEST

START_TEST(who_takes_anything_gets_json)
{
    static const char *const fields[] = {
        "", "Accept: */*\r\n", "Accept: application/json, text/html\r\n",
        "Accept: text/html;q=0.5\r\nAccept: application/json\r\n"};

    serve();
    for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
        const char *answer = request("GET", "/now", "", fields[i]);
        ck_status(answer, 202);
        ck_assert_str_eq(field_of(answer, "Content-Type"), "application/json");
        ck_assert_str_eq(field_of(answer, "Vary"), "");
    }
    serve_end();
}
END_TEST

START_TEST(pages_and_tickets_alternate_on_one_connection)
{
    static const char *const accepts[] = {"*/*",       "text/html", "*/*",
                                          "text/html", "*/*",       "*/*"};
    char text[200];

    serve();
    int fd = dial(serve_port);
    for (size_t i = 0; i < ARRAY_LEN(accepts); i++) {
        snprintf(text, sizeof(text),
                 "POST /now HTTP/1.1\r\nHost: t\r\nAccept: %s\r\n\r\n",
                 accepts[i]);
        send_bytes(fd, text, strlen(text));
        const char *answer = read_answers(fd, 1);
        ck_status(answer, 202);
        ck_assert_int_eq(has(answer, "<!doctype html>"), accepts[i][0] == 't');
    }
    close(fd);
    serve_end();
}
END_TEST

static void
check_paused(const char *answer)
{
    ck_status(answer, 202);
    ck_assert(has(answer, "\"state\":\"queued\",\"reason\":\"paused\","
                          "\"paused_since\":\"2"));
    ck_assert(has(answer, "\"paused_why\":\"moving <b>orders</b> & "
                          "\\\"more\\\", für v2\""));
    ck_assert_str_eq(field_of(answer, "Retry-After"), "12");
}

START_TEST(a_ticket_behind_a_pause_says_so_however_it_is_given)
{
    static const struct {
        const char *target, *fields;
    } kinds[] = {{"/now/paused", ""},
                 {"/now/paused", ""},
                 {"/wait/paused", "Prefer: respond-async\r\n"},
                 {"/wait/paused", "Prefer: wait=1\r\n"},
                 {"/short/paused", ""},
                 {"/now/paused", "Idempotency-Key: k\r\n"},
                 {"/now/paused", "Idempotency-Key: k\r\n"}};
    char path[128];

    serve();
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
        check_paused(request("POST", kinds[i].target, "", kinds[i].fields));
    snprintf(path, sizeof(path), "%s", accept_on("/now/paused", ""));
    check_paused(request("GET", path, "/response", ""));
    const char *answer = request("GET", path, "", "");
    ck_status(answer, 200);
    ck_assert(has(answer, "\"reason\":\"paused\""));
    ck_assert_str_eq(field_of(answer, "Retry-After"), "12");
    serve_end();
}
END_TEST

START_TEST(what_was_accepted_has_a_ticket_although_the_look_at_it_failed)
{
    static const char *const targets[] = {"/now/paused/blind", "/short/blind"};

    serve();
    for (size_t i = 0; i < ARRAY_LEN(targets); i++) {
        const char *answer = request("POST", targets[i], "", "");
        ck_status(answer, 202);
        ck_assert_str_ne(field_of(answer, "Location"), "");
        ck_assert(has(answer, "\"state\":\"queued\""));
    }
    ck_status(request("GET", accept_on("/now/blind", ""), "/events", ""), 500);
    serve_end();
}
END_TEST

START_TEST(receipts_between_pauses_are_receipts_again)
{
    static const char *const targets[] = {"/now/x", "/now/paused", "/now/x",
                                          "/now/x"};
    char text[200];

    serve();
    int fd = dial(serve_port);
    for (size_t i = 0; i < ARRAY_LEN(targets); i++) {
        snprintf(text, sizeof(text), "POST %s HTTP/1.1\r\nHost: t\r\n\r\n",
                 targets[i]);
        send_bytes(fd, text, strlen(text));
        const char *answer = read_answers(fd, 1);
        bool is_paused = strcmp(targets[i], "/now/paused") == 0;
        ck_status(answer, 202);
        ck_assert_int_eq(has(answer, "\"paused\""), is_paused);
        ck_assert_int_eq(has(answer, "\"position\""), is_paused);
    }
    close(fd);
    serve_end();
}
END_TEST

START_TEST(over_max_waiting_a_pause_is_said_as_well)
{
    serve_with("  max_waiting: 0\n");
    check_paused(request("POST", "/wait/paused", "", ""));
    serve_end();
}
END_TEST

START_TEST(the_page_of_a_paused_ticket_has_the_operator_s_words)
{
    serve();
    const char *answer = request("GET", "/now/paused", "", BROWSER);
    check_page(answer, "Accept", false);
    ck_assert(has(answer, "data-state=\"paused\""));
    ck_assert(has(answer, "moving &lt;b&gt;orders&lt;/b&gt; &amp; "
                          "&quot;more&quot;, für v2"));
    ck_assert_str_eq(field_of(answer, "Retry-After"), "12");
    ck_assert(has(answer, "content=\"12; url="));
    serve_end();
}
END_TEST

START_TEST(retry_after_grows_with_the_pause_up_to_a_minute)
{
    char path[128];

    serve();
    snprintf(path, sizeof(path), "%s", accept_on("/now/paused", ""));
    for (int i = 0; i < 30; i++)
        accept_on("/now/leap", "");
    ck_assert_str_eq(field_of(request("GET", path, "", ""), "Retry-After"),
                     "60");
    serve_end();
}
END_TEST

START_TEST(a_queue_that_refuses_says_when_to_come_again)
{
    serve();
    const char *answer = request("POST", "/now/shut", "", BROWSER);
    ck_status(answer, 503);
    ck_assert(has(answer, "\"code\":\"refusing\""));
    ck_assert_str_eq(field_of(answer, "Retry-After"), "2");
    ck_status(request("POST", "/wait/shut", "", ""), 503);
    serve_end();
}
END_TEST

TESTS("ingress", "pages", a_browser_gets_a_page_in_place_of_a_ticket,
      a_browser_gets_everything_else_as_others_do, who_takes_anything_gets_json,
      pages_and_tickets_alternate_on_one_connection,
      a_ticket_behind_a_pause_says_so_however_it_is_given,
      what_was_accepted_has_a_ticket_although_the_look_at_it_failed,
      receipts_between_pauses_are_receipts_again,
      over_max_waiting_a_pause_is_said_as_well,
      the_page_of_a_paused_ticket_has_the_operator_s_words,
      retry_after_grows_with_the_pause_up_to_a_minute,
      a_queue_that_refuses_says_when_to_come_again)
