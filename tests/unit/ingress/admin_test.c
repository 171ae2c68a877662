/* admin_test.c - the admin API over a real connection. */
#include <jansson.h>
#include <sys/stat.h>

#include "tests/unit/ingress/serve.h"

#define JSON  "Content-Type: application/json\r\n"
#define CLOSE "Connection: close\r\n" /* to see the end of no body */

/* One request to the admin listener. */
static const char *
admin(const char *method, const char *path, const char *fields,
      const char *body)
{
    char request[2000];
    const unsigned port = serve_port;

    snprintf(request, sizeof(request),
             "%s %s HTTP/1.1\r\nHost: 127.0.0.1:1\r\n%sContent-Length: "
             "%zu\r\n\r\n%s",
             method, path, fields, strlen(body), body);
    serve_port = serve_admin;
    const char *answer = ask(request);
    serve_port = port;
    return answer;
}

static const char *
get(const char *path)
{
    return admin("GET", path, "", "");
}

static const char *
post(const char *path, const char *body)
{
    return admin("POST", path, JSON, body);
}

/* The body of an answer, until the next call. */
static const json_t *
json_of(const char *answer)
{
    static json_t *json;
    const char *end = strstr(answer, "\r\n\r\n");

    json_decref(json);
    json = end == NULL ? NULL : json_loads(end + 4, 0, NULL);
    ck_assert_msg(json != NULL, "no JSON: %.500s", answer);
    return json;
}

/* A member as text, by a path of keys and indexes: "workers.0.name". "" when it
 * is not there. */
static const char *
member(const json_t *json, const char *path)
{
    static char text[512];
    char key[64];

    for (; *path != '\0'; path += path[0] == '.') {
        const size_t len = strcspn(path, ".");
        snprintf(key, sizeof(key), "%.*s", (int)len, path);
        json = json_is_array(json)
                   ? json_array_get(json, strtoul(key, NULL, 10))
                   : json_object_get(json, key);
        path += len;
    }
    if (json_is_string(json))
        snprintf(text, sizeof(text), "%s", json_string_value(json));
    else if (json_is_integer(json))
        snprintf(text, sizeof(text), "%lld",
                 (long long)json_integer_value(json));
    else
        snprintf(text, sizeof(text), "%s",
                 json == NULL          ? ""
                 : json_is_true(json)  ? "true"
                 : json_is_false(json) ? "false"
                                       : "?");
    return text;
}

#define ck_member(json, path, text)                                            \
    ck_assert_str_eq(member((json), (path)), (text))

#define ck_problem(answer, status, code)                                       \
    do {                                                                       \
        const char *problem_ = (answer);                                       \
        ck_status(problem_, (status));                                         \
        ck_assert_str_eq(field_of(problem_, "Content-Type"),                   \
                         "application/problem+json");                          \
        ck_member(json_of(problem_), "code", (code));                          \
    } while (0)

/* ---- looking ------------------------------------------------------------- */

START_TEST(a_queue_tells_how_it_stands)
{
    fake_worker = "1";
    serve();
    const char *answer = get("/-/queues/q");
    ck_status(answer, 200);
    ck_assert_str_eq(field_of(answer, "ETag"), "\"1\"");
    ck_assert_str_eq(field_of(answer, "Content-Type"), "application/json");
    const json_t *queue = json_of(answer);
    ck_member(queue, "name", "q");
    ck_member(queue, "epoch", "1");
    ck_member(queue, "state", "open");
    ck_member(queue, "release", "1");
    ck_member(queue, "accepting", "true");
    ck_member(queue, "queued", "4");
    ck_member(queue, "oldest_ms", "1500");
    ck_member(queue, "trouble", "cut: ?");
    ck_member(queue, "workers.0.name", "host:17");
    ck_member(queue, "workers.0.admitted", "true");
    ck_member(queue, "workers.0.concurrency", "4");
    ck_member(queue, "since", "");
    ck_member(queue, "attempts", "");
    ck_member(queue, "barrier", "");
    ck_member(json_of(get("/-/queues")), "0.name", "q");
    ck_problem(get("/-/queues/p"), 404, "not-found");
    ck_problem(get("/-/queues/q/x"), 404, "not-found");
    ck_problem(get("/-/queues/"), 404, "not-found");
    serve_end();
}
END_TEST

