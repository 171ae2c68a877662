/* cgi_test.c - CGI programs from the request to the stored response. */
#include "tests/unit/test.h"
#include "tests/unit/workers/fixture.h"

START_TEST(a_program_answers)
{
    struct fixture it;

    fixture_init(&it, "hello.sh");
    fixture_open(&it);
    struct message response = response_of(fixture_get(&it, "/run"));
    ck_assert_int_eq(response.status, 200);
    ck_assert(slice_is(response.body, "hello\n"));
    ck_assert(slice_is(message_field(&response, "Content-Type"), "text/plain"));
    message_fini(&response);
    fixture_close(&it);
}
END_TEST

TESTS("workers", "cgi", a_program_answers)
