/* show.c - what commands print about tickets. */
#include "cli/show.h"

#include <assert.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "common/message.h"
#include "ingress/status.h"

const char *
show_span(span_ms span, char text[SHOW_SPAN_SIZE])
{
    const long long s = span / 1000;

    if (span < 0)
        snprintf(text, SHOW_SPAN_SIZE, "0s");
    else if (span < 1000)
        snprintf(text, SHOW_SPAN_SIZE, "%lldms", (long long)span);
    else if (s < 60)
        snprintf(text, SHOW_SPAN_SIZE, "%llds", s);
    else if (s < 3600)
        snprintf(text, SHOW_SPAN_SIZE, "%lldm%02llds", s / 60, s % 60);
    else if (s < 86400)
        snprintf(text, SHOW_SPAN_SIZE, "%lldh%02lldm", s / 3600, s / 60 % 60);
    else
        snprintf(text, SHOW_SPAN_SIZE, "%lldd%02lldh", s / 86400,
                 s / 3600 % 24);
    return text;
}

int
show_json(json_t *object)
{
    int r = json_dumpf(object, stdout, JSON_INDENT(2));

    json_decref(object);
    putchar('\n');
    return r < 0 || fflush(stdout) != 0 ? -EIO : 0;
}

json_t *
show_ticket_json(const struct ticket *ticket,
                 const struct ticket_status *status)
{
    char storage[STATUS_SIZE];
    struct text text = text_over(storage, sizeof(storage));
    json_t *object;

    status_write(&text, ticket, status);
    object = json_loads(text_end(&text), 0, NULL);
    assert(object != NULL);
    return object;
}

void
show_ticket(const struct ticket *ticket, const struct ticket_status *status)
{
    json_t *object = show_ticket_json(ticket, status);
    const char *key;
    json_t *value;

    json_object_foreach(object, key, value)
    {
        if (json_is_integer(value))
            printf("%-12s %lld\n", key, (long long)json_integer_value(value));
        else
            printf("%-12s %s\n", key, json_string_value(value));
    }
    json_decref(object);
}

/* ---- responses ----------------------------------------------------------- */

static json_t *
fields_json(const struct message *message)
{
    json_t *fields = json_array();

    for (size_t i = 0; i < message->fields_len; i++) {
        const struct field *field = &message->fields[i];
        json_array_append_new(
            fields, json_pack("[s%, s%]", field->name.at, field->name.len,
                              field->value.at, field->value.len));
    }
    return fields;
}

static void
set_body(json_t *object, struct slice body)
{
    json_t *text = json_stringn(body.at != NULL ? body.at : "", body.len);
    const size_t room =
        sodium_base64_encoded_len(body.len, sodium_base64_VARIANT_ORIGINAL);
    char *coded;

    if (text != NULL) {
        json_object_set_new(object, "body", text);
        return;
    }
    coded = mem_zalloc(room);
    sodium_bin2base64(coded, room, (const unsigned char *)body.at, body.len,
                      sodium_base64_VARIANT_ORIGINAL);
    json_object_set_new(object, "body_base64", json_string(coded));
    free(coded);
}

static int
show_response_json(const struct lookup *lookup, const struct message *message,
                   json_t *more)
{
    json_t *object = show_ticket_json(&lookup->ticket, &lookup->status);

    json_object_set_new(object, "status", json_integer(message->status));
    json_object_set_new(object, "fields", fields_json(message));
    set_body(object, message->body);
    if (more != NULL)
        json_object_update(object, more);
    return show_json(object);
}

static int
show_bytes(struct slice bytes)
{
    if (fwrite(bytes.at, 1, bytes.len, stdout) != bytes.len ||
        fflush(stdout) != 0)
        return -EIO;
    return 0;
}

static int
show_parsed(const struct lookup *lookup, const struct message *message,
            enum show_form form, json_t *more)
{
    switch (form) {
    case SHOW_BODY:
        return show_bytes(message->body);
    case SHOW_MESSAGE:
        return show_bytes(buf_slice(&lookup->stored->bytes));
    case SHOW_JSON:
        return show_response_json(lookup, message, more);
    }
    assert(false);
}

int
show_stored(const struct command *command, const struct lookup *lookup,
            enum show_form form, json_t *more)
{
    struct message message;
    struct error err;
    int r = message_parse(buf_slice(&lookup->stored->bytes), &message, &err);

    if (r < 0) {
        json_decref(more);
        return command_fails(command, END_STORE,
                             "the stored response is damaged: %s", err.text);
    }
    r = show_parsed(lookup, &message, form, more);
    const int status = message.status;
    message_fini(&message);
    json_decref(more);
    if (r < 0)
        return command_fails(command, END_FAILED, "stdout cannot be written");
    return status < 400 ? END_OK : END_STATUS;
}

static int
tell_none(const struct command *command, int r, const struct lookup *lookup)
{
    const struct ticket_status *status = &lookup->status;
    char text[TICKET_TEXT + 1];

    ticket_format(&lookup->ticket, text);
    switch (r) {
    case -ENOENT:
        return command_fails(command, END_FAILED,
                             "%s: its response is gone: it is kept no longer",
                             text);
    case -EAGAIN:
        return command_fails(
            command, END_NOT_YET, "%s: no response yet: %s%s%s", text,
            ticket_state_word(status->state),
            status->reason[0] != '\0' ? ", " : "", status->reason);
    default:
        return command_fails(command, end_of(r), "%s: %s", text, strerror(-r));
    }
}

int
show_response(const struct command *command, struct ask *ask,
              const struct ticket *ticket, span_ms limit, bool json)
{
    struct lookup lookup = {.ticket = *ticket};
    int r, end;

    r = ask_response(ask, limit, &lookup);
    if (r < 0)
        return tell_none(command, r, &lookup);
    end = show_stored(command, &lookup, json ? SHOW_JSON : SHOW_BODY, NULL);
    stored_free(lookup.stored);
    return end;
}