START_TEST(a_paused_queue_tells_what_it_waits_for)
{
    fake_worker = "2";
    serve();
    ck_status(post("/-/queues/q/pause", "{\"reason\": \"busy\"}"), 200);
    const json_t *queue = json_of(get("/-/queues/q"));
    ck_member(queue, "state", "paused");
    ck_member(queue, "paused_epoch", "2");
    ck_member(queue, "why", "busy");
    ck_member(queue, "workers.0.admitted", "false");
    ck_member(queue, "attempts.0.worker", "host:17");
    ck_member(queue, "barrier.ended", "3");
    ck_member(queue, "barrier.members.0.session", "5");
    ck_member(queue, "barrier.members.0.state", "expected");
    serve_end();
}
END_TEST

START_TEST(the_epoch_is_no_reason_to_send_nothing)
{
    serve();
    const char *answer =
        admin("GET", "/-/queues/q", "If-None-Match: \"1\"\r\n", "");
    ck_status(answer, 200); /* it may have been drained since */
    ck_assert_str_eq(field_of(answer, "ETag"), "\"1\"");
    ck_status(admin("HEAD", "/-/queues/q", CLOSE, ""), 200);
    serve_end();
}
END_TEST

START_TEST(an_upgrade_that_holds_a_queue_is_shown)
{
    fake_upgrade = (struct upgrade){
        .id = "u1", .step = STEP_MIGRATING, .from = "1", .to = "2", .pid = 77};
    serve();
    ck_status(post("/-/queues/q/pause", "{}"), 200);
    const json_t *queue = json_of(get("/-/queues/q"));
    ck_member(queue, "upgrade.id", "u1");
    ck_member(queue, "upgrade.step", "migrating");
    ck_member(queue, "upgrade.from", "1");
    ck_member(queue, "upgrade.to", "2");
    ck_member(queue, "upgrade.alive", "true");
    ck_problem(post("/-/queues/q/resume", "{}"), 409, "held");
    ck_problem(post("/-/queues/q/upgrade", "{\"to\":\"2\"}"), 409, "held");
    ck_status(post("/-/queues/q/resume", "{\"force\": true}"), 200);
    serve_end();
}
END_TEST

START_TEST(the_history_is_told_with_its_receipts)
{
    serve();
    ck_status(post("/-/queues/q/pause", "{\"reason\": \"r\xc3\xa9\"}"), 200);
    const json_t *list = json_of(get("/-/queues/q/history"));
    ck_assert_uint_eq(json_array_size(list), 2);
    ck_member(list, "0.change", "pause");
    ck_member(list, "0.epoch", "2");
    ck_member(list, "0.why", "r\xc3\xa9");
    ck_assert_int_eq(strncmp(member(list, "0.by"), "admin API (127.0.0.1:", 21),
                     0);
    ck_member(list, "1.change", "drained");
    ck_member(list, "1.receipt.bound_ms", "7");
    serve_end();
}
END_TEST

/* ---- changing ------------------------------------------------------------ */

START_TEST(a_change_answers_with_the_new_state)
{
    serve();
    const char *answer = post("/-/queues/q/pause", "{}");
    ck_status(answer, 200);
    ck_assert_str_eq(field_of(answer, "ETag"), "\"2\"");
    ck_member(json_of(answer), "state", "drained");
    answer = post("/-/queues/q/resume", "{\"release\": \"2\"}");
    ck_status(answer, 200);
    ck_assert_str_eq(field_of(answer, "ETag"), "\"3\"");
    ck_member(json_of(answer), "release", "2");
    ck_member(json_of(answer), "state", "open");
    answer = post("/-/queues/q/refuse", "{\"reason\": \"full\"}");
    ck_member(json_of(answer), "accepting", "false");
    answer = post("/-/queues/q/accept", "");
    ck_member(json_of(answer), "accepting", "true");
    ck_assert_str_eq(field_of(answer, "ETag"), "\"5\"");
    serve_end();
}
END_TEST

