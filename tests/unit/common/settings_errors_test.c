/* settings_errors_test.c - what a bad file is told: where, what, what to do. */
#include "tests/unit/test.h"

#include <errno.h>
#include <fcntl.h>

#include "common/settings_priv.h"
#include "tests/unit/common/settings_file.h"

/* One wrong line in an otherwise good file, and its one complaint. */
struct wrong {
    const char *line, *error;
};

static void
check_each(const char *before, const char *after, const struct wrong *wrong,
           size_t len)
{
    struct settings_file file;

    settings_file_init(&file);
    for (size_t i = 0; i < len; i++) {
        char *text = mem_printf("%s%s\n%s", before, wrong[i].line, after);
        char *error = mem_printf("%s\n", wrong[i].error);
        settings_file_bad(&file, text, error);
        free(error);
        free(text);
    }
    settings_file_fini(&file);
}

#define QUEUE "queues:\n- {name: q, handler: {respond: {}}}\n"
#define ROUTE "routes:\n- {path: /, queue: q}\n"
#define LEAST QUEUE ROUTE

START_TEST(wrong_settings_of_the_ingress)
{
    /* clang-format off */
        static const struct wrong wrong[] = {
            {" max_bodi: 1MiB",
             "2:2: ingress.max_bodi: is no setting; did you mean `max_body`?"},
            {" colour: 1",
             "2:2: ingress.colour: is no setting; known here: `listen`, `admin`, `admin_commands`, `max_body`, `max_header`, `max_buffered`, `max_waiting`, `max_connections`, `header_timeout`, `body_timeout`, `threads`"},
            {" max_body: 16MB",
             "2:12: ingress.max_body: `16MB` has a unit that is not known here; write 16MiB"},
            {" max_body: 1GiB",
             "2:12: ingress.max_body: 1GiB is too much; write 512MiB or less"},
            {" max_header: 1B",
             "2:14: ingress.max_header: 1B is too little; write 1KiB or more"},
            {" max_body:",
             "2:2: ingress.max_body: has no value; give it one or take the line out"},
            {" max_body: []",
             "2:12: ingress.max_body: is a list where a single value is due; write one value, in quotes if it begins with [ or {"},
            {" header_timeout: 30",
             "2:18: ingress.header_timeout: `30` has no unit; write 30s (units: ms s m h d)"},
            {" threads: -1",
             "2:11: ingress.threads: `-1` is negative; write a number from 0 up"},
            {" threads: 2.5",
             "2:11: ingress.threads: `2.5` is no whole number; write digits only"},
            {" threads: 0x10",
             "2:11: ingress.threads: `0x10` is no whole number; write digits only"},
            {" threads: 99999999999999999999",
             "2:11: ingress.threads: `99999999999999999999` is too large to be counted; write a smaller number"},
            {" {max_body: 1MiB, max_body: 2MiB}",
             "2:19: ingress.max_body: is given twice, first in line 2; keep one"},
            {" ? [a]\n : b",
             "2:4: ingress.?: a key is text; write `key: value`"},
            {" max_buffered: 2MiB",
             "2:16: ingress.max_buffered: is below max_body, so that a body of that size never fits; make it larger, or max_body smaller"},
            {" - a",
             "2:2: ingress: is a list where a map is due; write `key: value` lines below it, or `{key: value}`"},
            {" a",
             "2:2: ingress: is a single value where a map is due; write `key: value` lines below it, or `{key: value}`"},
        };
    /* clang-format on */

    check_each("ingress:\n", LEAST, wrong, ARRAY_LEN(wrong));
}
END_TEST

