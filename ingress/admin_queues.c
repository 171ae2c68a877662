/* admin_queues.c - how the queues stand, and what was done to them. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/json_text.h"
#include "common/nearest.h"
#include "ingress/admin_priv.h"
#include "ingress/queue_json.h"

#define RUNNING_MAX 1000 /* attempts that are listed */
#define HISTORY_MAX 1000

static void
set_number(json_t *object, const char *key, int64_t number)
{
    json_object_set_new(object, key, json_integer(number));
}

/* ---- workers ------------------------------------------------------------- */

static void
set_workers(json_t *queue, const char *name, const struct control *control,
            const struct worker_info *workers, size_t len)
{
    json_t *list = json_array();

    for (size_t i = 0; i < len; i++) {
        if (strcmp(workers[i].queue, name) == 0)
            json_array_append_new(list, worker_json(&workers[i], control));
    }
    json_object_set_new(queue, "workers", list);
}

/* ---- what a pause waits for ---------------------------------------------- */

static json_t *
running_json(const struct running *running)
{
    char ticket[TICKET_TEXT + 1];
    json_t *object = json_object();

    ticket_format(&running->ticket, ticket);
    json_object_set_new(object, "ticket", json_string(ticket));
    json_object_set_new(object, "worker", json_text(running->worker));
    json_object_set_new(object, "release", json_text(running->release));
    set_number(object, "attempt", running->attempt);
    json_set_time(object, "started", running->started);
    return object;
}

static int
set_running(json_t *queue, struct broker *broker, unsigned index,
            struct error *err)
{
    struct running *list = NULL;
    size_t len = 0;
    int r = broker_running(broker, index, RUNNING_MAX, &list, &len, err);

    if (r < 0)
        return r;
    json_t *attempts = json_array();
    for (size_t i = 0; i < len; i++)
        json_array_append_new(attempts, running_json(&list[i]));
    free(list);
    json_object_set_new(queue, "attempts", attempts);
    return 0;
}

static json_t *
member_json(const struct member *member)
{
    return json_pack(
        "{s:I, s:o, s:o, s:s}", "session", (json_int_t)member->session, "name",
        json_text(member->name), "release", json_text(member->release), "state",
        member_state_word(member->state));
}

static int
set_barrier(json_t *queue, struct broker *broker, unsigned index,
            struct error *err)
{
    struct barrier barrier = {0};
    int r = broker_barrier(broker, index, &barrier, err);

    if (r < 0)
        return r == -ECANCELED ? 0 : r; /* it was opened meanwhile */
    json_t *members = json_array();
    for (size_t i = 0; i < barrier.len; i++)
        json_array_append_new(members, member_json(&barrier.members[i]));
    json_object_set_new(
        queue, "barrier",
        json_pack("{s:i, s:i, s:i, s:i, s:I, s:o}", "ended", (int)barrier.ended,
                  "killed", (int)barrier.killed, "put_back",
                  (int)barrier.put_back, "waited_out", (int)barrier.waited_out,
                  "bound_ms", (json_int_t)barrier.bound, "members", members));
    barrier_fini(&barrier);
    return 0;
}

/* ---- queues -------------------------------------------------------------- */

/* What only a queue that is not open has. */
static int
set_pause(json_t *queue, struct broker *broker, unsigned index,
          struct error *err)
{
    int r = set_running(queue, broker, index, err);

    return r < 0 ? r : set_barrier(queue, broker, index, err);
}

/* Everything about one. *control: as it is shown; epoch 0 when it is to be
 * read. */
static int
read_queue(const struct ingress *ingress, unsigned index,
           const struct worker_info *workers, size_t len,
           struct control *control, json_t **out, struct error *err)
{
    const char *name = ingress->settings->queues[index].name;
    struct queue_stats stats;
    int r = broker_queue_stats(ingress->broker, index, &stats, err);

    if (r < 0)
        return r;
    if (control->epoch == 0)
        *control = stats.control;
    stats.control = *control;
    json_t *queue = queue_json(name, &stats);
    set_workers(queue, name, control, workers, len);
    if (control->state != CONTROL_OPEN)
        r = set_pause(queue, ingress->broker, index, err);
    if (r < 0)
        json_decref(queue);
    else
        *out = queue;
    return r;
}

void
admin_answer_queue(struct admin_request *request, unsigned queue,
                   const struct control *control)
{
    struct control shown = control == NULL ? (struct control){0} : *control;
    struct worker_info *workers = NULL;
    size_t len = 0;
    json_t *json = NULL;
    struct error err;

    int r = broker_workers(request->ingress->broker, &workers, &len, &err);
    if (r == 0)
        r = read_queue(request->ingress, queue, workers, len, &shown, &json,
                       &err);
    free(workers);
    if (r < 0) {
        admin_refuse_result(request, r, &err);
        return;
    }
    request->answer.epoch = shown.epoch;
    admin_json(request, 200, json);
}

void
admin_get_queues(struct admin_request *request)
{
    const struct ingress *ingress = request->ingress;
    struct worker_info *workers = NULL;
    size_t len = 0;
    json_t *list = json_array();
    struct error err;

    int r = broker_workers(ingress->broker, &workers, &len, &err);
    for (unsigned i = 0; i < ingress->settings->queues_len && r == 0; i++) {
        struct control control = {0};
        json_t *queue = NULL;
        r = read_queue(ingress, i, workers, len, &control, &queue, &err);
        if (r == 0)
            json_array_append_new(list, queue);
    }
    free(workers);
    if (r == 0) {
        admin_json(request, 200, list);
        return;
    }
    json_decref(list);
    admin_refuse_result(request, r, &err);
}

int
admin_queue(struct admin_request *request)
{
    const struct settings *settings = request->ingress->settings;
    const int queue = settings_queue(settings, request->name);
    char hint[HINT_SIZE];

    if (queue >= 0)
        return queue;
    admin_refuse(request, 404, "not-found", "there is no queue `%s`; %s",
                 request->name,
                 settings_queue_hint(settings, request->name, hint));
    return -1;
}

void
admin_get_queue(struct admin_request *request)
{
    const int queue = admin_queue(request);

    if (queue >= 0)
        admin_answer_queue(request, (unsigned)queue, NULL);
}

/* ---- history ------------------------------------------------------------- */

void
admin_get_history(struct admin_request *request)
{
    const int queue = admin_queue(request);
    struct history *list = NULL;
    size_t len = 0;
    struct error err;

    if (queue < 0)
        return;
    int r = broker_history(request->ingress->broker, queue, HISTORY_MAX, &list,
                           &len, &err);
    if (r < 0) {
        admin_refuse_result(request, r, &err);
        return;
    }
    json_t *records = json_array();
    for (size_t i = 0; i < len; i++)
        json_array_append_new(records, history_json(&list[i]));
    history_free(list, len);
    admin_json(request, 200, records);
}