START_TEST(what_is_so_already_is_no_error_and_no_change)
{
    serve();
    ck_status(post("/-/queues/q/pause", "{}"), 200);
    const char *answer = post("/-/queues/q/pause", "{\"reason\": \"other\"}");
    ck_status(answer, 200);
    ck_assert_str_eq(field_of(answer, "ETag"), "\"2\"");
    ck_member(json_of(answer), "why", "");
    ck_status(post("/-/queues/q/accept", "{}"), 200);
    serve_end();
}
END_TEST

START_TEST(a_release_changes_only_in_a_drained_queue)
{
    serve();
    ck_problem(post("/-/queues/q/resume", "{\"release\":\"2\"}"), 409,
               "not-drained");
    ck_status(post("/-/queues/q/pause", "{\"reason\":\"busy\"}"), 200);
    ck_problem(post("/-/queues/q/resume", "{\"release\":\"2\"}"), 409,
               "not-drained");
    serve_end();
}
END_TEST

START_TEST(a_change_that_builds_on_another_epoch_is_not_made)
{
    serve();
    const char *pause = "/-/queues/q/pause";
    ck_problem(admin("POST", pause, JSON "If-Match: \"2\"\r\n", "{}"), 412,
               "stale");
    ck_problem(admin("POST", pause, JSON "If-Match: W/\"1\"\r\n", "{}"), 412,
               "stale");
    ck_problem(admin("POST", pause,
                     JSON "If-Match: \"9\"\r\nIf-Match: \"2\"\r\n", "{}"),
               412, "stale");
    ck_member(json_of(get("/-/queues/q")), "state", "open");
    ck_status(admin("POST", pause, JSON "If-Match: \"9\", \"1\"\r\n", "{}"),
              200);
    ck_status(admin("POST", "/-/queues/q/resume", JSON "If-Match: *\r\n", "{}"),
              200);
    serve_end();
}
END_TEST

START_TEST(a_malformed_if_match_lets_nothing_be_done)
{
    static const char *const malformed[] = {"1", "\"1\" \"5\"", "\"1\", *",
                                            "\"1\"\r\nIf-Match: *"};
    char fields[200];

    serve();
    for (size_t i = 0; i < ARRAY_LEN(malformed); i++) {
        snprintf(fields, sizeof(fields), JSON "If-Match: %s\r\n", malformed[i]);
        const char *answer = admin("POST", "/-/queues/q/pause", fields, "{}");
        ck_problem(answer, 400, "bad-request");
        ck_assert_ptr_nonnull(strstr(answer, "tags in their quotes"));
    }
    ck_member(json_of(get("/-/queues/q")), "state", "open");
    ck_status(admin("POST", "/-/queues/q/pause",
                    JSON "If-Match: \"9\"\r\nIf-Match: \"1\"\r\n", "{}"),
              200);
    serve_end();
}
END_TEST

START_TEST(killing_is_asked_of_the_pause_that_is_meant)
{
    serve();
    ck_status(post("/-/queues/q/pause", "{\"kill\":true,\"reason\":\"busy\"}"),
              200);
    ck_member(json_of(get("/-/queues/q/history")), "1.change", "killed");
    serve_end();
}
END_TEST

