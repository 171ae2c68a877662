/* cgi_output_fuzz.c - whatever a program prints: a message that can be read, or
 * a sentence. */
#include <stdint.h>
#include <stdlib.h>

#include "workers/handlers/cgi_output.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_message(const struct cgi_output *output, bool head)
{
    struct message message;
    struct error err;
    struct buf buf;

    buf_init(&buf, 4 * CGI_HEADER_MAX + output->body.len);
    if (cgi_output_message(output, head, &buf) < 0)
        abort();
    if (message_parse(buf_slice(&buf), &message, &err) < 0)
        abort();
    if (message.status < 200 || message.status > 599)
        abort();
    message_fini(&message);
    buf_fini(&buf);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct slice bytes = {(const char *)data, size};
    struct cgi_output output;
    struct error err = {0};

    for (int head = 0; head < 2; head++) {
        if (cgi_output_parse(bytes, head, &output, &err) < 0) {
            if (err.text[0] == '\0')
                abort();
            continue;
        }
        if (!output.is_local_redirect)
            check_message(&output, head);
        cgi_output_fini(&output);
    }
    return 0;
}
