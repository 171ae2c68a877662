/* cgi_output.c - what a CGI program printed, as an HTTP response. */
#include "workers/handlers/cgi_output.h"

#include <stdlib.h>
#include <string.h>

#include "common/mem.h"

#define FIELDS_MAX 900 /* message.h reads 1000, with those that we add */
#define SHOWN      60  /* bytes of a bad line in a sentence */

/* ---- lines ----------------------------------------------------------------
 */

/* A piece of foreign output for a sentence: printable, and not long. */
static const char *
show(struct slice line, char text[SHOWN + 4])
{
    size_t len = line.len < SHOWN ? line.len : SHOWN;

    for (size_t i = 0; i < len; i++)
        text[i] = line.at[i] >= ' ' && line.at[i] <= '~' ? line.at[i] : '?';
    strcpy(text + len, line.len > SHOWN ? "..." : "");
    return text;
}

/* Cuts a line that ends in LF or CRLF. False: there is none. */
static bool
cut_line(struct slice *rest, struct slice *line)
{
    const char *lf = rest->len == 0 ? NULL : memchr(rest->at, '\n', rest->len);

    if (lf == NULL)
        return false;
    *line = (struct slice){rest->at, (size_t)(lf - rest->at)};
    *rest = slice_from(*rest, line->len + 1);
    if (line->len > 0 && line->at[line->len - 1] == '\r')
        line->len--;
    return true;
}

static int
parse_line(struct slice line, struct field *field, struct error *err)
{
    struct slice rest = line;
    char text[SHOWN + 4];

    if (!slice_cut(&rest, ':', &field->name) || rest.at == NULL)
        return error_set(err, -EPROTO,
                         "the header line \"%s\" has no colon; a header ends "
                         "with an empty line",
                         show(line, text));
    if (!message_is_token(field->name))
        return error_set(err, -EPROTO, "\"%s\" is not a field name",
                         show(field->name, text));
    field->value = slice_trim(rest);
    if (!message_is_field_value(field->value))
        return error_set(err, -EPROTO,
                         "the field %s has a control character in its value",
                         show(field->name, text));
    return 0;
}

/* ---- fields ---------------------------------------------------------------
 */

static int
parse_status(struct slice value, int *status, struct error *err)
{
    char text[SHOWN + 4];
    int number = 0;

    for (size_t i = 0; i < 3 && i < value.len; i++)
        if (value.at[i] >= '0' && value.at[i] <= '9')
            number = number * 10 + (value.at[i] - '0');
    if (value.len < 3 || number < 200 || number > 599 ||
        (value.len > 3 && value.at[3] != ' '))
        return error_set(err, -EPROTO,
                         "\"Status: %s\" is not a final status; say for "
                         "example \"Status: 200 OK\" (200 to 599)",
                         show(value, text));
    *status = number;
    return 0;
}

/* Each of the CGI fields once (RFC 3875 section 6.3). */
static int
set_once(struct slice *slot, const struct field *field, struct error *err)
{
    char text[SHOWN + 4];

    if (slot->at != NULL)
        return error_set(err, -EPROTO, "the field %s stands there twice",
                         show(field->name, text));
    *slot = field->value;
    return 0;
}

static void
keep(struct cgi_output *output, const struct field *field)
{
    size_t n = output->fields_len;

    if ((n & (n - 1)) == 0)
        output->fields = mem_grow(output->fields, n == 0 ? 1 : n * 2,
                                  sizeof(*output->fields));
    output->fields[output->fields_len++] = *field;
}

static int
take_field(struct cgi_output *output, const struct field *field,
           struct error *err)
{
    static const struct {
        const char *name;
        size_t offset;
        bool kept; /* for the client */
    } known[] = {
        {"Location", offsetof(struct cgi_output, location), true},
        {"Content-Type", offsetof(struct cgi_output, content_type), true},
        {"Content-Length", offsetof(struct cgi_output, content_length), false},
    };

    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        if (!slice_is_nocase(field->name, known[i].name))
            continue;
        if (field->value.len == 0)
            return 0; /* as if it were not there */
        if (known[i].kept)
            keep(output, field);
        char *base = (char *)output;
        return set_once((struct slice *)(void *)(base + known[i].offset), field,
                        err);
    }
    if (slice_is_nocase(field->name, "Connection"))
        output->connection = field->value;
    /* X-CGI-* is between program and server (RFC 3875 section 6.3.5). */
    if (!message_is_hop_by_hop(field->name) &&
        !(field->name.len > 6 && strncasecmp(field->name.at, "X-CGI-", 6) == 0))
        keep(output, field);
    return 0;
}