START_TEST(a_body_that_is_not_meant_is_refused)
{
    static const struct {
        const char *path, *body, *says;
    } cases[] = {
        {"/-/queues/q/pause", "{\"resaon\":\"x\"}", "did you mean `reason`?"},
        {"/-/queues/q/pause", "{\"to\":\"2\"}", "pause has no option `to`"},
        {"/-/queues/q/pause", "{\"reason\":7}", "`reason` is a text"},
        {"/-/queues/q/pause", "{\"wait\":\"yes\"}", "true or false"},
        {"/-/queues/q/pause", "{\"timeout\":\"30s\"}", "add \"wait\": true"},
        {"/-/queues/q/pause", "{\"wait\":true,\"timeout\":30}", "\"30s\""},
        {"/-/queues/q/pause", "{\"wait\":true,\"timeout\":\"30\"}", "no unit"},
        {"/-/queues/q/pause",
         "{\"wait\":true,\"timeout\":\"1s\",\"on_timeout\":\"kil\"}",
         "did you mean `kill`?"},
        {"/-/queues/q/pause", "{\"reason\":\"a\\nb\"}", "control character"},
        {"/-/queues/q/pause", "{\"kill\":true,\"kill\":true}", "no JSON"},
        {"/-/queues/q/pause",
         "{\"wait\":true,\"timeout\":\"1s\",\"on_timeout\":\"stay\","
         "\"on-timeout\":\"kill\"}",
         "`on-timeout` is there twice"},
        {"/-/queues/q/pause", "[]", "no JSON object"},
        {"/-/queues/q/pause", "{", "no JSON"},
        {"/-/queues/q/resume", "{\"release\":\"../x\"}", "`release`"},
        {"/-/queues/q/upgrade", "{}", "`to` is missing"},
    };

    serve();
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const char *answer = post(cases[i].path, cases[i].body);
        ck_problem(answer, 400, "bad-request");
        const char *detail = member(json_of(answer), "detail");
        ck_assert_msg(strstr(detail, cases[i].says) != NULL, "%s: %s",
                      cases[i].body, detail);
    }
    ck_member(json_of(get("/-/queues/q")), "epoch", "1");
    serve_end();
}
END_TEST

/* ---- who may ask --------------------------------------------------------- */

START_TEST(a_web_page_may_not_ask)
{
    serve();
    const char *pause = "/-/queues/q/pause";
    ck_problem(
        admin("POST", pause, JSON "Origin: http://127.0.0.1:1\r\n", "{}"), 403,
        "forbidden");
    ck_problem(admin("GET", "/-/queues", "Origin: null\r\n", ""), 403,
               "forbidden");
    ck_problem(admin("POST", pause, "", "{}"), 415, "unsupported-media-type");
    ck_problem(admin("POST", pause, "Content-Type: text/plain\r\n", "{}"), 415,
               "unsupported-media-type");
    ck_status(admin("POST", pause,
                    "Content-Type: Application/JSON; charset=utf-8\r\n", "{}"),
              200);
    serve_end();
}
END_TEST

static const char *
ask_host(const char *path, const char *host)
{
    char request[300];

    snprintf(request, sizeof(request), "GET %s HTTP/1.1\r\nHost: %s\r\n\r\n",
             path, host);
    return ask(request);
}

START_TEST(only_a_host_that_is_surely_ours_is_answered)
{
    char name[256] = "";

    serve();
    gethostname(name, sizeof(name) - 1);
    const unsigned port = serve_port;
    serve_port = serve_admin;
    ck_status(ask_host("/-/queues", "localhost"), 200);
    ck_status(ask_host("/-/queues", "LocalHost:8081"), 200);
    ck_status(ask_host("/-/queues", "[::1]:8081"), 200);
    ck_status(ask_host("/-/queues", "10.0.0.1"), 200);
    ck_status(ask_host("/-/queues", name), 200);
    ck_problem(ask_host("/-/queues", "evil.example"), 421, "misdirected");
    ck_problem(ask_host("/-/queues", "127.0.0.1.evil.example:8081"), 421,
               "misdirected");
    ck_problem(ask_host("/-/queues", "localhost.evil.example"), 421,
               "misdirected");
    ck_status(ask_host("/readyz", "evil.example"), 200);
    serve_port = port;
    serve_end();
}
END_TEST

/* Bytes to the admin listener, and all until it closes the connection. */
static const char *
ask_to_the_end(const char *request)
{
    int fd = dial(serve_admin);

    ck_assert_int_ge(fd, 0);
    send_bytes(fd, request, strlen(request));
    const char *answer = read_answers(fd, 2); /* fails if it stays open */
    close(fd);
    return answer;
}

