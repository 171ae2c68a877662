/* intake.c - reading a request into the message that is stored. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "ingress/idempotency.h"
#include "ingress/ingress_priv.h"

#define SWALLOW_MAX 65536 /* a refused body so small is read, to keep alive */
#define EAGER_MAX   65536 /* a body so small gets its memory at once */
#define REFUSED_MS  2000  /* for a refused client to see why */
#define FIELD_COST  64    /* of one in libmicrohttpd's memory, besides text */
#define ANSWER_ROOM 2048  /* there, for the fields of an answer of ours */

static const struct refusal too_large = {
    413, "too-large", "the body passes ingress.max_body", NULL};
static const struct refusal busy = {
    503, "busy", "bodies on their way fill ingress.max_buffered; try again",
    NULL};
static const struct refusal closing = {
    503, "closed", "this ingress is ending; ask another one, or again", NULL};
static const struct refusal no_body = {
    413, "too-large", "what is asked of a ticket takes no body", NULL};

/* ---- fields ---- */

/* Walks the fields and checks that they stand in the buffer one behind the
 * other with just CRLF between. libmicrohttpd 0.9.75 accepts a bare LF, joins
 * folded lines and cuts a value at NUL without a word; in each case the next
 * field, or the header's end, is not where it should be. */
struct walk {
    struct lane *lane;
    const char *next;
    size_t cookies; /* bytes, which libmicrohttpd copies */
    bool is_torn, is_full;
};

static enum MHD_Result
on_field(void *opaque, enum MHD_ValueKind kind, const char *name,
         size_t name_len, const char *value, size_t value_len)
{
    struct walk *walk = opaque;
    struct lane *lane = walk->lane;

    (void)kind;
    if (lane->fields_len == FIELDS_MAX) {
        walk->is_full = true;
        return MHD_NO;
    }
    if (name != walk->next)
        walk->is_torn = true;
    if (name_len == 6 && strcasecmp(name, "Cookie") == 0)
        walk->cookies += value_len;
    walk->next = value + value_len + 2;
    lane->fields[lane->fields_len++] = (struct field){
        {name, name_len}, slice_trim((struct slice){value, value_len})};
    return MHD_YES;
}

/* What the request takes of the connection's memory, in which the answer's
 * fields must find room as well. */
static size_t
pool_used(const struct client *client, const struct walk *walk)
{
    int records = MHD_get_connection_values(
        client->connection,
        MHD_HEADER_KIND | MHD_COOKIE_KIND | MHD_GET_ARGUMENT_KIND, NULL, NULL);

    return client->header_size + walk->cookies + (size_t)records * FIELD_COST;
}

static int
gather(struct client *client, const char *method, const char *version,
       struct refusal *refusal)
{
    const struct ingress *ingress = client->lane->ingress;
    const size_t max_header = ingress->settings->max_header;
    const char *target_end = client->target_at + client->target.len;
    struct walk walk = {.lane = client->lane,
                        .next = version + strlen(version) + 2};
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(
        client->connection, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);

    client->header_size = info->header_size;
    client->lane->fields_len = 0;
    MHD_get_connection_values_n(client->connection, MHD_HEADER_KIND, on_field,
                                &walk);
    client->pool_used = pool_used(client, &walk);
    if (client->target.len > max_header / 2)
        return refuse(refusal, 414, "target-too-long",
                      "the request target passes half of ingress.max_header");
    if (walk.is_full || client->header_size > max_header ||
        client->pool_used + ANSWER_ROOM > ingress->pool_bytes)
        return refuse(refusal, 431, "header-too-large",
                      "the request's fields pass ingress.max_header, or are "
                      "more than 256");
    if (walk.is_torn || method + strlen(method) + 1 != client->target_at ||
        target_end + 1 != version ||
        method + client->header_size != walk.next + 2)
        return refuse(refusal, 400, "bad-line",
                      "a line of the header is folded, ends in a bare LF, or "
                      "has NUL or more than one space between its parts");
    return 0;
}

/* ---- refusing ---- */

/* Says no now and reads on for a moment, so that the client, still sending,
 * gets to see it; then the connection is closed. */
static enum MHD_Result
refuse_and_close(struct client *client, const struct refusal *refusal)
{
    intake_release(client);
    reply_raw(client, refusal);
    client->phase = PHASE_REFUSED;
    client_set_deadline(client, client->lane->now + REFUSED_MS);
    return MHD_YES;
}

/* Is the body none, or so small and sure to come that it is rather read than
 * the connection closed? */
static bool
is_swallowed(const struct head *head)
{
    return !head->is_chunked && head->length <= SWALLOW_MAX &&
           (head->length == 0 || !head->expects_continue);
}

/* The same where the message's end is not in doubt. */
static enum MHD_Result
refuse_request(struct client *client, const struct refusal *refusal)
{
    if (!is_swallowed(&client->head))
        return refuse_and_close(client, refusal);
    intake_release(client);
    reply_problem(client, refusal->status, refusal->code, refusal->detail);
    if (refusal->allow != NULL)
        reply_add(client, MHD_HTTP_HEADER_ALLOW, refusal->allow);
    return MHD_YES;
}

static enum MHD_Result
refuse_route(struct client *client)
{
    const struct head *head = &client->head;
    char allow[256];
    const struct refusal none = {
        404, "no-route", "no route leads here; see `routes` in the settings",
        NULL};
    const struct refusal other = {
        405, "method-not-allowed",
        "routes lead here, but not for this method; see Allow", allow};

    route_allow(client->lane->ingress->settings, head->host, head->target.path,
                allow, sizeof(allow));
    return refuse_request(client, allow[0] == '\0' ? &none : &other);
}

/* ---- memory of bodies ---- */

