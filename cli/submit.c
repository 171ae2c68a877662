/* submit.c - cloakroom submit: puts a request on its queue, without HTTP.
 *
 * What is stored is what the ingress would store: its rules for fields and
 * targets, its routes, its keys.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/ask.h"
#include "cli/cli.h"
#include "cli/show.h"
#include "common/message.h"
#include "ingress/head.h"
#include "ingress/idempotency.h"
#include "ingress/route.h"

#define FIELDS_MAX 100

enum { FLAG_WAIT = 256, FLAG_JSON };

static const struct flag flags[] = {
    {'X', "request", "METHOD", "the method (GET, or POST with --data)"},
    {'H', "header", "FIELD", "a field, 'Name: value'; may be repeated"},
    {'d', "data", "FILE", "the body; - is the standard input"},
    {'k', "key", "KEY", "Idempotency-Key: the same one joins the first"},
    {FLAG_WAIT, "wait", "[D]", "print the response, waiting at most D"},
    {FLAG_JSON, "json", NULL, "print it as JSON"},
    {0},
};

static const enum end ends[] = {END_STATUS, END_UNREACHABLE, END_STORE,
                                END_NOT_YET, END_OK};

/* What was asked for, and what became of it. */
struct request {
    const struct command *command;
    const struct settings *settings;
    const char *method; /* NULL: by the data */
    const char *target;
    const char *data; /* a file's name; NULL: no body */
    struct field fields[FIELDS_MAX];
    size_t fields_len;
    bool wait, json;
    span_ms limit; /* of the wait; below 0: none */

    char host[80]; /* where the ingress listens */
    struct head head;
    const struct route_settings *route;
    struct buf body, message;
    struct request_key key;
};

/* ---- reading ------------------------------------------------------------- */

static int
read_body(const char *path, struct buf *body, struct error *err)
{
    const bool is_stdin = strcmp(path, "-") == 0;
    const int fd = is_stdin ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    char chunk[65536];
    ssize_t len;
    int r = 0;

    if (fd < 0)
        return error_system(err, -errno, "--data %s", path);
    while (r == 0 && (len = read(fd, chunk, sizeof(chunk))) > 0)
        r = buf_add(body, chunk, (size_t)len);
    if (r < 0)
        error_set(err, r, "--data %s: larger than max_body, %zu bytes", path,
                  body->cap);
    else if (len < 0)
        r = error_system(err, -errno, "--data %s", path);
    if (!is_stdin)
        close(fd);
    return r;
}

static int
add_field(struct request *request, struct slice name, struct slice value,
          struct error *err)
{
    if (request->fields_len == FIELDS_MAX)
        return error_set(err, -EMSGSIZE, "more than %d fields", FIELDS_MAX);
    request->fields[request->fields_len++] = (struct field){name, value};
    return 0;
}

static int
add_header(struct request *request, const char *text, struct error *err)
{
    struct slice rest = slice_of(text), name;

    slice_cut(&rest, ':', &name);
    if (rest.at == NULL)
        return error_set(err, -EINVAL, "-H '%s': write 'Name: value'", text);
    return add_field(request, name, slice_trim(rest), err);
}

/* The Host of the listener, unless one was given. */
static int
add_host(struct request *request, struct error *err)
{
    const struct address *listen = &request->settings->listen;
    const bool v6 = strchr(listen->host, ':') != NULL;

    snprintf(request->host, sizeof(request->host), "%s%s%s:%u", v6 ? "[" : "",
             listen->host, v6 ? "]" : "", listen->port);
    for (size_t i = 0; i < request->fields_len; i++) {
        if (slice_is_nocase(request->fields[i].name, "Host"))
            return 0;
    }
    return add_field(request, SLICE("Host"), slice_of(request->host), err);
}

/* ---- the message --------------------------------------------------------- */