START_TEST(a_request_whose_end_or_host_is_in_doubt_is_refused)
{
    static const struct {
        const char *method, *fields, *code;
    } cases[] = {
        {"POST", "Host: [::1]\r\nContent-Length: 2\r\nContent-Length: 3",
         "bad-framing"},
        {"POST", "Host: [::1]\r\nContent-Length: 2\r\nContent-Length: 2",
         "bad-framing"},
        {"POST",
         "Host: [::1]\r\nContent-Length: 2\r\nTransfer-Encoding: chunked",
         "bad-framing"},
        {"GET",
         "Host: [::1]\r\nTransfer-Encoding: chunked\r\nContent-Length: 2",
         "bad-framing"},
        {"POST", "Host: [::1]\r\nTransfer-Encoding: gzip, chunked",
         "bad-framing"},
        {"POST", "Host: [::1]\r\nHost: evil.example\r\nContent-Length: 2",
         "bad-host"},
        {"GET", "Host: [::1]\r\nHost: [::1]", "bad-host"},
        {"GET", "Host: a b", "bad-host"},
    };
    char request[400];

    serve();
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        snprintf(request, sizeof(request),
                 "%s /-/queues/q/pause HTTP/1.1\r\n" JSON "%s\r\n\r\n{}",
                 cases[i].method, cases[i].fields);
        const char *answer = ask_to_the_end(request);
        ck_problem(answer, 400, cases[i].code);
        ck_assert_str_eq(field_of(answer, "Connection"), "close");
    }
    ck_member(json_of(get("/-/queues/q")), "epoch", "1");
    serve_end();
}
END_TEST

START_TEST(a_path_is_the_whole_path)
{
    serve();
    ck_problem(get("/-/queues/q%00x"), 400, "bad-target");
    ck_problem(get("/healthz%00"), 400, "bad-target");
    ck_problem(get("/-/queues/q%4"), 400, "bad-target");
    ck_problem(get("/-/queues/../queues/q"), 400, "bad-target");
    ck_problem(get("/-/queues/q%2Fx"), 404, "not-found");
    ck_status(get("/-/queues/%71?x=%00"), 200);
    ck_status(get("http://127.0.0.1:1/-/queues/q"), 200);
    ck_problem(get("http://evil.example/-/queues/q"), 400, "bad-host");
    serve_end();
}
END_TEST

static mono_ms
body_less(int *fds, size_t len)
{
    static const char head[] =
        "POST /-/queues/q/pause HTTP/1.1\r\n"
        "Host: [::1]\r\n" JSON "Content-Length: 2\r\n\r\n{";

    for (size_t i = 0; i < len; i++) {
        fds[i] = dial(serve_admin);
        ck_assert_int_ge(fds[i], 0);
        send_bytes(fds[i], head, strlen(head));
    }
    return clock_mono();
}

START_TEST(a_probe_is_answered_beside_clients_that_send_no_body)
{
    int fds[64];
    char byte;

    serve();
    const mono_ms since = body_less(fds, ARRAY_LEN(fds));
    ck_status(get("/healthz"), 200);
    ck_assert_int_lt(clock_mono() - since, 2000);
    for (size_t i = 0; i < ARRAY_LEN(fds); i++) { /* and they are cut off */
        struct pollfd pollfd = {.fd = fds[i], .events = POLLIN};
        ck_assert_int_eq(poll(&pollfd, 1, 8000), 1);
        ck_assert_int_le(recv(fds[i], &byte, 1, 0), 0);
        close(fds[i]);
    }
    ck_assert_int_lt(clock_mono() - since, 8000);
    ck_member(json_of(get("/-/queues/q")), "state", "open");
    serve_end();
}
END_TEST

START_TEST(methods_and_sizes_have_their_bounds)
{
    static char body[70000];

    serve();
    const char *answer = admin("DELETE", "/-/queues/q", "", "");
    ck_problem(answer, 405, "method-not-allowed");
    answer = get("/-/queues/q/pause");
    ck_status(answer, 405);
    ck_assert_str_eq(field_of(answer, "Allow"), "POST");
    ck_status(admin("HEAD", "/-/queues/q/pause", CLOSE, ""), 405);
    answer = admin("OPTIONS", "/-/queues/q/pause", "", "");
    ck_status(answer, 405);

    int fd = dial(serve_admin);
    snprintf(body, sizeof(body),
             "POST /-/queues/q/pause HTTP/1.1\r\nHost: [::1]\r\n" JSON
             "Content-Length: 66000\r\n\r\n");
    memset(body + strlen(body), ' ', 66000);
    send_bytes(fd, body, strlen(body));
    ck_problem(read_answers(fd, 1), 413, "too-large");
    close(fd);
    fd = dial(serve_admin);
    snprintf(body, sizeof(body),
             "POST /-/queues/q/pause HTTP/1.1\r\nHost: [::1]\r\n" JSON
             "Content-Length: 2000000\r\nExpect: 100-continue\r\n\r\n");
    send_bytes(fd, body, strlen(body));
    ck_problem(read_answers(fd, 1), 413, "too-large");
    close(fd);
    serve_end();
}
END_TEST

