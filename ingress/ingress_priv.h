/* ingress_priv.h - the parts of the ingress, as its own files see them.
 *
 * A client is one connection and the one request that is open on it:
 *
 *     IDLE --> BODY --> CALLING <--> WAITING
 *      ^        |         | ^           |
 *      |        v         v | I7        v
 *      +----- ANSWERED <--+-+-----------+       REFUSED: answered before the
 *                                               body's end; the rest is dropped
 *
 * I4: libmicrohttpd's side of it is suspended exactly in CALLING and WAITING.
 * I5: in CALLING one call to the broker is out, and `returned` will come back
 *     by the lane's mailbox; in WAITING the waiter is LISTED or POSTED.
 * I6: a suspended client is resumed only with its waiter OUT.
 * I7: a stream of events that goes on is ANSWERED while libmicrohttpd has, or
 *     can get, bytes of it, and returns from there to CALLING: libmicrohttpd
 *     suspends it when it asks for more and there is nothing. It keeps its
 *     place among those who wait until it is over.
 *
 * Threads: a client and a lane belong to the lane's thread; struct ingress does
 * not change but for its atomics.
 */
#ifndef INGRESS_INGRESS_PRIV_H
#define INGRESS_INGRESS_PRIV_H

#include <microhttpd.h>
#include <pthread.h>
#include <stdatomic.h>

#include "broker/broker.h"
#include "common/own.h"
#include "ingress/address.h"
#include "ingress/head.h"
#include "ingress/ingress.h"
#include "ingress/receipt.h"
#include "ingress/route.h"
#include "ingress/timers.h"
#include "ingress/waiters.h"

#define FIELDS_MAX 256 /* of one request */

struct operations;

struct ingress {
    const struct settings *settings;
    const struct ingress_options *options;
    struct broker *broker;
    struct waiters *waiters;
    struct MHD_Daemon *admin;
    struct operations *operations; /* started by the admin side */
    int listen_fd;
    span_ms max_wait;  /* the longest of all routes */
    size_t pool_bytes; /* libmicrohttpd's memory of one connection */
    struct lane *lanes;
    unsigned lanes_len;
    atomic_size_t buffered; /* bytes of requests not yet durable */
    atomic_uint waiting;    /* clients that hold a connection to wait */
};

/* How far a lane has come in its end. */
enum lane_stage {
    LANE_OPEN,     /* accepts and serves */
    LANE_DRAINING, /* accepts nothing; reached when no request is open */
    LANE_CUT,      /* calls the broker no more; reached at once */
    LANE_CLOSING,  /* the broker is closed and has answered all; reached when
                    * no client is suspended, and the thread ends */
};

struct lane {
    struct ingress *ingress;
    struct MHD_Daemon *daemon;
    int epoll;             /* libmicrohttpd's own, bell, waiting sockets */
    int bell;              /* eventfd: mail has come, or a stage is asked for */
    pthread_mutex_t lock;  /* guards asked and reached */
    pthread_cond_t moved;  /* reached has grown */
    enum lane_stage asked; /* by the owner */
    enum lane_stage reached;
    enum lane_stage stage;  /* asked, as the lane has seen it */
    struct mailbox returns; /* of calls to the broker: clients, by `returned` */
    struct mailbox answers; /* clients, by their waiter */
    struct mail *submissions, **submissions_last; /* not yet handed over */
    unsigned submissions_len;
    struct timers timers;
    mono_ms now;            /* of this turn of the loop */
    struct client *clients; /* all connections */
    bool has_room;          /* one was closed in this turn */
    unsigned open;          /* clients whose phase is not IDLE */
    unsigned turns;         /* since memory was given back */
    pthread_t thread;
    struct field fields[FIELDS_MAX]; /* of the request being begun */
    size_t fields_len;
    struct buf scratch; /* for one field's text */
};

enum phase {
    PHASE_IDLE,
    PHASE_BODY,
    PHASE_REFUSED,
    PHASE_CALLING,
    PHASE_WAITING,
    PHASE_ANSWERED,
};

/* What a request is, once its head was read. */
enum errand {
    ERRAND_SUBMIT,   /* on a route */
    ERRAND_STATUS,   /* GET /-/tickets/T */
    ERRAND_RESPONSE, /* GET /-/tickets/T/response */
    ERRAND_CANCEL,   /* DELETE /-/tickets/T */
    ERRAND_EVENTS,   /* GET /-/tickets/T/events */
};

/* What a stream of events has besides. */
struct events {
    struct buf out;  /* not given to libmicrohttpd so far */
    char *told;      /* the status document of the last event; NULL: none */
    bool has_begun;  /* its head is queued: it cannot be refused any more */
    bool is_over;    /* what is in out is the last of it */
    int quiet_looks; /* that saw no change, one after the other */
    mono_ms heartbeat_at;
};

#define CLIENT_MAGIC 0x636c6e74u
struct client {
    uint32_t magic;
    struct lane *lane;
    struct client *next, **link; /* in the lane's list */
    struct MHD_Connection *connection;
    int fd;
    bool is_watched; /* fd is in the lane's epoll, for a hang-up */
    char peer[ADDRESS_SIZE], local[ADDRESS_SIZE];
    struct timer timer;
    struct buf target;      /* as sent; kept from one request to the next */
    const char *target_at;  /* where libmicrohttpd has it */
    struct receipt receipt; /* likewise kept */

