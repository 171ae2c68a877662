/* entry.c - the records of the topic `control`. */
#include "broker/kafka/entry.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/json_text.h"
#include "common/mem.h"
#include "common/own.h"

#define FORMAT 1

static const char *const words[ENTRIES] = {
#define ENTRY(name, word) [ENTRY_##name] = word,
#include "broker/kafka/entry.def"
#undef ENTRY
};

const char *
entry_word(enum entry_kind kind)
{
    assert(kind < ENTRIES);
    return words[kind];
}

void
entry_set_queue(struct entry *entry, const char *name)
{
    assert(entry->queues == NULL);
    entry->queues = mem_new(struct entry_queue);
    entry->queues_len = 1;
    snprintf(entry->queues[0].name, sizeof(entry->queues[0].name), "%s", name);
}

void
entry_fini(struct entry *entry)
{
    free(entry->queues);
    entry->queues = NULL;
    entry->queues_len = 0;
}

/* ---- one list of members, for writing and for reading -------------------- */

/* What is visited: exactly one of the two objects is there. */
struct visit {
    json_t *to;         /* writing */
    const json_t *from; /* reading */
    const char *bad;    /* the first member that is damaged */
};

static const json_t *
find(struct visit *visit, const char *key, json_type type)
{
    const json_t *found = json_object_get(visit->from, key);

    if (found == NULL || json_typeof(found) == type)
        return found;
    visit->bad = key;
    return NULL;
}

static void
visit_text(struct visit *visit, const char *key, char *text, size_t size)
{
    if (visit->to != NULL) {
        json_set_text(visit->to, key, text);
        return;
    }
    const json_t *found = find(visit, key, JSON_STRING);
    if (found == NULL)
        return;
    if (json_string_length(found) >= size)
        visit->bad = key;
    else
        snprintf(text, size, "%s", json_string_value(found));
}

static int64_t
visit_number(struct visit *visit, const char *key, int64_t number)
{
    if (visit->to != NULL) {
        if (number != 0)
            json_object_set_new(visit->to, key, json_integer(number));
        return number;
    }
    const json_t *found = find(visit, key, JSON_INTEGER);
    const int64_t read = found == NULL ? 0 : json_integer_value(found);
    if (read >= 0)
        return read;
    visit->bad = key;
    return 0;
}

static unsigned
visit_count(struct visit *visit, const char *key, unsigned count)
{
    const int64_t number = visit_number(visit, key, count);

    if (number > INT32_MAX)
        visit->bad = key;
    return number > INT32_MAX ? 0 : (unsigned)number;
}

static uint64_t
visit_id(struct visit *visit, const char *key, uint64_t id)
{
    return (uint64_t)visit_number(visit, key, (int64_t)id);
}

static unsigned
visit_word(struct visit *visit, const char *key, unsigned value, unsigned len,
           const char *(*word)(unsigned))
{
    char text[24] = "";

    if (visit->to != NULL)
        snprintf(text, sizeof(text), "%s", word(value));
    visit_text(visit, key, text, sizeof(text));
    for (unsigned i = 0; i < len; i++) {
        if (strcmp(word(i), text) == 0)
            return i;
    }
    visit->bad = key;
    return 0;
}

static const char *
word_of_change(unsigned i)
{
    return change_word((enum change_kind)i);
}

static const char *
word_of_step(unsigned i)
{
    return upgrade_step_word((enum upgrade_step)i);
}

static const char *
word_of_state(unsigned i)
{
    return member_state_word((enum member_state)i);
}

static void
visit_counts(struct visit *visit, struct barrier_counts *counts)
{
    counts->ended = visit_count(visit, "ended", counts->ended);
    counts->killed = visit_count(visit, "killed", counts->killed);
    counts->put_back = visit_count(visit, "put_back", counts->put_back);
    counts->waited_out = visit_count(visit, "waited_out", counts->waited_out);
}

