/* settings_load_test.c - what a good file says is what the struct holds. */
#include "tests/unit/test.h"

#include "tests/unit/common/settings_file.h"

/* Each line of the file is named in the design. */
static const char whole[] =
    "broker:\n"
    "  embedded: {directory: ./data}\n"
    "ingress:\n"
    "  listen: 127.0.0.2:8090\n"
    "  admin: \"[::1]:8091\"\n"
    "  max_body: 8MiB\n"
    "  max_waiting: 30000   # held connections\n"
    "routes:\n"
    "  - {path: /hits, queue: hits, wait: 10s}\n"
    "  - {path: /api/, methods: [GET, HEAD], queue: reads, wait: 90s,\n"
    "     max_wait: 120s, host: Shop.Example}\n"
    "  - {path: /api, queue: writes, wait: 0s, strict: true}\n"
    "  - {path: /, queue: writes, wait: 90s}\n"
    "queues:\n"
    "  - name: hits\n"
    "    handler:\n"
    "      cgi: {command: ./hits.cgi, environment: {COLOR: blue, N: 7}}\n"
    "    concurrency: 5\n"
    "    timeout: 31s\n"
    "    attempts: 2\n"
    "    backoff: {first: 2s, max: 70s}\n"
    "    redeliver: always\n"
    "    ttl: 2h\n"
    "    retention: {age: 3h, bytes: 2GiB}\n"
    "    keys: 25h\n"
    "    max_response: 17MiB\n"
    "    lease: 11s\n"
    "    workers: 2\n"
    "    release: \"v2\"\n"
    "    max_depth: 100001\n"
    "  - name: reads\n"
    "    handler: {cgi: {command: [/bin/echo, -n, \"\"]}}\n"
    "    release: 3\n"
    "  - name: writes\n"
    "    handler:\n"
    "      respond:\n"
    "        {status: 503, fields: {Retry-After: 120, X: \"\"}, body: later}\n";

/* The least that a file must say. */
#define LEAST                                                                  \
    "queues:\n"                                                                \
    "- {name: q, handler: {respond: {}}}\n"                                    \
    "routes:\n"                                                                \
    "- {path: /, queue: q}\n"

START_TEST(the_whole_shape_is_read)
{
    struct settings_file file;
    char *path;

    settings_file_init(&file);
    OWNED(settings) settings = settings_file_good(&file, whole);
    ck_assert_str_eq(settings->path, file.path);
    path = mem_printf("%s/data", file.folder);
    ck_assert_str_eq(settings->directory, path);
    free(path);
    ck_assert_str_eq(settings->listen.host, "127.0.0.2");
    ck_assert_uint_eq(settings->listen.port, 8090);
    ck_assert_str_eq(settings->admin.host, "::1");
    ck_assert_uint_eq(settings->admin.port, 8091);
    ck_assert_uint_eq(settings->max_body, 8 << 20);
    ck_assert_uint_eq(settings->max_waiting, 30000);
    settings_file_fini(&file);
}
END_TEST

START_TEST(routes_are_read)
{
    struct settings_file file;

    settings_file_init(&file);
    OWNED(settings) settings = settings_file_good(&file, whole);
    ck_assert_uint_eq(settings->routes_len, 4);
    const struct route_settings *route = settings->routes;
    ck_assert_str_eq(route[0].path, "/hits");
    ck_assert_ptr_null(route[0].host);
    ck_assert_ptr_null(route[0].methods);
    ck_assert_uint_eq(route[0].queue, 0);
    ck_assert_int_eq(route[0].wait, 10000);
    ck_assert_int_eq(route[0].max_wait, 60000);
    ck_assert(!route[0].strict);
    ck_assert_int_eq(route[0].line, 9);
    ck_assert_str_eq(route[1].path, "/api");
    ck_assert_str_eq(route[1].host, "shop.example");
    ck_assert_str_eq(route[1].methods[0], "GET");
    ck_assert_str_eq(route[1].methods[1], "HEAD");
    ck_assert_ptr_null(route[1].methods[2]);
    ck_assert_uint_eq(route[1].queue, 1);
    ck_assert_int_eq(route[1].max_wait, 120000);
    ck_assert_int_eq(route[2].wait, 0);
    ck_assert(route[2].strict);
    ck_assert_str_eq(route[3].path, "");
    ck_assert_int_eq(route[3].max_wait, 90000); /* never below wait */
    settings_file_fini(&file);
}
END_TEST

