/* bodies.c - messages that are too large for one record, in pieces. */
#include "broker/kafka/bodies.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "broker/kafka/client.h"
#include "common/lock.h"
#include "common/mem.h"
#include "common/own.h"

#define PIECE_SIZE ((size_t)512 * 1024)
#define READ_LIMIT 30000 /* ms for one message, or one stretch of it */
/* So many records of others between two pieces are read over; where there are
 * more, reading starts anew at the next piece. */
#define STRETCH    4

static_assert(PIECE_SIZE <= KAFKA_INLINE_MAX, "a piece fits a record");

struct body_piece {
    struct delivery delivery;
    struct body_store *store;
    struct slice bytes;
};

bool
bodies_needs(struct slice message)
{
    return message.len > KAFKA_INLINE_MAX;
}

static void
digest_of(struct slice message, uint8_t digest[32])
{
    crypto_generichash(digest, 32, (const unsigned char *)message.at,
                       message.len, NULL, 0);
}

/* ---- storing ------------------------------------------------------------- */

static bool
has_more(const struct body_store *store)
{
    return store->r == 0 && store->sent < store->ref.len;
}

/* The next piece that may be sent; NULL: none now. The lock is held. */
static struct body_piece *
next_piece(struct body_lane *lane)
{
    struct body_store *store = lane->first;

    if (store == NULL || lane->out >= BODIES_OUT_MAX) {
        lane->sending = false;
        return NULL;
    }
    struct body_piece *piece = &store->pieces[store->sent++];
    lane->out += piece->bytes.len;
    if (!has_more(store)) {
        lane->first = store->next;
        if (lane->first == NULL)
            lane->last = &lane->first;
    }
    return piece;
}

static void
send_piece(struct body_lane *lane, struct body_piece *piece)
{
    const struct ticket *ticket = piece->store->ticket;
    rd_kafka_headers_t *headers = rd_kafka_headers_new(1);
    char key[TICKET_TEXT + 1];

    if (rd_kafka_header_add(headers, "cloakroom", -1, "body/1", -1) !=
        RD_KAFKA_RESP_ERR_NO_ERROR)
        abort(); /* of memory */
    ticket_format(ticket, key);
    producer_lend(lane->producer, lane->kafka->bodies_topic,
                  kafka_partition(lane->kafka, ticket), key, piece->bytes,
                  headers, &piece->delivery);
}

/* By one thread at a time: pieces go out in their order, and a piece that is
 * refused at once does not lead ever deeper. */
static void
send_pieces(struct body_lane *lane)
{
    struct body_piece *piece = NULL;

    pthread_mutex_lock(&lane->lock);
    if (!lane->sending) {
        lane->sending = true;
        piece = next_piece(lane);
    }
    pthread_mutex_unlock(&lane->lock);
    while (piece != NULL) {
        send_piece(lane, piece);
        pthread_mutex_lock(&lane->lock);
        piece = next_piece(lane);
        pthread_mutex_unlock(&lane->lock);
    }
}

/* Takes a store that failed from those that wait. */
static void
give_up(struct body_lane *lane, struct body_store *store)
{
    struct body_store **at = &lane->first;

    while (*at != NULL && *at != store)
        at = &(*at)->next;
    if (*at == NULL)
        return;
    *at = store->next;
    if (*at == NULL)
        lane->last = at;
}

/* True: that was the last one. */
static bool
count_piece(struct body_lane *lane, struct body_piece *piece)
{
    struct body_store *store = piece->store;
    const int r = piece->delivery.r;

    LOCKED(&lane->lock);
    lane->out -= piece->bytes.len;
    store->ref.offsets[piece - store->pieces] = piece->delivery.offset;
    if (r < 0 && has_more(store))
        give_up(lane, store);
    if (r < 0 && (store->r == 0 || r == -ECOMM))
        store->r = r;
    return ++store->delivered == store->sent && !has_more(store);
}

static void
on_delivered(struct delivery *delivery)
{
    struct body_piece *piece =
        CONTAINER_OF(delivery, struct body_piece, delivery);
    struct body_store *store = piece->store;
    struct body_lane *lane = store->lane;

    if (count_piece(lane, piece)) {
        free(TAKE(store->pieces));
        store->on_stored(store);
    }
    send_pieces(lane);
}

static void
cut(struct body_store *store)
{
    struct slice rest = store->message;

    store->ref.size = rest.len;
    store->ref.len = (unsigned)((rest.len + PIECE_SIZE - 1) / PIECE_SIZE);
    store->pieces = mem_zalloc(store->ref.len * sizeof(*store->pieces));
    for (unsigned i = 0; i < store->ref.len; i++) {
        struct body_piece *piece = &store->pieces[i];
        piece->store = store;
        piece->delivery.on_delivered = on_delivered;
        piece->bytes = rest;
        if (rest.len > PIECE_SIZE)
            piece->bytes.len = PIECE_SIZE;
        rest = slice_from(rest, piece->bytes.len);
    }
}