/* ---- operations ---------------------------------------------------------- */

/* Until it has ended. */
static const json_t *
await_operation(const char *path)
{
    for (;;) {
        const char *answer = get(path);
        ck_status(answer, 200);
        const json_t *operation = json_of(answer);
        if (strcmp(member(operation, "state"), "running") != 0)
            return operation;
        ck_assert_str_eq(field_of(answer, "Retry-After"), "1");
        usleep(2000);
    }
}

/* It was run with what all get (configuration, parent, whom it is by) and these
 * words. */
static void
ck_command(const json_t *operation, const char *words)
{
    char expected[600], line[600];

    snprintf(line, sizeof(line), "%s", member(operation, "output.0"));
    char *port = strstr(line, "(127.0.0.1:");
    ck_assert_ptr_nonnull(port);
    port += strlen("(127.0.0.1");
    memmove(port, strchr(port, ')'), strlen(strchr(port, ')')) + 1);
    snprintf(expected, sizeof(expected),
             "%s --config %s/c.yaml --up %d --by admin API (127.0.0.1)%s",
             member(operation, "command"), serve_directory, serve_pid, words);
    ck_assert_str_eq(line, expected);
}

START_TEST(a_pause_that_waits_is_an_operation)
{
    char path[128];

    serve_program = "/bin/echo";
    serve();
    const char *answer =
        post("/-/queues/q/pause",
             "{\"wait\":true,\"reason\":\"a b\",\"timeout\":\"30s\","
             "\"on-timeout\":\"resume\",\"kill\":true}");
    ck_status(answer, 202);
    snprintf(path, sizeof(path), "%s", field_of(answer, "Location"));
    ck_assert_int_eq(strncmp(path, "/-/operations/", 14), 0);
    const json_t *operation = await_operation(path);
    ck_member(operation, "id", path + 14);
    ck_member(operation, "command", "pause");
    ck_member(operation, "queue", "q");
    ck_member(operation, "state", "done");
    ck_member(operation, "exit_code", "0");
    ck_member(operation, "receipts.0.bound_ms", "7");
    ck_command(operation, " --reason a b --timeout 30s --kill --wait "
                          "--on-timeout resume --paused 2 --made q");
    ck_member(json_of(get("/-/operations")), "0.id", path + 14);

    /* The second finds it paused, and is not to undo that. */
    answer = post("/-/queues/q/pause", "{\"wait\":true}");
    ck_status(answer, 202);
    snprintf(path, sizeof(path), "%s", field_of(answer, "Location"));
    ck_command(await_operation(path), " --wait --paused 2 q");
    ck_problem(get("/-/operations/0123456789abcdef"), 404, "not-found");
    serve_end();
}
END_TEST

START_TEST(an_upgrade_is_an_operation)
{
    char path[128];

    serve_program = "/bin/echo";
    serve();
    const char *answer =
        admin("POST", "/-/queues/q/upgrade", JSON "If-Match: \"1\"\r\n",
              "{\"to\":\"2\",\"timeout\":\"1m\"}");
    ck_status(answer, 202);
    snprintf(path, sizeof(path), "%s", field_of(answer, "Location"));
    ck_command(await_operation(path), " --timeout 1m --to 2 --expect 1 q");
    ck_problem(admin("POST", "/-/queues/q/upgrade", JSON "If-Match: \"3\"\r\n",
                     "{\"to\":\"2\"}"),
               412, "stale");
    serve_end();
}
END_TEST

