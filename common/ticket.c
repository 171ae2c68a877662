/* ticket.c - the name of one accepted request. */
#include "common/ticket.h"

#include <fcntl.h>
#include <pthread.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/mem.h"
#include "common/own.h"

#define UUID_BYTES   16
#define SECRET_BYTES 32

struct ticket_secret {
    crypto_auth_hmacsha256_state keyed; /* after the key, before the message */
};

/* ---- the secret ------------------------------------------------------------
 */

static void
secret_init(struct ticket_secret *secret, const uint8_t key[SECRET_BYTES])
{
    crypto_auth_hmacsha256_init(&secret->keyed, key, SECRET_BYTES);
}

void
ticket_secret_free(struct ticket_secret *secret)
{
    if (secret == NULL)
        return;
    sodium_memzero(secret, sizeof(*secret));
    free(secret);
}

void
ticket_secret_fingerprint(const struct ticket_secret *secret,
                          char text[TICKET_FINGERPRINT + 1])
{
    static const unsigned char what[] = "fingerprint of the secret";
    crypto_auth_hmacsha256_state state = secret->keyed;
    uint8_t tag[crypto_auth_hmacsha256_BYTES];

    static_assert(sizeof(what) > UUID_BYTES, "it is the tag of no ticket");
    crypto_auth_hmacsha256_update(&state, what, sizeof(what));
    crypto_auth_hmacsha256_final(&state, tag);
    sodium_bin2hex(text, TICKET_FINGERPRINT + 1, tag, TICKET_FINGERPRINT / 2);
}

/* Reads exactly the secret from an open file. */
static int
read_key(int fd, const char *path, uint8_t key[SECRET_BYTES], struct error *err)
{
    struct stat st;
    uint8_t more;

    if (fstat(fd, &st) < 0)
        return error_system(err, -errno, "%s", path);
    if (!S_ISREG(st.st_mode))
        return error_set(err, -EINVAL, "%s: not a file", path);
    if ((st.st_mode & 077) != 0)
        return error_set(err, -EINVAL,
                         "%s: others can read the secret; run: chmod 600 %s",
                         path, path);
    if (read(fd, key, SECRET_BYTES) != SECRET_BYTES || read(fd, &more, 1) != 0)
        return error_set(err, -EINVAL,
                         "%s: not a secret (it has %d bytes); put back the "
                         "right file from a backup",
                         path, SECRET_BYTES);
    return 0;
}

static int
load_key(const char *path, uint8_t key[SECRET_BYTES], struct error *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

    if (fd < 0)
        return error_system(err, -errno, "%s", path);
    int r = read_key(fd, path, key, err);
    close(fd);
    return r;
}

/* Syncs the directory that path is in, so that a new name in it lasts. */
static int
sync_parent(const char *path)
{
    char *parent = mem_strdup(path);
    char *slash = strrchr(parent, '/');
    int r = 0;

    if (slash != NULL)
        slash[slash == parent ? 1 : 0] = '\0';
    int fd =
        open(slash == NULL ? "." : parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fsync(fd) < 0)
        r = -errno;
    if (fd >= 0)
        close(fd);
    free(parent);
    return r;
}

static int
write_key(int fd, const uint8_t key[SECRET_BYTES])
{
    ssize_t n = write(fd, key, SECRET_BYTES);

    if (n != SECRET_BYTES)
        return n < 0 ? -errno : -ENOSPC;
    return fsync(fd) < 0 ? -errno : 0;
}

/* Makes a whole file under a name of its own and links it to its place: who
 * comes second finds the first one's. *made: we came first. */
static int
put_key(const char *path, const uint8_t key[SECRET_BYTES], bool *made,
        struct error *err)
{
    /* In containers every process is the first: the pid alone may be shared. */
    char *draft = mem_printf("%s.%d.%08x", path, (int)getpid(),
                             (unsigned)randombytes_random());
    int r = 0;