static void
visit_hello(struct visit *visit, struct entry *entry)
{
    struct place *place = &entry->place;

    visit_text(visit, "name", entry->name, sizeof(entry->name));
    visit_text(visit, "release", entry->release, sizeof(entry->release));
    entry->pid = (int)visit_count(visit, "pid", (unsigned)entry->pid);
    entry->concurrency = visit_count(visit, "concurrency", entry->concurrency);
    entry->lease = visit_number(visit, "lease", entry->lease);
    visit_text(visit, "boot", place->boot, sizeof(place->boot));
    visit_text(visit, "net", place->net, sizeof(place->net));
    visit_text(visit, "guard", place->guard, sizeof(place->guard));
}

static void
visit_change(struct visit *visit, struct entry *entry)
{
    entry->change = (enum change_kind)visit_word(visit, "change", entry->change,
                                                 CHANGES, word_of_change);
    visit_text(visit, "by", entry->by, sizeof(entry->by));
    visit_text(visit, "why", entry->why, sizeof(entry->why));
    visit_text(visit, "release", entry->release, sizeof(entry->release));
    entry->ramp = visit_number(visit, "ramp", entry->ramp);
    entry->force = visit_number(visit, "force", entry->force) != 0;
    visit_text(visit, "upgrade", entry->upgrade, sizeof(entry->upgrade));
    entry->step = (enum upgrade_step)visit_word(visit, "step", entry->step,
                                                STEPS, word_of_step);
    visit_text(visit, "to", entry->to, sizeof(entry->to));
    entry->owner = visit_id(visit, "owner", entry->owner);
    entry->session = visit_id(visit, "session", entry->session);
}

static void
visit_kind(struct visit *visit, struct entry *entry)
{
    switch (entry->kind) {
    case ENTRY_QUEUE:
        visit_text(visit, "release", entry->release, sizeof(entry->release));
        break;
    case ENTRY_CHANGE:
        visit_change(visit, entry);
        break;
    case ENTRY_HELLO:
        visit_hello(visit, entry);
        break;
    case ENTRY_ACKNOWLEDGE:
    case ENTRY_GOODBYE:
        entry->session = visit_id(visit, "session", entry->session);
        entry->epoch = visit_id(visit, "epoch", entry->epoch);
        visit_counts(visit, &entry->counts);
        break;
    case ENTRY_LAPSED:
        entry->session = visit_id(visit, "session", entry->session);
        entry->state = (enum member_state)visit_word(
            visit, "state", entry->state, MEMBER_STATES, word_of_state);
        visit_counts(visit, &entry->counts);
        break;
    case ENTRY_DRAINED:
        entry->epoch = visit_id(visit, "epoch", entry->epoch);
        entry->bound = visit_number(visit, "bound", entry->bound);
        break;
    case ENTRY_KILL:
        entry->epoch = visit_id(visit, "epoch", entry->epoch);
        break;
    case ENTRY_SECRET:
        visit_text(visit, "fingerprint", entry->fingerprint,
                   sizeof(entry->fingerprint));
        break;
    case ENTRIES:
        assert(!"a kind of entry");
    }
}

/* ---- writing ------------------------------------------------------------- */

static void
write_queues(json_t *to, const struct entry *entry)
{
    if (entry->queues_len == 0)
        return;
    json_t *names = json_array(), *epochs = json_array();
    for (size_t i = 0; i < entry->queues_len; i++) {
        const struct entry_queue *queue = &entry->queues[i];
        json_array_append_new(names, json_text(queue->name));
        json_array_append_new(epochs,
                              json_integer((json_int_t)queue->expected));
    }
    json_object_set_new(to, "queues", names);
    if (entry->kind == ENTRY_CHANGE)
        json_object_set(to, "expected", epochs);
    json_decref(epochs);
}

char *
entry_write(const struct entry *entry)
{
    struct entry copy = *entry;
    struct visit visit = {.to = json_object()};

    json_object_set_new(visit.to, "v", json_integer(FORMAT));
    json_set_text(visit.to, "kind", entry_word(entry->kind));
    visit_number(&visit, "at", copy.at);
    visit_text(&visit, "id", copy.id, sizeof(copy.id));
    write_queues(visit.to, entry);
    visit_kind(&visit, &copy);
    char *text = json_dumps(visit.to, JSON_COMPACT);
    json_decref(visit.to);
    return text;
}