START_TEST(wrong_settings_of_kafka)
{
    /* clang-format off */
        static const struct wrong wrong[] = {
            {"  kafka:",
             "2:3: broker.kafka.servers: is missing; add `servers: k1:9092,k2:9092,k3:9092` (some of its brokers, from which the others are learnt)"},
            {"  embedded: {directory: .}\n  kafka: {servers: \"k:1\"}",
             "2:3: broker: has both embedded and kafka; keep one of them"},
            {"  kafka: {servers: k1}",
             "2:20: broker.kafka.servers: `k1` is no host and port; write host:9092, several with commas between them"},
            {"  kafka: {servers: \"k1:1,,k2:1\"}",
             "2:20: broker.kafka.servers: `` is no host and port; write host:9092, several with commas between them"},
            {"  kafka: {servers: \"k1:1, k2:1\"}",
             "2:20: broker.kafka.servers: ` k2:1` is no host and port; write host:9092, several with commas between them"},
            {"  kafka: {servers: \"\"}",
             "2:20: broker.kafka.servers: `` is no host and port; write host:9092, several with commas between them"},
            {"  kafka: {servers: \"k:1\", prefix: a/b}",
             "2:35: broker.kafka.prefix: `a/b` is no name; write letters, digits, `.`, `_` and `-`, at most 64, a letter or digit first"},
            {"  kafka: {servers: \"k:1\", timeout: 1ms}",
             "2:36: broker.kafka.timeout: 1ms is too little; write 500ms or more"},
            {"  kafka: {servers: \"k:1\", secret_file: \"\"}",
             "2:40: broker.kafka.secret_file: is empty; write the path of a file"},
            {"  kafka: {servers: \"k:1\", properties: {acks: 1, acks: 2}}",
             "2:49: broker.kafka.properties.acks: is given twice; keep one"},
            {"  kafka: {servers: \"k:1\", topics: {partitions: 0}}",
             "2:48: broker.kafka.topics.partitions: 0 is too little; write 1 or more"},
            {"  kafka: {servers: \"k:1\", topics: {replication: 2, min_insync: 3}}",
             "2:64: broker.kafka.topics.min_insync: is above replication, so that nothing could ever be written; make it one less, or leave it out"},
        };
    /* clang-format on */

    check_each("broker:\n", LEAST, wrong, ARRAY_LEN(wrong));
}
END_TEST

START_TEST(wrong_addresses)
{
    /* clang-format off */
        static const struct wrong wrong[] = {
            {" listen: 8080",
             "2:10: ingress.listen: `8080` is no address and port; write 127.0.0.1:8080"},
            {" listen: 127.0.0.1",
             "2:10: ingress.listen: `127.0.0.1` is no address and port; write 127.0.0.1:8080"},
            {" listen: \"127.0.0.1:\"",
             "2:10: ingress.listen: `127.0.0.1:` has no port from 1 to 65535; write 127.0.0.1:8080"},
            {" listen: 127.0.0.1:0",
             "2:10: ingress.listen: `127.0.0.1:0` has no port from 1 to 65535; write 127.0.0.1:8080"},
            {" listen: 127.0.0.1:65536",
             "2:10: ingress.listen: `127.0.0.1:65536` has no port from 1 to 65535; write 127.0.0.1:8080"},
            {" listen: example.org:80",
             "2:10: ingress.listen: `example.org:80` has no numeric address; write 127.0.0.1:80, \"[::1]:80\", or \"*:80\" for every address"},
            {" listen: \"::1:80\"",
             "2:10: ingress.listen: `::1:80` has no numeric address; write 127.0.0.1:80, \"[::1]:80\", or \"*:80\" for every address"},
            {" listen: 127.0.0.1:8081",
             "2:2: ingress.admin: is the address of `listen` too; give it another port"},
        };
    /* clang-format on */

    check_each("ingress:\n", LEAST, wrong, ARRAY_LEN(wrong));
}
END_TEST