START_TEST(queues_are_read)
{
    struct settings_file file;

    settings_file_init(&file);
    OWNED(settings) settings = settings_file_good(&file, whole);
    ck_assert_uint_eq(settings->queues_len, 3);
    const struct queue_settings *queue = settings->queues;
    ck_assert_str_eq(queue->name, "hits");
    ck_assert_uint_eq(queue->concurrency, 5);
    ck_assert_int_eq(queue->timeout, 31000);
    ck_assert_uint_eq(queue->attempts, 2);
    ck_assert_int_eq(queue->backoff_first, 2000);
    ck_assert_int_eq(queue->backoff_max, 70000);
    ck_assert_int_eq(queue->redeliver, REDELIVER_ALWAYS);
    ck_assert_int_eq(queue->ttl, 2 * 3600000);
    ck_assert_int_eq(queue->retention_age, 3 * 3600000);
    ck_assert_uint_eq(queue->retention_bytes, 2ul << 30);
    ck_assert_int_eq(queue->keys, 25 * 3600000);
    ck_assert_uint_eq(queue->max_response, 17 << 20);
    ck_assert_int_eq(queue->lease, 11000);
    ck_assert_uint_eq(queue->workers, 2);
    ck_assert_str_eq(queue->release, "v2");
    ck_assert_uint_eq(queue->max_depth, 100001);
    ck_assert_str_eq(queue[1].release, "3");
    ck_assert_int_eq(settings_queue(settings, "writes"), 2);
    ck_assert_int_eq(settings_queue(settings, "write"), -1);
    settings_file_fini(&file);
}
END_TEST

START_TEST(handlers_are_read)
{
    struct settings_file file;

    settings_file_init(&file);
    OWNED(settings) settings = settings_file_good(&file, whole);
    char *program = mem_printf("%s/hits.cgi", file.folder);
    const struct handler_settings *handler = &settings->queues[0].handler;
    ck_assert_int_eq(handler->type, HANDLER_CGI);
    ck_assert_str_eq(handler->cgi.command[0], program);
    ck_assert_ptr_null(handler->cgi.command[1]);
    ck_assert_ptr_null(handler->cgi.directory);
    ck_assert_uint_eq(handler->cgi.environment_len, 2);
    ck_assert_str_eq(handler->cgi.environment[0].name, "COLOR");
    ck_assert_str_eq(handler->cgi.environment[0].value, "blue");
    ck_assert_str_eq(handler->cgi.environment[1].value, "7");
    handler = &settings->queues[1].handler;
    ck_assert_str_eq(handler->cgi.command[0], "/bin/echo");
    ck_assert_str_eq(handler->cgi.command[1], "-n");
    ck_assert_str_eq(handler->cgi.command[2], "");
    ck_assert_ptr_null(handler->cgi.command[3]);
    handler = &settings->queues[2].handler;
    ck_assert_int_eq(handler->type, HANDLER_RESPOND);
    ck_assert_int_eq(handler->respond.status, 503);
    ck_assert_uint_eq(handler->respond.fields_len, 2);
    ck_assert_str_eq(handler->respond.fields[0].name, "Retry-After");
    ck_assert_str_eq(handler->respond.fields[0].value, "120");
    ck_assert_str_eq(handler->respond.body, "later");
    free(program);
    settings_file_fini(&file);
}
END_TEST

static void
check_default_queue(const struct queue_settings *queue)
{
    ck_assert_int_eq(queue->handler.type, HANDLER_RESPOND);
    ck_assert_int_eq(queue->handler.respond.status, 200);
    ck_assert_str_eq(queue->handler.respond.body, "");
    ck_assert_uint_eq(queue->concurrency, 4);
    ck_assert_int_eq(queue->timeout, 30000);
    ck_assert_uint_eq(queue->attempts, 3);
    ck_assert_int_eq(queue->backoff_first, 1000);
    ck_assert_int_eq(queue->backoff_max, 60000);
    ck_assert_int_eq(queue->redeliver, REDELIVER_IDEMPOTENT);
    ck_assert_int_eq(queue->ttl, 3600000);
    ck_assert_int_eq(queue->retention_age, 3600000);
    ck_assert_uint_eq(queue->retention_bytes, 1ul << 30);
    ck_assert_int_eq(queue->keys, 24 * 3600000);
    ck_assert_uint_eq(queue->max_response, 16 << 20);
    ck_assert_int_eq(queue->lease, 10000);
    ck_assert_uint_eq(queue->workers, 1);
    ck_assert_str_eq(queue->release, "1");
    ck_assert_uint_eq(queue->max_depth, 100000);
}

