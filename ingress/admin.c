/* admin.c - the admin listener: its resources, who may use them, and answers.
 *
 * A listener of its own with one thread, which may block on the broker: it
 * carries no request of a client. It can change production, and browsers on
 * this machine reach it too. So, below /-/, nothing is answered to a page of
 * another site: a request with Origin is refused, and one whose Host is a name
 * that somebody else may have pointed here (DNS rebinding); and a POST needs a
 * media type that no HTML form can send.
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "common/mem.h"
#include "common/problem.h"
#include "ingress/admin_priv.h"

#define IDLE_SECONDS 10
#define BODY_SECONDS 3 /* without a byte of a body that is to come */
#define PROBLEM_MAX  8192
#define BODY_MAX     (64 * 1024)
/* A larger body is read to its end and dropped, so that its sender sees the
 * 413, but only so much of it. */
#define PASSED_MAX   (1024 * 1024)

static const struct resource {
    const char *path; /* `*` stands for a segment, which is request->name */
    void (*get)(struct admin_request *request);  /* NULL: none */
    void (*post)(struct admin_request *request); /* likewise */
} resources[] = {
    {"/healthz", admin_get_health, NULL},
    {"/readyz", admin_get_ready, NULL},
    {"/-/queues", admin_get_queues, NULL},
    {"/-/queues/*", admin_get_queue, NULL},
    {"/-/queues/*/history", admin_get_history, NULL},
    {"/-/queues/*/pause", NULL, admin_post_pause},
    {"/-/queues/*/resume", NULL, admin_post_resume},
    {"/-/queues/*/refuse", NULL, admin_post_refuse},
    {"/-/queues/*/accept", NULL, admin_post_accept},
    {"/-/queues/*/upgrade", NULL, admin_post_upgrade},
    {"/-/operations", admin_get_operations, NULL},
    {"/-/operations/*", admin_get_operation, NULL},
};

/* ---- answers ------------------------------------------------------------- */

const char *
admin_field(const struct admin_request *request, const char *name)
{
    return MHD_lookup_connection_value(request->connection, MHD_HEADER_KIND,
                                       name);
}

/* The lines of one field, joined. */
struct list {
    const char *name;
    struct buf *text;
};

static enum MHD_Result
on_line(void *opaque, enum MHD_ValueKind kind, const char *name,
        const char *value)
{
    const struct list *list = opaque;

    (void)kind;
    if (strcasecmp(name, list->name) != 0)
        return MHD_YES;
    return buf_addf(list->text, "%s%s", list->text->len > 0 ? ", " : "",
                    value == NULL ? "" : value) == 0
               ? MHD_YES
               : MHD_NO;
}

bool
admin_list(const struct admin_request *request, const char *name,
           struct buf *text)
{
    struct list list = {name, text};

    MHD_get_connection_values(request->connection, MHD_HEADER_KIND, on_line,
                              &list);
    return admin_field(request, name) != NULL;
}

static void
set_answer(struct admin_request *request, unsigned status, const char *type,
           char *text, size_t len)
{
    struct admin_answer *answer = &request->answer;

    free(answer->text);
    answer->status = status;
    answer->type = type;
    answer->text = text;
    answer->len = len;
}

void
admin_text(struct admin_request *request, unsigned status, struct slice text)
{
    set_answer(request, status, "text/plain", mem_strndup(text.at, text.len),
               text.len);
}

void
admin_json(struct admin_request *request, unsigned status, json_t *json)
{
    char *text = json_dumps(json, JSON_INDENT(2));
    char *line = mem_printf("%s\n", text);

    json_decref(json);
    free(text);
    set_answer(request, status, "application/json", line, strlen(line));
}

void
admin_refuse(struct admin_request *request, int status, const char *code,
             const char *format, ...)
{
    char detail[1200];
    va_list arguments;
    struct buf body;

    va_start(arguments, format);
    vsnprintf(detail, sizeof(detail), format, arguments);
    va_end(arguments);
    buf_init(&body, PROBLEM_MAX);
    problem_body(&body, status, code, detail, NULL);
    set_answer(request, (unsigned)status, "application/problem+json",
               mem_strndup(body.at, body.len), body.len);
    buf_fini(&body);
    if (status == 503)
        request->answer.retry_after = 1;
}

void
admin_refuse_result(struct admin_request *request, int r,
                    const struct error *err)
{
    /* The epoch that it builds on comes of If-Match only. */
    const int status = r == -ESTALE ? 412 : error_http_status(r);

    admin_refuse(request, status, error_word(r), "%s", err->text);
}

static void
add_fields(struct MHD_Response *response, const struct admin_answer *answer)
{
    char number[32];

    MHD_add_response_header(response, "Cache-Control", "no-store");
    MHD_add_response_header(response, "Content-Type", answer->type);
    if (answer->allow != NULL)
        MHD_add_response_header(response, "Allow", answer->allow);
    if (answer->location[0] != '\0')
        MHD_add_response_header(response, "Location", answer->location);
    if (answer->epoch != 0) {
        snprintf(number, sizeof(number), "\"%llu\"",
                 (unsigned long long)answer->epoch);
        MHD_add_response_header(response, "ETag", number);
    }
    if (answer->retry_after != 0) {
        snprintf(number, sizeof(number), "%u", answer->retry_after);
        MHD_add_response_header(response, "Retry-After", number);
    }
}