START_TEST(wrong_settings_of_a_queue)
{
    /* clang-format off */
        static const struct wrong wrong[] = {
            {"  attempts: 0",
             "4:13: queues[0].attempts: 0 is too little; write 1 or more"},
            {"  timeout: 8d",
             "4:12: queues[0].timeout: 8d is too much; write 7d or less"},
            {"  lease: 500ms",
             "4:10: queues[0].lease: 500ms is too little; write 1s or more"},
            {"  backoff: {first: 2m}",
             "4:12: queues[0].backoff.max: the longest wait is below the first; make max at least as long as first"},
            {"  redeliver: allways",
             "4:14: queues[0].redeliver: `allways` is none of its values; did you mean `always`?"},
            {"  redeliver: sometimes",
             "4:14: queues[0].redeliver: `sometimes` is none of its values; known here: `idempotent`, `always`, `never`"},
            {"  release: two words",
             "4:12: queues[0].release: `two words` is no release; write letters, digits, `.`, `_`, `-` and `+`, at most 64, a letter or digit first"},
            {"  release: \"\"",
             "4:12: queues[0].release: `` is no release; write letters, digits, `.`, `_`, `-` and `+`, at most 64, a letter or digit first"},
            {"  release: ..",
             "4:12: queues[0].release: `..` is no release; write letters, digits, `.`, `_`, `-` and `+`, at most 64, a letter or digit first"},
            {"  retention: 1h",
             "4:14: queues[0].retention: is a single value where a map is due; write `key: value` lines below it, or `{key: value}`"},
            {"  retention: {size: 1GiB}",
             "4:15: queues[0].retention.size: is no setting; known here: `age`, `bytes`"},
            {"  name: q",
             "4:3: queues[0].name: is given twice, first in line 2; keep one"},
            {"- name: q\n  handler: {respond: {}}",
             "4:9: queues[1].name: `q` is the name of queues[0] too; give it another"},
            {"- name: -q\n  handler: {respond: {}}",
             "4:9: queues[1].name: `-q` is no name; write letters, digits, `.`, `_` and `-`, at most 64, a letter or digit first"},
            {"- handler: {respond: {}}",
             "4:3: queues[1].name: is missing; add `name: hits` (letters, digits, `.`, `_` and `-`, at most 64, a letter or digit first)"},
            {"- x",
             "4:3: queues[1]: is no map; write `key: value` lines, or `{key: value}`"},
        };
    /* clang-format on */

    check_each("queues:\n- name: q\n  handler: {respond: {}}\n", ROUTE, wrong,
               ARRAY_LEN(wrong));
}
END_TEST

START_TEST(wrong_handlers)
{
    /* clang-format off */
        static const struct wrong wrong[] = {
            {"",
             "2:3: queues[0].handler: is missing; add `handler:` (what a worker runs for a request)"},
            {"  handler: {}",
             "3:12: queues[0].handler: has no handler; write cgi: {command: ./program} or respond: {body: ok}"},
            {"  handler: {cgi: {command: ./a}, respond: {}}",
             "3:12: queues[0].handler: has more than one handler; keep one of them"},
            {"  handler: {cgi: }",
             "3:13: queues[0].handler.cgi: has no program; write command: ./program or directory: ./cgi-bin"},
            {"  handler: {cig: {command: ./a}}",
             "3:13: queues[0].handler.cig: is no setting; did you mean `cgi`?"},
            {"  handler: {fastcgi: {}}",
             "3:13: queues[0].handler.fastcgi: is no setting; known here: `cgi`, `respond`"},
            {"  handler: ./a",
             "3:12: queues[0].handler: is a single value where a map is due; write `key: value` lines below it, or `{key: value}`"},
            {"  handler: {cgi: {}}",
             "3:18: queues[0].handler.cgi: has no program; write command: ./program or directory: ./cgi-bin"},
            {"  handler: {cgi: {command: ./a, directory: .}}",
             "3:18: queues[0].handler.cgi: has both command and directory; keep one of them"},
            {"  handler: {cgi: {command: \"\"}}",
             "3:28: queues[0].handler.cgi.command: is empty; write the path of a program"},
            {"  handler: {cgi: {command: []}}",
             "3:28: queues[0].handler.cgi.command: has 0 items; write 1 to 256"},
            {"  handler: {cgi: {command: [./a, [b]]}}",
             "3:34: queues[0].handler.cgi.command[1]: is no text; write a word, or \"\""},
            {"  handler: {cgi: {directory: \"\"}}",
             "3:30: queues[0].handler.cgi.directory: is empty; write the path of a directory"},
            {"  handler: {respond: {status: 199}}",
             "3:31: queues[0].handler.respond.status: 199 is too little; write 200 or more"},
            {"  handler: {respond: {status: 204, body: x}}",
             "3:42: queues[0].handler.respond.body: a response with status 204 has no body; take it out"},
            {"  handler: {respond: {body: \"a\\0b\"}}",
             "3:29: text with a NUL byte; take it out"},
        };
    /* clang-format on */

    check_each("queues:\n- name: q\n", ROUTE, wrong, ARRAY_LEN(wrong));
}
END_TEST

