/* cgi_output_test.c - awkward outputs of CGI programs. */
#include <string.h>

#include "tests/unit/test.h"

#include "workers/handlers/cgi_output.h"

#define BIG ((size_t)200000)

/* The message that an output becomes; its text is the caller's to free. */
static char *
convert(const char *text, size_t len, bool head, int expected)
{
    struct cgi_output output;
    struct error err = {0};
    struct buf message;

    int r = cgi_output_parse((struct slice){text, len}, head, &output, &err);
    ck_assert_msg(r == expected, "%s: %d %s", text, r, err.text);
    if (r < 0) {
        ck_assert_int_gt((int)strlen(err.text), 5);
        return NULL;
    }
    buf_init(&message, BIG);
    ck_assert_int_eq(cgi_output_message(&output, head, &message), 0);
    struct message parsed;
    r = message_parse(buf_slice(&message), &parsed, &err);
    ck_assert_msg(r == 0, "%s: %s", text, err.text);
    message_fini(&parsed);
    ck_assert_int_eq(buf_add(&message, "", 1), 0);
    cgi_output_fini(&output);
    return message.at;
}

static void
check(const char *text, const char *message)
{
    char *made = convert(text, strlen(text), false, 0);

    ck_assert_str_eq(made, message);
    free(made);
}

static void
check_bad(const char *text)
{
    convert(text, strlen(text), false, -EPROTO);
}

START_TEST(documents_become_messages)
{
    check("Content-Type: text/plain\n\nbody",
          "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"
          "Content-Length: 4\r\n\r\nbody");
    check("content-type:text/plain\r\nStatus:404 Nope\r\n\r\nbody\n",
          "HTTP/1.1 404 Not Found\r\ncontent-type: text/plain\r\n"
          "Content-Length: 5\r\n\r\nbody\n");
    check("Status: 500\n\n",
          "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n");
    check("Content-Type: a/b\n\n", "HTTP/1.1 200 OK\r\nContent-Type: a/b\r\n"
                                   "Content-Length: 0\r\n\r\n");
    check("Content-Type: a/b\nSet-Cookie: a=1\nSet-Cookie: b=\xe4\n\nx",
          "HTTP/1.1 200 OK\r\nContent-Type: a/b\r\nSet-Cookie: a=1\r\n"
          "Set-Cookie: b=\xe4\r\nContent-Length: 1\r\n\r\nx");
}
END_TEST

START_TEST(line_ends_may_be_mixed)
{
    check("Content-Type: a/b\r\nX: y\n\r\nbody\r\n\n",
          "HTTP/1.1 200 OK\r\nContent-Type: a/b\r\nX: y\r\n"
          "Content-Length: 7\r\n\r\nbody\r\n\n");
}
END_TEST

START_TEST(a_location_alone_redirects)
{
    check("Location: http://example.org/x\n\n",
          "HTTP/1.1 302 Found\r\nLocation: http://example.org/x\r\n"
          "Content-Length: 0\r\n\r\n");
    check("Status: 303 x\nLocation: /local\n\n",
          "HTTP/1.1 303 See Other\r\nLocation: /local\r\n"
          "Content-Length: 0\r\n\r\n");
}
END_TEST

START_TEST(a_local_location_is_for_the_server)
{
    struct cgi_output output;

    ck_assert_int_eq(cgi_output_parse(SLICE("Location: /a?b\n\nignored"), false,
                                      &output, NULL),
                     0);
    ck_assert(output.is_local_redirect);
    ck_assert(slice_is(output.location, "/a?b"));
    cgi_output_fini(&output);
}
END_TEST

START_TEST(fields_about_the_connection_are_dropped)
{
    check("Content-Type: a/b\nConnection: close, X-Gone\nX-Gone: 1\n"
          "Transfer-Encoding: chunked\nKeep-Alive: 5\nUpgrade: x\n"
          "X-CGI-Secret: 1\nX-Kept: 1\nContent-Length: 1\n\nx",
          "HTTP/1.1 200 OK\r\nContent-Type: a/b\r\nX-Kept: 1\r\n"
          "Content-Length: 1\r\n\r\nx");
}
END_TEST