static void
check_defaults(const struct settings *settings)
{
    ck_assert_ptr_nonnull(strstr(settings->directory, "/cloakroom-data"));
    ck_assert_ptr_null(settings->kafka.servers);
    ck_assert_str_eq(settings->listen.host, "127.0.0.1");
    ck_assert_uint_eq(settings->listen.port, 8080);
    ck_assert_str_eq(settings->admin.host, "127.0.0.1");
    ck_assert_uint_eq(settings->admin.port, 8081);
    ck_assert_uint_eq(settings->max_body, 16 << 20);
    ck_assert_uint_eq(settings->max_header, 16 << 10);
    ck_assert_uint_eq(settings->max_buffered, 256 << 20);
    ck_assert_uint_eq(settings->max_waiting, 20000);
    ck_assert_uint_eq(settings->max_connections, 50000);
    ck_assert_int_eq(settings->header_timeout, 30000);
    ck_assert_int_eq(settings->body_timeout, 300000);
    ck_assert_uint_eq(settings->threads, 0);
    ck_assert_uint_eq(settings->routes_len, 1);
    ck_assert_uint_eq(settings->routes[0].queue, 0);
    ck_assert_ptr_null(settings->routes[0].host);
    ck_assert_ptr_null(settings->routes[0].methods);
    ck_assert_int_eq(settings->routes[0].wait, 30000);
    ck_assert_int_eq(settings->routes[0].max_wait, 60000);
    ck_assert(!settings->routes[0].strict);
    ck_assert_uint_eq(settings->queues_len, 1);
    check_default_queue(&settings->queues[0]);
}

START_TEST(what_is_left_out_has_its_default)
{
    struct settings_file file;

    settings_file_init(&file);
    OWNED(settings) settings = settings_file_good(&file, LEAST);
    check_defaults(settings);
    settings_file_fini(&file);
}
END_TEST

START_TEST(the_printed_defaults_load_to_the_defaults)
{
    struct settings_file file;
    char *text = NULL;
    size_t len;

    settings_file_init(&file);
    FILE *to = open_memstream(&text, &len);
    settings_print_defaults(to);
    fclose(to);
    OWNED(settings) settings = settings_file_good(&file, text);
    check_defaults(settings);
    free(text);
    settings_file_fini(&file);
}
END_TEST

START_TEST(a_file_that_names_kafka_has_no_directory)
{
    struct settings_file file;

    settings_file_init(&file);
    OWNED(settings)
    settings = settings_file_good(
        &file,
        "broker:\n"
        "  embedded:\n"
        "  kafka:\n"
        "    servers: \"k1:9092,[2001:db8::1]:9093\"\n"
        "    prefix: shop.test\n"
        "    view: /var/view\n"
        "    secret_file: keys/ticket.key\n"
        "    timeout: 2s\n"
        "    properties: {security.protocol: SASL_SSL,\n"
        "                 sasl.password: \"\"}\n"
        "    topics: {partitions: 6, replication: 3, min_insync: 1}\n" LEAST);
    const struct kafka_settings *kafka = &settings->kafka;
    char *secret = mem_printf("%s/keys/ticket.key", file.folder);
    ck_assert_ptr_null(settings->directory);
    ck_assert_str_eq(kafka->servers, "k1:9092,[2001:db8::1]:9093");
    ck_assert_str_eq(kafka->prefix, "shop.test");
    ck_assert_str_eq(kafka->view, "/var/view");
    ck_assert_str_eq(kafka->secret_file, secret);
    ck_assert_int_eq(kafka->timeout, 2000);
    ck_assert_uint_eq(kafka->properties_len, 2);
    ck_assert_str_eq(kafka->properties[0].name, "security.protocol");
    ck_assert_str_eq(kafka->properties[0].value, "SASL_SSL");
    ck_assert_int_eq(kafka->properties[1].line, 10);
    ck_assert_int_eq(kafka->properties[1].column, 18);
    ck_assert_uint_eq(kafka->partitions, 6);
    ck_assert_uint_eq(kafka->replication, 3);
    ck_assert_uint_eq(kafka->min_insync, 1);
    free(secret);
    settings_file_fini(&file);
}
END_TEST

START_TEST(kafka_needs_no_more_than_its_servers)
{
    struct settings_file file;

    settings_file_init(&file);
    OWNED(settings)
    settings = settings_file_good(
        &file, "broker: {kafka: {servers: \"k:9092\"}}\n" LEAST);
    const struct kafka_settings *kafka = &settings->kafka;
    char *view = mem_printf("%s/cloakroom-view", file.folder);
    ck_assert_str_eq(kafka->prefix, "cloakroom");
    ck_assert_str_eq(kafka->view, view);
    ck_assert_ptr_nonnull(strstr(kafka->secret_file, "/ticket.key"));
    ck_assert_int_eq(kafka->timeout, 5000);
    ck_assert_uint_eq(kafka->properties_len, 0);
    ck_assert_uint_eq(kafka->partitions, 12);
    ck_assert_uint_eq(kafka->replication, 0);
    ck_assert_uint_eq(kafka->min_insync, 0);
    free(view);
    settings_file_fini(&file);
}
END_TEST