START_TEST(wrong_names_with_values)
{
    /* clang-format off */
        static const struct wrong wrong[] = {
            {"{cgi: {command: ./a, environment: {A B: 1}}}",
             "4:39: queues[0].handler.cgi.environment.A B: is no name of a variable; write letters, digits and _, no digit first"},
            {"{cgi: {command: ./a, environment: {PATH_INFO: 1}}}",
             "4:39: queues[0].handler.cgi.environment.PATH_INFO: is set by Cloakroom for each request; take it out"},
            {"{cgi: {command: ./a, environment: {HTTP_X: 1}}}",
             "4:39: queues[0].handler.cgi.environment.HTTP_X: is set by Cloakroom for each request; choose another name"},
            {"{cgi: {command: ./a, environment: {A: 1, A: 2}}}",
             "4:45: queues[0].handler.cgi.environment.A: is given twice; keep one"},
            {"{cgi: {command: ./a, environment: {A: }}}",
             "4:39: queues[0].handler.cgi.environment.A: has no text as its value; write one, or \"\" for an empty one"},
            {"{cgi: {command: ./a, environment: [A]}}",
             "4:38: queues[0].handler.cgi.environment: is a list where a map is due; write `key: value` lines below it, or `{key: value}`"},
            {"{respond: {fields: {Content-Length: 3}}}",
             "4:24: queues[0].handler.respond.fields.Content-Length: is set by Cloakroom; take it out"},
            {"{respond: {fields: {\"a:b\": x}}}",
             "4:24: queues[0].handler.respond.fields.a:b: is no name of a field; write one such as Content-Type"},
            {"{respond: {fields: {A: \"x\\r\\nB: y\"}}}",
             "4:24: queues[0].handler.respond.fields.A: has a value with control characters; take them out"},
            {"{respond: {fields: {? [a] : x}}}",
             "4:26: queues[0].handler.respond.fields: a name is text; write `NAME: value`"},
        };
    /* clang-format on */

    check_each("queues:\n- name: q\n  handler:\n   ", ROUTE, wrong,
               ARRAY_LEN(wrong));
}
END_TEST

START_TEST(wrong_routes)
{
    /* clang-format off */
        static const struct wrong wrong[] = {
            {"{path: hits, queue: q}",
             "4:10: routes[0].path: `hits` has no slash in front; write a path such as /hits"},
            {"{path: \"\", queue: q}",
             "4:10: routes[0].path: `` has no slash in front; write a path such as /hits"},
            {"{path: /a//b, queue: q}",
             "4:10: routes[0].path: `/a//b` has an empty segment (//); write a path such as /hits"},
            {"{path: /a/../b, queue: q}",
             "4:10: routes[0].path: `/a/../b` has a segment . or .., which no request has; write a path such as /hits"},
            {"{path: /a?b=c, queue: q}",
             "4:10: routes[0].path: `/a?b=c` has a query or a fragment; a route matches the path alone; write a path such as /hits"},
            {"{path: /a%20b, queue: q}",
             "4:10: routes[0].path: `/a%20b` has a character other than letters, digits and -._~!$&'()*+,;=:@/; write a path such as /hits"},
            {"{path: \"/a\\tb\", queue: q}",
             "4:10: routes[0].path: `/a?b` has a character other than letters, digits and -._~!$&'()*+,;=:@/; write a path such as /hits"},
            {"{path: /-/x, queue: q}",
             "4:10: routes[0].path: `/-/x` begins with /-/, which belongs to Cloakroom; write a path such as /hits"},
            {"{path: /-, queue: q}",
             "4:10: routes[0].path: `/-` begins with /-/, which belongs to Cloakroom; write a path such as /hits"},
            {"{path: /, queue: p}",
             "4:20: routes[0].queue: there is no queue `p`; known here: `q`"},
            {"{path: /}",
             "4:3: routes[0].queue: is missing; add `queue: hits` (name of the queue)"},
            {"{path: /, queue: q, host: a:80}",
             "4:29: routes[0].host: `a:80` is no host; write its name alone, without a port or a wildcard"},
            {"{path: /, queue: q, methods: GET}",
             "4:32: routes[0].methods: is a single value where a list is due; write each item on a line of its own after `- `, or `[one, other]`"},
            {"{path: /, queue: q, methods: []}",
             "4:32: routes[0].methods: has 0 items; write 1 to 32"},
            {"{path: /, queue: q, methods: [get]}",
             "4:33: routes[0].methods[0]: `get` is not `GET`, methods have their case; write GET"},
            {"{path: /, queue: q, methods: [\"G T\"]}",
             "4:33: routes[0].methods[0]: `G T` is no method; write one such as GET"},
            {"{path: /, queue: q, methods: [GET, GET]}",
             "4:38: routes[0].methods[1]: `GET` is given twice; keep one"},
            {"{path: /, queue: q, strict: yes}",
             "4:31: routes[0].strict: `yes` is none of its values; known here: `false`, `true`"},
            {"{path: /, queue: q, max_wait: 29s}",
             "4:33: routes[0].max_wait: is below wait; make it at least as long, or leave it out"},
        };
    /* clang-format on */

    check_each(QUEUE "routes:\n- ", "", wrong, ARRAY_LEN(wrong));
}
END_TEST

