/* record_test.c - facts and requests through Kafka's headers and back. */
#include "broker/kafka/record.h"

#include <string.h>

#include "tests/unit/test.h"

/* ---- a record as a reader gets it ---------------------------------------- */

/* Nothing listens there: what is produced comes back when it is purged, with
 * its key, value and headers. */
struct passed {
    rd_kafka_t *producer;
    rd_kafka_event_t *event;
    const rd_kafka_message_t *message;
};

/* Takes the headers. */
static struct passed
pass(const char *key, struct slice value, rd_kafka_headers_t *headers)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    struct passed passed;

    rd_kafka_conf_set(conf, "log_level", "2", NULL, 0);
    rd_kafka_conf_set_events(conf, RD_KAFKA_EVENT_DR);
    passed.producer = rd_kafka_new(RD_KAFKA_PRODUCER, conf, NULL, 0);
    ck_assert_ptr_nonnull(passed.producer);
    ck_assert_int_eq(
        rd_kafka_producev(
            passed.producer, RD_KAFKA_V_TOPIC("t"), RD_KAFKA_V_PARTITION(0),
            RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
            RD_KAFKA_V_KEY(key, strlen(key)),
            RD_KAFKA_V_VALUE((void *)(uintptr_t)value.at, value.len),
            RD_KAFKA_V_HEADERS(headers), RD_KAFKA_V_END),
        0);
    rd_kafka_purge(passed.producer, RD_KAFKA_PURGE_F_QUEUE);
    rd_kafka_queue_t *queue = rd_kafka_queue_get_main(passed.producer);
    passed.event = rd_kafka_queue_poll(queue, 10000);
    rd_kafka_queue_destroy(queue);
    passed.message = rd_kafka_event_message_next(passed.event);
    ck_assert_ptr_nonnull(passed.message);
    return passed;
}

static void
passed_fini(struct passed *passed)
{
    rd_kafka_event_destroy(passed->event);
    rd_kafka_destroy(passed->producer);
}

/* ---- samples ------------------------------------------------------------- */

static struct ticket
some_ticket(unsigned n)
{
    struct ticket ticket;

    memset(ticket.bytes, (int)n, sizeof(ticket.bytes));
    return ticket;
}

static struct request_key
some_key(void)
{
    struct request_key key;

    memset(key.scope, 0xa5, KEY_BYTES);
    memset(key.fingerprint, 0x5a, KEY_BYTES);
    return key;
}

/* As large as one may be. */
static struct body_ref
some_body(void)
{
    struct body_ref body = {.size = SIZE_MAX, .len = BODY_PIECES};

    memset(body.digest, 0x77, sizeof(body.digest));
    for (unsigned i = 0; i < BODY_PIECES; i++)
        body.offsets[i] = INT64_MAX - i;
    return body;
}

#define RUN                                                                    \
    .session = UINT64_MAX, .run = UINT64_MAX - 1, .attempt = UINT32_MAX,       \
    .request = INT64_MAX

static struct fact
some_fact(enum fact_kind kind)
{
    static const struct slice queue = SLICE("hits"), why = SLICE("a\nb\xff");
    struct fact none = {.dead = -1, .request = -1};
    struct fact facts[FACTS] = {
        [FACT_KEY] = {.key = some_key(), .until = INT64_MAX},
        [FACT_CLAIM] = {.session = 7, .epoch = UINT64_MAX, .release = why},
        [FACT_STARTED] = {RUN, .claim = 12, .put_backs = 3, .release = why,
                          .flags =
                              REQUEST_IDEMPOTENT | REQUEST_KEYED | REQUEST_TWIN,
                          .has_other = true, .other = some_ticket(2)},
        [FACT_RESPONSE] = {RUN, .body = some_body()},
        [FACT_FAILED] = {RUN, .state = TICKET_EXPIRED, .reason = why, .dead = 9,
                         .size = UINT64_MAX, .body = some_body(),
                         .message = why},
        [FACT_RETRY] = {RUN, .put_backs = 4, .counted = true, .delay = 1000,
                        .reason = why},
        [FACT_CANCEL] = {.request = 8},
        [FACT_EXPIRED] = {.request = 8},
        [FACT_OVER] = {.session = UINT64_MAX},
        [FACT_REPLAYED] = {.has_other = true, .other = some_ticket(3)},
    };
    struct fact fact = facts[kind];

    fact.kind = kind;
    fact.at = 1234567890123;
    if (kind != FACT_OVER)
        fact.queue = queue;
    if (kind != FACT_OVER && kind != FACT_CLAIM)
        fact.ticket = some_ticket(1);
    if (kind != FACT_FAILED)
        fact.dead = none.dead;
    if (fact.request == 0)
        fact.request = none.request;
    return fact;
}

