/* head.c - what the fields of a request say about it, and whether they may. */
#include "ingress/head.h"

#include <errno.h>

/* Counts of the fields that may come once. */
struct seen {
    unsigned hosts, lengths, codings, keys;
    struct slice host;
};

/* ---- one field after the other ---- */

/* Digits only; no sign, no list, no more than 18 of them. */
static int
read_length(struct head *head, struct slice value, struct refusal *refusal)
{
    uint64_t length = 0;

    for (size_t i = 0; i < value.len; i++) {
        if (value.at[i] < '0' || value.at[i] > '9')
            return refuse(refusal, 400, "bad-framing",
                          "Content-Length is not a number");
        length = length * 10 + (uint64_t)(value.at[i] - '0');
        if (i >= 18)
            return refuse(refusal, 400, "bad-framing",
                          "Content-Length is too large for any body");
    }
    if (value.len == 0)
        return refuse(refusal, 400, "bad-framing", "Content-Length is empty");
    head->has_length = true;
    head->length = length;
    return 0;
}

static int
read_coding(struct head *head, struct slice value, struct refusal *refusal)
{
    if (!slice_is_nocase(value, "chunked"))
        return refuse(refusal, 400, "bad-framing",
                      "Transfer-Encoding is not exactly `chunked`; send the "
                      "body so or with Content-Length");
    head->is_chunked = true;
    return 0;
}

static int
read_expect(struct head *head, struct slice value, struct refusal *refusal)
{
    if (!slice_is_nocase(value, "100-continue"))
        return refuse(refusal, 417, "unknown-expectation",
                      "Expect may say 100-continue only");
    head->expects_continue = true;
    return 0;
}

static void
read_connection(struct head *head, struct slice value)
{
    struct slice option, rest = value;

    while (slice_cut(&rest, ',', &option)) {
        option = slice_trim(option);
        if (option.len > 0 && !slice_is_nocase(option, "close") &&
            !slice_is_nocase(option, "keep-alive"))
            head->has_named = true;
    }
}

static int
read_field(struct head *head, struct seen *seen, const struct field *field,
           struct refusal *refusal)
{
    struct slice name = field->name, value = field->value;

    /* Lengths tell most names apart before any letter is compared. */
    switch (name.len) {
    case 4:
        if (slice_is_nocase(name, "Host")) {
            seen->hosts++;
            seen->host = value;
        }
        return 0;
    case 6:
        if (slice_is_nocase(name, "Expect"))
            return read_expect(head, value, refusal);
        if (slice_is_nocase(name, "Prefer"))
            prefer_parse(&head->prefer, value);
        if (slice_is_nocase(name, "Accept"))
            accept_parse(&head->accept, value);
        return 0;
    case 10:
        if (slice_is_nocase(name, "Connection"))
            read_connection(head, value);
        return 0;
    case 12:
        if (slice_is_nocase(name, "Content-Type"))
            head->content_type = value;
        return 0;
    case 13:
        if (slice_is_nocase(name, "Last-Event-ID"))
            head->last_event_id = value;
        return 0;
    case 14:
        if (!slice_is_nocase(name, "Content-Length"))
            return 0;
        seen->lengths++;
        return read_length(head, value, refusal);
    case 15:
        if (slice_is_nocase(name, "Idempotency-Key")) {
            seen->keys++;
            head->has_key = true;
            head->key = value;
        }
        return 0;
    case 17:
        if (!slice_is_nocase(name, "Transfer-Encoding"))
            return 0;
        seen->codings++;
        return read_coding(head, value, refusal);
    default:
        return 0;
    }
}

static int
read_fields(struct head *head, struct seen *seen, const struct field *fields,
            size_t fields_len, struct refusal *refusal)
{
    for (size_t i = 0; i < fields_len; i++) {
        if (!message_is_token(fields[i].name))
            return refuse(refusal, 400, "bad-field",
                          "a field's name is not a token (no spaces, no colon "
                          "after a space)");
        if (!message_is_field_value(fields[i].value))
            return refuse(refusal, 400, "bad-field",
                          "a field's value has a control byte");
        int r = read_field(head, seen, &fields[i], refusal);
        if (r < 0)
            return r;
    }
    return 0;
}

/* ---- all together ---- */

static int
check_framing(const struct head *head, const struct seen *seen,
              bool is_http_1_0, struct refusal *refusal)
{
    if (seen->lengths > 1)
        return refuse(refusal, 400, "bad-framing",
                      "more than one Content-Length");
    if (seen->codings > 1)
        return refuse(refusal, 400, "bad-framing",
                      "more than one Transfer-Encoding");
    if (head->has_length && head->is_chunked)
        return refuse(refusal, 400, "bad-framing",
                      "both Content-Length and Transfer-Encoding; send one");
    if (head->is_chunked && is_http_1_0)
        return refuse(refusal, 400, "bad-framing",
                      "HTTP/1.0 has no Transfer-Encoding");
    if (seen->keys > 1)
        return refuse(refusal, 400, "bad-key", "more than one Idempotency-Key");
    return 0;
}

static int
check_host(struct head *head, const struct seen *seen, bool is_http_1_0,
           struct refusal *refusal)
{
    if (seen->hosts > 1)
        return refuse(refusal, 400, "bad-host", "more than one Host");
    if (seen->hosts == 0 && !is_http_1_0)
        return refuse(refusal, 400, "bad-host",
                      "no Host, which HTTP/1.1 needs");
    if (seen->hosts == 1 && !target_is_host(seen->host))
        return refuse(refusal, 400, "bad-host",
                      "Host is not a host name or address with a port");
    if (head->target.host.len > 0 && seen->hosts == 1 &&
        !slice_eq_nocase(head->target.host, seen->host))
        return refuse(refusal, 400, "bad-host",
                      "Host and the request target name different hosts");
    head->host = target_host_name(head->target.host.len > 0 ? head->target.host
                                                            : seen->host);
    return 0;
}

static int
check_method(struct slice method, struct refusal *refusal)
{
    if (!message_is_token(method))
        return refuse(refusal, 400, "bad-method", "the method is not a token");
    if (slice_is(method, "CONNECT") || slice_is(method, "TRACE"))
        return refuse(refusal, 501, "not-implemented",
                      "CONNECT is for proxies, and TRACE would show fields to "
                      "scripts; neither is served");
    return 0;
}

int
head_read(struct head *head, struct slice method, struct slice target,
          bool is_http_1_0, const struct field *fields, size_t fields_len,
          struct refusal *refusal)
{
    struct seen seen = {0};
    int r;

    *head = (struct head){.method = method};
    r = read_fields(head, &seen, fields, fields_len, refusal);
    if (r == 0)
        r = check_framing(head, &seen, is_http_1_0, refusal);
    if (r == 0)
        r = check_method(method, refusal);
    if (r == 0)
        r = target_parse(method, target, &head->target, refusal);
    if (r == 0)
        r = check_host(head, &seen, is_http_1_0, refusal);
    return r;
}

static bool
is_named(const struct field *fields, size_t fields_len, struct slice name)
{
    for (size_t i = 0; i < fields_len; i++)
        if (slice_is_nocase(fields[i].name, "Connection") &&
            message_lists(fields[i].value, name))
            return true;
    return false;
}

bool
head_drops(const struct head *head, const struct field *fields,
           size_t fields_len, struct slice name)
{
    return message_is_hop_by_hop(name) || slice_is_nocase(name, "Expect") ||
           slice_is_nocase(name, "Content-Length") ||
           (head->has_named && is_named(fields, fields_len, name));
}
