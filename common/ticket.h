/* ticket.h - the name of one accepted request.
 *
 * 24 bytes: a UUIDv8 (RFC 9562: 48 bits of milliseconds, so that tickets sort
 * by time; a 16-bit slot that places the ticket on a partitioned broker;
 * 58 random bits), then a 64-bit tag: HMAC-SHA-256 of the UUID under the
 * installation's secret, cut. The tag makes tickets unguessable and throws
 * made-up ones out before any look-up. In text: 39 characters of lower-case
 * Crockford base32 (192 bits; the first character carries 2 of them).
 *
 * Threads: any, once the secret is loaded.
 */
#ifndef COMMON_TICKET_H
#define COMMON_TICKET_H

#include <stdbool.h>
#include <stdint.h>

#include "common/clock.h"
#include "common/error.h"
#include "common/slice.h"

#define TICKET_BYTES 24
#define TICKET_TEXT  39

struct ticket {
    uint8_t bytes[TICKET_BYTES];
};

/* The installation's secret: 32 bytes in a file of mode 0600. */
struct ticket_secret;

/* Reads the secret at path; where there is none and create is set, makes it
 * (synced, by rename, so that a second maker at the same moment reads the
 * first one's). -ENOENT: none, -EINVAL: not a secret or open to others. */
int ticket_secret_load(const char *path, bool create,
                       struct ticket_secret **out, struct error *err);
/* Gives the installation of `to` the secret of `from`: copies the file where
 * there is none (then *made). -EEXIST: there is another secret. Else as load.
 */
int ticket_secret_copy(const char *from, const char *to, bool *made,
                       struct error *err);
void ticket_secret_free(struct ticket_secret *secret);
/* In hex: tells two secrets apart, and nothing about either. */
#define TICKET_FINGERPRINT 32
void ticket_secret_fingerprint(const struct ticket_secret *secret,
                               char text[TICKET_FINGERPRINT + 1]);

/* A new ticket. slot: 0..65535, or TICKET_RANDOM_SLOT, which so many tickets in
 * a row share that one thread makes for the same millisecond. */
#define TICKET_RANDOM_SLOT (-1)
#define TICKET_TOGETHER    16
struct ticket ticket_make(const struct ticket_secret *secret, wall_ms now,
                          int slot);

/* -ENOENT: not 39 characters of the alphabet, or the tag is not ours (checked
 * in constant time). Upper case and Crockford's look-alikes are refused: one
 * ticket has one spelling. */
int ticket_parse(const struct ticket_secret *secret, struct slice text,
                 struct ticket *ticket);
/* The two halves of it: its form alone (nothing that a client sent is believed
 * on that), and its tag. */
int ticket_read(struct slice text, struct ticket *ticket);
bool ticket_is_genuine(const struct ticket_secret *secret,
                       const struct ticket *ticket);
void ticket_format(const struct ticket *ticket, char text[TICKET_TEXT + 1]);
bool ticket_eq(const struct ticket *a, const struct ticket *b);
wall_ms ticket_time(const struct ticket *ticket);
unsigned ticket_slot(const struct ticket *ticket);

#endif
