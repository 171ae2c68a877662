/* route_test.c - which route a request takes. */
#include "ingress/route.h"

#include "tests/unit/test.h"

static char *reads[] = {(char[]){"GET"}, (char[]){"HEAD"}, NULL};
static char *writes[] = {(char[]){"POST"}, (char[]){"HEAD"}, NULL};

static struct route_settings routes[] = {
    {.path = (char[]){""}, .queue = 0},
    {.path = (char[]){"/api"}, .queue = 1},
    {.path = (char[]){"/api"}, .methods = reads, .queue = 2},
    {.path = (char[]){"/api"}, .host = (char[]){"h"}, .queue = 3},
    {.path = (char[]){"/api/long"}, .queue = 4},
    {.path = (char[]){"/only"},
     .methods = reads,
     .host = (char[]){"h"},
     .queue = 5},
    {.path = (char[]){"/only"},
     .methods = writes,
     .host = (char[]){"h"},
     .queue = 6},
};

static int
queue_for(size_t from, const char *method, const char *host, const char *path)
{
    const struct settings settings = {.routes = routes + from,
                                      .routes_len = ARRAY_LEN(routes) - from};
    const struct route_settings *route = route_match(
        &settings, slice_of(method), slice_of(host), slice_of(path));

    return route == NULL ? -1 : (int)route->queue;
}

START_TEST(whole_segments_match_and_the_longest_wins)
{
    ck_assert_int_eq(queue_for(0, "POST", "x", "/api"), 1);
    ck_assert_int_eq(queue_for(0, "POST", "x", "/api/y"), 1);
    ck_assert_int_eq(queue_for(0, "POST", "x", "/apiy"), 0);
    ck_assert_int_eq(queue_for(0, "POST", "x", "/api/longer"), 1);
    ck_assert_int_eq(queue_for(0, "GET", "x", "/api/long/x"), 4);
    ck_assert_int_eq(queue_for(0, "GET", "x", "/"), 0);
    ck_assert_int_eq(queue_for(1, "GET", "x", "/"), -1);
    ck_assert_int_eq(queue_for(0, "OPTIONS", "x", "*"), -1);
}
END_TEST

START_TEST(methods_come_before_hosts)
{
    ck_assert_int_eq(queue_for(0, "GET", "h", "/api"), 2);
    ck_assert_int_eq(queue_for(0, "POST", "H", "/api"), 3);
    ck_assert_int_eq(queue_for(0, "get", "x", "/api"), 1);
}
END_TEST

START_TEST(the_methods_that_would_do_are_listed)
{
    const struct settings settings = {.routes = routes,
                                      .routes_len = ARRAY_LEN(routes)};
    char allow[64];

    route_allow(&settings, SLICE("h"), SLICE("/only"), allow, sizeof(allow));
    ck_assert_str_eq(allow, "GET, HEAD, POST");
    route_allow(&settings, SLICE("h"), SLICE("/only"), allow, 8);
    ck_assert_str_eq(allow, "GET");
    route_allow(&settings, SLICE("x"), SLICE("/only"), allow, sizeof(allow));
    ck_assert_str_eq(allow, "");
}
END_TEST

TESTS("ingress", "route", whole_segments_match_and_the_longest_wins,
      methods_come_before_hosts, the_methods_that_would_do_are_listed)