/* Counts len more bytes as held for this client; false over the cap of all. */
static bool
take_room(struct client *client, size_t len)
{
    struct ingress *ingress = client->lane->ingress;
    size_t before = atomic_fetch_add(&ingress->buffered, len);

    client->buffered += len;
    return before + len <= ingress->settings->max_buffered;
}

void
intake_release(struct client *client)
{
    buf_fini(&client->message);
    buf_fini(&client->body);
    if (client->buffered > 0)
        atomic_fetch_sub(&client->lane->ingress->buffered, client->buffered);
    client->buffered = 0;
}

/* ---- the message ---- */

/* Start line and fields, and for a body of known length the end of the
 * header. 0, or -EMSGSIZE where memory is short. */
static int
write_head(struct client *client)
{
    struct lane *lane = client->lane;
    const struct head *head = &client->head;
    size_t eager =
        head->has_length && head->length < EAGER_MAX ? (size_t)head->length : 0;
    struct buf *message = &client->message;

    buf_init(message, 4 * lane->ingress->settings->max_header +
                          lane->ingress->settings->max_body + 1024);
    if (buf_reserve(message, client->header_size + eager + 64) == NULL)
        return -EMSGSIZE;
    int r = message_start_request(message, head->method, head->target.origin);
    for (size_t i = 0; i < lane->fields_len && r == 0; i++)
        if (!head_drops(head, lane->fields, lane->fields_len,
                        lane->fields[i].name))
            r = message_add_field(message, lane->fields[i].name,
                                  lane->fields[i].value);
    if (r == 0 && !head->is_chunked)
        r = head->has_length ? message_end(message, (size_t)head->length)
                             : message_end_bare(message);
    client->body_start = message->len;
    return r;
}

static int
read_key(struct client *client, struct refusal *refusal)
{
    const struct head *head = &client->head;
    struct idempotency_key key;

    if (!head->has_key)
        return 0;
    if (idempotency_parse(head->key, &key) < 0)
        return refuse(refusal, 400, "bad-key",
                      "Idempotency-Key is to be 1 to 255 visible ASCII "
                      "characters, as \"a quoted string\" or bare");
    client->key = calloc(1, sizeof(*client->key));
    if (client->key == NULL)
        return refuse(refusal, 503, "busy", "no memory; try again");
    idempotency_scope(client->key->scope, SLICE(""), head->method,
                      slice_of(client->route->host),
                      slice_of(client->route->path), &key);
    return 0;
}

static enum MHD_Result
begin_submit(struct client *client)
{
    const struct settings *settings = client->lane->ingress->settings;
    const struct head *head = &client->head;
    struct refusal refusal;

    client->errand = ERRAND_SUBMIT;
    client->route =
        route_match(settings, head->method, head->host, head->target.path);
    if (client->route == NULL)
        return refuse_route(client);
    if (head->has_length && head->length > settings->max_body)
        return refuse_request(client, &too_large);
    if (read_key(client, &refusal) < 0)
        return refuse_request(client, &refusal);
    if (!take_room(client, client->header_size + (size_t)head->length) ||
        write_head(client) < 0)
        return refuse_request(client, &busy);
    client->plan = prefer_plan(&head->prefer, client->route->wait,
                               client->route->max_wait);
    return MHD_YES;
}

/* ---- what libmicrohttpd calls, by lane.c ---- */

static bool
is_ours(struct slice path)
{
    return slice_starts(path, SLICE("/-/")) || slice_is(path, "/-");
}

enum MHD_Result
intake_begin(struct client *client, const char *method, const char *version)
{
    struct lane *lane = client->lane;
    struct refusal refusal;

    lane->open++;
    client->phase = PHASE_BODY;
    client_set_deadline(client,
                        lane->now + lane->ingress->settings->body_timeout);
    if (lane->stage != LANE_OPEN)
        return refuse_and_close(client, &closing);
    if (gather(client, method, version, &refusal) < 0 ||
        head_read(&client->head, slice_of(method), buf_slice(&client->target),
                  strcmp(version, MHD_HTTP_VERSION_1_0) == 0, lane->fields,
                  lane->fields_len, &refusal) < 0)
        return refuse_and_close(client, &refusal);
    if (!is_ours(client->head.target.path))
        return begin_submit(client);
    if (!is_swallowed(&client->head))
        return refuse_and_close(client, &no_body);
    tickets_begin(client);
    return MHD_YES;
}

enum MHD_Result
intake_body(struct client *client, const char *at, size_t len)
{
    const struct settings *settings = client->lane->ingress->settings;

    if (client->phase != PHASE_BODY || client->response != NULL ||
        client->errand != ERRAND_SUBMIT)
        return MHD_YES; /* dropped */
    if (!client->head.is_chunked)
        return buf_add(&client->message, at, len) < 0
                   ? refuse_and_close(client, &busy)
                   : MHD_YES;
    if (client->body.cap == 0)
        buf_init(&client->body, settings->max_body);
    if (len > settings->max_body - client->body.len)
        return refuse_and_close(client, &too_large);
    if (!take_room(client, len) || buf_add(&client->body, at, len) < 0)
        return refuse_and_close(client, &busy);
    return MHD_YES;
}

int
intake_end(struct client *client)
{
    const struct head *head = &client->head;
    struct buf *message = &client->message;

    if (head->is_chunked) {
        int r = message_end(message, client->body.len);
        client->body_start = message->len;
        if (r == 0)
            r = buf_add_slice(message, buf_slice(&client->body));
        buf_fini(&client->body);
        if (r < 0)
            return r;
    }
    if (client->key != NULL)
        idempotency_fingerprint(
            client->key->fingerprint, head->method, head->target.origin,
            head->content_type,
            slice_from(buf_slice(message), client->body_start));
    return 0;
}
