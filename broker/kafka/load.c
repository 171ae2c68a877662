/* load.c - reads messages again, or from `bodies`, beside a session's thread.
 */
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "broker/kafka/bodies.h"
#include "broker/kafka/session.h"
#include "common/log.h"
#include "common/own.h"
#include "common/thread.h"

/* Copies what a record says of a request. */
static int
fill(struct held *held, const struct queued *queued)
{
    struct held *copy =
        held_new(held->session, held->share, held->offset, queued);

    held->flags = copy->flags;
    held->submitted = copy->submitted;
    held->has_replays = copy->has_replays;
    held->replays = copy->replays;
    held->body = copy->body;
    held->attempt.origin = copy->attempt.origin;
    held->attempt.message = copy->attempt.message;
    held->attempt.repeatable = copy->attempt.repeatable;
    buf_move(&held->attempt.store, &copy->attempt.store);
    attempt_free(&copy->attempt);
    return 0;
}

static int
load_request(struct held *held, struct error *err)
{
    struct kafka_session *session = held->session;
    struct kafka *kafka = session->kafka;
    rd_kafka_message_t *message = NULL;
    struct queued queued;
    int r = bodies_read_request(
        kafka, kafka->request_topics[session->options.queue],
        held->share->partition.id, held->offset, &message, &queued, err);

    if (r < 0)
        return r;
    if (ticket_eq(&queued.ticket, &held->attempt.ticket))
        r = fill(held, &queued);
    else
        r = error_set(err, -EIO, "another request stands in its place");
    rd_kafka_message_destroy(message);
    return r;
}

/* The message is put behind what is in the store: origin. */
static int
load_body(struct held *held, struct error *err)
{
    struct attempt *attempt = &held->attempt;
    struct buf whole;

    buf_init(&whole, held->body.size + 1);
    int r = bodies_read(held->session->kafka, &attempt->ticket, &held->body,
                        &whole, err);
    if (r == 0) {
        /* The origin's slices point into the store. */
        struct buf *texts = &attempt->store;
        const size_t at = whole.len;
        whole.cap += texts->len + 1;
        if (buf_add_slice(&whole, buf_slice(texts)) < 0)
            abort(); /* of memory */
        struct slice *slices[] = {&attempt->origin.peer, &attempt->origin.local,
                                  &attempt->origin.scheme,
                                  &attempt->origin.principal,
                                  &attempt->origin.route};
        for (size_t i = 0; i < ARRAY_LEN(slices); i++)
            if (slices[i]->len > 0)
                slices[i]->at = whole.at + at + (slices[i]->at - texts->at);
        buf_fini(texts);
        buf_move(texts, &whole);
        attempt->message = (struct slice){texts->at, at};
    }
    buf_fini(&whole);
    return r;
}

/* ---- twins -----------------------------------------------------------------
 */

struct twin {
    const struct ticket *ticket;
    bool has_ended;
};

static bool
is_ending(const rd_kafka_message_t *message, void *opaque)
{
    struct twin *twin = opaque;
    struct fact fact;

    if (fact_read(message, &fact, NULL) < 0 ||
        (fact.kind != FACT_RESPONSE && fact.kind != FACT_FAILED &&
         fact.kind != FACT_CANCEL && fact.kind != FACT_EXPIRED))
        return false;
    twin->has_ended = ticket_eq(&fact.ticket, twin->ticket);
    return twin->has_ended;
}

/* A twin may come so late that its first one has ended and is forgotten here:
 * then the log tells. -EALREADY: it has ended. */
static int
check_twin(struct held *held, struct error *err)
{
    struct kafka *kafka = held->session->kafka;
    struct twin twin = {.ticket = &held->attempt.ticket};
    int r = kafka_search(kafka, kafka->tickets_topic, held->share->partition.id,
                         twin.ticket, is_ending, &twin, err);

    if (twin.has_ended)
        return error_set(err, -EALREADY, "it has ended under the same ticket");
    return r == -ENOENT ? 0 : r; /* the log was read to its end */
}

static void
load(struct held *held)
{
    struct error err = {0};
    int r = 0;

    if (held->attempt.store.at == NULL)
        r = load_request(held, &err);
    /* Of an orphan only the record is wanted, for its dead letter. */
    if (r == 0 && (held->flags & REQUEST_TWIN) != 0 && !held->is_orphan)
        r = check_twin(held, &err);
    if (r == 0 && held->body.size > 0 && !held->is_orphan)
        r = load_body(held, &err);
    held->is_loaded = r == 0;
    held->load_r = r;
    if (r < 0)
        log_ticket(EVENT_NOTE, &held->attempt.ticket,
                   held->session->settings->name, held->attempt.number,
                   "text=\"its message was not read: %s\"", err.text);
    mailbox_post(&held->session->loaded, &held->mail);
}

static void
ring_loader(void *opaque)
{
    const struct loader *loader = opaque;

    eventfd_write(loader->bell, 1);
}

static void *
run_loader(void *opaque)
{
    struct kafka_session *session = opaque;
    struct loader *loader = &session->loader;
    struct pollfd fd = {.fd = loader->bell, .events = POLLIN};
    eventfd_t rings;

    while (!atomic_load(&loader->stop)) {
        poll(&fd, 1, -1);
        eventfd_read(loader->bell, &rings);
        for (struct mail *mail = mailbox_take(&loader->jobs), *next;
             mail != NULL; mail = next) {
            next = mail->next;
            load(CONTAINER_OF(mail, struct held, mail));
        }
    }
    return NULL;
}

void
load_start(struct kafka_session *session, struct held *held)
{
    struct loader *loader = &session->loader;

    if (!loader->is_started) {
        loader->bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        mailbox_init(&loader->jobs, ring_loader, loader);
        if (loader->bell < 0)
            abort(); /* of descriptors: the lease ends */
        thread_start(&loader->thread, run_loader, session);
        loader->is_started = true;
    }
    mailbox_post(&loader->jobs, &held->mail);
}

void
load_stop(struct kafka_session *session)
{
    struct loader *loader = &session->loader;

    if (!loader->is_started)
        return;
    atomic_store(&loader->stop, true);
    ring_loader(loader);
    pthread_join(loader->thread, NULL);
    for (struct mail *mail = mailbox_take(&loader->jobs), *next; mail != NULL;
         mail = next) {
        next = mail->next;
        mailbox_post(&session->loaded, mail);
    }
    mailbox_fini(&loader->jobs);
    close(loader->bell);
    loader->is_started = false;
}