static enum MHD_Result
send_answer(struct admin_request *request)
{
    struct admin_answer *answer = &request->answer;
    struct MHD_Response *response = MHD_create_response_from_buffer(
        answer->len, TAKE(answer->text), MHD_RESPMEM_MUST_FREE);

    add_fields(response, answer);
    enum MHD_Result r =
        MHD_queue_response(request->connection, answer->status, response);
    MHD_destroy_response(response);
    return r;
}

/* ---- who may ask --------------------------------------------------------- */

static bool
is_address(struct slice host)
{
    unsigned char scratch[sizeof(struct in6_addr)];
    char text[INET6_ADDRSTRLEN + 1];
    int family = AF_INET;

    if (host.len > 2 && host.at[0] == '[' && host.at[host.len - 1] == ']') {
        host = (struct slice){host.at + 1, host.len - 2};
        family = AF_INET6;
    }
    if (host.len >= sizeof(text))
        return false;
    snprintf(text, sizeof(text), "%.*s", SLICE_ARG(host));
    return inet_pton(family, text, scratch) == 1;
}

/* An address, or a name that nobody else can have given us. */
static bool
is_our_host(struct slice host)
{
    char name[256] = "";

    gethostname(name, sizeof(name) - 1);
    return is_address(host) || slice_is_nocase(host, "localhost") ||
           (name[0] != '\0' && slice_is_nocase(host, name));
}

static bool
is_json(const char *field)
{
    struct slice rest = slice_of(field), type;

    return slice_cut(&rest, ';', &type) &&
           slice_is_nocase(slice_trim(type), "application/json");
}

/* False after a refusal. */
static bool
may_ask(struct admin_request *request)
{
    if (!is_our_host(request->head.host)) {
        admin_refuse(request, 421, "misdirected",
                     "Host is to be an address, localhost or the name of this "
                     "machine: another name may be somebody else's");
        return false;
    }
    if (admin_field(request, "Origin") != NULL) {
        admin_refuse(request, 403, "forbidden",
                     "a request with Origin comes from a web page, and those "
                     "may not ask here");
        return false;
    }
    return true;
}

/* False after a refusal. */
static bool
is_well_posted(struct admin_request *request)
{
    if (!is_json(admin_field(request, "Content-Type"))) {
        admin_refuse(request, 415, "unsupported-media-type",
                     "send a JSON object with Content-Type: application/json");
        return false;
    }
    if (request->passed_over > 0) {
        admin_refuse(request, 413, "too-large", "a body has at most %d bytes",
                     BODY_MAX);
        return false;
    }
    return true;
}

/* ---- which resource ------------------------------------------------------ */

/* Does the path match? Then name is the segment at `*`. */
static bool
path_matches(const char *path, const char *url, char name[65])
{
    const size_t fixed = strcspn(path, "*");

    if (path[fixed] == '\0')
        return strcmp(path, url) == 0;
    if (strncmp(path, url, fixed) != 0)
        return false;
    const size_t len = strcspn(url + fixed, "/");
    if (len == 0 || len > 64 ||
        strcmp(path + fixed + 1, url + fixed + len) != 0)
        return false;
    memcpy(name, url + fixed, len);
    name[len] = '\0';
    return true;
}

static const struct resource *
find_resource(struct admin_request *request)
{
    for (size_t i = 0; i < ARRAY_LEN(resources); i++) {
        if (path_matches(resources[i].path, request->path, request->name))
            return &resources[i];
    }
    return NULL;
}

static void
answer(struct admin_request *request)
{
    const struct slice method = request->head.method;

    /* Probes come from wherever an orchestrator sits, and tell nothing. */
    if (strncmp(request->path, "/-/", 3) == 0 && !may_ask(request))
        return;
    const struct resource *resource = find_resource(request);
    if (resource == NULL) {
        admin_refuse(request, 404, "not-found",
                     "the admin listener has /healthz, /readyz, /-/queues and "
                     "/-/operations");
    } else if (resource->get != NULL &&
               (slice_is(method, "GET") || slice_is(method, "HEAD"))) {
        resource->get(request);
    } else if (resource->post != NULL && slice_is(method, "POST")) {
        if (is_well_posted(request))
            resource->post(request);
    } else {
        request->answer.allow = resource->get != NULL ? "GET, HEAD" : "POST";
        admin_refuse(request, 405, "method-not-allowed",
                     "this is not done with %.*s; see Allow",
                     method.len < 20 ? (int)method.len : 20, method.at);
    }
}

/* ---- libmicrohttpd's side ------------------------------------------------ */