static void
check_body(const struct body_ref *a, const struct body_ref *b)
{
    ck_assert_uint_eq(a->size, b->size);
    ck_assert_uint_eq(a->len, b->len);
    if (a->size > 0)
        ck_assert_mem_eq(a->digest, b->digest, sizeof(a->digest));
    ck_assert_mem_eq(a->offsets, b->offsets, a->len * sizeof(*a->offsets));
}

static void
check_fact(const struct fact *a, const struct fact *b)
{
    ck_assert_int_eq(a->kind, b->kind);
    ck_assert_int_eq(a->at, b->at);
    ck_assert(slice_eq(a->queue, b->queue));
    ck_assert(ticket_eq(&a->ticket, &b->ticket));
    ck_assert_uint_eq(a->session, b->session);
    ck_assert_uint_eq(a->epoch, b->epoch);
    ck_assert(slice_eq(a->release, b->release));
    ck_assert_int_eq(a->claim, b->claim);
    ck_assert_uint_eq(a->run, b->run);
    ck_assert_uint_eq(a->attempt, b->attempt);
    ck_assert_uint_eq(a->put_backs, b->put_backs);
    ck_assert_int_eq(a->request, b->request);
    ck_assert_uint_eq(a->flags, b->flags);
    ck_assert_int_eq(a->counted, b->counted);
    ck_assert_int_eq(a->delay, b->delay);
    ck_assert_int_eq(a->state, b->state);
    ck_assert(slice_eq(a->reason, b->reason));
    ck_assert_int_eq(a->dead, b->dead);
    ck_assert_uint_eq(a->size, b->size);
    ck_assert_mem_eq(&a->key, &b->key, sizeof(a->key));
    ck_assert_int_eq(a->until, b->until);
    ck_assert_int_eq(a->has_other, b->has_other);
    ck_assert(ticket_eq(&a->other, &b->other));
    ck_assert(slice_eq(a->message, b->message));
    check_body(&a->body, &b->body);
}

static struct queued
some_request(void)
{
    return (struct queued){.ticket = some_ticket(1),
                           .queue = SLICE("hits"),
                           .at = 1234567890123,
                           .flags = REQUEST_IDEMPOTENT | REQUEST_KEYED |
                                    REQUEST_TWIN,
                           .origin = {.peer = SLICE("192.0.2.1:5"),
                                      .local = SLICE("127.0.0.1:80"),
                                      .scheme = SLICE("http"),
                                      .principal = SLICE("a\nb\xff"),
                                      .route = SLICE("/hits")},
                           .has_replays = true,
                           .replays = some_ticket(2),
                           .body = some_body()};
}

/* ---- there and back ------------------------------------------------------ */

START_TEST(every_fact_comes_back_as_it_was)
{
    for (int kind = 0; kind < FACTS; kind++) {
        const struct fact fact = some_fact((enum fact_kind)kind);
        char key[RECORD_KEY_MAX];
        struct fact read;
        struct error err;
        rd_kafka_headers_t *headers = fact_write(&fact, key);
        struct passed passed = pass(key, fact.message, headers);

        ck_assert_msg(fact_read(passed.message, &read, &err) == 0, "%s: %s",
                      fact_word(fact.kind), err.text);
        check_fact(&read, &fact);
        passed_fini(&passed);
    }
}
END_TEST

