/* receipt.c - what a pauser is told, and the history keeps, of a drained queue.
 */
#include "broker/receipt.h"

#include <string.h>

#include "common/json_text.h"

static json_t *
member_json(const struct member *member)
{
    return json_pack(
        "{s:I, s:o, s:o, s:s}", "session", (json_int_t)member->session, "name",
        json_text(member->name), "release", json_text(member->release), "state",
        member_state_word(member->state));
}

char *
receipt_write(const char *queue, const struct control *control,
              const struct barrier *barrier, wall_ms drained)
{
    char from[CLOCK_TEXT_SIZE], to[CLOCK_TEXT_SIZE];
    json_t *workers = json_array();

    for (size_t i = 0; i < barrier->len; i++)
        json_array_append_new(workers, member_json(&barrier->members[i]));
    clock_format(control->since, from);
    clock_format(drained, to);
    json_t *receipt = json_pack(
        "{s:s, s:I, s:o, s:s, s:o, s:s, s:i, s:i, s:i, s:i, s:I, s:o}", "queue",
        queue, "epoch", (json_int_t)control->paused_epoch, "release",
        json_text(control->release), "paused", from, "by",
        json_text(control->by), "drained", to, "ended", (int)barrier->ended,
        "killed", (int)barrier->killed, "put_back", (int)barrier->put_back,
        "waited_out", (int)barrier->waited_out, "bound_ms",
        (json_int_t)barrier->bound, "workers", workers);
    json_set_text(receipt, "why", control->why);
    char *text = json_dumps(receipt, JSON_COMPACT);
    json_decref(receipt);
    return text;
}

const struct history *
receipt_find(const struct history *list, size_t len, uint64_t paused_epoch)
{
    /* Changes that open nothing may stand between the two. */
    for (size_t i = 0; i < len; i++) {
        if (list[i].epoch < paused_epoch)
            continue;
        if (list[i].receipt != NULL)
            return &list[i];
        if (strcmp(list[i].change, change_word(CHANGE_RESUME)) == 0)
            break;
    }
    return NULL;
}
