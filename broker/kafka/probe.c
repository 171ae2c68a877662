/* probe.c - which request a probe means. */
#include <string.h>

#include "broker/kafka/client.h"
#include "broker/kafka/follow.h"
#include "broker/kafka/session.h"

#define SEARCH_MS 30000 /* for its place in the log */

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

/* It was produced soon after its ticket was made. */
static int
search(struct kafka *kafka, unsigned queue, const struct ticket *ticket,
       int64_t *offset, struct error *err)
{
    const char *topic = kafka->request_topics[queue];
    const int32_t partition = kafka_partition(kafka, ticket);
    const wall_ms since =
        ticket_time(ticket) - 2 * kafka->settings->kafka.timeout;
    struct client_reader *reader = NULL;
    struct search search;
    int64_t low = 0, from = 0;
    int r = client_watermarks(kafka->asker, topic, partition, &low, NULL,
                              SEARCH_MS, err);

    if (r == 0)
        r = client_offset_at(kafka->asker, topic, partition, since, &from,
                             SEARCH_MS, err);
    if (r == 0)
        r = client_reader_open(kafka->settings, &reader, err);
    if (r < 0)
        return r;
    ticket_format(ticket, search.text);
    r = client_reader_read(reader, topic, partition, from > low ? from : low,
                           is_it, &search, SEARCH_MS, err);
    client_reader_close(reader);
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