START_TEST(a_request_comes_back_as_it_was)
{
    const struct queued request = some_request();
    char key[RECORD_KEY_MAX];
    struct queued read;
    rd_kafka_headers_t *headers = queued_write(&request, key);
    struct passed passed = pass(key, SLICE("POST / HTTP/1.1"), headers);

    ck_assert_int_eq(queued_read(passed.message, &read, NULL), 0);
    ck_assert(ticket_eq(&read.ticket, &request.ticket));
    ck_assert(slice_eq(read.queue, request.queue));
    ck_assert_int_eq(read.at, request.at);
    ck_assert_uint_eq(read.flags, request.flags);
    ck_assert(slice_eq(read.origin.peer, request.origin.peer));
    ck_assert(slice_eq(read.origin.local, request.origin.local));
    ck_assert(slice_eq(read.origin.scheme, request.origin.scheme));
    ck_assert(slice_eq(read.origin.principal, request.origin.principal));
    ck_assert(slice_eq(read.origin.route, request.origin.route));
    ck_assert(read.has_replays);
    ck_assert(ticket_eq(&read.replays, &request.replays));
    ck_assert(slice_is(read.message, "POST / HTTP/1.1"));
    check_body(&read.body, &request.body);
    passed_fini(&passed);
}
END_TEST

START_TEST(what_is_absent_comes_back_absent)
{
    const struct fact fact = {.kind = FACT_CANCEL,
                              .ticket = some_ticket(1),
                              .dead = -1,
                              .request = -1};
    const struct queued request = {.ticket = some_ticket(1)};
    char key[RECORD_KEY_MAX];
    struct fact read;
    struct queued read_request;
    rd_kafka_headers_t *headers = fact_write(&fact, key);
    struct passed passed = pass(key, SLICE(""), headers);

    ck_assert_int_eq(fact_read(passed.message, &read, NULL), 0);
    check_fact(&read, &fact);
    passed_fini(&passed);
    headers = queued_write(&request, key);
    passed = pass(key, SLICE(""), headers);
    ck_assert_int_eq(queued_read(passed.message, &read_request, NULL), 0);
    ck_assert(!read_request.has_replays);
    ck_assert_uint_eq(read_request.flags, 0);
    ck_assert_uint_eq(read_request.body.size, 0);
    ck_assert_uint_eq(read_request.message.len, 0);
    ck_assert_uint_eq(read_request.origin.peer.len, 0);
    passed_fini(&passed);
}
END_TEST

/* ---- damage -------------------------------------------------------------- */

static bool
is_free_text(const char *name)
{
    static const char *const names[] = {"queue",  "release", "reason",
                                        "peer",   "local",   "principal",
                                        "scheme", "route"};

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (strcmp(name, names[i]) == 0)
            return true;
    }
    return false;
}

/* A copy in which header n has another value; takes the headers. NULL: there is
 * no such header. */
static rd_kafka_headers_t *
damage(rd_kafka_headers_t *headers, size_t n, const char *value,
       const char **name)
{
    rd_kafka_headers_t *copy = rd_kafka_headers_new(8);
    const void *old;
    size_t i, len;

    for (i = 0; rd_kafka_header_get_all(headers, i, name, &old, &len) == 0; i++)
        rd_kafka_header_add(copy, *name, -1, i == n ? value : old,
                            i == n ? -1 : (ssize_t)len);
    if (n < i)
        rd_kafka_header_get_all(headers, n, name, &old, &len);
    else
        rd_kafka_headers_destroy(copy);
    static char kept[20];
    snprintf(kept, sizeof(kept), "%s", *name);
    *name = kept;
    rd_kafka_headers_destroy(headers);
    return n < i ? copy : NULL;
}

static const char *const damages[] = {
    "",
    "x",
    "-",
    "99999999999999999999999",
    "0000000000000000000000000000000000000u0",
    "5 77",
    "5 7777777777777777777777777777777777777777777777777777777777777777 ",
    "0 7777777777777777777777777777777777777777777777777777777777777777 1",
    "1 7777777777777777777777777777777777777777777777777777777777777777 x",
};

