/* backend.h - what a backend gives to broker.c.
 *
 * Private to broker/. A backend's broker and session begin with these structs;
 * the functions of broker.h call through them and do nothing else.
 *
 * Threads: as in broker.h.
 */
#ifndef BROKER_BACKEND_H
#define BROKER_BACKEND_H

#include "broker/broker.h"

struct backend {
    void (*close)(struct broker *);
    const struct ticket_secret *(*secret)(const struct broker *);
    int (*guard)(const struct broker *);
    int (*ready)(struct broker *, struct error *);
    void (*submit)(struct broker *, struct submission *);
    void (*lookup)(struct broker *, struct lookup *);
    void (*cancel)(struct broker *, struct cancellation *);
    int (*session_open)(struct broker *, const struct session_options *,
                        struct session **, struct error *);
    void (*session_want)(struct session *, unsigned);
    void (*session_stop)(struct session *, void (*)(void *));
    void (*session_close)(struct session *);
    void (*finish)(struct session *, struct attempt **);
    int (*control)(struct broker *, unsigned, struct control *, struct error *);
    int (*change)(struct broker *, const unsigned *, size_t,
                  const struct change *, struct control *, struct error *);
    int (*kill)(struct broker *, unsigned, uint64_t, struct error *);
    int (*barrier)(struct broker *, unsigned, struct barrier *, struct error *);
    int (*running)(struct broker *, unsigned, size_t, struct running **,
                   size_t *, struct error *);
    uint64_t (*control_seen)(struct broker *);
    void (*control_wait)(struct broker *, uint64_t, span_ms);
    int (*history)(struct broker *, int, size_t, struct history **, size_t *,
                   struct error *);
    /* NULL: not by this backend. */
    int (*waiting)(struct broker *, unsigned, int64_t, waiting_fn *, void *,
                   struct error *);
    int (*adopt)(struct broker *, struct submission *, size_t, struct error *);
    int (*installation)(struct broker *, char *, struct error *);
    int (*queue_stats)(struct broker *, unsigned, struct queue_stats *,
                       struct error *);
    int (*workers)(struct broker *, struct worker_info **, size_t *,
                   struct error *);
    int (*dead_list)(struct broker *, unsigned, size_t, struct dead_letter **,
                     size_t *, struct error *);
    int (*dead_replay)(struct broker *, const struct ticket *, struct ticket *,
                       struct error *);
    int (*dead_drop)(struct broker *, const struct ticket *, struct error *);
};

struct broker {
    const struct backend *backend;
};

struct session {
    const struct backend *backend;
};

/* broker_open of each backend. */
int embedded_open(const struct broker_options *options, struct broker **out,
                  struct error *err);
int kafka_open(const struct broker_options *options, struct broker **out,
               struct error *err);

#endif
