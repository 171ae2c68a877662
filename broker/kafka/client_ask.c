/* client_ask.c - questions to Kafka that are waited for. */
#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "broker/kafka/client.h"
#include "common/mem.h"

#define POSITION_DIGITS 18       /* more than any log has */
#define REFUSED_WAIT    20       /* ms */
#define FIRST_PATIENCE  1000     /* ms */
#define COMMITS_AGAIN   50000000 /* ns */

/* ---- offsets ------------------------------------------------------------- */

/* What librdkafka knows of leaders is renewed by asking for it. */
static void
refresh_leaders(rd_kafka_t *client, span_ms limit)
{
    const struct rd_kafka_metadata *metadata;

    if (rd_kafka_metadata(client, 1, NULL, &metadata, (int)limit) ==
        RD_KAFKA_RESP_ERR_NO_ERROR)
        rd_kafka_metadata_destroy(metadata);
}

static int
ask_offsets(rd_kafka_t *client, rd_kafka_topic_partition_list_t *list,
            span_ms limit, struct error *err)
{
    const rd_kafka_resp_err_t error =
        rd_kafka_offsets_for_times(client, list, (int)limit);

    for (int i = 0; i < list->cnt; i++) {
        const rd_kafka_topic_partition_t *one = &list->elems[i];
        if (error != RD_KAFKA_RESP_ERR_NO_ERROR ||
            one->err != RD_KAFKA_RESP_ERR_NO_ERROR)
            return client_fails(err, error != 0 ? error : one->err,
                                "the offsets of %s [%d]", one->topic,
                                (int)one->partition);
    }
    return 0;
}

/* The list's offsets are times, and become offsets; -1: there is none.
 *
 * A question to a leader that has just died waits for it to come back, while
 * there is another one long since: so it is asked again, each time with more
 * patience, of whoever leads by then. */
static int
offsets_for_times(rd_kafka_t *client, rd_kafka_topic_partition_list_t *list,
                  span_ms limit, struct error *err)
{
    const mono_ms until = clock_mono() + limit;
    rd_kafka_topic_partition_list_t *asked = NULL;
    span_ms patience = FIRST_PATIENCE, left = limit;
    int r;

    for (;;) {
        asked = rd_kafka_topic_partition_list_copy(list);
        r = ask_offsets(client, asked, patience < left ? patience : left, err);
        left = until - clock_mono();
        if ((r != -ETIMEDOUT && r != -ENOTCONN) || left <= 0)
            break;
        rd_kafka_topic_partition_list_destroy(asked);
        refresh_leaders(client, left);
        /* It may have been refused at once. */
        poll(NULL, 0, left < REFUSED_WAIT ? (int)left : REFUSED_WAIT);
        if (patience < limit)
            patience *= 2;
    }
    for (int i = 0; r == 0 && i < list->cnt; i++)
        list->elems[i].offset = asked->elems[i].offset;
    rd_kafka_topic_partition_list_destroy(asked);
    return r;
}

/* Kafka takes the two values of `where` for times, too. That way, and not by
 * rd_kafka_query_watermark_offsets: that one waits for ever, whatever its limit
 * says, for a leader that died (seen with 2.0.2). */
int
client_offsets(rd_kafka_t *client, rd_kafka_topic_partition_list_t *list,
               enum client_where where, span_ms limit, struct error *err)
{
    for (int i = 0; i < list->cnt; i++)
        list->elems[i].offset = where;
    return offsets_for_times(client, list, limit, err);
}

/* One partition's offset for a time or one of `where`. */
static int
offset_of(rd_kafka_t *client, const char *topic, int32_t partition,
          int64_t time, int64_t *offset, span_ms limit, struct error *err)
{
    rd_kafka_topic_partition_list_t *list =
        rd_kafka_topic_partition_list_new(1);
    int r;

    rd_kafka_topic_partition_list_add(list, topic, partition)->offset = time;
    r = offsets_for_times(client, list, limit, err);
    if (r == 0)
        *offset = list->elems[0].offset;
    rd_kafka_topic_partition_list_destroy(list);
    return r;
}

