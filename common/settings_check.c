/* settings_check.c - what no value shows by itself: values that must fit each
 * other, names that must differ, routes that must not be the same.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/mem.h"
#include "common/own.h"
#include "common/settings_priv.h"

void
check_broker(struct reader *reader, const struct place *place, void *base)
{
    struct settings *settings = base;
    const struct node *embedded = node_get(place->node, "embedded");

    if (node_get(place->node, "kafka") == NULL)
        return;
    if (embedded != NULL && !embedded->is_null)
        complain(reader, place,
                 "has both embedded and kafka; keep one of them");
    free(TAKE(settings->directory));
}

void
check_embedded(struct reader *reader, const struct place *place, void *base)
{
    const struct settings *settings = base;
    const struct place at = place_key(place, "directory");
    char *parent = mem_strdup(settings->directory);
    size_t len = strlen(parent);
    struct stat st;

    while (len > 1 && parent[len - 1] == '/')
        len--;
    while (len > 1 && parent[len - 1] != '/')
        len--;
    parent[len] = '\0';
    if (stat(parent, &st) != 0 && (errno == ENOENT || errno == ENOTDIR))
        complain(reader, &at,
                 "the directory above it is not there; run mkdir -p %s",
                 parent);
    free(parent);
}

void
check_topics(struct reader *reader, const struct place *place, void *base)
{
    const struct kafka_settings *kafka = base;
    const struct place at = place_key(place, "min_insync");

    if (kafka->replication > 0 && kafka->min_insync > kafka->replication)
        complain(reader, &at,
                 "is above replication, so that nothing could ever be "
                 "written; make it one less, or leave it out");
}

void
check_ingress(struct reader *reader, const struct place *place, void *base)
{
    const struct settings *settings = base;
    const struct place admin = place_key(place, "admin");
    const struct place buffered = place_key(place, "max_buffered");

    if (settings->listen.port == settings->admin.port &&
        strcmp(settings->listen.host, settings->admin.host) == 0)
        complain(reader, &admin,
                 "is the address of `listen` too; give it another port");
    if (settings->max_buffered < settings->max_body)
        complain(reader, &buffered,
                 "is below max_body, so that a body of that size never fits; "
                 "make it larger, or max_body smaller");
}

static void
check_name(struct reader *reader, const struct place *place,
           const struct queue_settings *queue)
{
    const struct queue_settings *first = reader->settings->queues, *other;
    const struct place at = place_key(place, "name");

    for (other = first; queue->name != NULL && other < queue; other++)
        if (other->name != NULL && strcmp(queue->name, other->name) == 0) {
            complain(reader, &at,
                     "`%.64s` is the name of queues[%zu] too; give it another",
                     queue->name, (size_t)(other - first));
            return;
        }
}

void
check_queue(struct reader *reader, const struct place *place, void *base)
{
    const struct queue_settings *queue = base;
    const char *body = queue->handler.respond.body;
    const struct place at = place_key(place, "max_response");

    check_name(reader, place, queue);
    if (body != NULL && strlen(body) > queue->max_response)
        complain(reader, &at,
                 "is below the handler's body, so that each response would "
                 "be a failure; make it larger");
}

void
check_backoff(struct reader *reader, const struct place *place, void *base)
{
    const struct queue_settings *queue = base;
    const struct place at = place_key(place, "max");

    if (queue->backoff_max < queue->backoff_first)
        complain(reader, &at,
                 "the longest wait is below the first; make max at least as "
                 "long as first");
}

void
check_cgi(struct reader *reader, const struct place *place, void *base)
{
    const struct node *command = node_get(place->node, "command");
    const struct node *directory = node_get(place->node, "directory");
    struct cgi_settings *cgi = base;

    if (command == NULL && directory == NULL)
        complain(reader, place,
                 "has no program; write command: ./program or directory: "
                 "./cgi-bin");
    else if (command != NULL && directory != NULL)
        complain(reader, place,
                 "has both command and directory; keep one of them");
    else if (directory != NULL) {
        cgi->line = directory->line;
        cgi->column = directory->column;
    }
}

void
check_respond(struct reader *reader, const struct place *place, void *base)
{
    const struct respond_settings *respond = base;
    const struct place at = place_key(place, "body");

    if ((respond->status == 204 || respond->status == 304) &&
        respond->body != NULL && respond->body[0] != '\0')
        complain(reader, &at,
                 "a response with status %d has no body; take "
                 "it out",
                 respond->status);
}

/* ---- routes -------------------------------------------------------------- */

static bool
same_text(const char *a, const char *b)
{
    return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

/* The method that both lists have; "" when both have none, NULL: no such. */
static const char *
common_method(char *const *one, char *const *other)
{
    if (one == NULL || other == NULL)
        return one == NULL && other == NULL ? "" : NULL;
    for (size_t i = 0; one[i] != NULL; i++)
        for (size_t j = 0; other[j] != NULL; j++)
            if (strcmp(one[i], other[j]) == 0)
                return one[i];
    return NULL;
}

static void
check_twins(struct reader *reader, const struct place *place,
            const struct route_settings *route)
{
    const struct route_settings *other = reader->settings->routes;
    const char *method;

    for (; other < route; other++) {
        if (route->path == NULL || !same_text(route->path, other->path) ||
            !same_text(route->host, other->host))
            continue;
        method = common_method(route->methods, other->methods);
        if (method == NULL)
            continue;
        complain(reader, place,
                 "matches the same%s%.40s requests as the route in line %d; "
                 "change path, methods or host of one, or take it out",
                 method[0] == '\0' ? "" : " ", method, other->line);
        return;
    }
}

void
check_route(struct reader *reader, const struct place *place, void *base)
{
    struct route_settings *route = base;
    const struct place at = place_key(place, "max_wait");

    route->line = place->line;
    if (at.node == NULL && route->max_wait < route->wait)
        route->max_wait = route->wait;
    if (route->max_wait < route->wait)
        complain(reader, &at,
                 "is below wait; make it at least as long, or leave it out");
    check_twins(reader, place, route);
}
