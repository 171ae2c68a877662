/* probe.c - which request a probe means. */
#include <string.h>

#include "broker/kafka/follow.h"
#include "broker/kafka/session.h"

/* ---- may it be probed? ------------------------------------------------------
 */

static int
check_control(struct kafka *kafka, const struct session_options *options,
              struct error *err)
{
    const struct change change = {.kind = CHANGE_PROBE, .by = options->name};
    struct control control;
    int r = kafka_control(&kafka->base, options->queue, &control, err);

    return r < 0 ? r : control_change(&control, &change, clock_wall(), err);
}

static int
check_request(const struct queue_settings *settings, const struct probe *probe,
              unsigned flags, struct error *err)
{
    if (probe->end != PROBE_CAREFUL || queued_is_repeatable(flags, settings))
        return 0;
    return error_set(err, -EPERM,
                     "the request may not be repeated: either what the probe "
                     "answers is kept (--keep), or its handler will run twice "
                     "(--discard)");
}

/* ---- where is it? -----------------------------------------------------------
 */

struct search {
    char text[TICKET_TEXT + 1];
    int64_t offset;
};

static bool
is_it(const rd_kafka_message_t *message, void *opaque)
{
    struct search *search = opaque;

    if (message->key_len != TICKET_TEXT ||
        memcmp(message->key, search->text, TICKET_TEXT) != 0)
        return false;
    search->offset = message->offset;
    return true;
}

static int
search(struct kafka *kafka, unsigned queue, const struct ticket *ticket,
       int64_t *offset, struct error *err)
{
    struct search search;

    ticket_format(ticket, search.text);
    int r = kafka_search(kafka, kafka->request_topics[queue],
                         kafka_partition(kafka, ticket), ticket, is_it, &search,
                         err);
    if (r == 0)
        *offset = search.offset;
    return r;
}

int
probe_find(struct kafka *kafka, const struct session_options *options,
           struct ticket *ticket, int64_t *offset, struct error *err)
{
    const struct probe *probe = options->probe;
    struct follow *follow;
    unsigned flags = 0;
    int r = check_control(kafka, options, err);

    if (r == 0)
        r = kafka_follow(kafka, &follow, err);
    if (r == 0)
        r = follow_waiting(follow, options->queue, probe->ticket, ticket,
                           &flags, err);
    if (r == 0)
        r = check_request(&kafka->settings->queues[options->queue], probe,
                          flags, err);
    return r < 0 ? r : search(kafka, options->queue, ticket, offset, err);
}
