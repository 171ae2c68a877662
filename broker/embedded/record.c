/* record.c - how a request's origin and its checksums are stored. */
#include "broker/embedded/record.h"

#include <assert.h>
#include <sodium.h>
#include <string.h>

#include "common/own.h"

_Static_assert(crypto_shorthash_KEYBYTES <= TICKET_BYTES, "a ticket is a key");
_Static_assert(crypto_shorthash_BYTES == sizeof(int64_t),
               "a sum is an integer");

static int
add_text(struct buf *buf, struct slice text)
{
    const unsigned char len[2] = {(unsigned char)(text.len & 0xff),
                                  (unsigned char)(text.len >> 8 & 0xff)};

    if (text.len > UINT16_MAX)
        return -EMSGSIZE;
    int r = buf_add(buf, len, sizeof(len));
    return r < 0 ? r : buf_add_slice(buf, text);
}

int
record_add_origin(struct buf *buf, const struct origin *origin)
{
    const struct slice texts[] = {origin->peer, origin->local, origin->scheme,
                                  origin->principal, origin->route};
    int r = 0;

    for (size_t i = 0; i < ARRAY_LEN(texts) && r == 0; i++)
        r = add_text(buf, texts[i]);
    return r;
}

static int
cut_text(struct slice *bytes, struct slice *text)
{
    const unsigned char *at = (const unsigned char *)bytes->at;

    if (bytes->len < 2)
        return -EPROTO;
    const size_t len = (size_t)at[0] | (size_t)at[1] << 8;
    if (bytes->len - 2 < len)
        return -EPROTO;
    *text = (struct slice){bytes->at + 2, len};
    *bytes = slice_from(*bytes, 2 + len);
    return 0;
}

int
record_parse_origin(struct slice bytes, struct origin *origin)
{
    struct slice *texts[] = {&origin->peer, &origin->local, &origin->scheme,
                             &origin->principal, &origin->route};
    int r = 0;

    for (size_t i = 0; i < ARRAY_LEN(texts) && r == 0; i++)
        r = cut_text(&bytes, texts[i]);
    return r == 0 && bytes.len > 0 ? -EPROTO : r;
}

static uint64_t
hash(const struct ticket *ticket, struct slice part)
{
    uint8_t out[crypto_shorthash_BYTES];
    uint64_t sum;

    crypto_shorthash(out, (const unsigned char *)part.at, part.len,
                     ticket->bytes);
    memcpy(&sum, out, sizeof(sum));
    return sum;
}

int64_t
record_sum(const struct ticket *ticket, struct slice first, struct slice second)
{
    const uint64_t a = hash(ticket, first);
    const uint64_t b = hash(ticket, second);

    return (int64_t)((a << 1 | a >> 63) ^ b);
}
