/* queue_json.h - how a queue stands, and what was done to it, as JSON.
 *
 * The admin API and the commands with --json say the same in the same words.
 * Members without a value are absent.
 *
 * Threads: any; pure. Source: docs/http.md, "A queue".
 */
#ifndef INGRESS_QUEUE_JSON_H
#define INGRESS_QUEUE_JSON_H

#include <jansson.h>

#include "broker/broker.h"

/* Its control state and its counts. The caller's. */
json_t *queue_json(const char *name, const struct queue_stats *stats);

/* control: of its queue; NULL: not known, and then it is not said whether the
 * worker's release is admitted there. The caller's. */
json_t *worker_json(const struct worker_info *worker,
                    const struct control *control);

/* What was done once, with its receipt. The caller's. */
json_t *history_json(const struct history *record);

#endif
