/* idempotency.c - Idempotency-Key: its value, its scope, its fingerprint. */
#include "ingress/idempotency.h"

#include <errno.h>
#include <sodium.h>
#include <string.h>

#include "common/own.h"

static int
add_char(struct idempotency_key *key, char c)
{
    if (key->len == IDEMPOTENCY_KEY_MAX)
        return -EINVAL;
    key->text[key->len++] = c;
    return 0;
}

/* What stands behind the opening quote. Parameters after the closing one are
 * allowed and have no meaning. */
static int
parse_quoted(struct slice rest, struct idempotency_key *key)
{
    for (size_t i = 0; i < rest.len; i++) {
        char c = rest.at[i];
        if (c == '"')
            return i + 1 == rest.len || rest.at[i + 1] == ';' ? 0 : -EINVAL;
        if (c == '\\') {
            if (++i == rest.len || (rest.at[i] != '"' && rest.at[i] != '\\'))
                return -EINVAL;
            c = rest.at[i];
        }
        if (c < 0x20 || c > 0x7e || add_char(key, c) < 0)
            return -EINVAL;
    }
    return -EINVAL;
}

static int
parse_bare(struct slice value, struct idempotency_key *key)
{
    for (size_t i = 0; i < value.len; i++) {
        char c = value.at[i];
        if (c <= 0x20 || c > 0x7e || strchr("\",;\\", c) != NULL ||
            add_char(key, c) < 0)
            return -EINVAL;
    }
    return 0;
}

int
idempotency_parse(struct slice value, struct idempotency_key *key)
{
    struct slice trimmed = slice_trim(value);
    int r;

    key->len = 0;
    if (trimmed.len > 0 && trimmed.at[0] == '"')
        r = parse_quoted(slice_from(trimmed, 1), key);
    else
        r = parse_bare(trimmed, key);
    return r < 0 || key->len == 0 ? -EINVAL : 0;
}

/* Each part goes in with its length, so that no two lists run together. */
static void
hash_parts(uint8_t hash[KEY_BYTES], const struct slice *parts, size_t count)
{
    crypto_generichash_state state;

    crypto_generichash_init(&state, NULL, 0, KEY_BYTES);
    for (size_t i = 0; i < count; i++) {
        const uint64_t len = parts[i].len;
        crypto_generichash_update(&state, (const uint8_t *)&len, sizeof(len));
        crypto_generichash_update(&state, (const uint8_t *)parts[i].at,
                                  parts[i].len);
    }
    crypto_generichash_final(&state, hash, KEY_BYTES);
}

void
idempotency_scope(uint8_t scope[KEY_BYTES], struct slice principal,
                  struct slice method, struct slice host, struct slice path,
                  const struct idempotency_key *key)
{
    const struct slice parts[] = {
        principal, method, host, path, {key->text, key->len}};

    hash_parts(scope, parts, ARRAY_LEN(parts));
}

void
idempotency_fingerprint(uint8_t fingerprint[KEY_BYTES], struct slice method,
                        struct slice target, struct slice content_type,
                        struct slice body)
{
    const struct slice parts[] = {method, target, content_type, body};

    hash_parts(fingerprint, parts, ARRAY_LEN(parts));
}
