/* record.c - the records of the topics `requests`, `tickets` and `dead`. */
#include "broker/kafka/record.h"

#include <assert.h>
#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/own.h"

#define TEXT_BODY (32 + 64 + 21 * BODY_PIECES)

static const char *const words[FACTS] = {
#define FACT(name, word) [FACT_##name] = word,
#include "broker/kafka/record.def"
#undef FACT
};

const char *
fact_word(enum fact_kind kind)
{
    assert(kind < FACTS);
    return words[kind];
}

bool
queued_is_repeatable(unsigned flags, const struct queue_settings *queue)
{
    return outcome_is_repeatable(
        (flags & (REQUEST_IDEMPOTENT | REQUEST_KEYED)) != 0, queue->redeliver);
}

/* ---- writing ------------------------------------------------------------- */

static void
add(rd_kafka_headers_t *headers, const char *name, struct slice value)
{
    if (rd_kafka_header_add(headers, name, -1, value.at, (ssize_t)value.len) !=
        RD_KAFKA_RESP_ERR_NO_ERROR)
        abort(); /* of memory */
}

static void
add_text(rd_kafka_headers_t *headers, const char *name, struct slice text)
{
    if (text.len > 0)
        add(headers, name, text);
}

static void
add_number(rd_kafka_headers_t *headers, const char *name, int64_t number)
{
    char text[24];

    snprintf(text, sizeof(text), "%" PRId64, number);
    add(headers, name, slice_of(text));
}

static void
add_unsigned(rd_kafka_headers_t *headers, const char *name, uint64_t number)
{
    char text[24];

    snprintf(text, sizeof(text), "%" PRIu64, number);
    add(headers, name, slice_of(text));
}

static void
add_ticket(rd_kafka_headers_t *headers, const char *name,
           const struct ticket *ticket)
{
    char text[TICKET_TEXT + 1];

    ticket_format(ticket, text);
    add(headers, name, slice_of(text));
}

static void
add_hex(rd_kafka_headers_t *headers, const char *name, const uint8_t bytes[32])
{
    char text[65];

    sodium_bin2hex(text, sizeof(text), bytes, 32);
    add(headers, name, slice_of(text));
}

/* "SIZE DIGEST OFFSET..." */
static void
add_body(rd_kafka_headers_t *headers, const struct body_ref *body)
{
    char text[TEXT_BODY];
    char digest[65];

    if (body->size == 0)
        return;
    sodium_bin2hex(digest, sizeof(digest), body->digest, 32);
    int at = snprintf(text, sizeof(text), "%zu %s", body->size, digest);
    for (unsigned i = 0; i < body->len; i++)
        at += snprintf(text + at, sizeof(text) - (size_t)at, " %" PRId64,
                       body->offsets[i]);
    add(headers, "body", slice_of(text));
}

static void
add_flags(rd_kafka_headers_t *headers, unsigned flags)
{
    if (flags & REQUEST_IDEMPOTENT)
        add(headers, "idempotent", SLICE("1"));
    if (flags & REQUEST_KEYED)
        add(headers, "keyed", SLICE("1"));
    if (flags & REQUEST_TWIN)
        add(headers, "twin", SLICE("1"));
}

static void
write_run(rd_kafka_headers_t *headers, const struct fact *fact)
{
    add_unsigned(headers, "session", fact->session);
    add_unsigned(headers, "run", fact->run);
    add_unsigned(headers, "attempt", fact->attempt);
    add_number(headers, "request", fact->request);
}

static void
write_kind(rd_kafka_headers_t *headers, const struct fact *fact)
{
    switch (fact->kind) {
    case FACT_KEY:
        add_ticket(headers, "ticket", &fact->ticket);
        add_hex(headers, "scope", fact->key.scope);
        add_hex(headers, "fingerprint", fact->key.fingerprint);
        add_number(headers, "until", fact->until);
        break;
    case FACT_CLAIM:
        add_unsigned(headers, "session", fact->session);
        add_unsigned(headers, "epoch", fact->epoch);
        add_text(headers, "release", fact->release);
        break;
    case FACT_STARTED:
        write_run(headers, fact);
        add_number(headers, "claim", fact->claim);
        add_unsigned(headers, "put-backs", fact->put_backs);
        add_text(headers, "release", fact->release);
        add_flags(headers, fact->flags);
        if (fact->has_other)
            add_ticket(headers, "replays", &fact->other);
        break;
    case FACT_RESPONSE:
        write_run(headers, fact);
        add_body(headers, &fact->body);
        break;
    case FACT_FAILED:
        write_run(headers, fact);
        add(headers, "state", slice_of(ticket_state_word(fact->state)));
        add_text(headers, "reason", fact->reason);
        if (fact->dead >= 0) {
            add_number(headers, "dead", fact->dead);
            add_unsigned(headers, "size", fact->size);
            add_body(headers, &fact->body);
        }
        break;
    case FACT_RETRY:
        write_run(headers, fact);
        add_unsigned(headers, "put-backs", fact->put_backs);
        if (fact->counted)
            add(headers, "counted", SLICE("1"));
        add_number(headers, "delay", fact->delay);
        add_text(headers, "reason", fact->reason);
        break;
    case FACT_OVER:
        add_unsigned(headers, "session", fact->session);
        break;
    case FACT_REPLAYED:
        add_ticket(headers, "replayed-by", &fact->other);
        break;
    case FACT_CANCEL:
    case FACT_EXPIRED:
        add_number(headers, "request", fact->request);
        break;
    case FACT_DROPPED:
    case FACTS:
        break;
    }
}