int
client_watermarks(rd_kafka_t *client, const char *topic, int32_t partition,
                  int64_t *low, int64_t *end, span_ms limit, struct error *err)
{
    int64_t oldest = 0;
    int r = 0;

    if (low != NULL)
        r = offset_of(client, topic, partition, CLIENT_OLDEST, &oldest, limit,
                      err);
    if (r == 0 && end != NULL)
        r = offset_of(client, topic, partition, CLIENT_END, end, limit, err);
    if (r == 0 && low != NULL)
        *low = oldest;
    return r;
}

int
client_offset_at(rd_kafka_t *client, const char *topic, int32_t partition,
                 wall_ms since, int64_t *offset, span_ms limit,
                 struct error *err)
{
    int64_t found;
    int r = offset_of(client, topic, partition, since, &found, limit, err);

    if (r == 0 && found < 0) /* nothing is so new */
        return offset_of(client, topic, partition, CLIENT_END, offset, limit,
                         err);
    if (r == 0)
        *offset = found;
    return r;
}

/* ---- admin calls --------------------------------------------------------- */

int
client_await(rd_kafka_queue_t *queue, span_ms limit, rd_kafka_event_t **event,
             struct error *err)
{
    rd_kafka_event_t *got = rd_kafka_queue_poll(queue, (int)limit);
    int r;

    if (got == NULL)
        return error_set(err, -ETIMEDOUT, "Kafka did not answer in time");
    if (rd_kafka_event_error(got) != RD_KAFKA_RESP_ERR_NO_ERROR) {
        r = error_set(err, client_errno(rd_kafka_event_error(got)), "%s",
                      rd_kafka_event_error_string(got));
        rd_kafka_event_destroy(got);
        return r;
    }
    *event = got;
    return 0;
}

static int
first_error(const rd_kafka_topic_partition_list_t *list, struct error *err)
{
    for (int i = 0; i < list->cnt; i++) {
        const rd_kafka_topic_partition_t *one = &list->elems[i];
        if (one->err != RD_KAFKA_RESP_ERR_NO_ERROR)
            return client_fails(err, one->err, "deleting from %s [%d]",
                                one->topic, (int)one->partition);
    }
    return 0;
}

int
client_delete_records(rd_kafka_t *client,
                      const rd_kafka_topic_partition_list_t *before,
                      span_ms limit, struct error *err)
{
    rd_kafka_queue_t *queue = rd_kafka_queue_new(client);
    rd_kafka_AdminOptions_t *options =
        rd_kafka_AdminOptions_new(client, RD_KAFKA_ADMIN_OP_DELETERECORDS);
    rd_kafka_DeleteRecords_t *request = rd_kafka_DeleteRecords_new(before);
    rd_kafka_event_t *event = NULL;
    int r;

    rd_kafka_AdminOptions_set_request_timeout(options, (int)limit, NULL, 0);
    rd_kafka_DeleteRecords(client, &request, 1, options, queue);
    rd_kafka_DeleteRecords_destroy(request);
    rd_kafka_AdminOptions_destroy(options);
    r = client_await(queue, limit, &event, err);
    if (r == 0) {
        r = first_error(rd_kafka_DeleteRecords_result_offsets(
                            rd_kafka_event_DeleteRecords_result(event)),
                        err);
        rd_kafka_event_destroy(event);
    }
    rd_kafka_queue_destroy(queue);
    return r;
}

void
client_know(rd_kafka_t *client, const char *const *topics, size_t len,
            span_ms limit)
{
    const struct rd_kafka_metadata *metadata;
    rd_kafka_topic_t **known =
        mem_zalloc((len + 1) * sizeof(rd_kafka_topic_t *));

    for (size_t i = 0; i < len; i++)
        known[i] = rd_kafka_topic_new(client, topics[i], NULL);
    /* Of all topics that the client has heard of: these. */
    if (rd_kafka_metadata(client, 0, NULL, &metadata, (int)limit) ==
        RD_KAFKA_RESP_ERR_NO_ERROR)
        rd_kafka_metadata_destroy(metadata);
    for (size_t i = 0; i < len; i++) {
        if (known[i] != NULL)
            rd_kafka_topic_destroy(known[i]);
    }
    free(known);
}

