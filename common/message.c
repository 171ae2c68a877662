/* message.c - HTTP/1.1 messages as they are queued. */
#include "common/message.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"

#define FIELDS_MAX 1000 /* of one message; a peer's count never passes it */

/* ---- words -----------------------------------------------------------------
 */

static bool
is_tchar(unsigned char c)
{
    static const char marks[] = "!#$%&'*+-.^_`|~";

    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
           (c >= 'A' && c <= 'Z') || (c != '\0' && strchr(marks, c) != NULL);
}

bool
message_is_token(struct slice s)
{
    for (size_t i = 0; i < s.len; i++)
        if (!is_tchar((unsigned char)s.at[i]))
            return false;
    return s.len > 0;
}

bool
message_is_field_value(struct slice s)
{
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.at[i];
        if ((c < 0x20 && c != '\t') || c == 0x7f)
            return false;
    }
    return true;
}

bool
message_is_hop_by_hop(struct slice name)
{
    static const char *const names[] = {"Connection",
                                        "Keep-Alive",
                                        "Proxy-Connection",
                                        "TE",
                                        "Trailer",
                                        "Upgrade",
                                        "Transfer-Encoding",
                                        "Proxy-Authenticate",
                                        "Proxy-Authorization"};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (slice_is_nocase(name, names[i]))
            return true;
    return false;
}

bool
message_lists(struct slice list, struct slice token)
{
    struct slice part;

    while (slice_cut(&list, ',', &part))
        if (slice_eq_nocase(slice_trim(part), token))
            return true;
    return false;
}

bool
message_is_idempotent(struct slice method)
{
    static const char *const methods[] = {"GET",   "HEAD", "OPTIONS",
                                          "TRACE", "PUT",  "DELETE"};

    for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++)
        if (slice_is(method, methods[i]))
            return true;
    return false;
}

static const struct {
    int status;
    const char *text;
} reasons[] = {
    {200, "OK"},
    {201, "Created"},
    {202, "Accepted"},
    {203, "Non-Authoritative Information"},
    {204, "No Content"},
    {205, "Reset Content"},
    {206, "Partial Content"},
    {207, "Multi-Status"},
    {208, "Already Reported"},
    {226, "IM Used"},
    {300, "Multiple Choices"},
    {301, "Moved Permanently"},
    {302, "Found"},
    {303, "See Other"},
    {304, "Not Modified"},
    {305, "Use Proxy"},
    {307, "Temporary Redirect"},
    {308, "Permanent Redirect"},
    {400, "Bad Request"},
    {401, "Unauthorized"},
    {402, "Payment Required"},
    {403, "Forbidden"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {406, "Not Acceptable"},
    {407, "Proxy Authentication Required"},
    {408, "Request Timeout"},
    {409, "Conflict"},
    {410, "Gone"},
    {411, "Length Required"},
    {412, "Precondition Failed"},
    {413, "Content Too Large"},
    {414, "URI Too Long"},
    {415, "Unsupported Media Type"},
    {416, "Range Not Satisfiable"},
    {417, "Expectation Failed"},
    {421, "Misdirected Request"},
    {422, "Unprocessable Content"},
    {423, "Locked"},
    {424, "Failed Dependency"},
    {425, "Too Early"},
    {426, "Upgrade Required"},
    {428, "Precondition Required"},
    {429, "Too Many Requests"},
    {431, "Request Header Fields Too Large"},
    {451, "Unavailable For Legal Reasons"},
    {500, "Internal Server Error"},
    {501, "Not Implemented"},
    {502, "Bad Gateway"},
    {503, "Service Unavailable"},
    {504, "Gateway Timeout"},
    {505, "HTTP Version Not Supported"},
    {506, "Variant Also Negotiates"},
    {507, "Insufficient Storage"},
    {508, "Loop Detected"},
    {511, "Network Authentication Required"},
};

const char *
message_reason(int status)
{
    for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++)
        if (reasons[i].status == status)
            return reasons[i].text;
    return "";
}

/* ---- reading ---------------------------------------------------------------
 */

/* Cuts one line that ends in CRLF off rest. False: there is none. */
static bool
cut_line(struct slice *rest, struct slice *line)
{
    const char *lf = rest->len == 0 ? NULL : memchr(rest->at, '\n', rest->len);

    if (lf == NULL || lf == rest->at || lf[-1] != '\r')
        return false;
    *line = (struct slice){rest->at, (size_t)(lf - rest->at) - 1};
    *rest = slice_from(*rest, line->len + 2);
    return true;
}

/* "HTTP/1.1 200 OK" */
static int
parse_status_line(struct slice line, struct message *message)
{
    static const struct slice version = {"HTTP/1.1 ", 9};
    int status = 0;

    if (line.len < 13 || line.at[12] != ' ')
        return -EPROTO;
    for (size_t i = version.len; i < 12; i++) {
        if (line.at[i] < '0' || line.at[i] > '9')
            return -EPROTO;
        status = status * 10 + (line.at[i] - '0');
    }
    if (status < 100 || !message_is_field_value(line))
        return -EPROTO;
    message->status = status;
    return 0;
}

/* "POST /hits?a=b HTTP/1.1" */
static int
parse_request_line(struct slice line, struct message *message)
{
    struct slice rest = line;

    if (!slice_cut(&rest, ' ', &message->method) ||
        !slice_cut(&rest, ' ', &message->target) ||
        !slice_is(rest, "HTTP/1.1") || !message_is_token(message->method) ||
        message->target.len == 0 || !message_is_field_value(line))
        return -EPROTO;
    return 0;
}