    *made = false;
    int fd = open(draft, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        r = -errno;
    if (r == 0)
        r = write_key(fd, key);
    if (r == 0) {
        *made = link(draft, path) == 0;
        r = *made || errno == EEXIST ? 0 : -errno;
    }
    if (r == 0)
        r = sync_parent(path);
    if (fd >= 0) {
        close(fd);
        unlink(draft);
    }
    free(draft);
    return r < 0 ? error_system(err, r, "making %s", path) : 0;
}

static int
make_key(const char *path, struct error *err)
{
    uint8_t key[SECRET_BYTES];
    bool made;

    randombytes_buf(key, sizeof(key));
    int r = put_key(path, key, &made, err);
    sodium_memzero(key, sizeof(key));
    return r;
}

int
ticket_secret_load(const char *path, bool create, struct ticket_secret **out,
                   struct error *err)
{
    uint8_t key[SECRET_BYTES];

    if (sodium_init() < 0)
        return error_set(err, -EIO, "libsodium does not start");
    int r = load_key(path, key, err);
    if (r == -ENOENT && create) {
        r = make_key(path, err);
        if (r == 0)
            r = load_key(path, key, err);
    }
    if (r < 0)
        return r;
    *out = mem_new(struct ticket_secret);
    secret_init(*out, key);
    sodium_memzero(key, sizeof(key));
    return 0;
}

int
ticket_secret_copy(const char *from, const char *to, bool *made,
                   struct error *err)
{
    uint8_t ours[SECRET_BYTES], theirs[SECRET_BYTES];

    *made = false;
    int r = load_key(from, ours, err);
    if (r < 0)
        return r;
    r = load_key(to, theirs, err);
    if (r == -ENOENT) {
        r = put_key(to, ours, made, err);
        if (r == 0)
            r = load_key(to, theirs, err);
    }
    if (r == 0 && memcmp(ours, theirs, SECRET_BYTES) != 0)
        r = error_set(err, -EEXIST,
                      "%s is another secret than %s: the tickets of one are "
                      "strangers to the other",
                      to, from);
    sodium_memzero(ours, sizeof(ours));
    sodium_memzero(theirs, sizeof(theirs));
    return r;
}

/* ---- tickets ---------------------------------------------------------------
 */

static void
make_tag(const struct ticket_secret *secret, const uint8_t uuid[UUID_BYTES],
         uint8_t tag[crypto_auth_hmacsha256_BYTES])
{
    crypto_auth_hmacsha256_state state = secret->keyed;

    crypto_auth_hmacsha256_update(&state, uuid, UUID_BYTES);
    crypto_auth_hmacsha256_final(&state, tag);
}

/* Random bytes come from the kernel many tickets at a time: a system call for
 * each would be a third of the cost of a ticket. A child of fork must not use
 * its parent's again. */
static __thread struct {
    uint8_t bytes[32 * UUID_BYTES];
    size_t left;
} stock;

static void
drop_stock(void)
{
    stock.left = 0;
}

static void
watch_forks(void)
{
    pthread_atfork(NULL, NULL, drop_stock);
}

static void
take_random(uint8_t uuid[UUID_BYTES])
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    if (stock.left == 0) {
        pthread_once(&once, watch_forks);
        randombytes_buf(stock.bytes, sizeof(stock.bytes));
        stock.left = sizeof(stock.bytes);
    }
    stock.left -= UUID_BYTES;
    memcpy(uuid, stock.bytes + stock.left, UUID_BYTES);
    sodium_memzero(stock.bytes + stock.left, UUID_BYTES);
}

/* A broker's work is less for many records of one partition than for one of
 * each of many. More than so many, and a burst would fall to one worker. */
static unsigned
choose_slot(wall_ms now, unsigned fresh)
{
    static _Thread_local struct {
        wall_ms at;
        unsigned slot, left;
    } run;

    if (run.at != now || run.left == 0) {
        run.at = now;
        run.slot = fresh;
        run.left = TICKET_TOGETHER;
    }
    run.left--;
    return run.slot;
}