/* ---- commits ------------------------------------------------------------- */

/* A group whose coordinator is about to change has none for a while. */
static rd_kafka_resp_err_t
ask_committed(rd_kafka_t *consumer, rd_kafka_topic_partition_list_t *list,
              span_ms limit)
{
    const mono_ms until = clock_mono() + limit;
    rd_kafka_resp_err_t error;

    while (client_errno(error = rd_kafka_committed(consumer, list,
                                                   (int)limit)) == -ENOTCONN &&
           clock_mono() < until)
        nanosleep(&(struct timespec){.tv_nsec = COMMITS_AGAIN}, NULL);
    return error;
}

int
client_commits(const struct settings *settings, const char *group,
               const char *topic, int32_t partitions, span_ms limit,
               rd_kafka_topic_partition_list_t **out, struct error *err)
{
    rd_kafka_topic_partition_list_t *list;
    rd_kafka_t *consumer;
    int r = client_group_consumer(settings, group, limit, NULL, NULL, &consumer,
                                  err);

    if (r < 0)
        return r;
    list = rd_kafka_topic_partition_list_new(partitions);
    rd_kafka_topic_partition_list_add_range(list, topic, 0, partitions - 1);
    const rd_kafka_resp_err_t error = ask_committed(consumer, list, limit);
    if (error != RD_KAFKA_RESP_ERR_NO_ERROR)
        r = client_fails(err, error, "the offsets of group %s", group);
    for (int i = 0; r == 0 && i < list->cnt; i++) {
        const rd_kafka_topic_partition_t *one = &list->elems[i];
        if (one->err != RD_KAFKA_RESP_ERR_NO_ERROR)
            r = client_fails(err, one->err, "the offset of group %s in %s [%d]",
                             group, topic, (int)one->partition);
    }
    rd_kafka_destroy(consumer);
    if (r < 0)
        rd_kafka_topic_partition_list_destroy(list);
    else
        *out = list;
    return r;
}

void
client_set_position(rd_kafka_topic_partition_t *commit, int64_t position)
{
    char *text = mem_printf("%" PRId64, position);

    commit->metadata = text; /* the list frees it */
    commit->metadata_size = strlen(text);
}

int64_t
client_position(const rd_kafka_topic_partition_t *commit)
{
    const char *text = commit->metadata;
    int64_t position = 0;

    if (commit->metadata_size == 0 || commit->metadata_size > POSITION_DIGITS)
        return -1;
    for (size_t i = 0; i < commit->metadata_size; i++) {
        if (text[i] < '0' || text[i] > '9')
            return -1;
        position = 10 * position + (text[i] - '0');
    }
    return position;
}

/* ---- single records ------------------------------------------------------ */

struct client_reader {
    rd_kafka_t *consumer; /* has a partition only during a read */
};

int
client_reader_open(const struct settings *settings, struct client_reader **out,
                   struct error *err)
{
    struct client_reader *reader = mem_new(struct client_reader);
    int r = client_consumer(settings, CLIENT_EOF | CLIENT_BRIEF,
                            &reader->consumer, err);

    if (r < 0)
        client_reader_close(reader);
    else
        *out = reader;
    return r;
}

void
client_reader_close(struct client_reader *reader)
{
    if (reader == NULL)
        return;
    if (reader->consumer != NULL)
        rd_kafka_destroy(reader->consumer);
    free(reader);
}

