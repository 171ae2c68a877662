/* admin_probes.c - is the ingress alive, and is it ready? */
#include <stdlib.h>
#include <string.h>

#include "ingress/admin_priv.h"

#define REASONS_SIZE 8192

void
admin_get_health(struct admin_request *request)
{
    admin_text(request, 200, SLICE("ok\n"));
}

static bool
has_worker(const struct worker_info *workers, size_t len, const char *queue,
           const char *release)
{
    for (size_t i = 0; i < len; i++) {
        if (strcmp(workers[i].queue, queue) == 0 &&
            strcmp(workers[i].release, release) == 0 &&
            workers[i].lease_left > 0)
            return true;
    }
    return false;
}

static void
add_reason(struct text *reasons, const char *reason)
{
    text_add(reasons, slice_of(reason));
    text_add(reasons, SLICE("\n"));
}

/* A line if it should have a worker and has none. A paused queue takes requests
 * as ever, and in an upgrade its workers change. */
static int
check_queue(const struct ingress *ingress, unsigned queue,
            const struct worker_info *workers, size_t len, struct text *reasons,
            struct error *err)
{
    const char *name = ingress->settings->queues[queue].name;
    struct control control;
    struct error line;
    int r = broker_control(ingress->broker, queue, &control, err);

    if (r < 0 || control.state != CONTROL_OPEN ||
        has_worker(workers, len, name, control.release))
        return r;
    error_set(&line, -EAGAIN,
              "queue %s: no worker of its release (%s) has said hello", name,
              control.release);
    add_reason(reasons, line.text);
    return 0;
}

static int
check_workers(const struct ingress *ingress, struct text *reasons,
              struct error *err)
{
    const struct ingress_options *options = ingress->options;
    struct worker_info *workers = NULL;
    size_t len = 0;

    if (options->worked_queues_len == 0)
        return 0;
    int r = broker_workers(ingress->broker, &workers, &len, err);
    for (size_t i = 0; i < options->worked_queues_len && r == 0; i++)
        r = check_queue(ingress, options->worked_queues[i], workers, len,
                        reasons, err);
    free(workers);
    return r;
}

void
admin_get_ready(struct admin_request *request)
{
    char storage[REASONS_SIZE];
    struct text reasons = text_over(storage, sizeof(storage));
    struct error err;

    if (broker_ready(request->ingress->broker, &err) < 0 ||
        check_workers(request->ingress, &reasons, &err) < 0)
        add_reason(&reasons, err.text);
    if (reasons.len > 0)
        admin_text(request, 503, (struct slice){reasons.at, reasons.len});
    else
        admin_text(request, 200, SLICE("ok\n"));
}