static int
parse_header(struct slice *rest, struct cgi_output *output, bool *has_status,
             struct error *err)
{
    struct slice line;

    for (size_t count = 0; cut_line(rest, &line); count++) {
        struct field field;
        if (line.len == 0)
            return 0;
        if (count == FIELDS_MAX)
            return error_set(err, -EPROTO, "more than %d fields", FIELDS_MAX);
        int r = parse_line(line, &field, err);
        if (r == 0 && slice_is_nocase(field.name, "Status")) {
            r = *has_status ? error_set(err, -EPROTO,
                                        "the field Status stands there twice")
                            : parse_status(field.value, &output->status, err);
            *has_status = true;
        } else if (r == 0) {
            r = take_field(output, &field, err);
        }
        if (r < 0)
            return r;
    }
    return error_set(err, -EPROTO,
                     "no empty line ends the header (of at most %zu bytes)",
                     CGI_HEADER_MAX);
}

/* ---- the whole ------------------------------------------------------------
 */

static int
check_length(const struct cgi_output *output, bool head, struct error *err)
{
    struct slice said = output->content_length;
    char text[SHOWN + 4];
    size_t length = 0;

    if (said.at == NULL || output->status == 204 || output->status == 304 ||
        (head && output->body.len == 0))
        return 0;
    for (size_t i = 0; i < said.len; i++) {
        if (said.at[i] < '0' || said.at[i] > '9' || i > 15)
            return error_set(err, -EPROTO,
                             "\"Content-Length: %s\" is no number",
                             show(said, text));
        length = length * 10 + (size_t)(said.at[i] - '0');
    }
    if (length == output->body.len)
        return 0;
    return error_set(err, -EPROTO,
                     "Content-Length says %zu bytes, the body has %zu", length,
                     output->body.len);
}

/* Which of the four responses of RFC 3875 section 6.2 it is. */
static int
settle(struct cgi_output *output, bool has_status, bool head, struct error *err)
{
    if (!has_status && output->location.at == NULL &&
        output->content_type.at == NULL)
        return error_set(err, -EPROTO,
                         "the header has none of Content-Type, Location and "
                         "Status");
    output->is_local_redirect = !has_status && output->location.at != NULL &&
                                output->location.at[0] == '/';
    if (output->is_local_redirect)
        return 0;
    if (!has_status)
        output->status = output->location.at != NULL ? 302 : 200;
    if (output->body.len > 0 && output->content_type.at == NULL)
        return error_set(err, -EPROTO, "a body without Content-Type");
    return check_length(output, head, err);
}

static int
parse(struct slice bytes, bool head, struct cgi_output *output,
      struct error *err)
{
    struct slice rest = bytes;
    bool has_status = false;

    if (bytes.len == 0)
        return error_set(err, -EPROTO, "the program printed nothing");
    if (slice_starts(bytes, SLICE("HTTP/")))
        return error_set(err, -EPROTO,
                         "the program answers as NPH (\"HTTP/...\"), which is "
                         "not supported; let it print \"Status: 200 OK\"");
    if (rest.len > CGI_HEADER_MAX)
        rest.len = CGI_HEADER_MAX;
    int r = parse_header(&rest, output, &has_status, err);
    if (r < 0)
        return r;
    output->body = slice_from(bytes, (size_t)(rest.at - bytes.at));
    return settle(output, has_status, head, err);
}

int
cgi_output_parse(struct slice bytes, bool head, struct cgi_output *output,
                 struct error *err)
{
    struct cgi_output read = {0};

    int r = parse(bytes, head, &read, err);
    if (r < 0) {
        cgi_output_fini(&read);
        return r;
    }
    *output = read;
    return 0;
}

void
cgi_output_fini(struct cgi_output *output)
{
    free(output->fields);
    *output = (struct cgi_output){0};
}

/* Statuses that have no content (RFC 9110 sections 15.3.5, 15.3.6, 15.4.5). */
static bool
has_no_content(int status)
{
    return status == 204 || status == 205 || status == 304;
}

int
cgi_output_message(const struct cgi_output *output, bool head,
                   struct buf *message)
{
    bool empty = has_no_content(output->status) || output->body.len == 0;
    int r = message_start_response(message, output->status);

    for (size_t i = 0; r == 0 && i < output->fields_len; i++) {
        const struct field *field = &output->fields[i];
        if (!message_lists(output->connection, field->name))
            r = message_add_field(message, field->name, field->value);
    }
    if (r < 0)
        return r;
    if (empty && (head || has_no_content(output->status)))
        return message_end_bare(message);
    r = message_end(message, output->body.len);
    return r < 0 || empty ? r : buf_add_slice(message, output->body);
}
