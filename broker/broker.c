/* broker.c - passes each call to the backend that was opened. */
#include "broker/broker.h"

#include <stdlib.h>

#include "broker/backend.h"
#include "common/own.h"
#include "common/settings.h"

int
broker_open(const struct broker_options *options, struct broker **out,
            struct error *err)
{
    return options->settings->kafka.servers != NULL
               ? kafka_open(options, out, err)
               : embedded_open(options, out, err);
}

void
broker_close(struct broker *broker)
{
    if (broker != NULL)
        broker->backend->close(broker);
}

const struct ticket_secret *
broker_secret(const struct broker *broker)
{
    return broker->backend->secret(broker);
}

int
broker_guard(const struct broker *broker)
{
    return broker->backend->guard(broker);
}

int
broker_ready(struct broker *broker, struct error *err)
{
    return broker->backend->ready(broker, err);
}

void
broker_submit(struct broker *broker, struct submission *submission)
{
    broker->backend->submit(broker, submission);
}

void
stored_free(struct stored *stored)
{
    if (stored == NULL)
        return;
    buf_fini(&stored->bytes);
    free(stored);
}

void
broker_lookup(struct broker *broker, struct lookup *lookup)
{
    broker->backend->lookup(broker, lookup);
}

void
broker_cancel(struct broker *broker, struct cancellation *cancellation)
{
    broker->backend->cancel(broker, cancellation);
}

void
attempt_free(struct attempt *attempt)
{
    if (attempt == NULL)
        return;
    buf_fini(&attempt->response);
    buf_fini(&attempt->store);
    free(attempt);
}

int
session_open(struct broker *broker, const struct session_options *options,
             struct session **out, struct error *err)
{
    return broker->backend->session_open(broker, options, out, err);
}

void
session_want(struct session *session, unsigned slots)
{
    session->backend->session_want(session, slots);
}

void
session_stop(struct session *session, void (*on_drained)(void *opaque))
{
    session->backend->session_stop(session, on_drained);
}

void
session_close(struct session *session)
{
    if (session != NULL)
        session->backend->session_close(session);
}

void
broker_finish(struct session *session, struct attempt **attempt)
{
    session->backend->finish(session, attempt);
}

int
broker_control(struct broker *broker, unsigned queue, struct control *control,
               struct error *err)
{
    return broker->backend->control(broker, queue, control, err);
}

int
broker_change(struct broker *broker, const unsigned *queues, size_t len,
              const struct change *change, struct control *after,
              struct error *err)
{
    return broker->backend->change(broker, queues, len, change, after, err);
}

int
broker_kill(struct broker *broker, unsigned queue, uint64_t paused_epoch,
            struct error *err)
{
    return broker->backend->kill(broker, queue, paused_epoch, err);
}

int
broker_barrier(struct broker *broker, unsigned queue, struct barrier *out,
               struct error *err)
{
    return broker->backend->barrier(broker, queue, out, err);
}

void
barrier_fini(struct barrier *barrier)
{
    free(TAKE(barrier->members));
    barrier->len = 0;
}

int
broker_running(struct broker *broker, unsigned queue, size_t max,
               struct running **out, size_t *len, struct error *err)
{
    return broker->backend->running(broker, queue, max, out, len, err);
}

uint64_t
broker_control_seen(struct broker *broker)
{
    return broker->backend->control_seen(broker);
}

void
broker_control_wait(struct broker *broker, uint64_t seen, span_ms limit)
{
    broker->backend->control_wait(broker, seen, limit);
}

int
broker_history(struct broker *broker, int queue, size_t max,
               struct history **out, size_t *len, struct error *err)
{
    return broker->backend->history(broker, queue, max, out, len, err);
}

void
history_free(struct history *list, size_t len)
{
    for (size_t i = 0; i < len; i++)
        free(list[i].receipt);
    free(list);
}

int
broker_waiting(struct broker *broker, unsigned queue, int64_t after,
               waiting_fn *on_waiting, void *opaque, struct error *err)
{
    if (broker->backend->waiting == NULL)
        return error_set(err, -EINVAL,
                         "requests are moved from an embedded store only");
    return broker->backend->waiting(broker, queue, after, on_waiting, opaque,
                                    err);
}

int
broker_adopt(struct broker *broker, struct submission *list, size_t len,
             struct error *err)
{
    if (broker->backend->adopt == NULL)
        return error_set(err, -EINVAL, "requests are moved to Kafka only");
    return broker->backend->adopt(broker, list, len, err);
}

int
broker_installation(struct broker *broker, char name[INSTALLATION_SIZE],
                    struct error *err)
{
    if (broker->backend->installation == NULL)
        return error_set(err, -EINVAL, "requests are moved to Kafka only");
    return broker->backend->installation(broker, name, err);
}

int
broker_queue_stats(struct broker *broker, unsigned queue,
                   struct queue_stats *stats, struct error *err)
{
    return broker->backend->queue_stats(broker, queue, stats, err);
}

int
broker_workers(struct broker *broker, struct worker_info **out, size_t *len,
               struct error *err)
{
    return broker->backend->workers(broker, out, len, err);
}

int
broker_dead_list(struct broker *broker, unsigned queue, size_t max,
                 struct dead_letter **out, size_t *len, struct error *err)
{
    return broker->backend->dead_list(broker, queue, max, out, len, err);
}

int
broker_dead_replay(struct broker *broker, const struct ticket *dead,
                   struct ticket *made, struct error *err)
{
    return broker->backend->dead_replay(broker, dead, made, err);
}

int
broker_dead_drop(struct broker *broker, const struct ticket *dead,
                 struct error *err)
{
    return broker->backend->dead_drop(broker, dead, err);
}
