/* cgi_output.h - what a CGI program printed, as an HTTP response.
 *
 * Strict: what is not clearly a CGI response is refused with a sentence that
 * tells the program's author what to change.
 *
 * Threads: any. Source: RFC 3875 section 6.
 */
#ifndef WORKERS_HANDLERS_CGI_OUTPUT_H
#define WORKERS_HANDLERS_CGI_OUTPUT_H

#include <stdbool.h>

#include "common/error.h"
#include "common/message.h"

#define CGI_HEADER_MAX ((size_t)64 * 1024)

struct cgi_output {
    int status;
    bool is_local_redirect; /* to location; nothing else counts then */
    struct slice location;  /* at == NULL: none */
    struct slice content_type, content_length, connection;
    struct field *fields; /* those for the client, Status left out */
    size_t fields_len;
    struct slice body;
};

/* Slices of the result point into bytes. head: it answers HEAD. -EPROTO: not a
 * CGI response, and why. */
int cgi_output_parse(struct slice bytes, bool head, struct cgi_output *output,
                     struct error *err);
void cgi_output_fini(struct cgi_output *output);

/* The HTTP/1.1 message, into an empty buf. -EMSGSIZE: over the buf's cap. */
int cgi_output_message(const struct cgi_output *output, bool head,
                       struct buf *message);

#endif