START_TEST(routes_that_match_the_same_are_named)
{
    /* clang-format off */
        static const struct wrong wrong[] = {
            {"- {path: /a/, queue: q}",
             "5:3: routes[1]: matches the same requests as the route in line 4; change path, methods or host of one, or take it out"},
            {"- {path: /b, queue: q, methods: [PUT, HEAD]}\n"
             "- {path: /b, queue: q, methods: [GET, HEAD]}",
             "6:3: routes[2]: matches the same HEAD requests as the route in line 5; change path, methods or host of one, or take it out"},
            {"- {path: /b, queue: q, host: X.org}\n"
             "- {path: /b, queue: q, host: x.Org}",
             "6:3: routes[2]: matches the same requests as the route in line 5; change path, methods or host of one, or take it out"},
        };
    /* clang-format on */

    check_each(QUEUE "routes:\n- {path: /a, queue: q}\n", "", wrong,
               ARRAY_LEN(wrong));
}
END_TEST

START_TEST(routes_that_differ_in_one_thing_are_fine)
{
    struct settings_file file;

    settings_file_init(&file);
    settings_free(settings_file_good(
        &file, QUEUE "routes:\n"
                     "- {path: /a, queue: q}\n"
                     "- {path: /A, queue: q}\n"
                     "- {path: /a/b, queue: q}\n"
                     "- {path: /a, queue: q, methods: [GET]}\n"
                     "- {path: /a, queue: q, methods: [PUT]}\n"
                     "- {path: /a, queue: q, host: x}\n"
                     "- {path: /a, queue: q, host: x, methods: [GET]}\n"));
    settings_file_fini(&file);
}
END_TEST

START_TEST(wrong_files)
{
    /* clang-format off */
        static const struct wrong wrong[] = {
            {"",
             "1:1: the file is empty; `cloakroom check --defaults` prints one to begin with"},
            {"# nothing\n",
             "1:1: the file is empty; `cloakroom check --defaults` prints one to begin with"},
            {"hello",
             "1:1: the file is no map; write `queues:` and `routes:` at the start of a line"},
            {QUEUE,
             "1:1: routes: is missing; add `routes:` (which request goes to which queue)"},
            {"queues: []\n" ROUTE "- {}\n",
             "1:9: queues: is empty; at least one is needed\n"
             "3:20: routes[0].queue: there is no queue `q`; known here: none\n"
             "4:3: routes[1].path: is missing; add `path: /hits` (prefix of the path as clients send it; `/` is all; `/-/` belongs to Cloakroom)\n"
             "4:3: routes[1].queue: is missing; add `queue: hits` (name of the queue)"},
            {"queue:\n" LEAST,
             "1:1: queue: is no setting; did you mean `queues`?"},
            {"a: b: c",
             "1:5: this is not YAML: invalid nested block mapping on the same line; mend the indentation, brackets or quotes here"},
            {LEAST "ingress: {listen: [::1]:80}\n",
             "5:24: this is not YAML: missing comma in flow mapping; mend the indentation, brackets or quotes here"},
            {LEAST "---\nx: y\n",
             "5:1: a second document; take the --- line out"},
            {"broker: *a\n" LEAST,
             "1:10: an alias (*) to no anchor (&); write the anchor above it, or put text that begins with * in quotes"},
            {"broker: &a {embedded: *a}\n" LEAST,
             "1:24: an alias (*) to no anchor (&); write the anchor above it, or put text that begins with * in quotes"},
            {"broker: !include other.yaml\n" LEAST,
             "1:18: tags (!) are not used here; take it away, or put text that begins with ! in quotes"},
            {"a: caf\xe9\n",
             "1:7: byte 0xe9 is not text; save the file as UTF-8"},
            {"a: \xed\xa0\x80\n",
             "1:4: byte 0xed is not text; save the file as UTF-8"},
            {"\xff\xfe",
             "1:1: byte 0xff is not text; save the file as UTF-8"},
        };
    /* clang-format on */

    check_each("", "", wrong, ARRAY_LEN(wrong));
}
END_TEST

