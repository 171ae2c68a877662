/* broker.h - the narrow waist: everything above speaks to this and knows no
 * backend.
 *
 * A broker keeps requests, leases and responses and orders what happens to
 * them. It has threads of its own: calls only hand over and return; results
 * come by callback, on a thread of the broker, which must not be blocked: a
 * callback passes the result on (a mailbox, MHD_resume_connection) and returns.
 * Each struct given to a call is lent to the broker until its callback runs,
 * which happens exactly once, also when the broker is closed (-ESHUTDOWN) or
 * broken.
 *
 * Queues are named by their index in the settings that the broker was opened
 * with.
 *
 * Threads: any, except open and close (the owner, once).
 * Source: docs/design.md, section 4.
 */
#ifndef BROKER_BROKER_H
#define BROKER_BROKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/buf.h"
#include "common/clock.h"
#include "common/error.h"
#include "common/mailbox.h"
#include "common/settings.h"
#include "common/slice.h"
#include "common/ticket.h"
#include "control/lifecycle.h"
#include "control/outcome.h"

struct broker;
struct stored;

/* ---- opening ------------------------------------------------------------ */

/* What a process is to the broker. */
enum broker_role {
    BROKER_INGRESS, /* submits, waits; makes the store if there is none */
    BROKER_WORKER,  /* takes and finishes; sweeps; the store must be there */
    BROKER_VISITOR, /* a command: looks and submits, does not sweep */
};

struct broker_options {
    const struct settings *settings; /* outlives the broker */
    enum broker_role role;
    bool create; /* make the store if it is missing */
    /* A response of a ticket was stored, by whatever process. wanted says
     * whether this process waits for it; only then it is read and given to
     * on_response, which takes it. Both NULL: not told. */
    bool (*wanted)(void *opaque, const struct ticket *ticket);
    void (*on_response)(void *opaque, const struct ticket *ticket,
                        struct stored **stored);
    void *opaque;
};

/* 0, or an error that says what to do. */
int broker_open(const struct broker_options *options, struct broker **out,
                struct error *err);
/* Finishes what was handed in, answers every outstanding call, closes. */
void broker_close(struct broker *broker);

const struct ticket_secret *broker_secret(const struct broker *broker);

/* Can it accept and store now? 0, or the reason. Does not block. */
int broker_ready(struct broker *broker, struct error *err);

/* ---- requests ----------------------------------------------------------- */

/* What surrounds a request; kept beside the HTTP message, not in it. Absent
 * ones are empty. */
struct origin {
    struct slice peer;      /* "192.0.2.1:50000" */
    struct slice local;     /* "127.0.0.1:8080", where it came in */
    struct slice scheme;    /* "http" */
    struct slice principal; /* who it is, by authentication */
    struct slice route;     /* path of the route that matched, "" for "/" */
};

/* The scope and fingerprint of an Idempotency-Key, both made by the ingress:
 * hashes of (principal, method, route, key) and of the request. */
#define KEY_BYTES 32
struct request_key {
    uint8_t scope[KEY_BYTES];
    uint8_t fingerprint[KEY_BYTES];
};

/* One request to be put on a queue. */
struct submission {
    struct mail mail; /* the broker's, until on_submitted */
    /* in */
    struct ticket ticket; /* ticket_make; becomes the first one's if joined */
    unsigned queue;
    bool idempotent; /* by its method (the key counts by itself) */
    struct origin origin;
    struct slice message;          /* HTTP/1.1 bytes */
    const struct request_key *key; /* NULL: none */
    const struct ticket *replays;  /* a dead letter that this one repeats */
    void (*on_submitted)(struct submission *submission);
    /* out */
    int r;       /* 0: durable. -ENOBUFS: max_depth. -EEXIST: the key was used
                  * for another request. -ENOSPC, -ENOTCONN, -ESHUTDOWN, -EIO:
                  * nothing was stored */
    bool joined; /* the key had this request already: see ticket */
    wall_ms submitted;
};
void broker_submit(struct broker *broker, struct submission *submission);

/* ---- looking ------------------------------------------------------------ */

/* A stored response: an HTTP/1.1 message and what the ticket came to. The
 * caller's when it is given one. */
struct stored {
    enum ticket_state state;
    struct buf bytes; /* the message */
};
void stored_free(struct stored *stored);

struct ticket_status {
    enum ticket_state state;
    char reason[200]; /* why it waits or failed; "" */
    char queue[65];
    unsigned attempts;                 /* counted so far */
    char release[65];                  /* of the last attempt; "" before one */
    wall_ms submitted, started, ended; /* 0: not so far */
    int64_t position; /* requests ahead of it in the queue; -1: not queued */
    bool has_replays, has_replayed_by;
    struct ticket replays;     /* the dead letter that it repeats */
    struct ticket replayed_by; /* the newest repetition of it */
};