static int
assign(struct client_reader *reader, const char *topic, int32_t partition,
       int64_t offset, struct error *err)
{
    rd_kafka_topic_partition_list_t *list =
        rd_kafka_topic_partition_list_new(1);
    rd_kafka_resp_err_t error;

    rd_kafka_topic_partition_list_add(list, topic, partition)->offset = offset;
    error = rd_kafka_assign(reader->consumer, list);
    rd_kafka_topic_partition_list_destroy(list);
    if (error == RD_KAFKA_RESP_ERR_NO_ERROR)
        return 0;
    return client_fails(err, error, "reading %s [%d]", topic, (int)partition);
}

/* What is done with a record that was read. True: that was it. */
typedef bool take_fn(rd_kafka_message_t **message, void *opaque);

/* 0: that was it. -EAGAIN: there is more to come. */
static int
take(rd_kafka_message_t **message, take_fn *on_message, void *opaque,
     struct error *err)
{
    const int r = client_errno((*message)->err);

    if (r == 0)
        return on_message(message, opaque) ? 0 : -EAGAIN;
    /* It goes on trying; of what is not known nothing is concluded. */
    if (r == -ENOTCONN || r == -ETIMEDOUT ||
        (r == -EIO && (*message)->err != RD_KAFKA_RESP_ERR__BAD_MSG))
        return -EAGAIN;
    return error_set(err, r, "%s", rd_kafka_message_errstr(*message));
}

static int
read_on(struct client_reader *reader, take_fn *on_message, void *opaque,
        span_ms limit, struct error *err)
{
    const mono_ms until = clock_mono() + limit;
    span_ms left = limit;
    int r = -EAGAIN;

    for (; r == -EAGAIN && left >= 0; left = until - clock_mono()) {
        rd_kafka_message_t *message =
            rd_kafka_consumer_poll(reader->consumer, (int)left);
        if (message == NULL)
            continue;
        r = take(&message, on_message, opaque, err);
        if (message != NULL)
            rd_kafka_message_destroy(message);
    }
    return r != -EAGAIN
               ? r
               : error_set(err, -ETIMEDOUT, "Kafka did not answer in time");
}

static int
read_from(struct client_reader *reader, const char *topic, int32_t partition,
          int64_t offset, take_fn *on_message, void *opaque, span_ms limit,
          struct error *err)
{
    int r = assign(reader, topic, partition, offset, err);

    if (r < 0)
        return r;
    r = read_on(reader, on_message, opaque, limit, err);
    rd_kafka_assign(reader->consumer, NULL);
    return r < 0 ? error_wrap(err, r, "reading %s [%d] from %lld", topic,
                              (int)partition, (long long)offset)
                 : 0;
}

struct lending {
    client_record_fn *on_record;
    void *opaque;
};

static bool
lend(rd_kafka_message_t **message, void *opaque)
{
    const struct lending *lending = opaque;

    return lending->on_record(*message, lending->opaque);
}

int
client_reader_read(struct client_reader *reader, const char *topic,
                   int32_t partition, int64_t offset,
                   client_record_fn *on_record, void *opaque, span_ms limit,
                   struct error *err)
{
    struct lending lending = {on_record, opaque};

    return read_from(reader, topic, partition, offset, lend, &lending, limit,
                     err);
}

static bool
keep(rd_kafka_message_t **message, void *opaque)
{
    rd_kafka_message_t **kept = opaque;

    *kept = TAKE(*message);
    return true;
}

int
client_reader_take(struct client_reader *reader, const char *topic,
                   int32_t partition, int64_t offset, rd_kafka_message_t **out,
                   span_ms limit, struct error *err)
{
    rd_kafka_message_t *message = NULL;
    int r =
        read_from(reader, topic, partition, offset, keep, &message, limit, err);

    if (r < 0)
        return r;
    assert(message != NULL); /* `keep` is what says yes */
    if (message->offset == offset) {
        *out = message;
        return 0;
    }
    rd_kafka_message_destroy(message);
    return error_set(err, -ENOENT, "%s [%d] has nothing at %lld any more",
                     topic, (int)partition, (long long)offset);
}