void
bodies_store(struct kafka *kafka, struct producer *producer,
             const struct ticket *ticket, struct body_store *store)
{
    struct body_lane *lane = &kafka->lanes[producer == kafka->keeper];

    store->r = 0;
    store->next = NULL;
    store->ticket = ticket;
    store->lane = lane;
    store->sent = store->delivered = 0;
    if (store->message.len == 0 ||
        store->message.len > BODY_PIECES * PIECE_SIZE) {
        store->r = -EMSGSIZE;
        store->on_stored(store);
        return;
    }
    digest_of(store->message, store->ref.digest);
    cut(store);
    pthread_mutex_lock(&lane->lock);
    *lane->last = store;
    lane->last = &store->next;
    pthread_mutex_unlock(&lane->lock);
    send_pieces(lane);
}

/* ---- readers ------------------------------------------------------------- */

static int
take_reader(struct kafka *kafka, struct client_reader **out, struct error *err)
{
    {
        LOCKED(&kafka->readers_lock);
        for (int i = 0; i < KAFKA_READERS; i++) {
            if (kafka->readers[i] != NULL) {
                *out = TAKE(kafka->readers[i]);
                return 0;
            }
        }
    }
    return client_reader_open(kafka->settings, out, err);
}

static void
give_reader(struct kafka *kafka, struct client_reader *reader)
{
    pthread_mutex_lock(&kafka->readers_lock);
    for (int i = 0; i < KAFKA_READERS && reader != NULL; i++) {
        if (kafka->readers[i] == NULL)
            kafka->readers[i] = TAKE(reader);
    }
    pthread_mutex_unlock(&kafka->readers_lock);
    client_reader_close(reader);
}

void
bodies_close(struct kafka *kafka)
{
    for (int i = 0; i < KAFKA_READERS; i++)
        client_reader_close(TAKE(kafka->readers[i]));
}

/* ---- reading ------------------------------------------------------------- */

struct reading {
    const struct body_ref *ref;
    const char *key; /* the ticket */
    struct buf *buf;
    unsigned next; /* piece that is wanted */
    int r;
};

static bool
is_piece_of(const rd_kafka_message_t *message, const char *key)
{
    return message->key_len == TICKET_TEXT &&
           memcmp(message->key, key, TICKET_TEXT) == 0;
}

/* True: it, or something in its way, was read. */
static bool
on_piece(const rd_kafka_message_t *message, void *opaque)
{
    struct reading *reading = opaque;
    const struct body_ref *ref = reading->ref;
    const int64_t wanted = ref->offsets[reading->next];

    if (message->offset < wanted)
        return false;
    if (message->offset > wanted || !is_piece_of(message, reading->key) ||
        message->len > ref->size - reading->buf->len) {
        reading->r = -EIO;
        return true;
    }
    reading->r = buf_add(reading->buf, message->payload, message->len);
    if (reading->r < 0 || ++reading->next == ref->len)
        return true;
    const int64_t next = ref->offsets[reading->next];
    return next <= wanted || next > wanted + STRETCH;
}

static int
read_pieces(struct kafka *kafka, struct client_reader *reader,
            int32_t partition, struct reading *reading, struct error *err)
{
    int r = 0;

    while (r == 0 && reading->r == 0 && reading->next < reading->ref->len)
        r = client_reader_read(reader, kafka->bodies_topic, partition,
                               reading->ref->offsets[reading->next], on_piece,
                               reading, READ_LIMIT, err);
    if (r == -ENOENT || (r == 0 && reading->r < 0))
        return error_set(err, -EIO, "piece %u of a large message is gone",
                         reading->next);
    return r;
}

int
bodies_read(struct kafka *kafka, const struct ticket *ticket,
            const struct body_ref *ref, struct buf *buf, struct error *err)
{
    char key[TICKET_TEXT + 1];
    struct reading reading = {.ref = ref, .key = key, .buf = buf};
    struct client_reader *reader;
    uint8_t digest[32];
    int r = take_reader(kafka, &reader, err);

    if (r < 0)
        return r;
    ticket_format(ticket, key);
    if (buf_reserve(buf, ref->size) == NULL)
        reading.r = -EMSGSIZE;
    else
        r = read_pieces(kafka, reader, kafka_partition(kafka, ticket), &reading,
                        err);
    give_reader(kafka, reader);
    if (r < 0)
        return r;
    if (reading.r < 0)
        return error_set(err, reading.r, "a large message has no room");
    digest_of(buf_slice(buf), digest);
    if (buf->len != ref->size || memcmp(digest, ref->digest, 32) != 0)
        return error_set(err, -EIO, "a large message is damaged");
    return 0;
}

int
bodies_read_request(struct kafka *kafka, const char *topic, int32_t partition,
                    int64_t offset, rd_kafka_message_t **message,
                    struct queued *request, struct error *err)
{
    struct client_reader *reader;
    rd_kafka_message_t *found;
    int r = take_reader(kafka, &reader, err);

    if (r < 0)
        return r;
    r = client_reader_take(reader, topic, partition, offset, &found, READ_LIMIT,
                           err);
    give_reader(kafka, reader);
    if (r < 0)
        return r == -ENOENT ? error_wrap(err, -EIO, "a request is gone") : r;
    r = queued_read(found, request, err);
    if (r < 0) {
        rd_kafka_message_destroy(found);
        return error_wrap(err, -EIO, "%s [%d] at %lld is damaged", topic,
                          (int)partition, (long long)offset);
    }
    *message = found;
    return 0;
}