START_TEST(files_from_other_systems_are_read)
{
    static const char *const same[] = {
        "\xef\xbb\xbf" LEAST,          /* a byte order mark */
        "---\n" LEAST "...\n",         /* a document with its marks */
        "%YAML 1.2\n---\n" LEAST,      /* a version */
        "ingress:\nbroker: ~\n" LEAST, /* sections with all commented out */
        "{\"queues\": [{\"name\": \"q\", \"handler\": {\"respond\": "
        "{}}}],\n"
        "\"routes\": [{\"path\": \"/\", \"queue\": \"q\"}]}\n", /* JSON */
        "queues: [{name: q, backoff: , retention: , handler: {respond: "
        "}}]\n"
        "routes: [{path: /, queue: q}]\n", /* groups left empty */
        "queues:\r\n- {name: q, handler: {respond: {}}}\r\n"
        "routes:\r\n- {path: /, queue: q}\r\n", /* CRLF */
    };
    struct settings_file file;

    settings_file_init(&file);
    for (size_t i = 0; i < ARRAY_LEN(same); i++) {
        OWNED(settings) settings = settings_file_good(&file, same[i]);
        check_defaults(settings);
    }
    settings_file_fini(&file);
}
END_TEST

START_TEST(aliases_stand_for_their_anchors)
{
    struct settings_file file;

    settings_file_init(&file);
    OWNED(settings)
    settings = settings_file_good(
        &file, "queues:\n"
               "- {name: a, backoff: &slow {first: 5s}, timeout: &t 7s,\n"
               "   handler: &h {respond: {body: &b x}}}\n"
               "- {name: *b, backoff: *slow, timeout: *t, handler: *h}\n"
               "routes:\n"
               "- {path: /, queue: *b}\n");
    ck_assert_str_eq(settings->queues[1].name, "x");
    ck_assert_int_eq(settings->queues[1].backoff_first, 5000);
    ck_assert_int_eq(settings->queues[1].timeout, 7000);
    ck_assert_str_eq(settings->queues[1].handler.respond.body, "x");
    ck_assert_uint_eq(settings->routes[0].queue, 1);
    settings_file_fini(&file);
}
END_TEST

static void
check_listen(struct settings_file *file, const char *written, const char *host,
             unsigned port)
{
    char *text = mem_printf("ingress: {listen: \"%s\"}\n" LEAST, written);
    OWNED(settings) settings = settings_file_good(file, text);

    ck_assert_str_eq(settings->listen.host, host);
    ck_assert_uint_eq(settings->listen.port, port);
    free(text);
}

START_TEST(addresses_are_read_in_every_form)
{
    struct settings_file file;

    settings_file_init(&file);
    check_listen(&file, "192.0.2.1:1", "192.0.2.1", 1);
    check_listen(&file, "localhost:65535", "127.0.0.1", 65535);
    check_listen(&file, "[2001:db8::1]:80", "2001:db8::1", 80);
    check_listen(&file, ":80", "0.0.0.0", 80);
    check_listen(&file, "*:80", "0.0.0.0", 80);
    check_listen(&file, "[::]:80", "::", 80);
    settings_file_fini(&file);
}
END_TEST

START_TEST(a_word_alone_is_looked_for_where_handlers_look)
{
    struct settings_file file;

    settings_file_init(&file);
    OWNED(settings)
    settings = settings_file_good(
        &file, "queues:\n"
               "- {name: q, handler: {cgi: {command: env}}}\n"
               "- {name: r, handler: {cgi: {command: [no-such-program, x]}}}\n"
               "- {name: s, handler: {cgi: {directory: cgi-bin}}}\n"
               "routes: [{path: /, queue: q}]\n");
    ck_assert_str_eq(settings->queues[0].handler.cgi.command[0],
                     "/usr/bin/env");
    ck_assert_str_eq(settings->queues[1].handler.cgi.command[0],
                     "/usr/local/bin/no-such-program");
    settings_file_fini(&file);
}
END_TEST

START_TEST(a_relative_path_of_the_file_is_made_absolute)
{
    struct settings_file file;

    settings_file_init(&file);
    settings_file_write(&file, LEAST, strlen(LEAST));
    ck_assert_int_eq(chdir(file.folder), 0);
    OWNED(settings) settings = settings_load("./cloakroom.yaml", stderr);
    ck_assert_ptr_nonnull(settings);
    ck_assert_str_eq(settings->path, file.path);
    settings_file_fini(&file);
}
END_TEST

TESTS("common", "settings_load", the_whole_shape_is_read, routes_are_read,
      queues_are_read, handlers_are_read, what_is_left_out_has_its_default,
      the_printed_defaults_load_to_the_defaults,
      a_file_that_names_kafka_has_no_directory,
      kafka_needs_no_more_than_its_servers, files_from_other_systems_are_read,
      aliases_stand_for_their_anchors, addresses_are_read_in_every_form,
      a_word_alone_is_looked_for_where_handlers_look,
      a_relative_path_of_the_file_is_made_absolute)