START_TEST(a_nul_byte_is_refused_with_its_place)
{
    static const char text[] = "a: b\nc: d\0e\n";
    struct settings_file file;

    settings_file_init(&file);
    settings_file_write(&file, text, sizeof(text) - 1);
    ck_assert_ptr_null(settings_file_load(&file));
    ck_assert_str_eq(file.errors,
                     "2:5: byte 0x00 is not text; save the file as UTF-8\n");
    settings_file_fini(&file);
}
END_TEST

START_TEST(all_errors_are_told_at_once_in_the_order_of_the_file)
{
    struct settings_file file;

    settings_file_init(&file);
    settings_file_bad(
        &file,
        "routes:\n"
        "- {path: /a, queue: hit}\n"
        "- {path: b, queue: hits}\n"
        "queues:\n"
        "- name: hits\n"
        "  timout: 30s\n"
        "  handler: {cgi: {}}\n"
        "  keys: 24\n"
        "ingres: {}\n",
        "2:21: routes[0].queue: there is no queue `hit`; did you mean "
        "`hits`?\n"
        "3:10: routes[1].path: `b` has no slash in front; write a path "
        "such "
        "as /hits\n"
        "6:3: queues[0].timout: is no setting; did you mean `timeout`?\n"
        "7:18: queues[0].handler.cgi: has no program; write command: "
        "./program or directory: ./cgi-bin\n"
        "8:9: queues[0].keys: `24` has no unit; write 24s (units: ms s m h "
        "d)\n"
        "9:1: ingres: is no setting; did you mean `ingress`?\n");
    settings_file_fini(&file);
}
END_TEST

START_TEST(errors_are_told_up_to_a_number_and_counted_beyond)
{
    struct settings_file file;
    char *text = NULL;
    size_t len, lines = 0;

    settings_file_init(&file);
    FILE *to = open_memstream(&text, &len);
    fputs(LEAST, to);
    for (int i = 0; i < COMPLAINTS_MAX + 23; i++)
        fprintf(to, "wrong%d: 1\n", i);
    fclose(to);
    settings_file_write(&file, text, len);
    ck_assert_ptr_null(settings_file_load(&file));
    for (const char *p = file.errors; *p != '\0'; p++)
        lines += *p == '\n';
    ck_assert_uint_eq(lines, COMPLAINTS_MAX + 1);
    ck_assert_ptr_nonnull(
        strstr(file.errors, "and 23 more; mend these first\n"));
    free(text);
    settings_file_fini(&file);
}
END_TEST

START_TEST(what_the_file_says_cannot_drive_the_terminal)
{
    struct settings_file file;

    settings_file_init(&file);
    settings_file_bad(&file, "\"a\\e[2J\\nb\": 1\n" LEAST,
                      "1:1: a?[2J?b: is no setting; known here: `broker`, "
                      "`ingress`, `queues`, `routes`\n");
    settings_file_fini(&file);
}
END_TEST

