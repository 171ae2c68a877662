/* tell.c - control states and receipts, in words. */
#include "cli/tell.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/show.h"
#include "common/mem.h"
#include "common/own.h"

#define TEXT_SIZE 400

const char *
tell_time(wall_ms t, char text[TELL_TIME_SIZE])
{
    char precise[CLOCK_TEXT_SIZE];

    clock_format(t, precise);
    precise[strcspn(precise, ".")] = '\0';
    snprintf(text, TELL_TIME_SIZE, "%.19sZ", precise);
    return text;
}

const char *
tell_clean(const char *given, char text[TELL_SIZE])
{
    size_t len = 0;

    for (; *given != '\0' && len + 1 < TELL_SIZE; given++) {
        const unsigned char c = (unsigned char)given[0];
        const unsigned char next = (unsigned char)given[1];
        const bool is_c1 = c == 0xc2 && next >= 0x80 && next < 0xa0;
        text[len++] = c < ' ' || c == 0x7f || is_c1 ? '?' : *given;
        given += is_c1;
    }
    text[len] = '\0';
    return text;
}

/* ---- states -------------------------------------------------------------- */

/* "3m" of "3m12s": in a table the first unit says enough. */
static const char *
brief_span(span_ms span, char text[SHOW_SPAN_SIZE])
{
    show_span(span < 1000 ? 0 : span, text);
    if (span < 1000)
        return "0s";
    text[strspn(text, "0123456789") + 1] = '\0';
    return text;
}

const char *
tell_state(const struct control *control, wall_ms now,
           char text[TELL_STATE_SIZE])
{
    const char *word = control_state_word(control->state);
    char span[SHOW_SPAN_SIZE];

    switch (control->state) {
    case CONTROL_OPEN:
        snprintf(text, TELL_STATE_SIZE, "%s",
                 control->accepting ? word : "refusing");
        break;
    case CONTROL_DRAINED:
    case CONTROL_PROBING:
        snprintf(text, TELL_STATE_SIZE, "%s", word);
        break;
    case CONTROL_PAUSED:
        snprintf(text, TELL_STATE_SIZE, "%s %s", word,
                 brief_span(now - control->since, span));
        break;
    case CONTROL_STATES:
        assert(!"a state");
    }
    return text;
}

const char *
tell_sign(const struct control *control, char text[TELL_SIGN_SIZE])
{
    char when[TELL_TIME_SIZE], by[TELL_SIZE], why[TELL_SIZE];

    snprintf(text, TELL_SIGN_SIZE, "since %s by %s%s%s",
             tell_time(control->since, when), tell_clean(control->by, by),
             control->why[0] != '\0' ? ": " : "",
             tell_clean(control->why, why));
    return text;
}

/* ---- receipts ------------------------------------------------------------ */

static long long
count_of(const json_t *receipt, const char *key)
{
    return json_integer_value(json_object_get(receipt, key));
}

static const char *
text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));

    return text != NULL ? text : "";
}

static const char *
attempts_text(const json_t *receipt, char text[TEXT_SIZE])
{
    const long long killed = count_of(receipt, "killed");
    const long long waited_out = count_of(receipt, "waited_out");
    int len =
        snprintf(text, TEXT_SIZE, "%lld ended", count_of(receipt, "ended"));

    if (killed > 0)
        len += snprintf(text + len, TEXT_SIZE - (size_t)len,
                        ", %lld killed (%lld put back)", killed,
                        count_of(receipt, "put_back"));
    if (waited_out > 0)
        snprintf(text + len, TEXT_SIZE - (size_t)len,
                 ", %lld lost with their worker", waited_out);
    return text;
}

/* A time of a receipt, without its milliseconds. */
static void
print_time(const char *label, const char *time)
{
    printf("  %-9s %.*sZ", label, (int)strcspn(time, ".Z"), time);
}

static void
print_workers(const json_t *receipt)
{
    const json_t *workers = json_object_get(receipt, "workers");
    const char *label = "workers";
    char name[TELL_SIZE];
    const json_t *worker;
    size_t i;

    if (json_array_size(workers) == 0)
        printf("  %-9s none ran\n", label);
    json_array_foreach(workers, i, worker)
    {
        printf("  %-9s %s (release %s) %s\n", label,
               tell_clean(text_of(worker, "name"), name),
               text_of(worker, "release"), text_of(worker, "state"));
        label = "";
    }
}

static void
print_receipt(const struct history *record, const json_t *receipt)
{
    const char *said = text_of(receipt, "why");
    char by[TELL_SIZE], why[TELL_SIZE], attempts[TEXT_SIZE];
    char span[SHOW_SPAN_SIZE];

    printf("queue %s is drained at epoch %lld, release %s\n", record->queue,
           count_of(receipt, "epoch"), record->release);
    print_time("paused", text_of(receipt, "paused"));
    printf(" by %s%s%s\n", tell_clean(text_of(receipt, "by"), by),
           said[0] != '\0' ? ": " : "", tell_clean(said, why));
    print_time("drained", text_of(receipt, "drained"));
    putchar('\n');
    print_workers(receipt);
    printf("  %-9s %s\n", "attempts", attempts_text(receipt, attempts));
    printf("  %-9s a worker cut off from the broker has ended all %s after the "
           "pause\n",
           "bound", show_span(count_of(receipt, "bound_ms"), span));
}

void
tell_receipt(const struct history *record)
{
    json_t *receipt = json_loads(record->receipt, 0, NULL);

    if (receipt == NULL)
        printf("queue %s is drained at epoch %" PRIu64
               "; its receipt is damaged\n",
               record->queue, record->epoch);
    else
        print_receipt(record, receipt);
    json_decref(receipt);
}

void
tell_receipt_json(const struct history *record)
{
    json_t *receipt = json_loads(record->receipt, 0, NULL);

    if (receipt == NULL || json_dumpf(receipt, stdout, JSON_INDENT(2)) < 0)
        fputs("null", stdout);
    json_decref(receipt);
}

/* "2 workers acknowledged, 1 died" */
static const char *
workers_text(const json_t *receipt, char text[TEXT_SIZE])
{
    const json_t *workers = json_object_get(receipt, "workers");
    unsigned counts[MEMBER_STATES] = {0}, kinds = 0;
    enum member_state state;
    const json_t *worker;
    size_t len = 0, i;

    json_array_foreach(workers, i, worker)
    {
        if (member_state_parse(text_of(worker, "state"), &state))
            counts[state]++;
    }
    for (i = 0; i < MEMBER_STATES; i++) {
        if (counts[i] == 0)
            continue;
        len += (size_t)snprintf(text + len, TEXT_SIZE - len, "%s%u%s %s",
                                kinds > 0 ? ", " : "", counts[i],
                                kinds > 0        ? ""
                                : counts[i] == 1 ? " worker"
                                                 : " workers",
                                member_state_word((enum member_state)i));
        kinds++;
    }
    if (kinds == 0)
        snprintf(text, TEXT_SIZE, "no workers ran");
    return text;
}

char *
tell_receipt_line(const char *text)
{
    json_t *receipt = json_loads(text, 0, NULL);
    char workers[TEXT_SIZE], attempts[TEXT_SIZE], span[SHOW_SPAN_SIZE];
    char *line;

    if (receipt == NULL)
        return mem_strdup("its receipt is damaged");
    line =
        mem_printf("%s; attempts: %s; bound %s", workers_text(receipt, workers),
                   attempts_text(receipt, attempts),
                   show_span(count_of(receipt, "bound_ms"), span));
    json_decref(receipt);
    return line;
}
