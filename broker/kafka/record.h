/* record.h - the records of the topics `requests`, `tickets` and `dead`.
 *
 * A record's value is an HTTP/1.1 message or empty; all else stands in its
 * headers, as short texts. The first header is `cloakroom`, "KIND/1": what it
 * is and the version of its format. The key is the ticket in text (of a claim
 * and of `over` the session in decimal, of a `key` its scope in hex).
 *
 * Times are milliseconds since 1970 by the writer's clock. Slices of what was
 * read point into the message, and hold as long as it does.
 *
 * Threads: any; pure. Source: docs/kafka.md, "Records".
 */
#ifndef BROKER_KAFKA_RECORD_H
#define BROKER_KAFKA_RECORD_H

#include <librdkafka/rdkafka.h>

#include "broker/broker.h"

/* What became of tickets, in one partition of `tickets`. */
enum fact_kind {
#define FACT(name, word) FACT_##name,
#include "broker/kafka/record.def"
#undef FACT
    FACTS
};

/* Where a message lies that is too large for one record: pieces in `bodies`,
 * of the ticket's partition. */
#define BODY_PIECES 256
struct body_ref {
    size_t size;        /* of the whole; 0: the message is the record's value */
    uint8_t digest[32]; /* BLAKE2b of the whole */
    unsigned len;       /* pieces */
    int64_t offsets[BODY_PIECES];
};

enum request_flag {
    REQUEST_IDEMPOTENT = 1, /* by its method */
    REQUEST_KEYED = 2,      /* by an Idempotency-Key */
    REQUEST_TWIN = 4,       /* produced again under its key's first ticket:
                             * there may be another one in the log */
};

/* One fact. Which members a kind has is said at it; others are 0. */
struct fact {
    enum fact_kind kind;
    wall_ms at;
    struct slice queue;   /* all but OVER */
    struct ticket ticket; /* all but CLAIM and OVER; KEY: who wants the key */
    uint64_t session;     /* CLAIM, STARTED, OVER: whose; RESPONSE, FAILED,
                           * RETRY: who writes it, 0: an ingress */
    uint64_t epoch;       /* CLAIM: of the control state that it saw */
    struct slice release; /* CLAIM, STARTED */
    int64_t claim;        /* STARTED: the offset of the claim it stands on */
    uint64_t run;         /* STARTED, RESPONSE, RETRY, FAILED (0: it was not
                           * started): unique for all time */
    unsigned attempt;     /* STARTED, RESPONSE, FAILED, RETRY: from 1 */
    unsigned put_backs;   /* STARTED, RETRY: so many did not count so far */
    int64_t request;      /* STARTED, RESPONSE, FAILED, RETRY, CANCEL, EXPIRED:
                           * the offset of its request; -1: not known */
    unsigned flags;       /* STARTED: enum request_flag */
    bool counted;         /* RETRY: the attempt counts */
    span_ms delay;        /* RETRY: from `at` on */
    enum ticket_state state; /* FAILED: FAILED, CANCELLED or EXPIRED */
    struct slice reason;     /* FAILED, RETRY */
    int64_t dead;            /* FAILED: the offset of its dead letter in
                              * `dead.QUEUE`; -1: it has none */
    uint64_t size;           /* FAILED, with a dead letter: bytes of that */
    struct request_key key;  /* KEY */
    wall_ms until;           /* KEY: it is kept so long */
    bool has_other;          /* STARTED: `other` is what it replays */
    struct ticket other;     /* REPLAYED: the new ticket */
    struct body_ref body;    /* RESPONSE: where a large message is; FAILED: that
                              * of its dead letter */
    struct slice message;    /* RESPONSE (empty if body.size > 0), FAILED */
};

/* A request, in `requests.QUEUE` and in `dead.QUEUE`. */
struct queued {
    struct ticket ticket;
    struct slice queue;
    wall_ms at; /* submitted */
    unsigned flags;
    struct origin origin;
    bool has_replays;
    struct ticket replays;
    struct body_ref body;
    struct slice message; /* empty if body.size > 0 */
};

const char *fact_word(enum fact_kind kind);

/* The headers of a fact or request for rd_kafka_produceva, the caller's, and
 * the text of its key. The value is ->message. */
#define RECORD_KEY_MAX 72
rd_kafka_headers_t *fact_write(const struct fact *fact,
                               char key[RECORD_KEY_MAX]);
rd_kafka_headers_t *queued_write(const struct queued *request,
                                 char key[RECORD_KEY_MAX]);

/* 0; -EPROTO: not a record of ours, or damaged; -ENOTSUP: of a newer format. A
 * ticket is checked for its form, not for its tag. err: what is wrong with it;
 * may be NULL. */
int fact_read(const rd_kafka_message_t *message, struct fact *fact,
              struct error *err);
int queued_read(const rd_kafka_message_t *message, struct queued *request,
                struct error *err);

/* May a request with these flags be repeated? */
bool queued_is_repeatable(unsigned flags, const struct queue_settings *queue);

#endif