/* ---- reading ------------------------------------------------------------- */

static const char *
read_queues(const json_t *from, struct entry *entry)
{
    const json_t *names = json_object_get(from, "queues");
    const json_t *epochs = json_object_get(from, "expected");
    const size_t len = json_array_size(names); /* 0 of what is no array */

    if (len == 0)
        return entry->kind == ENTRY_CHANGE || entry->kind == ENTRY_QUEUE ||
                       entry->kind == ENTRY_DRAINED || entry->kind == ENTRY_KILL
                   ? "queues"
                   : NULL;
    if (len > ENTRY_QUEUES || (len > 1 && entry->kind != ENTRY_CHANGE))
        return "queues";
    entry->queues = mem_zalloc(len * sizeof(*entry->queues));
    entry->queues_len = len;
    for (size_t i = 0; i < len; i++) {
        struct entry_queue *queue = &entry->queues[i];
        const json_t *name = json_array_get(names, i);
        const size_t name_len = json_string_length(name);
        if (name_len == 0 || name_len >= sizeof(queue->name))
            return "queues";
        snprintf(queue->name, sizeof(queue->name), "%s",
                 json_string_value(name));
        queue->expected =
            (uint64_t)json_integer_value(json_array_get(epochs, i));
    }
    return NULL;
}

/* What the rest of the program relies on. */
static const char *
check(const struct entry *entry)
{
    switch (entry->kind) {
    case ENTRY_QUEUE:
        return entry->release[0] == '\0' ? "release" : NULL;
    case ENTRY_CHANGE:
        if (entry->change == CHANGE_PAUSE && entry->upgrade[0] != '\0')
            return entry->step == STEP_NONE || entry->to[0] == '\0' ? "step"
                                                                    : NULL;
        if (entry->change == CHANGE_STEP)
            return entry->step == STEP_NONE || entry->upgrade[0] == '\0'
                       ? "step"
                       : NULL;
        return NULL;
    case ENTRY_HELLO:
        return entry->lease == 0 ? "lease" : NULL;
    case ENTRY_LAPSED:
        return entry->state == MEMBER_LAPSED || entry->state == MEMBER_DIED
                   ? NULL
                   : "state";
    case ENTRY_SECRET:
        return entry->fingerprint[0] == '\0' ? "fingerprint" : NULL;
    case ENTRY_ACKNOWLEDGE:
    case ENTRY_GOODBYE:
    case ENTRY_DRAINED:
    case ENTRY_KILL:
    case ENTRIES:
        break;
    }
    return NULL;
}

static int
read_object(const json_t *from, struct entry *entry, struct error *err)
{
    struct visit visit = {.from = from};
    const int64_t format = json_integer_value(json_object_get(from, "v"));
    const char *word = json_string_value(json_object_get(from, "kind"));
    unsigned kind = 0;

    if (format > FORMAT)
        return error_set(err, -ENOTSUP, "a control record of a newer format");
    while (word != NULL && kind < ENTRIES && strcmp(words[kind], word) != 0)
        kind++;
    if (format != FORMAT || word == NULL || kind == ENTRIES)
        return error_set(err, -EPROTO, "not a control record");
    entry->kind = (enum entry_kind)kind;
    entry->at = visit_number(&visit, "at", 0);
    visit_text(&visit, "id", entry->id, sizeof(entry->id));
    visit_kind(&visit, entry);
    if (visit.bad == NULL)
        visit.bad = read_queues(from, entry);
    if (visit.bad == NULL)
        visit.bad = check(entry);
    if (visit.bad == NULL)
        return 0;
    return error_set(err, -EPROTO, "its member %s is damaged", visit.bad);
}

int
entry_read(struct slice text, struct entry *entry, struct error *err)
{
    json_t *from = json_loadb(text.at, text.len, JSON_REJECT_DUPLICATES, NULL);
    struct entry read = {0};

    if (!json_is_object(from)) {
        json_decref(from);
        return error_set(err, -EPROTO, "not a control record");
    }
    int r = read_object(from, &read, err);
    json_decref(from);
    if (r < 0)
        entry_fini(&read);
    else
        *entry = read;
    return r;
}