struct lookup {
    struct mail mail;
    /* in */
    struct ticket ticket;
    bool with_response;
    void (*on_found)(struct lookup *lookup);
    /* out */
    int r; /* 0; -ENOENT: not kept (any more); -EIO: damaged */
    struct ticket_status status;
    struct stored *stored; /* if asked for and final; the caller's */
};
void broker_lookup(struct broker *broker, struct lookup *lookup);

struct cancellation {
    struct mail mail;
    struct ticket ticket;
    void (*on_cancelled)(struct cancellation *cancellation);
    int r; /* 0: cancelled, it was queued. -EAGAIN: it runs, its handler will
            * be killed. -EALREADY: it has ended. -ENOENT: not kept */
};
void broker_cancel(struct broker *broker, struct cancellation *cancellation);

/* ---- workers ------------------------------------------------------------ */

/* One run of a handler for one request, under a lease. Made by the broker,
 * given to on_take, given back by broker_finish. */
struct attempt {
    struct mail mail;
    struct ticket ticket;
    unsigned queue;
    unsigned
        number; /* 1 for the first; counts every run, as CLOAKROOM_ATTEMPT */
    bool repeatable;
    uint64_t id; /* the broker's */
    struct origin origin;
    struct slice message;
    void *opaque; /* the worker's */
    /* set by the worker before broker_finish */
    enum outcome outcome;
    struct buf response; /* ANSWERED: the message. Else empty */
    char reason[200];    /* else: a sentence */
    bool again;          /* take another one for this slot */
    struct buf store;    /* what origin and message point into */
};
void attempt_free(struct attempt *attempt);

/* A worker's presence at a queue: hello to goodbye, or to its lease's end. */
struct session;

struct session_options {
    unsigned queue;
    const char *name; /* for people: "host:pid" */
    const char *release;
    unsigned concurrency;
    /* An attempt is ours; takes it. */
    void (*on_take)(void *opaque, struct attempt **attempt);
    /* The lease now holds to `until`; before that on_lost, or handlers die. */
    void (*on_lease)(void *opaque, boot_ms until);
    /* The lease is over: all its attempts are void. Said once; a new hello is
     * due. broker_finish for them is allowed and dropped. */
    void (*on_lost)(void *opaque);
    /* The client cancelled this ticket: kill its handler, then finish it as
     * OUTCOME_CANCELLED. */
    void (*on_cancel)(void *opaque, const struct ticket *ticket,
                      uint64_t attempt_id);
    void *opaque;
};

/* Says hello, durable on return, and holds the first lease. Blocks. */
int session_open(struct broker *broker, const struct session_options *options,
                 struct session **out, struct error *err);
/* More attempts may be taken: free slots beyond those already told. */
void session_want(struct session *session, unsigned slots);
/* Takes nothing more from now on (an on_take may still be on its way).
 * Then on_drained once no attempt is out. */
void session_stop(struct session *session, void (*on_drained)(void *opaque));
/* Says goodbye; attempts still out are put back as not started if their
 * handler was not begun, else they are lost. Blocks. */
void session_close(struct session *session);

/* Ends an attempt; takes it (on return *attempt is NULL). */
void broker_finish(struct session *session, struct attempt **attempt);

/* ---- operators ---------------------------------------------------------- */

struct queue_stats {
    uint64_t epoch;
    char release[65];
    uint64_t queued, delayed, running, dead; /* delayed: waiting for a retry */
    uint64_t accepted, done, failed;         /* since the store was made */
    uint64_t done_minute, failed_minute;     /* in the last 60 s */
    span_ms oldest;                          /* age of the oldest queued */
    uint64_t retained_bytes;
    char trouble[200]; /* why the last put-back happened; "" when none lately */
};
/* Blocks. */
int broker_queue_stats(struct broker *broker, unsigned queue,
                       struct queue_stats *stats, struct error *err);

struct worker_info {
    uint64_t session;
    char name[128];
    char queue[65];
    char release[65];
    int pid;
    unsigned concurrency, running;
    wall_ms since;
    span_ms lease_left; /* below 0: over */
};
/* A malloc'ed array of all live sessions. Blocks. */
int broker_workers(struct broker *broker, struct worker_info **out, size_t *len,
                   struct error *err);

struct dead_letter {
    struct ticket ticket;
    char queue[65];
    char reason[200];
    wall_ms ended;
    unsigned attempts;
};
/* A malloc'ed array, oldest first, at most max. Blocks. */
int broker_dead_list(struct broker *broker, unsigned queue, size_t max,
                     struct dead_letter **out, size_t *len, struct error *err);
/* Submits the request again under a new ticket, linked both ways; the old one
 * keeps its failure. Blocks. -ENOENT: no such dead letter. */
int broker_dead_replay(struct broker *broker, const struct ticket *dead,
                       struct ticket *made, struct error *err);
int broker_dead_drop(struct broker *broker, const struct ticket *dead,
                     struct error *err);

#endif
