/* settings.h - what the configuration file says, checked and complete.
 *
 * One YAML file, read with libfyaml against the tables in settings.def: they
 * make the check, the defaults, `cloakroom check --defaults` and
 * docs/settings.md. After settings_load every value is within its limits,
 * every path is absolute and every reference resolves.
 *
 * Threads: any; nothing changes after the load.
 */
#ifndef COMMON_SETTINGS_H
#define COMMON_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "common/clock.h"
#include "common/error.h"
#include "common/nearest.h"
#include "common/own.h"

struct pair { /* an environment variable, a field, a property */
    char *name;
    char *value;
    int line, column; /* in the file, for messages */
};

/* In a handler's texts "{release}" stands for the release of the worker that
 * runs it: they are templates here (in absolute paths too), and
 * cgi_settings_expand and respond_settings_expand put it in. */
enum handler_type { HANDLER_CGI, HANDLER_RESPOND, HANDLER_TYPES };

struct cgi_settings {
    char **command; /* argv of one program, NULL-terminated; or NULL and */
    char
        *directory; /* a cgi-bin: the next segment of the path is the program */
    struct pair *environment;
    size_t environment_len;
    int line, column; /* in the file, for messages */
};

struct respond_settings {
    int status;
    struct pair *fields;
    size_t fields_len;
    char *body;
};

struct handler_settings {
    enum handler_type type;
    struct cgi_settings cgi;
    struct respond_settings respond;
};

enum redeliver { REDELIVER_IDEMPOTENT, REDELIVER_ALWAYS, REDELIVER_NEVER };

struct queue_settings {
    char *name; /* [A-Za-z0-9][A-Za-z0-9._-]{0,63} */
    struct handler_settings handler;
    unsigned concurrency; /* attempts at a time, in each worker process */
    span_ms timeout;      /* one attempt */
    unsigned attempts;
    span_ms backoff_first, backoff_max;
    enum redeliver redeliver;
    span_ms ttl; /* may wait in the queue for so long */
    span_ms retention_age;
    size_t retention_bytes;
    span_ms keys;
    size_t max_response;
    span_ms lease;
    unsigned workers; /* processes that `up` runs */
    char *release;
    size_t max_depth;
};

struct route_settings {
    char *path;     /* "/hits", no slash at the end; "" for "/" */
    char *host;     /* lower case, no port; NULL: any */
    char **methods; /* NULL: any; else NULL-terminated */
    unsigned queue; /* index in queues */
    span_ms wait, max_wait;
    bool strict;
    int line; /* in the file, for messages */
};

struct kafka_settings {
    char *servers; /* "k1:9092,k2:9092"; NULL: the broker is not Kafka */
    char *prefix;  /* of all topics and groups; a name as of a queue */
    char *view;    /* path of each ingress's copy of what became of tickets */
    char *secret_file;
    span_ms timeout; /* for the acknowledgement of a record */
    /* As they stand in the file: broker/kafka/client.c knows their names. */
    struct pair *properties;
    size_t properties_len;
    unsigned partitions;  /* of each topic that has one per slot of tickets */
    unsigned replication; /* 0: 3, or as many as there are brokers */
    unsigned min_insync;  /* 0: one less than replication, at least 1 */
};

struct address {
    char *host; /* a numeric address, "::1" without brackets */
    unsigned port;
};

struct settings {
    char *path;      /* of the file, absolute */
    char *directory; /* broker.embedded.directory; NULL: the broker is Kafka */
    struct kafka_settings kafka;
    struct address listen, admin;
    size_t max_body;
    size_t max_header;   /* request line and fields together */
    size_t max_buffered; /* bodies in memory, all connections together */
    unsigned max_waiting;
    unsigned max_connections;
    span_ms header_timeout; /* for a whole header, and between two requests */
    span_ms body_timeout;   /* for a whole body */
    bool admin_commands;    /* an upgrade over HTTP may bring commands */
    unsigned threads;       /* of the listener; 0: as many as processors */
    struct route_settings *routes;
    size_t routes_len;
    struct queue_settings *queues;
    size_t queues_len;
};

/* Reads and checks path. NULL when something is wrong: then every error stands
 * on errors, "FILE:LINE:COLUMN: KEY: what; what to do", one a line. */
struct settings *settings_load(const char *path, FILE *errors);
void settings_free(struct settings *settings);
OWNED_DEFINE(settings)

/* Are the program or directory of a queue's handler there, in this release?
 * Asked before workers of it are started; later a missing one is its queue's
 * trouble alone. 0, or -ENOENT after a line on errors as above. */
int settings_check_program(const struct settings *settings, unsigned queue,
                           const char *release, FILE *errors);
/* Those of all queues, each in the release that the settings name. */
int settings_check_programs(const struct settings *settings, FILE *errors);

/* -1 when there is no queue of that name. */
int settings_queue(const struct settings *settings, const char *name);
/* What to say then: nearest_hint. */
const char *settings_queue_hint(const struct settings *settings,
                                const char *name, char hint[HINT_SIZE]);

/* Every setting with its default as YAML, and the reference as Markdown. */
void settings_print_defaults(FILE *to);
void settings_print_reference(FILE *to);

/* "30s" and "16MiB"; -EINVAL with a sentence that shows the right form. */
int settings_parse_span(const char *text, span_ms *span, struct error *err);
int settings_parse_size(const char *text, size_t *size, struct error *err);

/* Is it the label of a release? 0; -EINVAL with a sentence that says what one
 * is. */
int settings_check_release(const char *text, struct error *err);

/* A copy of text with release in the place of each "{release}"; other braces
 * stay. The caller's. */
char *settings_expand(const char *text, const char *release);
/* The same for all texts of a handler; fini frees the copy. */
struct cgi_settings cgi_settings_expand(const struct cgi_settings *cgi,
                                        const char *release);
void cgi_settings_fini(struct cgi_settings *cgi);
struct respond_settings
respond_settings_expand(const struct respond_settings *respond,
                        const char *release);
void respond_settings_fini(struct respond_settings *respond);

#endif