static void
write_key_text(const struct fact *fact, char key[RECORD_KEY_MAX])
{
    switch (fact->kind) {
    case FACT_CLAIM:
    case FACT_OVER:
        snprintf(key, RECORD_KEY_MAX, "%" PRIu64, fact->session);
        break;
    case FACT_KEY:
        sodium_bin2hex(key, RECORD_KEY_MAX, fact->key.scope, KEY_BYTES);
        break;
    default:
        ticket_format(&fact->ticket, key);
    }
}

static rd_kafka_headers_t *
start_headers(const char *kind)
{
    rd_kafka_headers_t *headers = rd_kafka_headers_new(12);
    char text[20];

    snprintf(text, sizeof(text), "%s/1", kind);
    add(headers, "cloakroom", slice_of(text));
    return headers;
}

rd_kafka_headers_t *
fact_write(const struct fact *fact, char key[RECORD_KEY_MAX])
{
    rd_kafka_headers_t *headers = start_headers(fact_word(fact->kind));

    write_key_text(fact, key);
    add_number(headers, "at", fact->at);
    add_text(headers, "queue", fact->queue);
    write_kind(headers, fact);
    return headers;
}

rd_kafka_headers_t *
queued_write(const struct queued *request, char key[RECORD_KEY_MAX])
{
    const struct origin *origin = &request->origin;
    rd_kafka_headers_t *headers = start_headers("request");

    ticket_format(&request->ticket, key);
    add_number(headers, "at", request->at);
    add_text(headers, "queue", request->queue);
    add_flags(headers, request->flags);
    add_text(headers, "peer", origin->peer);
    add_text(headers, "local", origin->local);
    add_text(headers, "scheme", origin->scheme);
    add_text(headers, "principal", origin->principal);
    add_text(headers, "route", origin->route);
    if (request->has_replays)
        add_ticket(headers, "replays", &request->replays);
    add_body(headers, &request->body);
    return headers;
}

/* ---- reading ------------------------------------------------------------- */

static int
read_unsigned(struct slice text, uint64_t *number)
{
    *number = 0;
    if (text.len == 0)
        return -EPROTO;
    for (size_t i = 0; i < text.len; i++) {
        if (text.at[i] < '0' || text.at[i] > '9' ||
            __builtin_mul_overflow(*number, 10u, number) ||
            __builtin_add_overflow(*number, (unsigned)(text.at[i] - '0'),
                                   number))
            return -EPROTO;
    }
    return 0;
}

static int
read_number(struct slice text, int64_t *number)
{
    const bool negative = text.len > 0 && text.at[0] == '-';
    uint64_t size;
    int r = read_unsigned(slice_from(text, negative), &size);

    if (r == 0 && size > INT64_MAX)
        r = -EPROTO;
    *number = negative ? -(int64_t)size : (int64_t)size;
    return r;
}

static int
read_small(struct slice text, unsigned *number)
{
    uint64_t large;
    int r = read_unsigned(text, &large);

    *number = (unsigned)large;
    return r == 0 && large > UINT32_MAX ? -EPROTO : r;
}

static int
read_hex(struct slice text, uint8_t bytes[32])
{
    size_t len;

    return text.len == 64 && sodium_hex2bin(bytes, 32, text.at, text.len, NULL,
                                            &len, NULL) == 0
               ? 0
               : -EPROTO;
}