static int
parse_start(struct slice line, struct message *message)
{
    return slice_starts(line, SLICE("HTTP/1.1 "))
               ? parse_status_line(line, message)
               : parse_request_line(line, message);
}

static int
parse_field(struct slice line, struct field *field)
{
    struct slice rest = line;

    if (!slice_cut(&rest, ':', &field->name) || rest.at == NULL)
        return -EPROTO;
    field->value = slice_trim(rest);
    if (!message_is_token(field->name) || !message_is_field_value(field->value))
        return -EPROTO;
    return 0;
}

static void
add_field(struct message *message, struct field field)
{
    size_t n = message->fields_len;

    if ((n & (n - 1)) == 0 && (n == 0 || n >= 8))
        message->fields = mem_grow(message->fields, n == 0 ? 8 : n * 2,
                                   sizeof(*message->fields));
    message->fields[message->fields_len++] = field;
}

static int
parse_fields(struct slice *rest, struct message *message, struct error *err)
{
    struct slice line;

    while (cut_line(rest, &line)) {
        struct field field;
        if (line.len == 0)
            return 0;
        if (parse_field(line, &field) < 0)
            return error_set(err, -EPROTO, "field %zu is not \"name: value\"",
                             message->fields_len + 1);
        if (message->fields_len == FIELDS_MAX)
            return error_set(err, -EPROTO, "more than %d fields", FIELDS_MAX);
        add_field(message, field);
    }
    return error_set(err, -EPROTO, "no empty line after the fields");
}

/* The body's length by the one Content-Length there may be. */
static int
check_length(const struct message *message, struct error *err)
{
    size_t found = 0, length = 0;

    for (size_t i = 0; i < message->fields_len; i++) {
        struct slice value = message->fields[i].value;
        if (slice_is_nocase(message->fields[i].name, "Transfer-Encoding"))
            return error_set(err, -EPROTO, "stored with Transfer-Encoding");
        if (!slice_is_nocase(message->fields[i].name, "Content-Length"))
            continue;
        found++;
        if (value.len == 0 || value.len > 15)
            return error_set(err, -EPROTO, "Content-Length is no number");
        for (size_t k = 0; k < value.len; k++) {
            if (value.at[k] < '0' || value.at[k] > '9')
                return error_set(err, -EPROTO, "Content-Length is no number");
            length = length * 10 + (size_t)(value.at[k] - '0');
        }
    }
    if (found > 1 || length != message->body.len)
        return error_set(err, -EPROTO,
                         "the body has %zu bytes, Content-Length says %zu",
                         message->body.len, length);
    return 0;
}

static int
parse_whole(struct slice bytes, struct message *message, struct error *err)
{
    struct slice line, rest = bytes;

    if (!cut_line(&rest, &line) || parse_start(line, message) < 0)
        return error_set(err, -EPROTO, "the start line is not HTTP/1.1");
    int r = parse_fields(&rest, message, err);
    if (r < 0)
        return r;
    message->body = rest;
    return check_length(message, err);
}

int
message_parse(struct slice bytes, struct message *message, struct error *err)
{
    struct message read = {0};

    int r = parse_whole(bytes, &read, err);
    if (r < 0) {
        message_fini(&read);
        return r;
    }
    *message = read;
    return 0;
}

void
message_fini(struct message *message)
{
    free(message->fields);
    *message = (struct message){0};
}

struct slice
message_field(const struct message *message, const char *name)
{
    for (size_t i = 0; i < message->fields_len; i++)
        if (slice_is_nocase(message->fields[i].name, name))
            return message->fields[i].value;
    return (struct slice){NULL, 0};
}

/* ---- writing ---------------------------------------------------------------
 */

/* Adds the parts one behind the other, all or nothing. */
static int
add_parts(struct buf *buf, const struct slice *parts, size_t count)
{
    size_t len = 0;

    for (size_t i = 0; i < count; i++)
        len += parts[i].len;
    char *to = buf_reserve(buf, len);
    if (to == NULL)
        return -EMSGSIZE;
    for (size_t i = 0; i < count; i++) {
        if (parts[i].len > 0)
            memcpy(to, parts[i].at, parts[i].len);
        to += parts[i].len;
    }
    buf->len += len;
    return 0;
}

int
message_start_request(struct buf *buf, struct slice method, struct slice target)
{
    const struct slice parts[] = {method, SLICE(" "), target,
                                  SLICE(" HTTP/1.1\r\n")};

    return add_parts(buf, parts, 4);
}

int
message_start_response(struct buf *buf, int status)
{
    return buf_addf(buf, "HTTP/1.1 %d %s\r\n", status, message_reason(status));
}

int
message_add_field(struct buf *buf, struct slice name, struct slice value)
{
    const struct slice parts[] = {name, SLICE(": "), value, SLICE("\r\n")};

    if (!message_is_token(name) || !message_is_field_value(value))
        return -EPROTO;
    return add_parts(buf, parts, 4);
}

int
message_end(struct buf *buf, size_t body_len)
{
    char text[48];
    int len =
        snprintf(text, sizeof(text), "Content-Length: %zu\r\n\r\n", body_len);

    return buf_add(buf, text, (size_t)len);
}

int
message_end_bare(struct buf *buf)
{
    return buf_add(buf, "\r\n", 2);
}