START_TEST(commands_are_run_only_if_the_settings_say_so)
{
    char path[128];
    const char *body = "{\"to\":\"2\",\"migrate\":\"./m\",\"verify\":\"v\","
                       "\"rollback\":\"r; s\"}";

    serve();
    ck_problem(post("/-/queues/q/upgrade", body), 403, "forbidden");
    ck_assert_uint_eq(json_array_size(json_of(get("/-/operations"))), 0);
    serve_end();

    serve_program = "/bin/echo";
    serve_with("  admin_commands: true\n");
    const char *answer = post("/-/queues/q/upgrade", body);
    ck_status(answer, 202);
    snprintf(path, sizeof(path), "%s", field_of(answer, "Location"));
    ck_command(await_operation(path),
               " --to 2 --migrate ./m --verify v --rollback r; s q");
    serve_end();
}
END_TEST

START_TEST(nothing_is_paused_that_could_not_be_waited_for)
{
    char program[] = "/tmp/cloakroom-sleeps-XXXXXX";
    const int fd = mkstemp(program);

    ck_assert_int_ge(fd, 0);
    ck_assert_int_gt(dprintf(fd, "#!/bin/sh\nexec sleep 60\n"), 0);
    fchmod(fd, 0700);
    close(fd);
    serve_program = program;
    serve();
    for (int i = 0; i < 8; i++)
        ck_status(post("/-/queues/q/upgrade", "{\"to\":\"2\"}"), 202);
    const char *answer = post("/-/queues/q/pause", "{\"wait\":true}");
    ck_problem(answer, 503, "busy");
    ck_assert_str_eq(field_of(answer, "Retry-After"), "1");
    ck_member(json_of(get("/-/queues/q")), "state", "open");
    ck_assert_uint_eq(json_array_size(json_of(get("/-/operations"))), 8);
    serve_end();
    unlink(program);
}
END_TEST

START_TEST(an_operation_that_fails_says_so)
{
    char path[128];

    serve_program = "/bin/false";
    serve();
    const char *answer = post("/-/queues/q/upgrade", "{\"to\":\"2\"}");
    ck_status(answer, 202);
    snprintf(path, sizeof(path), "%s", field_of(answer, "Location"));
    const json_t *operation = await_operation(path);
    ck_member(operation, "state", "failed");
    ck_member(operation, "exit_code", "1");
    serve_end();
}
END_TEST

/* ---- ready? -------------------------------------------------------------- */

START_TEST(ready_needs_a_worker_of_the_admitted_release)
{
    fake_worker = "1";
    serve_worked_len = 1;
    serve();
    ck_status(get("/readyz"), 200);
    ck_status(post("/-/queues/q/pause", "{}"), 200);
    ck_status(get("/readyz"), 200);
    ck_status(post("/-/queues/q/resume", "{\"release\":\"2\"}"), 200);
    const char *answer = get("/readyz");
    ck_status(answer, 503);
    ck_assert_ptr_nonnull(strstr(
        answer, "queue q: no worker of its release (2) has said hello\n"));
    serve_end();
}
END_TEST

TESTS("ingress", "admin", a_queue_tells_how_it_stands,
      a_paused_queue_tells_what_it_waits_for,
      the_epoch_is_no_reason_to_send_nothing,
      an_upgrade_that_holds_a_queue_is_shown,
      the_history_is_told_with_its_receipts,
      a_change_answers_with_the_new_state,
      what_is_so_already_is_no_error_and_no_change,
      a_release_changes_only_in_a_drained_queue,
      a_change_that_builds_on_another_epoch_is_not_made,
      a_malformed_if_match_lets_nothing_be_done,
      killing_is_asked_of_the_pause_that_is_meant,
      a_body_that_is_not_meant_is_refused, a_web_page_may_not_ask,
      only_a_host_that_is_surely_ours_is_answered,
      a_request_whose_end_or_host_is_in_doubt_is_refused,
      a_path_is_the_whole_path,
      a_probe_is_answered_beside_clients_that_send_no_body,
      methods_and_sizes_have_their_bounds, a_pause_that_waits_is_an_operation,
      an_upgrade_is_an_operation, commands_are_run_only_if_the_settings_say_so,
      nothing_is_paused_that_could_not_be_waited_for,
      an_operation_that_fails_says_so,
      ready_needs_a_worker_of_the_admitted_release)