START_TEST(statuses_without_content_lose_their_body)
{
    check("Status: 204\nContent-Type: a/b\n\nbody",
          "HTTP/1.1 204 No Content\r\nContent-Type: a/b\r\n\r\n");
    check("Status: 304\nETag: \"x\"\nContent-Length: 99\n\n",
          "HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\n\r\n");
}
END_TEST

START_TEST(an_answer_to_head_may_name_the_length_of_a_body)
{
    const char *text = "Content-Type: a/b\nContent-Length: 5\n\n";
    char *made = convert(text, strlen(text), true, 0);

    ck_assert_str_eq(made, "HTTP/1.1 200 OK\r\nContent-Type: a/b\r\n\r\n");
    free(made);
    check_bad(text);
}
END_TEST

START_TEST(what_is_not_cgi_is_refused)
{
    static const char *const bad[] = {
        "",
        "\n",
        "\nbody",
        "body",
        "no header at all\n\nbody",
        "Content-Type: a/b",
        "Content-Type: a/b\n",
        "Content-Type: a/b\nbody without an empty line\n",
        "Content-Type a/b\n\n",
        "Content-Type : a/b\n\n",
        ": a/b\n\n",
        "Content Type: a/b\n\n",
        " Content-Type: a/b\n\n",
        "Content-Type: a/b\n folded\n\n",
        "X-Only: 1\n\n",
        "Status: 200\n\nbody without a type",
        "Content-Type:\n\nbody",
        "Content-Type: a/b\nContent-Type: c/d\n\n",
        "Location: a:b\nLocation: c:d\n\n",
        "Status: 200\nStatus: 200\n\n",
        "Status: 99\n\n",
        "Status: 100 Continue\n\n",
        "Status: 199\n\n",
        "Status: 600\n\n",
        "Status: 2000\n\n",
        "Status: OK\n\n",
        "Status: 2x0\n\n",
        "Status: -200\n\n",
        "Status: 200OK\n\n",
        "Status:\n\n",
        "Content-Type: a/b\rX: y\n\n",
        "Content-Type: a/b\nX: a\rSet-Cookie: evil\n\n",
        "Content-Type: a/b\nX: \x01\n\n",
        "Content-Type: a/b\nX: \x7f\n\n",
        "Content-Type: a/b\nContent-Length: 3\n\nbody",
        "Content-Type: a/b\nContent-Length: 5\n\nbody",
        "Content-Type: a/b\nContent-Length: x\n\nbody",
        "Content-Type: a/b\nContent-Length: -4\n\nbody",
        "Content-Type: a/b\nContent-Length: 99999999999999999999\n\nbody",
        "Content-Type: a/b\nContent-Length: 4\nContent-Length: 4\n\nbody",
        "HTTP/1.0 200 OK\r\nContent-Type: a/b\r\n\r\nbody",
        "HTTP/1.1 200 OK\r\n\r\n",
    };

    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        check_bad(bad[i]);
}
END_TEST

START_TEST(a_nul_in_the_header_is_refused)
{
    static const char text[] = "Content-Type: a/b\nX: a\0b\n\nbody";

    convert(text, sizeof(text) - 1, false, -EPROTO);
}
END_TEST

START_TEST(any_bytes_may_be_in_the_body)
{
    static const char text[] = "Content-Type: a/b\n\n\0\n\r\n\0\xff";
    struct cgi_output output;

    ck_assert_int_eq(cgi_output_parse((struct slice){text, sizeof(text) - 1},
                                      false, &output, NULL),
                     0);
    ck_assert_uint_eq(output.body.len, 6);
    cgi_output_fini(&output);
}
END_TEST

START_TEST(headers_without_end_are_refused)
{
    char *text = malloc(BIG);

    memset(text, 'a', BIG);
    convert(text, BIG, false, -EPROTO);
    for (size_t i = 0; i + 4 <= BIG; i += 4)
        memcpy(text + i, "a:b\n", 4);
    convert(text, BIG, false, -EPROTO);
    free(text);
}
END_TEST

TESTS("workers", "cgi_output", documents_become_messages,
      line_ends_may_be_mixed, a_location_alone_redirects,
      a_local_location_is_for_the_server,
      fields_about_the_connection_are_dropped,
      statuses_without_content_lose_their_body,
      an_answer_to_head_may_name_the_length_of_a_body,
      what_is_not_cgi_is_refused, a_nul_in_the_header_is_refused,
      any_bytes_may_be_in_the_body, headers_without_end_are_refused)
