/* message_test.c - HTTP/1.1 messages as they are queued. */
#include "tests/unit/test.h"

#include <string.h>

#include "common/message.h"

START_TEST(a_written_request_is_read_back)
{
    struct message message;
    struct error err;
    struct buf buf;

    buf_init(&buf, 1000);
    ck_assert_int_eq(message_start_request(&buf, SLICE("POST"), SLICE("/a?b")),
                     0);
    ck_assert_int_eq(message_add_field(&buf, SLICE("Host"), SLICE("x")), 0);
    ck_assert_int_eq(message_add_field(&buf, SLICE("X"), SLICE("\xe4 1")), 0);
    ck_assert_int_eq(message_add_field(&buf, SLICE("x"), SLICE("")), 0);
    ck_assert_int_eq(message_end(&buf, 3), 0);
    ck_assert_int_eq(buf_add(&buf, "a\0b", 3), 0);

    ck_assert_msg(message_parse(buf_slice(&buf), &message, &err) == 0, "%s",
                  err.text);
    ck_assert(slice_is(message.method, "POST"));
    ck_assert(slice_is(message.target, "/a?b"));
    ck_assert_int_eq(message.status, 0);
    ck_assert_uint_eq(message.fields_len, 4);
    ck_assert(slice_is(message_field(&message, "host"), "x"));
    ck_assert(slice_is(message_field(&message, "X"), "\xe4 1"));
    ck_assert(slice_is(message.fields[2].value, ""));
    ck_assert_ptr_null(message_field(&message, "y").at);
    ck_assert_uint_eq(message.body.len, 3);
    ck_assert_mem_eq(message.body.at, "a\0b", 3);
    message_fini(&message);
    buf_fini(&buf);
}
END_TEST

START_TEST(a_written_response_is_read_back)
{
    struct message message;
    struct buf buf;

    buf_init(&buf, 1000);
    ck_assert_int_eq(message_start_response(&buf, 418), 0);
    ck_assert_int_eq(message_end_bare(&buf), 0);
    ck_assert_int_eq(message_parse(buf_slice(&buf), &message, NULL), 0);
    ck_assert_int_eq(message.status, 418);
    ck_assert_uint_eq(message.body.len, 0);
    message_fini(&message);
    buf_fini(&buf);
}
END_TEST

START_TEST(what_is_not_one_strict_message_is_refused)
{
    static const char *const bad[] = {
        "",
        "GET / HTTP/1.1",
        "GET / HTTP/1.1\r\n",
        "GET / HTTP/1.1\nHost: x\n\n",
        "GET / HTTP/1.0\r\n\r\n",
        "GET /a b HTTP/1.1\r\n\r\n",
        "G(T / HTTP/1.1\r\n\r\n",
        "GET  HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost x\r\n\r\n",
        "GET / HTTP/1.1\r\nHost : x\r\n\r\n",
        "GET / HTTP/1.1\r\n: x\r\n\r\n",
        "GET / HTTP/1.1\r\nA: b\r\n c\r\n\r\n",
        "GET / HTTP/1.1\r\nA: b\rc\r\n\r\n",
        "GET / HTTP/1.1\r\n\r\nbody",
        "GET / HTTP/1.1\r\nContent-Length: 3\r\n\r\nbody",
        "GET / HTTP/1.1\r\nContent-Length: +4\r\n\r\nbody",
        "GET / HTTP/1.1\r\nContent-Length: 4x\r\n\r\nbody",
        "GET / HTTP/1.1\r\nContent-Length: 99999999999999999\r\n\r\nbody",
        "G / HTTP/1.1\r\nContent-Length:4\r\nContent-Length:4\r\n\r\nbody",
        "GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 20 OK\r\n\r\n",
        "HTTP/1.1 2x0 OK\r\n\r\n",
        "HTTP/1.1 099 OK\r\n\r\n",
        "HTTP/1.1 200\r\n\r\n",
        "HTTP/1.1 200 O\001K\r\n\r\n"};
    struct message message;

    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        ck_assert_msg(message_parse(slice_of(bad[i]), &message, NULL) ==
                          -EPROTO,
                      "taken: %s", bad[i]);
}
END_TEST

START_TEST(many_fields_have_a_limit)
{
    struct message message;
    struct buf buf;

    for (size_t count = 999; count < 1003; count++) {
        buf_init(&buf, 100000);
        message_start_request(&buf, SLICE("GET"), SLICE("/"));
        for (size_t i = 0; i < count; i++)
            ck_assert_int_eq(message_add_field(&buf, SLICE("a"), SLICE("b")),
                             0);
        message_end_bare(&buf);
        int r = message_parse(buf_slice(&buf), &message, NULL);
        ck_assert_int_eq(r, count <= 1000 ? 0 : -EPROTO);
        if (r == 0) {
            ck_assert_uint_eq(message.fields_len, count);
            message_fini(&message);
        }
        buf_fini(&buf);
    }
}
END_TEST

START_TEST(a_field_that_would_split_the_message_is_not_written)
{
    static const struct slice values[] = {
        {"a\r\nSet-Cookie: b", 16}, {"a\nb", 3}, {"a\rb", 3}, {"a\0b", 3}};
    struct buf buf;

    buf_init(&buf, 1000);
    for (size_t i = 0; i < ARRAY_LEN(values); i++)
        ck_assert_int_eq(message_add_field(&buf, SLICE("X"), values[i]),
                         -EPROTO);
    ck_assert_int_eq(message_add_field(&buf, SLICE("X Y"), SLICE("a")),
                     -EPROTO);
    ck_assert_int_eq(message_add_field(&buf, SLICE(""), SLICE("a")), -EPROTO);
    ck_assert_uint_eq(buf.len, 0);
    buf_fini(&buf);
}
END_TEST

START_TEST(a_full_buffer_takes_no_half_field)
{
    struct buf buf;

    buf_init(&buf, 7);
    ck_assert_int_eq(message_add_field(&buf, SLICE("ab"), SLICE("cde")),
                     -EMSGSIZE);
    ck_assert_uint_eq(buf.len, 0);
    ck_assert_int_eq(message_add_field(&buf, SLICE("a"), SLICE("cd")), 0);
    ck_assert_uint_eq(buf.len, 7);
    buf_fini(&buf);
}
END_TEST

START_TEST(hop_by_hop_fields_are_known)
{
    ck_assert(message_is_hop_by_hop(SLICE("connection")));
    ck_assert(message_is_hop_by_hop(SLICE("Transfer-Encoding")));
    ck_assert(message_is_hop_by_hop(SLICE("TE")));
    ck_assert(!message_is_hop_by_hop(SLICE("Host")));
    ck_assert(message_lists(SLICE("close , X-A"), SLICE("x-a")));
    ck_assert(!message_lists(SLICE("close, X-Ab"), SLICE("x-a")));
}
END_TEST

START_TEST(methods_are_idempotent_by_their_exact_name)
{
    ck_assert(message_is_idempotent(SLICE("GET")));
    ck_assert(message_is_idempotent(SLICE("DELETE")));
    ck_assert(!message_is_idempotent(SLICE("POST")));
    ck_assert(!message_is_idempotent(SLICE("PATCH")));
    ck_assert(!message_is_idempotent(SLICE("get")));
}
END_TEST

TESTS("common", "message", a_written_request_is_read_back,
      a_written_response_is_read_back,
      what_is_not_one_strict_message_is_refused, many_fields_have_a_limit,
      a_field_that_would_split_the_message_is_not_written,
      a_full_buffer_takes_no_half_field, hop_by_hop_fields_are_known,
      methods_are_idempotent_by_their_exact_name)
