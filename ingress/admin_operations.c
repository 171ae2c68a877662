/* admin_operations.c - the operations that were started here, to be followed.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/receipt.h"
#include "common/json_text.h"
#include "ingress/admin_priv.h"

#define HISTORY_SEEN 1000 /* records in which a receipt is looked for */

static const char *
state_word(enum operation_state state)
{
    switch (state) {
    case OPERATION_RUNNING:
        return "running";
    case OPERATION_DONE:
        return "done";
    case OPERATION_FAILED:
        break;
    }
    return "failed";
}

static json_t *
operation_json(const struct operation *operation)
{
    json_t *object = json_object();

    json_object_set_new(object, "id", json_string(operation->id));
    json_object_set_new(object, "command", json_string(operation->command));
    json_object_set_new(object, "queue", json_string(operation->queue));
    json_object_set_new(object, "state",
                        json_string(state_word(operation->state)));
    json_set_time(object, "started", operation->started);
    if (operation->state == OPERATION_RUNNING)
        return object;
    json_set_time(object, "ended", operation->ended);
    json_object_set_new(object, "exit_code",
                        json_integer(operation->exit_code));
    if (operation->signal != 0)
        json_object_set_new(object, "signal", json_integer(operation->signal));
    return object;
}

static json_t *
lines_json(const char *output)
{
    struct slice rest = slice_of(output), line;
    json_t *lines = json_array();
    char text[OPERATION_OUTPUT + 1];

    while (slice_cut(&rest, '\n', &line)) {
        if (line.len == 0 && rest.len == 0)
            break; /* behind the last line */
        snprintf(text, sizeof(text), "%.*s", SLICE_ARG(line));
        json_array_append_new(lines, json_text(text));
    }
    return lines;
}

/* What its pause came to, from the history. */
static json_t *
receipts_json(struct broker *broker, int queue,
              const struct operation *operation)
{
    const struct history *record;
    json_t *receipts = json_array();
    struct history *list = NULL;
    size_t len = 0;
    struct error err;

    if (queue < 0 ||
        broker_history(broker, queue, HISTORY_SEEN, &list, &len, &err) < 0)
        return receipts;
    record = receipt_find(list, len, operation->epoch);
    if (record != NULL)
        json_array_append_new(receipts, json_loads(record->receipt, 0, NULL));
    history_free(list, len);
    return receipts;
}

/* False: there is none of that id (any more). */
static bool
answer_operation(struct admin_request *request, unsigned status, const char *id)
{
    const struct ingress *ingress = request->ingress;
    struct operation operation;
    char *output;

    if (operations_find(ingress->operations, id, &operation, &output) < 0)
        return false;
    json_t *json = operation_json(&operation);
    json_object_set_new(json, "output", lines_json(output));
    free(output);
    if (operation.epoch != 0)
        json_object_set_new(
            json, "receipts",
            receipts_json(ingress->broker,
                          settings_queue(ingress->settings, operation.queue),
                          &operation));
    if (operation.state == OPERATION_RUNNING)
        request->answer.retry_after = 1;
    admin_json(request, status, json);
    return true;
}

void
admin_get_operation(struct admin_request *request)
{
    if (!answer_operation(request, 200, request->name))
        admin_refuse(request, 404, "not-found",
                     "there is no operation `%s`: of those that this process "
                     "started the last %d are kept; see the queue's history",
                     request->name, OPERATIONS_KEPT);
}

void
admin_get_operations(struct admin_request *request)
{
    struct operation operations[OPERATIONS_KEPT];
    const size_t len =
        operations_list(request->ingress->operations, operations);
    json_t *list = json_array();

    for (size_t i = 0; i < len; i++)
        json_array_append_new(list, operation_json(&operations[i]));
    admin_json(request, 200, list);
}

void
admin_answer_started(struct admin_request *request, const char *id)
{
    /* It is one of the newest, and none is dropped while it runs. */
    snprintf(request->answer.location, sizeof(request->answer.location),
             "/-/operations/%s", id);
    if (!answer_operation(request, 202, id))
        admin_refuse(request, 500, "internal", "operation %s is not kept", id);
}