/* By the rules of the ingress. */
static int
read_head(struct request *request, struct error *err)
{
    struct refusal refusal;
    struct head *head = &request->head;

    if (head_read(head, slice_of(request->method), slice_of(request->target),
                  false, request->fields, request->fields_len, &refusal) < 0)
        return error_set(err, -EINVAL, "%s", refusal.detail);
    request->route = route_match(request->settings, head->method, head->host,
                                 head->target.path);
    if (request->route == NULL)
        return error_set(err, -EINVAL, "no route for %s %s in %s",
                         request->method, request->target,
                         request->settings->path);
    return 0;
}

static int
write_message(struct request *request, struct error *err)
{
    const struct head *head = &request->head;
    struct buf *message = &request->message;
    int r;

    buf_init(message, request->body.len + request->settings->max_header + 64);
    r = message_start_request(message, head->method, head->target.origin);
    for (size_t i = 0; r == 0 && i < request->fields_len; i++) {
        const struct field *field = &request->fields[i];
        if (!head_drops(head, request->fields, request->fields_len,
                        field->name))
            r = message_add_field(message, field->name, field->value);
    }
    if (r == 0)
        r = request->data == NULL ? message_end_bare(message)
                                  : message_end(message, request->body.len);
    if (r == 0)
        r = buf_add_slice(message, buf_slice(&request->body));
    if (r < 0)
        error_set(err, r, "the fields are larger than max_header, %zu bytes",
                  request->settings->max_header);
    return r;
}

static int
make_key(struct request *request, struct error *err)
{
    const struct head *head = &request->head;
    struct idempotency_key key;

    if (idempotency_parse(head->key, &key) < 0)
        return error_set(err, -EINVAL,
                         "the key is empty, longer than %d bytes or no key",
                         IDEMPOTENCY_KEY_MAX);
    idempotency_scope(request->key.scope, (struct slice){0}, head->method,
                      slice_of(request->route->host),
                      slice_of(request->route->path), &key);
    idempotency_fingerprint(request->key.fingerprint, head->method,
                            head->target.origin, head->content_type,
                            buf_slice(&request->body));
    return 0;
}

/* ---- submitting ---------------------------------------------------------- */

static int
tell_refused(const struct request *request, int r)
{
    const struct queue_settings *queue =
        &request->settings->queues[request->route->queue];

    switch (r) {
    case -ENOBUFS:
        return command_fails(request->command, END_NOT_YET,
                             "queue %s is full (max_depth %zu)", queue->name,
                             queue->max_depth);
    case -ECONNREFUSED:
        return command_fails(request->command, END_NOT_YET,
                             "queue %s refuses new requests; `cloakroom "
                             "accept %s` ends it",
                             queue->name, queue->name);
    case -EEXIST:
        return command_fails(request->command, END_FAILED,
                             "the key was used for another request");
    case -ENOSPC:
        return command_fails(request->command, END_NOT_YET,
                             "the disk is full: %s",
                             request->settings->directory);
    default:
        return command_fails(request->command, end_of(r), "%s", strerror(-r));
    }
}

static void
print_ticket(const struct request *request, const struct submission *submission)
{
    char text[TICKET_TEXT + 1];

    ticket_format(&submission->ticket, text);
    if (request->json)
        show_json(
            json_pack("{s:s, s:s, s:b}", "ticket", text, "queue",
                      request->settings->queues[request->route->queue].name,
                      "joined", submission->joined));
    else
        puts(text);
}

static int
submit(struct request *request, struct ask *ask)
{
    struct submission submission = {
        .ticket =
            ticket_make(broker_secret(ask_broker(ask)), clock_wall(),
                        request->head.has_key ? request_key_slot(&request->key)
                                              : TICKET_RANDOM_SLOT),
        .queue = request->route->queue,
        .idempotent = message_is_idempotent(request->head.method),
        .origin = {.local = slice_of(request->host),
                   .scheme = SLICE("http"),
                   .route = slice_of(request->route->path)},
        .message = buf_slice(&request->message),
        .key = request->head.has_key ? &request->key : NULL,
    };
    int r = ask_submit(ask, &submission);

    if (r < 0)
        return tell_refused(request, r);
    if (request->wait)
        return show_response(request->command, ask, &submission.ticket,
                             request->limit, request->json);
    print_ticket(request, &submission);
    return END_OK;
}

