/* admin_priv.h - one request on the admin listener, as its files see it.
 *
 * admin.c has the listener and the table of resources; each resource is a
 * function that looks at the request and sets its answer.
 *
 * Threads: the admin listener's own, which may block on the broker.
 */
#ifndef INGRESS_ADMIN_PRIV_H
#define INGRESS_ADMIN_PRIV_H

#include <jansson.h>

#include "ingress/ingress_priv.h"
#include "ingress/operations.h"
#include "ingress/text.h"

struct admin_answer {
    unsigned status; /* 0: none was set */
    const char *type;
    char *text; /* malloc'ed */
    size_t len;
    uint64_t epoch; /* ETag; 0: none */
    char location[64];
    const char *allow; /* NULL: none */
    unsigned retry_after;
};

#define ADMIN_REQUEST_MAGIC 0x61646d6eu
struct admin_request {
    uint32_t magic;
    struct ingress *ingress;
    struct MHD_Connection *connection;
    char *target;     /* as sent; malloc'ed */
    struct head head; /* points into target, and to libmicrohttpd's memory */
    char *path;       /* without escapes; malloc'ed */
    bool has_begun;   /* its head was read */
    bool is_refused;  /* and told so; the rest is dropped */
    char name[65];    /* of the queue or operation in the path */
    struct buf body;
    size_t passed_over; /* of the body, beyond the most that is read */
    struct admin_answer answer;
};

/* ---- admin.c ---- */

const char *admin_field(const struct admin_request *request, const char *name);
/* Adds all lines of a field that is a list. False: there is none. */
bool admin_list(const struct admin_request *request, const char *name,
                struct buf *text);

void admin_text(struct admin_request *request, unsigned status,
                struct slice text);
void admin_json(struct admin_request *request, unsigned status, json_t *json);
void admin_refuse(struct admin_request *request, int status, const char *code,
                  const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* A broker's refusal. */
void admin_refuse_result(struct admin_request *request, int r,
                         const struct error *err);

/* ---- admin_probes.c: /healthz and /readyz ---- */

void admin_get_health(struct admin_request *request);
void admin_get_ready(struct admin_request *request);

/* ---- admin_queues.c: how the queues stand ---- */

void admin_get_queues(struct admin_request *request);
void admin_get_queue(struct admin_request *request);
void admin_get_history(struct admin_request *request);
/* The queue that the path names; -1 after a refusal. */
int admin_queue(struct admin_request *request);
/* Answers with the queue, in this state; NULL: in that which it has. */
void admin_answer_queue(struct admin_request *request, unsigned queue,
                        const struct control *control);

/* ---- admin_changes.c: what is done to a queue ---- */

void admin_post_pause(struct admin_request *request);
void admin_post_resume(struct admin_request *request);
void admin_post_refuse(struct admin_request *request);
void admin_post_accept(struct admin_request *request);
void admin_post_upgrade(struct admin_request *request);

/* ---- admin_operations.c ---- */

void admin_get_operations(struct admin_request *request);
void admin_get_operation(struct admin_request *request);
/* Answers with the operation of that id, and where to follow it. */
void admin_answer_started(struct admin_request *request, const char *id);

#endif
