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
#include "control/barrier.h"
#include "control/control.h"
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
    bool create;  /* make the store if it is missing */
    bool guarded; /* have a guard (broker_guard), as every worker has */
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

/* A descriptor, lent, of which whoever runs handlers or commands for this
 * process gets a copy: as long as some process holds one, this one is not taken
 * for dead, though it be killed. Its sessions still end with their leases; its
 * upgrade is nobody else's before. -1: there is none, or the backend needs
 * none. */
int broker_guard(const struct broker *broker);

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

/* For ticket_make: requests of one key are to be in one place. */
static inline int
request_key_slot(const struct request_key *key)
{
    return key->scope[0] << 8 | key->scope[1];
}

/* What a request brings along that waited at another broker. */
struct moved {
    span_ms age;       /* it waited so long, pauses not counted: of its ttl */
    wall_ms key_until; /* its key is kept so long */
    bool key_taken;    /* out: another request has its key here */
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
    struct moved *moved;           /* of broker_adopt; else NULL */
    void (*on_submitted)(struct submission *submission);
    /* out */
    int r;       /* 0: durable. -ENOBUFS: max_depth. -EEXIST: the key was used
                  * for another request. -ECONNREFUSED: the queue takes nothing
                  * new. -ENOSPC, -ENOTCONN, -ESHUTDOWN, -EIO: nothing was
                  * stored. -ECOMM: it may have been, or may be still */
    bool joined; /* the key had this request already: see ticket */
    wall_ms submitted;
    wall_ms paused_since; /* 0: the queue is open */
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
    wall_ms paused_since;      /* 0: its queue is not paused */
    char paused_why[WHY_SIZE]; /* the operator's words; "" */
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
    unsigned number; /* CLOAKROOM_ATTEMPT: from 1; one that does not count
                      * (control/outcome.h) has the number of the next */
    bool repeatable;
    uint64_t epoch; /* of the queue when it was taken */
    uint64_t id;    /* the broker's */
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

/* One request that is run while its queue is drained, to see what the session's
 * release makes of it. It stays in its place meanwhile. */
enum probe_end {
    PROBE_CAREFUL, /* as DISCARD, for a request that may be repeated only */
    PROBE_DISCARD, /* whatever it answers, the request is left as it was */
    PROBE_KEEP,    /* an attempt like any other: its answer is the ticket's. One
                    * that did not start, or was KILLED and may be repeated,
                    * leaves the request as it was */
};
struct probe {
    const struct ticket *ticket; /* NULL: the one that would be taken first */
    enum probe_end end;
};

struct session_options {
    unsigned queue;
    const char *name; /* for people: "host:pid" */
    const char *release;
    unsigned concurrency;
    /* Not NULL: the session takes that one request and no other. session_open
     * records the probe, a control change, as of `name`; it is over, and its
     * queue drained again, when the session is. Refusals of session_open:
     * -ENOENT: no such request waits. -EPERM: it may not be repeated, and the
     * probe is a CAREFUL one. -ENOTEMPTY, -EINPROGRESS: see control.h. */
    const struct probe *probe;
    /* An attempt is ours; takes it. */
    void (*on_take)(void *opaque, struct attempt **attempt);
    /* The lease now holds to `until`; before that on_lost, or handlers die. */
    void (*on_lease)(void *opaque, boot_ms until);
    /* The lease is over: all its attempts are void. Said once; a new hello is
     * due. broker_finish for them is allowed and dropped. */
    void (*on_lost)(void *opaque);
    /* This attempt is not wanted any more: kill its handler, then finish it as
     * `why`: OUTCOME_CANCELLED (by the client) or OUTCOME_KILLED (by a pause).
     */
    void (*on_cancel)(void *opaque, const struct ticket *ticket,
                      uint64_t attempt_id, enum outcome why);
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

/* ---- control ------------------------------------------------------------ */

/* The control state of a queue. Blocks. */
int broker_control(struct broker *broker, unsigned queue,
                   struct control *control, struct error *err);

/* Makes one change of several queues, of all or of none. after: their new
 * states, in the order of queues; may be NULL. The errors are those of
 * control_change, about the first queue that refuses, which err names; -EBUSY
 * also: the upgrade's process lives and is not this one. Who acts for an
 * upgrade owns it from then on, until its process ends. Blocks until it is
 * durable. */
int broker_change(struct broker *broker, const unsigned *queues, size_t len,
                  const struct change *change, struct control *after,
                  struct error *err);

/* Asks all attempts that run in a paused queue to end as OUTCOME_KILLED.
 * paused_epoch: of the pause that is meant. -ECANCELED: that one is over.
 * Blocks. */
int broker_kill(struct broker *broker, unsigned queue, uint64_t paused_epoch,
                struct error *err);

/* The barrier of the pause (or probe) that goes on. */
struct barrier {
    unsigned ended;      /* attempts since the pause that came to their end */
    unsigned killed;     /* those that were ended for it, of which */
    unsigned put_back;   /* so many went back to the queue */
    unsigned waited_out; /* attempts lost with their worker */
    span_ms bound;       /* for so long may one that cannot reach us run on */
    struct member *members;
    size_t len;
};
void barrier_fini(struct barrier *barrier);
/* -ECANCELED: the queue is open. Blocks. */
int broker_barrier(struct broker *broker, unsigned queue, struct barrier *out,
                   struct error *err);

struct running {
    struct ticket ticket;
    char worker[128];
    char release[RELEASE_SIZE];
    unsigned attempt;
    wall_ms started;
};
/* A malloc'ed array of what runs in a queue, oldest first, at most max. Blocks.
 */
int broker_running(struct broker *broker, unsigned queue, size_t max,
                   struct running **out, size_t *len, struct error *err);

/* Waits until a control state, a barrier or, in paused queues, an attempt has
 * changed since `seen` was read, or for the limit. Any thread. */
uint64_t broker_control_seen(struct broker *broker);
void broker_control_wait(struct broker *broker, uint64_t seen, span_ms limit);

/* What was done to a queue, in order; nothing is ever taken out. */
struct history {
    uint64_t epoch;
    wall_ms at;
    char *receipt; /* of "drained": JSON, see receipt.h; else NULL */
    char queue[65];
    char change[16];            /* change_word, or "drained" */
    char release[RELEASE_SIZE]; /* after it; of a probe: the probed one */
    char by[BY_SIZE];
    char why[WHY_SIZE];
};
/* A malloc'ed array of the newest `max` records, oldest first; of one queue, or
 * of all of the store (queue < 0). Blocks. */
int broker_history(struct broker *broker, int queue, size_t max,
                   struct history **out, size_t *len, struct error *err);
void history_free(struct history *list, size_t len);

/* ---- moving to another broker -------------------------------------------- */

/* A request that waits. */
struct waiting {
    int64_t place; /* in its queue */
    struct ticket ticket;
    bool is_damaged;   /* what follows is not to be believed */
    bool idempotent;   /* by its method, or by a key that is over */
    unsigned attempts; /* counted so far */
    span_ms age;       /* it has waited so long, its queue's pauses apart */
    struct origin origin;
    struct slice message;
    bool has_key;
    struct request_key key;
    wall_ms key_until;
    bool has_replays;
    struct ticket replays;
};

/* Lends the requests that wait in a queue, delayed ones too, in the order in
 * which they were accepted, beginning behind the place `after` (0: with the
 * first), until on_waiting returns false. Blocks. -EINVAL: not from this
 * backend. */
typedef bool waiting_fn(const struct waiting *waiting, void *opaque);
int broker_waiting(struct broker *broker, unsigned queue, int64_t after,
                   waiting_fn *on_waiting, void *opaque, struct error *err);

/* Submits requests that waited at another broker of the same secret, under
 * their tickets: each with `moved`, without on_submitted. One that is here
 * already, or was, is left as it is (joined), so that it can be repeated,
 * also by the next process after one that was killed; not by two at a time.
 * One whose key another ticket has here is submitted without it (key_taken).
 * Blocks until each has its r. 0, or the first r that is not: it can be
 * repeated then, too. -EINVAL: not to this backend. */
int broker_adopt(struct broker *broker, struct submission *list, size_t len,
                 struct error *err);

/* Names the installation: one that was made anew, though by the same settings
 * and with the same secret, has another name. Blocks. -EINVAL: as above. */
#define INSTALLATION_SIZE 128
int broker_installation(struct broker *broker, char name[INSTALLATION_SIZE],
                        struct error *err);

/* ---- operators ---------------------------------------------------------- */

struct queue_stats {
    struct control control;
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
