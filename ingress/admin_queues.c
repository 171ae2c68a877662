/* admin_queues.c - how the queues stand, and what was done to them. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/json_text.h"
#include "common/mem.h"
#include "common/nearest.h"
#include "ingress/admin_priv.h"
#include "ingress/etag.h"

#define RUNNING_MAX 1000 /* attempts that are listed */
#define HISTORY_MAX 1000

static void
set_time(json_t *object, const char *key, wall_ms t)
{
    char text[CLOCK_TEXT_SIZE];

    if (t == 0)
        return;
    clock_format(t, text);
    json_object_set_new(object, key, json_string(text));
}

static void
set_number(json_t *object, const char *key, int64_t number)
{
    json_object_set_new(object, key, json_integer(number));
}

/* ---- control ------------------------------------------------------------- */

static json_t *
upgrade_json(const struct upgrade *upgrade)
{
    json_t *object = json_object();

    json_object_set_new(object, "id", json_text(upgrade->id));
    json_object_set_new(object, "step",
                        json_string(upgrade_step_word(upgrade->step)));
    json_object_set_new(object, "from", json_text(upgrade->from));
    json_object_set_new(object, "to", json_text(upgrade->to));
    json_object_set_new(object, "alive", json_boolean(upgrade->pid != 0));
    if (upgrade->pid != 0)
        set_number(object, "pid", upgrade->pid);
    return object;
}

static void
set_control(json_t *queue, const struct control *control)
{
    set_number(queue, "epoch", (json_int_t)control->epoch);
    json_object_set_new(queue, "state",
                        json_string(control_state_word(control->state)));
    json_object_set_new(queue, "release", json_text(control->release));
    json_object_set_new(queue, "accepting", json_boolean(control->accepting));
    if (control->paused_epoch != 0)
        set_number(queue, "paused_epoch", (json_int_t)control->paused_epoch);
    set_time(queue, "since", control->since);
    json_set_text(queue, "by", control->by);
    json_set_text(queue, "why", control->why);
    if (control->upgrade.id[0] != '\0')
        json_object_set_new(queue, "upgrade", upgrade_json(&control->upgrade));
}

/* ---- counts and workers -------------------------------------------------- */

static void
set_counts(json_t *queue, const struct queue_stats *stats)
{
    set_number(queue, "queued", (json_int_t)stats->queued);
    set_number(queue, "delayed", (json_int_t)stats->delayed);
    set_number(queue, "running", (json_int_t)stats->running);
    if (stats->queued + stats->delayed > 0)
        set_number(queue, "oldest_ms", stats->oldest);
    set_number(queue, "accepted", (json_int_t)stats->accepted);
    set_number(queue, "done", (json_int_t)stats->done);
    set_number(queue, "failed", (json_int_t)stats->failed);
    set_number(queue, "done_per_minute", (json_int_t)stats->done_minute);
    set_number(queue, "failed_per_minute", (json_int_t)stats->failed_minute);
    set_number(queue, "dead", (json_int_t)stats->dead);
    set_number(queue, "retained_bytes", (json_int_t)stats->retained_bytes);
    json_set_text(queue, "trouble", stats->trouble);
}

static json_t *
worker_json(const struct worker_info *info, const struct control *control)
{
    json_t *worker = json_object();

    json_object_set_new(worker, "name", json_text(info->name));
    set_number(worker, "pid", info->pid);
    json_object_set_new(worker, "release", json_text(info->release));
    json_object_set_new(
        worker, "admitted",
        json_boolean(strcmp(info->release, control->release) == 0));
    set_number(worker, "running", info->running);
    set_number(worker, "concurrency", info->concurrency);
    set_time(worker, "since", info->since);
    set_number(worker, "lease_left_ms", info->lease_left);
    return worker;
}

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
    set_time(object, "started", running->started);
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

/* Everything about one. *control: as it is shown; epoch 0 when it is to be
 * read. */
static int
read_queue(const struct ingress *ingress, unsigned index,
           const struct worker_info *workers, size_t len,
           struct control *control, json_t *queue, struct error *err)
{
    const char *name = ingress->settings->queues[index].name;
    struct queue_stats stats;
    int r = broker_queue_stats(ingress->broker, index, &stats, err);

    if (r < 0)
        return r;
    if (control->epoch == 0)
        *control = stats.control;
    json_object_set_new(queue, "name", json_string(name));
    set_control(queue, control);
    set_counts(queue, &stats);
    set_workers(queue, name, control, workers, len);
    if (control->state == CONTROL_OPEN)
        return 0;
    r = set_running(queue, ingress->broker, index, err);
    return r < 0 ? r : set_barrier(queue, ingress->broker, index, err);
}

void
admin_answer_queue(struct admin_request *request, unsigned queue,
                   const struct control *control)
{
    struct control shown = control == NULL ? (struct control){0} : *control;
    struct worker_info *workers = NULL;
    size_t len = 0;
    json_t *json = json_object();
    struct error err;

    int r = broker_workers(request->ingress->broker, &workers, &len, &err);
    if (r == 0)
        r = read_queue(request->ingress, queue, workers, len, &shown, json,
                       &err);
    free(workers);
    if (r < 0) {
        json_decref(json);
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
        json_t *queue = json_object();
        r = read_queue(ingress, i, workers, len, &control, queue, &err);
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
    const char **names = mem_zalloc(settings->queues_len * sizeof(*names));
    for (size_t i = 0; i < settings->queues_len; i++)
        names[i] = settings->queues[i].name;
    admin_refuse(
        request, 404, "not-found", "there is no queue `%s`; %s", request->name,
        nearest_hint(hint, request->name, names, settings->queues_len));
    free(names);
    return -1;
}

/* The client has this epoch: says so, and no more. False: it has another. */
static bool
answer_unchanged(struct admin_request *request, unsigned queue)
{
    const char *known = admin_field(request, "If-None-Match");
    struct control control;
    struct error err;

    if (known == NULL ||
        broker_control(request->ingress->broker, queue, &control, &err) < 0 ||
        !etag_names(slice_of(known), control.epoch, ETAG_WEAK))
        return false;
    request->answer.epoch = control.epoch;
    request->answer.status = 304;
    return true;
}

void
admin_get_queue(struct admin_request *request)
{
    const int queue = admin_queue(request);

    if (queue >= 0 && !answer_unchanged(request, (unsigned)queue))
        admin_answer_queue(request, (unsigned)queue, NULL);
}

/* ---- history ------------------------------------------------------------- */

static json_t *
history_json(const struct history *history)
{
    json_t *record = json_object();

    json_object_set_new(record, "queue", json_text(history->queue));
    set_number(record, "epoch", (json_int_t)history->epoch);
    set_time(record, "at", history->at);
    json_object_set_new(record, "change", json_text(history->change));
    json_object_set_new(record, "release", json_text(history->release));
    json_set_text(record, "by", history->by);
    json_set_text(record, "why", history->why);
    if (history->receipt != NULL)
        json_object_set_new(record, "receipt",
                            json_loads(history->receipt, 0, NULL));
    return record;
}

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
