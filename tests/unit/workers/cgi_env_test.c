/* cgi_env_test.c - the environment that a CGI program gets. */
#include "tests/unit/test.h"
#include "tests/unit/workers/fixture.h"

#include "workers/handlers/cgi_env.h"

struct built {
    struct attempt *attempt;
    struct message request;
    struct cgi_path path;
    struct cgi_settings settings;
    struct spawn_plan plan;
};

static void
build(struct built *it, const char *method, const char *fields,
      struct slice body, bool redirected)
{
    struct error err;
    struct cgi_call call = {
        .attempt = it->attempt,
        .request = &it->request,
        .path = &it->path,
        .settings = &it->settings,
        .queue = "lane",
        .release = "v7",
        .filename = "/srv/prog",
        .target = SLICE("/run/in%20fo?a=b"),
        .redirected = redirected,
    };

    it->attempt = make_attempt(method, "/run/in%20fo?a=b", fields, body);
    it->attempt->number = 3;
    it->attempt->epoch = 12;
    call.attempt = it->attempt;
    ck_assert_int_eq(message_parse(it->attempt->message, &it->request, &err),
                     0);
    ck_assert_int_eq(
        cgi_path_cut(call.target, SLICE("/run"), false, &it->path, &err), 0);
    ck_assert_int_eq(cgi_env_build(&call, &it->plan), 0);
}

static void
drop(struct built *it)
{
    spawn_plan_fini(&it->plan);
    cgi_path_fini(&it->path);
    message_fini(&it->request);
    free_attempt(it->attempt);
}

/* The value of a variable that stands there once; NULL: it is not there. */
static const char *
value_of(const struct built *it, const char *name)
{
    const char *at = it->plan.environment.at, *found = NULL;
    size_t len = strlen(name);

    for (unsigned i = 0; i < it->plan.environment_len; i++) {
        if (strncmp(at, name, len) == 0 && at[len] == '=') {
            ck_assert_msg(found == NULL, "%s stands there twice", name);
            found = at + len + 1;
        }
        at += strlen(at) + 1;
    }
    ck_assert_ptr_eq(at, it->plan.environment.at + it->plan.environment.len);
    return found;
}

static void
check(const struct built *it, const char *name, const char *value)
{
    const char *found = value_of(it, name);

    if (value == NULL)
        ck_assert_msg(found == NULL, "%s=%s", name, found);
    else
        ck_assert_msg(found != NULL && strcmp(found, value) == 0, "%s=%s", name,
                      found);
}

START_TEST(the_meta_variables_are_those_of_the_rfc)
{
    struct built it = {0};
    char ticket[TICKET_TEXT + 1];

    build(&it, "POST",
          "Host: example.org:8443\r\nContent-Type: a/b\r\n"
          "Authorization: Basic eA==\r\n",
          SLICE("12345"), false);
    check(&it, "GATEWAY_INTERFACE", "CGI/1.1");
    check(&it, "REQUEST_METHOD", "POST");
    check(&it, "SCRIPT_NAME", "/run");
    check(&it, "SCRIPT_FILENAME", "/srv/prog");
    check(&it, "PATH_INFO", "/in fo");
    check(&it, "PATH_TRANSLATED", NULL);
    check(&it, "QUERY_STRING", "a=b");
    check(&it, "REQUEST_URI", "/run/in%20fo?a=b");
    check(&it, "CONTENT_LENGTH", "5");
    check(&it, "CONTENT_TYPE", "a/b");
    check(&it, "HTTP_CONTENT_TYPE", NULL);
    check(&it, "HTTP_CONTENT_LENGTH", NULL);
    check(&it, "SERVER_NAME", "example.org");
    check(&it, "SERVER_PORT", "8080");
    check(&it, "SERVER_PROTOCOL", "HTTP/1.1");
    check(&it, "SERVER_SOFTWARE", "cloakroom");
    check(&it, "REMOTE_ADDR", "192.0.2.7");
    check(&it, "REMOTE_PORT", "50123");
    check(&it, "REMOTE_USER", NULL);
    check(&it, "AUTH_TYPE", NULL);
    check(&it, "HTTP_AUTHORIZATION", "Basic eA==");
    check(&it, "HTTP_HOST", "example.org:8443");
    check(&it, "PATH", "/usr/local/bin:/usr/bin:/bin");
    check(&it, "HOME", NULL);
    ticket_format(&it.attempt->ticket, ticket);
    check(&it, "CLOAKROOM_TICKET", ticket);
    check(&it, "CLOAKROOM_ATTEMPT", "3");
    check(&it, "CLOAKROOM_EPOCH", "12");
    check(&it, "CLOAKROOM_QUEUE", "lane");
    check(&it, "CLOAKROOM_RELEASE", "v7");
    drop(&it);
}
END_TEST

