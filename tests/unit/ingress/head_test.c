/* head_test.c - what a request's fields say, and whether they may. */
#include "ingress/head.h"

#include <errno.h>
#include <string.h>

#include "tests/unit/test.h"

struct given {
    struct field fields[8];
    size_t len;
};

/* "Name: value" strings, up to NULL. */
static struct given
given(const char *const *lines)
{
    struct given given = {.len = 0};

    for (; *lines != NULL; lines++) {
        struct slice name, rest = slice_of(*lines);
        slice_cut(&rest, ':', &name);
        given.fields[given.len++] = (struct field){name, slice_trim(rest)};
    }
    return given;
}

static int
read_lines(const char *const *lines, struct head *head)
{
    struct given g = given(lines);
    struct refusal refusal = {0};

    int r = head_read(head, SLICE("POST"), SLICE("/x"), false, g.fields, g.len,
                      &refusal);
    return r == 0 ? 0 : refusal.status;
}

#define LINES(...) ((const char *const[]){__VA_ARGS__, NULL})

START_TEST(what_matters_is_read)
{
    struct head head;

    ck_assert_int_eq(
        read_lines(LINES("host: A:80", "content-length: 12",
                         "EXPECT: 100-Continue", "Idempotency-Key: k",
                         "Content-Type: a/b", "Prefer: wait=3",
                         "Connection: close, X-A"),
                   &head),
        0);
    ck_assert(slice_is(head.host, "A"));
    ck_assert(head.has_length && head.length == 12);
    ck_assert(head.expects_continue && head.has_key && head.has_named);
    ck_assert(slice_is(head.key, "k"));
    ck_assert(slice_is(head.content_type, "a/b"));
    ck_assert_uint_eq(head.prefer.wait, 3);
}
END_TEST

START_TEST(doubtful_framing_is_refused)
{
    struct head head;

    ck_assert_int_eq(read_lines(LINES("Host: a", "Content-Length: 1",
                                      "Transfer-Encoding: chunked"),
                                &head),
                     400);
    ck_assert_int_eq(
        read_lines(LINES("Host: a", "Content-Length: 1", "Content-Length: 1"),
                   &head),
        400);
    static const char *const bad[] = {"Content-Length: ",
                                      "Content-Length: +1",
                                      "Content-Length: 1,1",
                                      "Content-Length: 0x1",
                                      "Content-Length: 1234567890123456789",
                                      "Transfer-Encoding: ",
                                      "Transfer-Encoding: identity",
                                      "Transfer-Encoding: chunked,chunked",
                                      "Transfer-Encoding: \"chunked\"",
                                      "Bad Name: x",
                                      "Ok: \x01"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        ck_assert_msg(read_lines(LINES("Host: a", bad[i]), &head) == 400, "%s",
                      bad[i]);
}
END_TEST

START_TEST(hosts_must_be_one_and_the_same)
{
    struct head head;

    ck_assert_int_eq(read_lines(LINES("X: y"), &head), 400);
    ck_assert_int_eq(read_lines(LINES("Host: a", "Host: a"), &head), 400);
    ck_assert_int_eq(read_lines(LINES("Host: a b"), &head), 400);
    ck_assert_int_eq(read_lines(LINES("Host: [::1]:80"), &head), 0);
}
END_TEST

START_TEST(an_old_client_needs_no_host_and_has_no_chunks)
{
    struct refusal refusal;
    struct head head;
    struct given g = given(LINES("Transfer-Encoding: chunked"));

    ck_assert_int_eq(
        head_read(&head, SLICE("GET"), SLICE("/"), true, NULL, 0, &refusal), 0);
    ck_assert_int_eq(head_read(&head, SLICE("GET"), SLICE("/"), true, g.fields,
                               g.len, &refusal),
                     -EINVAL);
}
END_TEST

START_TEST(an_unknown_expectation_is_refused)
{
    struct head head;

    ck_assert_int_eq(read_lines(LINES("Host: a", "Expect: 200-ok"), &head),
                     417);
}
END_TEST

START_TEST(fields_of_the_connection_are_dropped)
{
    struct given g =
        given(LINES("Host: a", "Connection: x-a", "Connection: close, X-B"));
    struct refusal refusal;
    struct head head;

    ck_assert_int_eq(head_read(&head, SLICE("GET"), SLICE("/"), false, g.fields,
                               g.len, &refusal),
                     0);
    static const char *const dropped[] = {"connection",
                                          "Keep-Alive",
                                          "TE",
                                          "Trailer",
                                          "Transfer-Encoding",
                                          "Upgrade",
                                          "Proxy-Authorization",
                                          "Expect",
                                          "Content-Length",
                                          "X-A",
                                          "x-b"};
    for (size_t i = 0; i < ARRAY_LEN(dropped); i++)
        ck_assert_msg(head_drops(&head, g.fields, g.len, slice_of(dropped[i])),
                      "%s", dropped[i]);
    ck_assert(!head_drops(&head, g.fields, g.len, SLICE("Host")));
    ck_assert(!head_drops(&head, g.fields, g.len, SLICE("Cookie")));
}
END_TEST

TESTS("ingress", "head", what_matters_is_read, doubtful_framing_is_refused,
      hosts_must_be_one_and_the_same,
      an_old_client_needs_no_host_and_has_no_chunks,
      an_unknown_expectation_is_refused, fields_of_the_connection_are_dropped)