/* The target as it was sent, which *context keeps until on_request. */
static void *
on_target(void *opaque, const char *target, struct MHD_Connection *connection)
{
    struct admin_request *request = mem_new(struct admin_request);

    request->magic = ADMIN_REQUEST_MAGIC;
    request->ingress = opaque;
    request->connection = connection;
    request->target = mem_strdup(target);
    buf_init(&request->body, BODY_MAX);
    return request;
}

struct fields {
    struct field at[FIELDS_MAX];
    size_t len;
};

static enum MHD_Result
on_field(void *opaque, enum MHD_ValueKind kind, const char *name,
         size_t name_len, const char *value, size_t value_len)
{
    struct fields *fields = opaque;

    (void)kind;
    if (fields->len == FIELDS_MAX)
        return MHD_NO;
    fields->at[fields->len++] = (struct field){
        {name, name_len}, slice_trim((struct slice){value, value_len})};
    return MHD_YES;
}

/* -EINVAL: where the message ends, or what it asks for, is in doubt. */
static int
read_head(struct admin_request *request, const char *method,
          const char *version, struct refusal *refusal)
{
    struct fields fields = {.len = 0};
    const int len = MHD_get_connection_values_n(
        request->connection, MHD_HEADER_KIND, on_field, &fields);

    if (len > FIELDS_MAX)
        return refuse(refusal, 431, "header-too-large",
                      "a request has at most 256 fields");
    int r =
        head_read(&request->head, slice_of(method), slice_of(request->target),
                  strcmp(version, MHD_HTTP_VERSION_1_0) == 0, fields.at,
                  fields.len, refusal);
    if (r < 0)
        return r;
    request->path = mem_strndup(request->head.target.path.at,
                                request->head.target.path.len);
    MHD_http_unescape(request->path);
    return 0;
}

static void
set_time_out(struct admin_request *request, unsigned seconds)
{
    MHD_set_connection_option(request->connection,
                              MHD_CONNECTION_OPTION_TIMEOUT, seconds);
}

static void
begin(struct admin_request *request, const char *method, const char *version)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(
        request->connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    struct refusal refusal;

    set_time_out(request, BODY_SECONDS);
    if (read_head(request, method, version, &refusal) == 0)
        return;
    refusal_send(info->connect_fd, &refusal, strcmp(method, "HEAD") == 0);
    request->is_refused = true;
}

static enum MHD_Result
take_body(struct admin_request *request, const char *at, size_t *len)
{
    if (request->passed_over > 0 || request->is_refused ||
        buf_add(&request->body, at, *len) < 0)
        request->passed_over += *len;
    *len = 0;
    return request->passed_over <= PASSED_MAX ? MHD_YES : MHD_NO;
}

static enum MHD_Result
on_request(void *opaque, struct MHD_Connection *connection, const char *url,
           const char *method, const char *version, const char *at, size_t *len,
           void **context)
{
    struct admin_request *request =
        OBJ_CAST(admin_request, ADMIN_REQUEST_MAGIC, *context);

    (void)opaque;
    (void)connection;
    (void)url;
    if (!request->has_begun) {
        request->has_begun = true;
        begin(request, method, version);
        if (request->is_refused || request->head.length <= PASSED_MAX)
            return MHD_YES;
        request->passed_over = 1; /* answered now, instead of a 100 */
    }
    if (*len > 0)
        return take_body(request, at, len);
    if (request->is_refused)
        return MHD_NO;
    set_time_out(request, IDLE_SECONDS);
    answer(request);
    assert(request->answer.status != 0);
    return send_answer(request);
}

static void
on_completed(void *opaque, struct MHD_Connection *connection, void **context,
             enum MHD_RequestTerminationCode code)
{
    (void)opaque;
    (void)connection;
    (void)code;
    if (*context == NULL)
        return;
    struct admin_request *request =
        OBJ_CAST(admin_request, ADMIN_REQUEST_MAGIC, *context);
    free(request->answer.text);
    free(request->target);
    free(request->path);
    buf_fini(&request->body);
    free(request);
    *context = NULL;
}

int
admin_start(struct ingress *ingress, struct MHD_Daemon **out, struct error *err)
{
    int fd = address_listen(&ingress->settings->admin, "ingress.admin", err);

    if (fd < 0)
        return fd;
    *out = MHD_start_daemon(
        MHD_USE_EPOLL_INTERNAL_THREAD | MHD_USE_ITC, 0, NULL, NULL, on_request,
        ingress, MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_CONNECTION_LIMIT,
        (unsigned)ADMIN_CONNECTIONS, MHD_OPTION_CONNECTION_TIMEOUT,
        (unsigned)IDLE_SECONDS, MHD_OPTION_NOTIFY_COMPLETED, on_completed, NULL,
        MHD_OPTION_URI_LOG_CALLBACK, on_target, ingress, MHD_OPTION_END);
    if (*out != NULL)
        return 0;
    close(fd);
    return error_set(err, -EIO, "ingress.admin: the listener does not start");
}