    /* the open request; all below is zeroed at its end */
    enum phase phase;
    enum errand errand;
    struct head head; /* its slices hold until the answer is queued */
    size_t header_size;
    size_t pool_used; /* of libmicrohttpd's memory, by the header */
    const struct route_settings *route;
    struct wait_plan plan;
    struct buf message, body; /* body: of a chunked request */
    size_t body_start;        /* in message */
    size_t buffered;          /* what this client has of ingress->buffered */
    struct ticket ticket;
    mono_ms wait_until; /* 0: does not wait (any more) */
    bool holds_place;   /* is counted in ingress->waiting */
    bool is_gone;       /* hung up while it waited */
    bool is_joined;     /* its key had a request already */
    int status_is;      /* HTTP status that the status document goes out with */
    struct waiter waiter;
    struct answer *answer; /* came by the waiter's mail, not used so far */
    struct events events;  /* of ERRAND_EVENTS */
    struct mail returned;  /* the call below is back: */
    void (*on_return)(struct client *client);
    struct submission submission;
    struct call *call;             /* a lookup or cancellation; else NULL */
    struct request_key *key;       /* NULL: none */
    struct MHD_Response *response; /* what to queue; may be the receipt's */
    unsigned status;
    char *body_copy; /* its body, where it is a copy of ours; ends in NUL */
    size_t answer_len;
};

/* ---- intake.c: reading a request ---- */

/* At the first sight of a request: reads its head, decides, and makes ready for
 * its body. MHD_NO closes the connection. */
enum MHD_Result intake_begin(struct client *client, const char *method,
                             const char *version);
enum MHD_Result intake_body(struct client *client, const char *at, size_t len);
/* The body is whole: completes the message. -EMSGSIZE: no memory. */
int intake_end(struct client *client);
/* Frees the request's bytes and gives back what they count. */
void intake_release(struct client *client);

/* ---- exchange.c: from a whole request to its answer ---- */

void exchange_start(struct client *client);     /* may suspend */
void exchange_wait_over(struct client *client); /* the deadline came */
void exchange_hung_up(struct client *client);   /* nobody listens any more */
void exchange_reset(struct client *client);     /* its end, whatever phase */
void exchange_on_answer(struct client *client); /* its waiter was POSTED */

/* For events.c. Counts the client as one that waits; false: there are too many.
 */
bool exchange_take_place(struct client *client);
/* Looks up client->ticket: CALLING. */
void exchange_look_up(struct client *client);
/* What it is resumed for is ready: resumes it, after a mail that may still be
 * on its way. */
void exchange_finish(struct client *client);

/* ---- events.c: /-/tickets/T/events ---- */

/* Before it is suspended. False: refused, client->response says why. */
bool events_admit(struct client *client);
void events_start(struct client *client);
void events_on_lookup(struct client *client, int r,
                      const struct ticket_status *status);
void events_on_answer(struct client *client, struct answer *answer);
void events_wait_over(struct client *client); /* or the lane ends */
void events_hung_up(struct client *client);
void events_reset(struct client *client);

/* ---- replies.c: what goes out ---- */

/* Each sets client->response and client->status. */
void reply_problem(struct client *client, int status, const char *code,
                   const char *detail);
void reply_result(struct client *client, int r); /* a broker's refusal */
void reply_accepted(struct client *client, const struct ticket_status *status);
/* Of a request that was just accepted: is more to be said in its 202 than that,
 * for which it must be looked up? */
bool reply_tells_more(const struct client *client);
void reply_status(struct client *client, const struct ticket_status *status);
void reply_stored(struct client *client, struct answer **answer);
void reply_stream(struct client *client, struct MHD_Response *response);
void reply_nothing(struct client *client); /* 204 */
void reply_add(struct client *client, const char *name, const char *value);
void reply_drop(struct client *client); /* lets go of client->response */
/* Writes a refusal to the socket itself, for where libmicrohttpd takes no
 * answer: before the end of a body. Sends no more afterwards. */
void refusal_send(int fd, const struct refusal *refusal, bool is_head);
void reply_raw(struct client *client, const struct refusal *refusal); /* logs */

/* ---- tickets.c: /-/ ---- */

/* Reads what is wanted of /-/...; sets errand and ticket, or refuses by
 * client->response. */
void tickets_begin(struct client *client);

/* ---- lane.c ---- */

int lane_start(struct lane *lane, struct ingress *ingress, unsigned connections,
               struct error *err);
void lane_ask(struct lane *lane, enum lane_stage stage);
/* False: it has not come so far within the limit. */
bool lane_await(struct lane *lane, enum lane_stage stage, span_ms limit);
void lane_stop(struct lane *lane); /* joins; LANE_CLOSING was asked for */
/* Hands it to the broker, at the end of the turn at the latest. */
void lane_submit(struct lane *lane, struct submission *submission);
void client_set_deadline(struct client *client, mono_ms due);
void client_suspend(struct client *client);
void client_watch(struct client *client);  /* tells when it hangs up */
void client_resume(struct client *client); /* its answer is ready */

/* ---- admin.c ---- */

#define ADMIN_CONNECTIONS 256 /* at a time; more wait to be accepted */

int admin_start(struct ingress *ingress, struct MHD_Daemon **out,
                struct error *err);

#endif