START_TEST(a_huge_file_is_refused)
{
    struct settings_file file;
    char *text = mem_zalloc(YAML_FILE_MAX + 1);

    settings_file_init(&file);
    memset(text, '#', YAML_FILE_MAX + 1);
    settings_file_write(&file, text, YAML_FILE_MAX + 1);
    ck_assert_ptr_null(settings_file_load(&file));
    ck_assert_ptr_nonnull(
        strstr(file.errors, "is over the limit of 1MiB; make it smaller"));
    settings_file_write(&file, text, YAML_FILE_MAX);
    ck_assert_ptr_null(settings_file_load(&file));
    ck_assert_ptr_nonnull(strstr(file.errors, "the file is empty"));
    free(text);
    settings_file_fini(&file);
}
END_TEST

/* A file of 1 MiB, its one error. */
static void
check_flood(const char *unit, const char *error)
{
    struct settings_file file;
    char *text = mem_zalloc(YAML_FILE_MAX);
    const size_t len = strlen(unit);

    settings_file_init(&file);
    for (size_t i = 0; i < YAML_FILE_MAX; i++)
        text[i] = unit[i % len];
    settings_file_write(&file, text, YAML_FILE_MAX);
    ck_assert_ptr_null(settings_file_load(&file));
    ck_assert_msg(strstr(file.errors, error) != NULL, "%.300s", file.errors);
    free(text);
    settings_file_fini(&file);
}

START_TEST(floods_are_refused)
{
    check_flood("[", "nested too deep; no setting is so deep");
    check_flood("- a\n", "too many values; make the file smaller");
    check_flood("? abcdefghijklmnopqr\n", "more; mend these first");
    check_flood("- &a a\n", "too many anchors (&); write out some values");
    check_flood("- &a [*a]\n", "an alias (*) to no anchor");
}
END_TEST

START_TEST(a_file_that_cannot_be_read_is_named)
{
    struct settings_file file;

    settings_file_init(&file);
    ck_assert_ptr_null(settings_file_load(&file));
    ck_assert_ptr_nonnull(strstr(file.errors,
                                 "cannot be opened: No such file or directory; "
                                 "write one, or name another with -c"));
    ck_assert_int_eq(mkdir(file.path, 0700), 0);
    ck_assert_ptr_null(settings_file_load(&file));
    ck_assert_ptr_nonnull(
        strstr(file.errors, "is not a regular file; give the path of one"));
    ck_assert_int_eq(rmdir(file.path), 0);
    ck_assert_int_eq(mkfifo(file.path, 0600), 0);
    ck_assert_ptr_null(settings_file_load(&file));
    ck_assert_ptr_nonnull(
        strstr(file.errors, "is not a regular file; give the path of one"));
    settings_file_fini(&file);
}
END_TEST

START_TEST(a_file_that_others_may_write_is_refused)
{
    struct settings_file file;

    settings_file_init(&file);
    settings_file_write(&file, LEAST, strlen(LEAST));
    ck_assert_int_eq(chmod(file.path, 0646), 0);
    ck_assert_ptr_null(settings_file_load(&file));
    ck_assert_ptr_nonnull(
        strstr(file.errors, "may be written by others (mode 646), who could "
                            "make Cloakroom run their programs; run chmod "
                            "go-w on it"));
    ck_assert_int_eq(chmod(file.path, 0664), 0);
    if (geteuid() == 0) /* another group can be given only by root */
        ck_assert_int_eq(chown(file.path, 0, 1), 0);
    OWNED(settings) settings = settings_file_load(&file);
    ck_assert(geteuid() == getegid() || settings == NULL);
    ck_assert(geteuid() != 0 || settings == NULL);
    settings_file_fini(&file);
}
END_TEST

START_TEST(the_owners_own_group_may_write)
{
    struct settings_file file;

    settings_file_init(&file);
    settings_file_write(&file, LEAST, strlen(LEAST));
    ck_assert_int_eq(chmod(file.path, 0664), 0);
    OWNED(settings) settings = settings_file_load(&file);
    ck_assert_int_eq(settings != NULL, geteuid() == getegid());
    settings_file_fini(&file);
}
END_TEST

