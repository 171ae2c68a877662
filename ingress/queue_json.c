/* queue_json.c - how a queue stands, and what was done to it, as JSON. */
#include "ingress/queue_json.h"

#include <string.h>

#include "common/json_text.h"

static void
set_number(json_t *object, const char *key, int64_t number)
{
    json_object_set_new(object, key, json_integer(number));
}

static void
set_count(json_t *object, const char *key, uint64_t count)
{
    set_number(object, key, (int64_t)count);
}

static json_t *
upgrade_json(const struct upgrade *upgrade)
{
    json_t *object = json_object();

    json_set_text(object, "id", upgrade->id);
    json_set_text(object, "step", upgrade_step_word(upgrade->step));
    json_set_text(object, "from", upgrade->from);
    json_set_text(object, "to", upgrade->to);
    json_object_set_new(object, "alive", json_boolean(upgrade->pid != 0));
    if (upgrade->pid != 0)
        set_number(object, "pid", upgrade->pid);
    return object;
}

static void
set_control(json_t *queue, const struct control *control)
{
    set_count(queue, "epoch", control->epoch);
    json_set_text(queue, "state", control_state_word(control->state));
    json_set_text(queue, "release", control->release);
    json_object_set_new(queue, "accepting", json_boolean(control->accepting));
    if (control->paused_epoch != 0)
        set_count(queue, "paused_epoch", control->paused_epoch);
    json_set_time(queue, "since", control->since);
    json_set_text(queue, "by", control->by);
    json_set_text(queue, "why", control->why);
    if (control->upgrade.id[0] != '\0')
        json_object_set_new(queue, "upgrade", upgrade_json(&control->upgrade));
}

json_t *
queue_json(const char *name, const struct queue_stats *stats)
{
    json_t *queue = json_object();

    json_set_text(queue, "name", name);
    set_control(queue, &stats->control);
    set_count(queue, "queued", stats->queued);
    set_count(queue, "delayed", stats->delayed);
    set_count(queue, "running", stats->running);
    if (stats->queued + stats->delayed > 0)
        set_number(queue, "oldest_ms", stats->oldest);
    set_count(queue, "accepted", stats->accepted);
    set_count(queue, "done", stats->done);
    set_count(queue, "failed", stats->failed);
    set_count(queue, "done_per_minute", stats->done_minute);
    set_count(queue, "failed_per_minute", stats->failed_minute);
    set_count(queue, "dead", stats->dead);
    set_count(queue, "retained_bytes", stats->retained_bytes);
    json_set_text(queue, "trouble", stats->trouble);
    return queue;
}

json_t *
worker_json(const struct worker_info *info, const struct control *control)
{
    json_t *worker = json_object();

    json_set_text(worker, "name", info->name);
    set_number(worker, "pid", info->pid);
    json_set_text(worker, "queue", info->queue);
    json_set_text(worker, "release", info->release);
    if (control != NULL)
        json_object_set_new(
            worker, "admitted",
            json_boolean(strcmp(info->release, control->release) == 0));
    set_number(worker, "running", info->running);
    set_number(worker, "concurrency", info->concurrency);
    json_set_time(worker, "since", info->since);
    set_number(worker, "lease_left_ms", info->lease_left);
    return worker;
}

json_t *
history_json(const struct history *record)
{
    json_t *object = json_object();

    json_set_text(object, "queue", record->queue);
    set_count(object, "epoch", record->epoch);
    json_set_time(object, "at", record->at);
    json_set_text(object, "change", record->change);
    json_set_text(object, "release", record->release);
    json_set_text(object, "by", record->by);
    json_set_text(object, "why", record->why);
    if (record->receipt != NULL)
        json_object_set_new(object, "receipt",
                            json_loads(record->receipt, 0, NULL));
    return object;
}