static void
check_damaged_fact(const struct fact *fact, const char *value)
{
    rd_kafka_headers_t *headers;
    char key[RECORD_KEY_MAX];
    const char *name;
    struct fact read;

    for (size_t n = 0;; n++) {
        headers = damage(fact_write(fact, key), n, value, &name);
        if (headers == NULL)
            return;
        struct passed passed = pass(key, fact->message, headers);
        int r = fact_read(passed.message, &read, NULL);
        ck_assert_msg(r == (is_free_text(name) ? 0 : -EPROTO),
                      "%s, %s: \"%s\": %d", fact_word(fact->kind), name, value,
                      r);
        passed_fini(&passed);
    }
}

START_TEST(a_damaged_header_of_a_fact_is_an_error)
{
    const struct fact fact = some_fact((enum fact_kind)_i);

    for (size_t i = 0; i < ARRAY_LEN(damages); i++)
        check_damaged_fact(&fact, damages[i]);
}
END_TEST

START_TEST(a_damaged_header_of_a_request_is_an_error)
{
    const struct queued request = some_request();
    char key[RECORD_KEY_MAX];
    const char *name;
    struct queued read;

    for (size_t n = 0, i = 0; i < ARRAY_LEN(damages); n++) {
        rd_kafka_headers_t *headers =
            damage(queued_write(&request, key), n, damages[i], &name);
        if (headers == NULL) {
            i++;
            n = SIZE_MAX; /* 0 in the next round */
            continue;
        }
        struct passed passed = pass(key, SLICE(""), headers);
        ck_assert_int_eq(queued_read(passed.message, &read, NULL),
                         is_free_text(name) ? 0 : -EPROTO);
        passed_fini(&passed);
    }
}
END_TEST

static int
read_started(const char *first, const char *value, const char *key)
{
    rd_kafka_headers_t *headers = rd_kafka_headers_new(1);
    struct fact read;

    if (first != NULL)
        rd_kafka_header_add(headers, first, -1, value, -1);
    struct passed passed = pass(key, SLICE(""), headers);
    int r = fact_read(passed.message, &read, NULL);
    passed_fini(&passed);
    return r;
}

START_TEST(a_record_of_others_or_of_a_newer_format_is_told_apart)
{
    char key[TICKET_TEXT + 1];
    const struct ticket ticket = some_ticket(1);

    ticket_format(&ticket, key);
    ck_assert_int_eq(read_started("cloakroom", "cancel/1", key), 0);
    ck_assert_int_eq(read_started("cloakroom", "cancel/2", key), -ENOTSUP);
    ck_assert_int_eq(read_started("cloakroom", "cancel", key), -EPROTO);
    ck_assert_int_eq(read_started("cloakroom", "request/1", key), -EPROTO);
    ck_assert_int_eq(read_started("other", "cancel/1", key), -EPROTO);
    ck_assert_int_eq(read_started(NULL, NULL, key), -EPROTO);
    ck_assert_int_eq(read_started("cloakroom", "cancel/1", "short"), -EPROTO);
    ck_assert_int_eq(read_started("cloakroom", "failed/1", key), -EPROTO);
    ck_assert_int_eq(read_started("cloakroom", "retry/1", key), -EPROTO);
}
END_TEST

int
main(void)
{
    Suite *suite = suite_create("broker");
    TCase *tcase = tcase_create("record");

    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, every_fact_comes_back_as_it_was);
    tcase_add_test(tcase, a_request_comes_back_as_it_was);
    tcase_add_test(tcase, what_is_absent_comes_back_absent);
    tcase_add_loop_test(tcase, a_damaged_header_of_a_fact_is_an_error, 0,
                        FACTS);
    tcase_add_test(tcase, a_damaged_header_of_a_request_is_an_error);
    tcase_add_test(tcase,
                   a_record_of_others_or_of_a_newer_format_is_told_apart);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