START_TEST(what_no_program_can_be_given_is_refused)
{
    struct settings_file file;
    char *huge = mem_zalloc(70000);
    char *text;

    memset(huge, 'x', 69999);
    settings_file_init(&file);
    text = mem_printf(
        "queues:\n"
        "- {name: q, handler: {cgi: {command: [a, %s]}}}\n"
        "- {name: r, handler: {cgi: {command: a, environment: {A: %s}}}}\n"
        "- {name: s, max_response: 1KiB, handler: {respond: {body: "
        "%s}}}\n" ROUTE,
        huge, huge, huge);
    settings_file_bad(&file, text,
                      "2:42: queues[0].handler.cgi.command[1]: is over "
                      "64KiB; put it into a "
                      "file\n"
                      "3:55: queues[1].handler.cgi.environment.A: has a "
                      "value over 64KiB; "
                      "put it into a file\n"
                      "4:27: queues[2].max_response: is below the "
                      "handler's body, so that "
                      "each response would be a failure; make it larger\n");
    free(text);
    free(huge);
    settings_file_fini(&file);
}
END_TEST

START_TEST(the_directory_above_the_data_must_be_there)
{
    struct settings_file file;

    settings_file_init(&file);
    settings_file_bad(&file,
                      "broker: {embedded: {directory: /no/such/data/}}\n" LEAST,
                      "1:32: broker.embedded.directory: the directory above "
                      "it is not there; run mkdir -p /no/such/\n");
    settings_file_fini(&file);
}
END_TEST

static char *
check_programs(const struct settings *settings, int expected)
{
    char *errors = NULL;
    size_t len;
    FILE *to = open_memstream(&errors, &len);

    ck_assert_int_eq(settings_check_programs(settings, to), expected);
    fclose(to);
    settings_file_strip(errors, settings->path);
    return errors;
}

START_TEST(programs_that_are_not_there_are_named)
{
    struct settings_file file;
    char *errors;

    settings_file_init(&file);
    OWNED(settings)
    settings = settings_file_good(
        &file, "queues:\n"
               "- {name: a, handler: {cgi: {command: /no/such}}}\n"
               "- {name: b, handler: {cgi: {command: [/etc/passwd, x]}}}\n"
               "- {name: c, handler: {cgi: {command: /etc}}}\n"
               "- {name: d, handler: {cgi: {directory: /etc/passwd}}}\n"
               "- {name: e, handler: {cgi: {directory: /no/such}}}\n"
               "- {name: f, handler: {cgi: {command: no-such-program}}}\n"
               "- {name: g, handler: {cgi: {command: env}}}\n"
               "- {name: h, handler: {cgi: {directory: /usr/bin}}}\n"
               "- {name: i, handler: {respond: {}}}\n"
               "routes: [{path: /, queue: a}]\n");
    errors = check_programs(settings, -ENOENT);
    ck_assert_str_eq(
        errors,
        "2:38: queues[0].handler.cgi.command: /no/such is not there; make "
        "it, "
        "or mend the path\n"
        "3:38: queues[1].handler.cgi.command: /etc/passwd is not "
        "executable; "
        "run chmod +x on it\n"
        "4:38: queues[2].handler.cgi.command: /etc is no program; mend the "
        "path\n"
        "5:40: queues[3].handler.cgi.directory: /etc/passwd is no "
        "directory; "
        "mend the path\n"
        "6:40: queues[4].handler.cgi.directory: /no/such is not there; "
        "make "
        "it, or mend the path\n"
        "7:38: queues[5].handler.cgi.command: "
        "/usr/local/bin/no-such-program "
        "is not there; make it, or mend the path\n");
    free(errors);
    settings_file_fini(&file);
}
END_TEST

TESTS("common", "settings_errors", wrong_settings_of_the_ingress,
      wrong_settings_of_kafka, wrong_addresses, wrong_settings_of_a_queue,
      wrong_handlers, wrong_names_with_values, wrong_routes,
      routes_that_match_the_same_are_named,
      routes_that_differ_in_one_thing_are_fine, wrong_files,
      a_nul_byte_is_refused_with_its_place,
      all_errors_are_told_at_once_in_the_order_of_the_file,
      errors_are_told_up_to_a_number_and_counted_beyond,
      what_the_file_says_cannot_drive_the_terminal, a_huge_file_is_refused,
      floods_are_refused, a_file_that_cannot_be_read_is_named,
      a_file_that_others_may_write_is_refused, the_owners_own_group_may_write,
      what_no_program_can_be_given_is_refused,
      the_directory_above_the_data_must_be_there,
      programs_that_are_not_there_are_named)
