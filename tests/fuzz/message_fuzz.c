/* message_fuzz.c - message_parse on any bytes: no crash, and what it takes it
 * takes apart without a gap. */
#include <assert.h>
#include <stdint.h>

#include "common/message.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct slice input = {(const char *)bytes, len};
    struct message message;
    struct error err;

    if (message_parse(input, &message, &err) < 0)
        return 0;
    assert(message.body.at + message.body.len == input.at + input.len);
    assert((message.status == 0) == (message.method.len > 0));
    for (size_t i = 0; i < message.fields_len; i++)
        assert(message_is_token(message.fields[i].name) &&
               message_is_field_value(message.fields[i].value));
    message_fini(&message);
    return 0;
}
