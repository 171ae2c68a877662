/* status.c - the status document of a ticket. */
#include "ingress/status.h"

static void
add_text(struct text *text, struct slice name, const char *value)
{
    if (value[0] == '\0')
        return;
    text_add(text, name);
    text_add_json(text, slice_of(value));
}

static void
add_time(struct text *text, struct slice name, wall_ms t)
{
    char formatted[CLOCK_TEXT_SIZE];

    if (t == 0)
        return;
    clock_format(t, formatted);
    add_text(text, name, formatted);
}

static void
add_ticket(struct text *text, struct slice name, const struct ticket *ticket)
{
    char formatted[TICKET_TEXT + 1];

    ticket_format(ticket, formatted);
    add_text(text, name, formatted);
}

bool
status_is_paused(const struct ticket_status *status)
{
    return status->state == TICKET_QUEUED && status->paused_since != 0;
}

void
status_write(struct text *text, const struct ticket *ticket,
             const struct ticket_status *status)
{
    char name[TICKET_TEXT + 1];
    bool is_paused = status_is_paused(status);

    ticket_format(ticket, name);
    add_text(text, SLICE("{\"ticket\":"), name);
    add_text(text, SLICE(",\"state\":"), ticket_state_word(status->state));
    add_text(text, SLICE(",\"reason\":"),
             is_paused ? "paused" : status->reason);
    if (is_paused) {
        add_time(text, SLICE(",\"paused_since\":"), status->paused_since);
        add_text(text, SLICE(",\"paused_why\":"), status->paused_why);
    }
    add_text(text, SLICE(",\"queue\":"), status->queue);
    text_add(text, SLICE(",\"attempts\":"));
    text_add_number(text, status->attempts);
    add_text(text, SLICE(",\"release\":"), status->release);
    add_time(text, SLICE(",\"submitted\":"), status->submitted);
    add_time(text, SLICE(",\"started\":"), status->started);
    add_time(text, SLICE(",\"ended\":"), status->ended);
    if (status->position >= 0) {
        text_add(text, SLICE(",\"position\":"));
        text_add_number(text, status->position);
    }
    if (status->has_replays)
        add_ticket(text, SLICE(",\"replays\":"), &status->replays);
    if (status->has_replayed_by)
        add_ticket(text, SLICE(",\"replayed_by\":"), &status->replayed_by);
    text_add(text, SLICE(",\"response\":\"/-/tickets/"));
    text_add(text, slice_of(name));
    text_add(text, SLICE("/response\"}\n"));
}