static int
make_request(struct request *request, struct error *err)
{
    int r = 0;

    buf_init(&request->body, request->settings->max_body);
    if (request->method == NULL)
        request->method = request->data != NULL ? "POST" : "GET";
    if (request->data != NULL)
        r = read_body(request->data, &request->body, err);
    if (r == 0)
        r = add_host(request, err);
    if (r == 0)
        r = read_head(request, err);
    if (r == 0)
        r = write_message(request, err);
    if (r == 0 && request->head.has_key)
        r = make_key(request, err);
    return r;
}

static int
make_and_submit(struct request *request)
{
    OWNED(ask) ask = NULL;
    struct error err;
    int end;

    if (make_request(request, &err) < 0)
        end = command_fails(request->command, END_FAILED, "%s", err.text);
    else if (ask_open_waiting(request->settings, &ask, &err) < 0)
        end = command_fails(request->command, end_of_open(err.code), "%s",
                            err.text);
    else
        end = submit(request, ask);
    buf_fini(&request->message);
    buf_fini(&request->body);
    return end;
}

/* ---- the command line ---------------------------------------------------- */

/* --wait=D, or --wait and then D: a path begins with a slash, a time does not.
 */
static int
take_wait(struct request *request, struct options *options, struct error *err)
{
    const char *span = options->value;

    request->wait = true;
    if (span == NULL) {
        span = options_peek(options);
        if (span == NULL || span[0] < '0' || span[0] > '9')
            return 0;
        options_skip(options);
    }
    return settings_parse_span(span, &request->limit, err);
}

static int
take_flag(struct request *request, int flag, struct options *options,
          struct error *err)
{
    switch (flag) {
    case 'X':
        request->method = options->value;
        return 0;
    case 'H':
        return add_header(request, options->value, err);
    case 'd':
        request->data = options->value;
        return 0;
    case 'k':
        return add_field(request, SLICE("Idempotency-Key"),
                         slice_of(options->value), err);
    case FLAG_WAIT:
        return take_wait(request, options, err);
    default:
        request->json = true;
        return 0;
    }
}

static int
run(const struct command *command, int argc, char **argv)
{
    OWNED(settings) settings = NULL;
    struct request request = {.command = command, .limit = -1};
    struct options options;
    struct error err;
    char **arguments;
    int end;

    options_init(&options, command, argc, argv);
    for (int flag; (flag = options_next(&options)) != OPTIONS_OVER;) {
        if (take_flag(&request, flag, &options, &err) < 0)
            return command_fails(command, END_USAGE, "%s", err.text);
    }
    if (options.end >= 0 ||
        (arguments = options_arguments(&options, 1, 1)) == NULL)
        return options.end;
    request.target = arguments[0];
    request.settings = settings = config_load(&options, &end);
    return settings == NULL ? end : make_and_submit(&request);
}

const struct command submit_command = {
    .name = "submit",
    .arguments = "[-c FILE] [-X METHOD] [-H FIELD]... [--data FILE|-] [--key "
                 "KEY]\n                        [--wait[=D]] [--json] PATH",
    .summary = "put a request on its queue and print the ticket",
    .details =
        "Finds the route as the ingress does, which need not run. Prints the "
        "ticket once the\nrequest is durable; with --wait the body of the "
        "response instead.\n\n"
        "Example: echo '{\"n\":1}' | cloakroom submit --data - --wait 30s "
        "/hits\n",
    .flags = flags,
    .ends = ends,
    .run = run,
};