static int
read_body(struct slice text, struct body_ref *body)
{
    struct slice part;
    uint64_t size = 0;
    int r = slice_cut(&text, ' ', &part) ? read_unsigned(part, &size) : -EPROTO;

    body->size = size;
    if (r == 0)
        r = slice_cut(&text, ' ', &part) ? read_hex(part, body->digest)
                                         : -EPROTO;
    for (body->len = 0; r == 0 && text.len > 0; body->len++) {
        if (body->len == BODY_PIECES || !slice_cut(&text, ' ', &part))
            return -EPROTO;
        r = read_number(part, &body->offsets[body->len]);
    }
    return r == 0 && (body->size == 0 || body->len == 0) ? -EPROTO : r;
}

static int
read_state(struct slice text, enum ticket_state *state)
{
    for (int i = 0; i < TICKET_STATES; i++) {
        *state = (enum ticket_state)i;
        if (ticket_state_is_final(*state) &&
            slice_is(text, ticket_state_word(*state)))
            return 0;
    }
    return -EPROTO;
}

static int
read_flag(struct slice text, unsigned flag, unsigned *flags)
{
    *flags |= flag;
    return slice_is(text, "1") ? 0 : -EPROTO;
}

/* One header of a fact. Unknown ones are left for newer readers. */
static int
read_fact_header(const char *name, struct slice text, struct fact *fact)
{
    if (strcmp(name, "at") == 0)
        return read_number(text, &fact->at);
    if (strcmp(name, "queue") == 0)
        fact->queue = text;
    else if (strcmp(name, "session") == 0)
        return read_unsigned(text, &fact->session);
    else if (strcmp(name, "run") == 0)
        return read_unsigned(text, &fact->run);
    else if (strcmp(name, "attempt") == 0)
        return read_small(text, &fact->attempt);
    else if (strcmp(name, "request") == 0)
        return read_number(text, &fact->request);
    else if (strcmp(name, "claim") == 0)
        return read_number(text, &fact->claim);
    else if (strcmp(name, "put-backs") == 0)
        return read_small(text, &fact->put_backs);
    else if (strcmp(name, "release") == 0)
        fact->release = text;
    else if (strcmp(name, "idempotent") == 0)
        return read_flag(text, REQUEST_IDEMPOTENT, &fact->flags);
    else if (strcmp(name, "keyed") == 0)
        return read_flag(text, REQUEST_KEYED, &fact->flags);
    else if (strcmp(name, "twin") == 0)
        return read_flag(text, REQUEST_TWIN, &fact->flags);
    else if (strcmp(name, "state") == 0)
        return read_state(text, &fact->state);
    else if (strcmp(name, "reason") == 0)
        fact->reason = text;
    else if (strcmp(name, "dead") == 0)
        return read_number(text, &fact->dead);
    else if (strcmp(name, "counted") == 0) {
        fact->counted = true;
        return slice_is(text, "1") ? 0 : -EPROTO;
    } else if (strcmp(name, "delay") == 0)
        return read_number(text, &fact->delay);
    else if (strcmp(name, "epoch") == 0)
        return read_unsigned(text, &fact->epoch);
    else if (strcmp(name, "size") == 0)
        return read_unsigned(text, &fact->size);
    else if (strcmp(name, "scope") == 0)
        return read_hex(text, fact->key.scope);
    else if (strcmp(name, "fingerprint") == 0)
        return read_hex(text, fact->key.fingerprint);
    else if (strcmp(name, "until") == 0)
        return read_number(text, &fact->until);
    else if (strcmp(name, "ticket") == 0)
        return ticket_read(text, &fact->ticket);
    else if (strcmp(name, "replays") == 0 || strcmp(name, "replayed-by") == 0) {
        fact->has_other = true;
        return ticket_read(text, &fact->other);
    } else if (strcmp(name, "body") == 0)
        return read_body(text, &fact->body);
    return 0;
}

static int
read_request_header(const char *name, struct slice text, struct queued *request)
{
    struct origin *origin = &request->origin;

    if (strcmp(name, "at") == 0)
        return read_number(text, &request->at);
    if (strcmp(name, "queue") == 0)
        request->queue = text;
    else if (strcmp(name, "idempotent") == 0)
        return read_flag(text, REQUEST_IDEMPOTENT, &request->flags);
    else if (strcmp(name, "keyed") == 0)
        return read_flag(text, REQUEST_KEYED, &request->flags);
    else if (strcmp(name, "twin") == 0)
        return read_flag(text, REQUEST_TWIN, &request->flags);
    else if (strcmp(name, "peer") == 0)
        origin->peer = text;
    else if (strcmp(name, "local") == 0)
        origin->local = text;
    else if (strcmp(name, "scheme") == 0)
        origin->scheme = text;
    else if (strcmp(name, "principal") == 0)
        origin->principal = text;
    else if (strcmp(name, "route") == 0)
        origin->route = text;
    else if (strcmp(name, "replays") == 0) {
        request->has_replays = true;
        return ticket_read(text, &request->replays);
    } else if (strcmp(name, "body") == 0)
        return read_body(text, &request->body);
    return 0;
}