START_TEST(a_request_without_body_has_no_length)
{
    struct built it = {0};

    build(&it, "GET", "", SLICE(""), false);
    check(&it, "CONTENT_LENGTH", NULL);
    check(&it, "CONTENT_TYPE", NULL);
    check(&it, "SERVER_NAME", "127.0.0.1");
    drop(&it);
}
END_TEST

START_TEST(repeated_fields_are_joined)
{
    struct built it = {0};

    build(&it, "GET",
          "X-List: a\r\nCookie: a=1\r\nx-list: b\r\nCookie: b=2\r\n"
          "X-List: c\r\nX-Lis: other\r\n",
          SLICE(""), false);
    check(&it, "HTTP_X_LIST", "a, b, c");
    check(&it, "HTTP_COOKIE", "a=1; b=2");
    check(&it, "HTTP_X_LIS", "other");
    drop(&it);
}
END_TEST

START_TEST(names_that_could_be_taken_for_others_are_dropped)
{
    struct built it = {0};

    build(&it, "GET",
          "Proxy: evil\r\nproxy: evil\r\nX_User: evil\r\nX-User: good\r\n"
          "X.User: evil\r\nX_Alone: evil\r\nConnection: x\r\n",
          SLICE(""), false);
    check(&it, "HTTP_PROXY", NULL);
    check(&it, "HTTP_X_USER", "good");
    check(&it, "HTTP_X_ALONE", NULL);
    check(&it, "HTTP_X.USER", NULL);
    check(&it, "HTTP_CONNECTION", NULL);
    drop(&it);
}
END_TEST

START_TEST(bytes_above_ascii_pass_unchanged)
{
    struct built it = {0};

    build(&it, "GET", "X-Name: J\xfcrgen \xc3\xbc\r\n", SLICE(""), false);
    check(&it, "HTTP_X_NAME", "J\xfcrgen \xc3\xbc");
    drop(&it);
}
END_TEST

START_TEST(the_configuration_wins_except_over_ours)
{
    struct pair configured[] = {
        {.name = mem_strdup("PATH"), .value = mem_strdup("/opt/bin")},
        {.name = mem_strdup("COLOR"), .value = mem_strdup("blue")},
        {.name = mem_strdup("HTTP_X_LIST"), .value = mem_strdup("fixed")},
        {.name = mem_strdup("CLOAKROOM_QUEUE"), .value = mem_strdup("fake")},
    };
    struct built it = {0};

    it.settings.environment = configured;
    it.settings.environment_len = ARRAY_LEN(configured);
    build(&it, "GET", "X-List: sent\r\n", SLICE(""), false);
    check(&it, "PATH", "/opt/bin");
    check(&it, "COLOR", "blue");
    check(&it, "HTTP_X_LIST", "fixed");
    check(&it, "CLOAKROOM_EPOCH", "12");
    check(&it, "CLOAKROOM_QUEUE", "lane");
    drop(&it);
    for (size_t i = 0; i < ARRAY_LEN(configured); i++) {
        free(configured[i].name);
        free(configured[i].value);
    }
}
END_TEST

START_TEST(a_local_redirect_is_a_get_without_body)
{
    struct built it = {0};

    build(&it, "POST", "Content-Type: a/b\r\nContent-Encoding: gzip\r\n",
          SLICE("12345"), true);
    check(&it, "REQUEST_METHOD", "GET");
    check(&it, "CONTENT_LENGTH", NULL);
    check(&it, "CONTENT_TYPE", NULL);
    check(&it, "HTTP_CONTENT_ENCODING", NULL);
    drop(&it);
}
END_TEST

TESTS("workers", "cgi_env", the_meta_variables_are_those_of_the_rfc,
      a_request_without_body_has_no_length, repeated_fields_are_joined,
      names_that_could_be_taken_for_others_are_dropped,
      bytes_above_ascii_pass_unchanged, the_configuration_wins_except_over_ours,
      a_local_redirect_is_a_get_without_body)