/* 48 bits of time, version 8, 12 bits of slot, variant 2, 4 bits of slot, 58
 * random bits (RFC 9562 section 5.8). */
struct ticket
ticket_make(const struct ticket_secret *secret, wall_ms now, int slot)
{
    struct ticket ticket;
    uint8_t *b = ticket.bytes;
    uint8_t tag[crypto_auth_hmacsha256_BYTES];

    take_random(b);
    const unsigned place = slot == TICKET_RANDOM_SLOT
                               ? choose_slot(now, (unsigned)b[6] << 8 | b[7])
                               : (unsigned)slot & 0xffff;
    for (int i = 0; i < 6; i++)
        b[i] = (uint8_t)(now >> (8 * (5 - i)));
    b[6] = (uint8_t)(0x80 | place >> 12);
    b[7] = (uint8_t)(place >> 4);
    b[8] = (uint8_t)(0x80 | (place & 15) << 2 | (b[8] & 3));
    make_tag(secret, b, tag);
    memcpy(b + UUID_BYTES, tag, TICKET_BYTES - UUID_BYTES);
    return ticket;
}

wall_ms
ticket_time(const struct ticket *ticket)
{
    wall_ms t = 0;

    for (int i = 0; i < 6; i++)
        t = t << 8 | ticket->bytes[i];
    return t;
}

unsigned
ticket_slot(const struct ticket *ticket)
{
    const uint8_t *b = ticket->bytes;

    return (b[6] & 15u) << 12 | (unsigned)b[7] << 4 | (b[8] >> 2 & 15u);
}

bool
ticket_eq(const struct ticket *a, const struct ticket *b)
{
    return memcmp(a->bytes, b->bytes, TICKET_BYTES) == 0;
}

/* ---- text ------------------------------------------------------------------
 */

static const char alphabet[] = "0123456789abcdefghjkmnpqrstvwxyz";

void
ticket_format(const struct ticket *ticket, char text[TICKET_TEXT + 1])
{
    unsigned bits = 0, have = 3; /* 3 zero bits make 195 of 192 */
    size_t at = 0;

    for (size_t i = 0; i < TICKET_BYTES; i++) {
        bits = (bits << 8 | ticket->bytes[i]) & 0xffff;
        have += 8;
        while (have >= 5) {
            have -= 5;
            text[at++] = alphabet[bits >> have & 31];
        }
    }
    assert(at == TICKET_TEXT && have == 0);
    text[at] = '\0';
}

static int
decode_char(char c)
{
    const char *at = c == '\0' ? NULL : strchr(alphabet, c);

    return at == NULL ? -1 : (int)(at - alphabet);
}

int
ticket_read(struct slice text, struct ticket *ticket)
{
    unsigned bits = 0, have = 0;
    size_t at = 0;

    if (text.len != TICKET_TEXT)
        return -ENOENT;
    for (size_t i = 0; i < TICKET_TEXT; i++) {
        int value = decode_char(text.at[i]);
        if (value < 0 || (i == 0 && value > 3))
            return -ENOENT;
        bits = (bits << 5 | (unsigned)value) & 0xffff;
        have += i == 0 ? 2 : 5;
        if (have >= 8) {
            have -= 8;
            ticket->bytes[at++] = (uint8_t)(bits >> have);
        }
    }
    assert(at == TICKET_BYTES && have == 0);
    return 0;
}

bool
ticket_is_genuine(const struct ticket_secret *secret,
                  const struct ticket *ticket)
{
    uint8_t tag[crypto_auth_hmacsha256_BYTES];

    make_tag(secret, ticket->bytes, tag);
    return sodium_memcmp(tag, ticket->bytes + UUID_BYTES,
                         TICKET_BYTES - UUID_BYTES) == 0;
}

int
ticket_parse(const struct ticket_secret *secret, struct slice text,
             struct ticket *ticket)
{
    struct ticket read;

    if (ticket_read(text, &read) < 0 || !ticket_is_genuine(secret, &read))
        return -ENOENT;
    *ticket = read;
    return 0;
}