/* The next header of a message. False: there is none. */
static bool
next_header(const rd_kafka_headers_t *headers, size_t i, const char **name,
            struct slice *text)
{
    const void *value;
    size_t len;

    if (rd_kafka_header_get_all(headers, i, name, &value, &len) !=
        RD_KAFKA_RESP_ERR_NO_ERROR)
        return false;
    *text = value == NULL ? SLICE("") : (struct slice){value, len};
    return true;
}

/* "KIND/1": the kind. */
static int
read_start(const rd_kafka_message_t *message, rd_kafka_headers_t **headers,
           struct slice *kind, struct error *err)
{
    struct slice text;
    const char *name;
    uint64_t version;

    if (rd_kafka_message_headers(message, headers) !=
            RD_KAFKA_RESP_ERR_NO_ERROR ||
        !next_header(*headers, 0, &name, &text) ||
        strcmp(name, "cloakroom") != 0 || !slice_cut(&text, '/', kind))
        return error_set(err, -EPROTO, "its first header is not `cloakroom`");
    if (read_unsigned(text, &version) < 0)
        return error_set(err, -EPROTO, "the number of its format is missing");
    if (version != 1)
        return error_set(err, -ENOTSUP, "it is of format %" PRIu64 ", not 1",
                         version);
    return 0;
}

static struct slice
key_of(const rd_kafka_message_t *message)
{
    return message->key == NULL
               ? SLICE("")
               : (struct slice){message->key, message->key_len};
}

static struct slice
value_of(const rd_kafka_message_t *message)
{
    return message->payload == NULL
               ? SLICE("")
               : (struct slice){message->payload, message->len};
}

static int
read_kind(struct slice word, enum fact_kind *kind)
{
    for (int i = 0; i < FACTS; i++) {
        *kind = (enum fact_kind)i;
        if (slice_is(word, words[i]))
            return 0;
    }
    return -EPROTO;
}

static bool
has_ticket_key(enum fact_kind kind)
{
    return kind != FACT_CLAIM && kind != FACT_OVER && kind != FACT_KEY;
}

int
fact_read(const rd_kafka_message_t *message, struct fact *fact,
          struct error *err)
{
    rd_kafka_headers_t *headers = NULL;
    struct slice word = SLICE(""), text;
    const char *name;
    int r = read_start(message, &headers, &word, err);

    if (r < 0)
        return r;
    memset(fact, 0, offsetof(struct fact, body));
    fact->body.size = 0;
    fact->body.len = 0;
    fact->request = fact->dead = -1;
    fact->message = value_of(message);
    if (read_kind(word, &fact->kind) < 0)
        return error_set(err, -EPROTO, "no fact is called %.*s",
                         SLICE_ARG(word));
    if (has_ticket_key(fact->kind))
        r = ticket_read(key_of(message), &fact->ticket);
    if (r < 0)
        return error_set(err, -EPROTO, "its key is no ticket");
    for (size_t i = 1; next_header(headers, i, &name, &text); i++) {
        if (read_fact_header(name, text, fact) < 0)
            return error_set(err, -EPROTO, "its header %s cannot be read",
                             name);
    }
    if (fact->kind == FACT_FAILED && !ticket_state_is_final(fact->state))
        return error_set(err, -EPROTO, "its state is missing");
    if (fact->kind == FACT_RETRY && fact->attempt == 0)
        return error_set(err, -EPROTO, "its attempt is missing");
    return 0;
}

int
queued_read(const rd_kafka_message_t *message, struct queued *request,
            struct error *err)
{
    rd_kafka_headers_t *headers = NULL;
    struct slice word = SLICE(""), text;
    const char *name;
    int r = read_start(message, &headers, &word, err);

    if (r < 0)
        return r;
    if (!slice_is(word, "request"))
        return error_set(err, -EPROTO, "it is no request");
    memset(request, 0, sizeof(*request));
    request->message = value_of(message);
    if (ticket_read(key_of(message), &request->ticket) < 0)
        return error_set(err, -EPROTO, "its key is no ticket");
    for (size_t i = 1; next_header(headers, i, &name, &text); i++) {
        if (read_request_header(name, text, request) < 0)
            return error_set(err, -EPROTO, "its header %s cannot be read",
                             name);
    }
    return 0;
}
