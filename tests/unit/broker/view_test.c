/* view_test.c - what the view makes of facts, and that it goes on where it was.
 */
#include "broker/kafka/view.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "common/mem.h"
#include "tests/conformance/rig.h"
#include "tests/unit/test.h"

#define PART 3

struct bench {
    struct rig rig; /* for its directory */
    struct view *view;
    struct ticket_secret *secret;
    int64_t offset, request; /* the next ones */
    int64_t claim;           /* the last one written */
    uint64_t runs;
};

static void
bench_open(struct bench *bench, const char *installation)
{
    struct error err = {0};

    ck_assert_msg(view_open(bench->rig.directory, installation, 8, &bench->view,
                            &err) == 0,
                  "%s", err.text);
}

static void
bench_init(struct bench *bench)
{
    char path[300];

    memset(bench, 0, sizeof(*bench));
    rig_init(&bench->rig);
    mkdir(bench->rig.directory, 0700);
    snprintf(path, sizeof(path), "%s/key", bench->rig.directory);
    ck_assert_int_eq(ticket_secret_load(path, true, &bench->secret, NULL), 0);
    bench_open(bench, "here");
}

static void
bench_fini(struct bench *bench)
{
    if (bench->view != NULL)
        view_check(bench->view);
    view_close(bench->view);
    ticket_secret_free(bench->secret);
    rig_fini(&bench->rig);
}

static void
reopen(struct bench *bench)
{
    view_close(bench->view);
    bench_open(bench, "here");
}

static struct ticket
new_ticket(struct bench *bench)
{
    return ticket_make(bench->secret, clock_wall(), TICKET_RANDOM_SLOT);
}

#define FACT(...) ((struct fact){__VA_ARGS__})

/* Folds a fact in; of queue "one", and of now, unless it says otherwise. */
static int
put(struct bench *bench, const struct fact *fact)
{
    struct fact whole = *fact;

    if (whole.at == 0)
        whole.at = clock_wall();
    if (whole.queue.len == 0)
        whole.queue = SLICE("one");
    if (whole.dead == 0)
        whole.dead = -1;
    return view_fact(bench->view, PART, bench->offset++, &whole, NULL);
}

#define REQUEST(...) ((struct queued){__VA_ARGS__})

/* The same of a request, of 100 bytes. */
static void
ask(struct bench *bench, const struct queued *request)
{
    static const char bytes[100];
    struct queued whole = *request;

    if (whole.at == 0)
        whole.at = clock_wall();
    if (whole.queue.len == 0)
        whole.queue = SLICE("one");
    whole.message = (struct slice){bytes, sizeof(bytes)};
    ck_assert_int_eq(view_request(bench->view,
                                  view_queue(bench->view, whole.queue), PART,
                                  bench->request++, &whole),
                     0);
}

static struct ticket
accept_one(struct bench *bench)
{
    const struct ticket ticket = new_ticket(bench);

    ask(bench, &REQUEST(.ticket = ticket, .flags = REQUEST_IDEMPOTENT));
    return ticket;
}

static void
claim(struct bench *bench, uint64_t session)
{
    bench->claim = bench->offset;
    ck_assert_int_eq(put(bench, &FACT(.kind = FACT_CLAIM, .session = session)),
                     1);
}

/* The run that was started. */
static uint64_t
start(struct bench *bench, const struct ticket *ticket, uint64_t session,
      unsigned attempt)
{
    const uint64_t run = ++bench->runs;

    ck_assert_int_eq(
        put(bench, &FACT(.kind = FACT_STARTED, .ticket = *ticket,
                         .claim = bench->claim, .session = session, .run = run,
                         .attempt = attempt, .release = SLICE("v1"))),
        1);
    return run;
}

static int
respond(struct bench *bench, const struct ticket *ticket, uint64_t session,
        uint64_t run, const char *text)
{
    return put(bench, &FACT(.kind = FACT_RESPONSE, .ticket = *ticket,
                            .session = session, .run = run, .attempt = 1,
                            .message = slice_of(text)));
}

static const struct view_row *
find(struct bench *bench, const struct ticket *ticket)
{
    const struct view_row *row;

    ck_assert_int_eq(view_find(bench->view, ticket, &row), 1);
    return row;
}

static bool
is_known(struct bench *bench, const struct ticket *ticket)
{
    const struct view_row *row;

    return view_find(bench->view, ticket, &row) == 1;
}

static const char *
message(struct bench *bench, const struct ticket *ticket)
{
    static char text[5000];
    struct buf buf;

    buf_init(&buf, sizeof(text) - 1);
    ck_assert_int_ge(view_message(bench->view, find(bench, ticket), &buf), 0);
    snprintf(text, sizeof(text), "%.*s", SLICE_ARG(buf_slice(&buf)));
    buf_fini(&buf);
    return text;
}

static const struct view_queue *
queue_one(struct bench *bench)
{
    return view_queue_at(bench->view, view_queue(bench->view, SLICE("one")));
}

/* ---- a ticket's life ----------------------------------------------------- */

START_TEST(a_request_is_queued_then_runs_then_is_done)
{
    struct bench bench;

    bench_init(&bench);
    const struct ticket ticket = accept_one(&bench);
    ck_assert_int_eq(find(&bench, &ticket)->fold.state, TICKET_QUEUED);
    ck_assert_uint_eq(queue_one(&bench)->queued, 1);
    claim(&bench, 5);
    const uint64_t run = start(&bench, &ticket, 5, 1);
    ck_assert_int_eq(find(&bench, &ticket)->fold.state, TICKET_RUNNING);
    ck_assert_str_eq(find(&bench, &ticket)->release, "v1");
    ck_assert_uint_eq(queue_one(&bench)->queued, 0);
    ck_assert_uint_eq(queue_one(&bench)->running, 1);
    ck_assert_int_eq(respond(&bench, &ticket, 5, run, "answer"), 1);
    ck_assert_int_eq(find(&bench, &ticket)->fold.state, TICKET_DONE);
    ck_assert_str_eq(message(&bench, &ticket), "answer");
    ck_assert_uint_eq(queue_one(&bench)->running, 0);
    ck_assert_uint_eq(queue_one(&bench)->done, 1);
    ck_assert_uint_eq(queue_one(&bench)->retained, 6);
    bench_fini(&bench);
}
END_TEST

START_TEST(a_second_answer_does_not_count)
{
    struct bench bench;

    bench_init(&bench);
    const struct ticket ticket = accept_one(&bench);
    claim(&bench, 5);
    const uint64_t run = start(&bench, &ticket, 5, 1);
    ck_assert_int_eq(respond(&bench, &ticket, 5, run, "first"), 1);
    ck_assert_int_eq(respond(&bench, &ticket, 5, run, "second"), 0);
    ck_assert_str_eq(message(&bench, &ticket), "first");
    bench_fini(&bench);
}
END_TEST

START_TEST(a_request_may_be_read_after_its_facts)
{
    struct bench bench;

    bench_init(&bench);
    const struct ticket ticket = new_ticket(&bench);
    claim(&bench, 5);
    const uint64_t run = start(&bench, &ticket, 5, 1);
    ck_assert_uint_eq(queue_one(&bench)->accepted, 1);
    ck_assert(!find(&bench, &ticket)->is_read);
    ask(&bench, &REQUEST(.ticket = ticket, .at = 12345));
    ck_assert(find(&bench, &ticket)->is_read);
    ck_assert_int_eq(find(&bench, &ticket)->fold.state, TICKET_RUNNING);
    ck_assert_int_eq(find(&bench, &ticket)->submitted, 12345);
    ck_assert_uint_eq(queue_one(&bench)->accepted, 1);
    ck_assert_int_eq(respond(&bench, &ticket, 5, run, "answer"), 1);
    ask(&bench, &REQUEST(.ticket = ticket, .flags = REQUEST_TWIN));
    ck_assert_uint_eq(queue_one(&bench)->accepted, 1);
    ck_assert_uint_eq(queue_one(&bench)->queued, 0);
    bench_fini(&bench);
}
END_TEST

START_TEST(what_does_not_count_leaves_nothing)
{
    struct bench bench;

    bench_init(&bench);
    const struct ticket ticket = new_ticket(&bench);
    ck_assert_int_eq(respond(&bench, &ticket, 5, 1, "answer"), 0);
    ck_assert(!is_known(&bench, &ticket));
    claim(&bench, 5);
    bench.claim--;
    ck_assert_int_eq(put(&bench, &FACT(.kind = FACT_STARTED, .ticket = ticket,
                                       .claim = bench.claim, .session = 5,
                                       .run = 1, .attempt = 1)),
                     0);
    reopen(&bench);
    ck_assert(!is_known(&bench, &ticket));
    bench_fini(&bench);
}
END_TEST

START_TEST(a_failure_is_kept_with_its_reason_and_its_dead_letter)
{
    struct bench bench;
    struct ticket *letters;
    size_t len;

    bench_init(&bench);
    const struct ticket ticket = accept_one(&bench);
    claim(&bench, 5);
    const uint64_t run = start(&bench, &ticket, 5, 1);
    ck_assert_int_eq(
        put(&bench,
            &FACT(.kind = FACT_FAILED, .ticket = ticket, .session = 5,
                  .run = run, .state = TICKET_FAILED, .dead = 44, .size = 100,
                  .reason = SLICE("crash"), .message = SLICE("sorry"))),
        1);
    ck_assert_str_eq(find(&bench, &ticket)->reason, "crash");
    ck_assert_uint_eq(queue_one(&bench)->dead, 1);
    ck_assert_uint_eq(queue_one(&bench)->failed, 1);
    ck_assert_uint_eq(queue_one(&bench)->retained, 105);
    ck_assert_int_eq(
        view_list(bench.view, VIEW_LETTERS, 0, 10, 0, &letters, &len), 0);
    ck_assert_uint_eq(len, 1);
    free(letters);
    ck_assert_int_eq(put(&bench, &FACT(.kind = FACT_DROPPED, .ticket = ticket)),
                     1);
    ck_assert_int_eq(put(&bench, &FACT(.kind = FACT_DROPPED, .ticket = ticket)),
                     0);
    ck_assert_uint_eq(queue_one(&bench)->dead, 0);
    ck_assert_uint_eq(queue_one(&bench)->retained, 5);
    ck_assert_str_eq(message(&bench, &ticket), "sorry");
    bench_fini(&bench);
}
END_TEST

START_TEST(a_replay_is_linked_both_ways)
{
    struct bench bench;

    bench_init(&bench);
    const struct ticket dead = accept_one(&bench);
    const struct ticket made = new_ticket(&bench);
    const struct ticket ran = new_ticket(&bench);
    ask(&bench, &REQUEST(.ticket = made, .has_replays = true, .replays = dead));
    claim(&bench, 5); /* of the other one the request was not read */
    put(&bench, &FACT(.kind = FACT_STARTED, .ticket = ran, .claim = bench.claim,
                      .session = 5, .run = 1, .attempt = 1, .has_other = true,
                      .other = dead));
    ck_assert_int_eq(put(&bench, &FACT(.kind = FACT_REPLAYED, .ticket = dead,
                                       .has_other = true, .other = made)),
                     1);
    reopen(&bench);
    ck_assert(find(&bench, &made)->has_replays);
    ck_assert(ticket_eq(&find(&bench, &made)->replays, &dead));
    ck_assert(ticket_eq(&find(&bench, &ran)->replays, &dead));
    ck_assert(find(&bench, &dead)->has_replayed_by);
    ck_assert(ticket_eq(&find(&bench, &dead)->replayed_by, &made));
    bench_fini(&bench);
}
END_TEST

/* ---- again --------------------------------------------------------------- */

START_TEST(a_retry_waits_and_then_is_queued_again)
{
    struct bench bench;

    bench_init(&bench);
    const struct ticket ticket = accept_one(&bench);
    claim(&bench, 5);
    const uint64_t run = start(&bench, &ticket, 5, 1);
    ck_assert_int_eq(
        put(&bench, &FACT(.kind = FACT_RETRY, .ticket = ticket, .session = 5,
                          .run = run, .attempt = 1, .counted = true,
                          .delay = 60000, .reason = SLICE("crash"))),
        1);
    ck_assert_uint_eq(queue_one(&bench)->delayed, 1);
    ck_assert_uint_eq(queue_one(&bench)->queued, 0);
    ck_assert_uint_eq(find(&bench, &ticket)->fold.attempts, 1);
    ck_assert_str_eq(find(&bench, &ticket)->reason, "crash");
    reopen(&bench);
    ck_assert_int_eq(view_promote(bench.view, clock_wall()), 0);
    ck_assert_uint_eq(queue_one(&bench)->delayed, 1);
    ck_assert_int_eq(view_promote(bench.view, clock_wall() + 70000), 0);
    ck_assert_uint_eq(queue_one(&bench)->delayed, 0);
    ck_assert_uint_eq(queue_one(&bench)->queued, 1);
    start(&bench, &ticket, 5, 2);
    ck_assert_uint_eq(queue_one(&bench)->queued, 0);
    bench_fini(&bench);
}
END_TEST

START_TEST(trouble_is_why_the_last_one_was_put_back)
{
    struct bench bench;

    bench_init(&bench);
    const struct ticket ticket = accept_one(&bench);
    claim(&bench, 5);
    uint64_t run = start(&bench, &ticket, 5, 1);
    put(&bench, &FACT(.kind = FACT_RETRY, .ticket = ticket, .session = 5,
                      .run = run, .attempt = 1, .put_backs = 1, .delay = 1,
                      .reason = SLICE("no program")));
    ck_assert_uint_eq(find(&bench, &ticket)->fold.attempts, 0);
    ck_assert_str_eq(queue_one(&bench)->trouble, "no program");
    run = start(&bench, &ticket, 5, 1);
    respond(&bench, &ticket, 5, run, "answer");
    ck_assert_str_eq(queue_one(&bench)->trouble, "");
    bench_fini(&bench);
}
END_TEST

START_TEST(a_session_that_is_over_leaves_orphans_that_others_decide)
{
    struct bench bench;
    struct ticket *orphans;
    size_t len;

    bench_init(&bench);
    const struct ticket ticket = accept_one(&bench);
    const struct ticket other = accept_one(&bench);
    claim(&bench, 5);
    const uint64_t run = start(&bench, &ticket, 5, 1);
    const uint64_t second = start(&bench, &other, 5, 1);
    reopen(&bench);
    ck_assert_int_eq(put(&bench, &FACT(.kind = FACT_OVER, .session = 5)), 1);
    ck_assert(find(&bench, &ticket)->fold.is_orphan);
    reopen(&bench);
    ck_assert(find(&bench, &ticket)->fold.is_orphan);
    ck_assert_int_eq(respond(&bench, &ticket, 5, run, "late"), 0);
    ck_assert_int_eq(view_list(bench.view, VIEW_ORPHANS, 0, 10,
                               clock_wall() - 60000, &orphans, &len),
                     0);
    ck_assert_uint_eq(len, 0);
    ck_assert_int_eq(view_list(bench.view, VIEW_ORPHANS, 0, 10, clock_wall(),
                               &orphans, &len),
                     0);
    ck_assert_uint_eq(len, 2);
    free(orphans);
    ck_assert_int_eq(
        put(&bench, &FACT(.kind = FACT_RETRY, .ticket = ticket, .run = run,
                          .attempt = 1, .counted = true)),
        1);
    ck_assert_int_eq(find(&bench, &ticket)->fold.state, TICKET_QUEUED);
    ck_assert_int_eq(find(&bench, &ticket)->orphaned, 0);
    ck_assert_int_eq(
        put(&bench, &FACT(.kind = FACT_FAILED, .ticket = other, .run = second,
                          .state = TICKET_FAILED, .message = SLICE("sorry"))),
        1);
    ck_assert_int_eq(find(&bench, &other)->fold.state, TICKET_FAILED);
    bench_fini(&bench);
}
END_TEST

/* A view that is made again reads all of this before it is written once. */
START_TEST(orphans_are_found_before_anything_was_committed)
{
    struct bench bench;

    bench_init(&bench);
    const struct ticket ticket = accept_one(&bench);
    claim(&bench, 5);
    start(&bench, &ticket, 5, 1);
    ck_assert_int_eq(put(&bench, &FACT(.kind = FACT_OVER, .session = 5)), 1);
    ck_assert(find(&bench, &ticket)->fold.is_orphan);
    bench_fini(&bench);
}
END_TEST

/* ---- cancelled, expired -------------------------------------------------- */

START_TEST(a_queued_request_is_cancelled_with_a_410)
{
    struct bench bench;

    bench_init(&bench);
    const struct ticket ticket = accept_one(&bench);
    ck_assert_int_eq(put(&bench, &FACT(.kind = FACT_CANCEL, .ticket = ticket)),
                     1);
    ck_assert_int_eq(find(&bench, &ticket)->fold.state, TICKET_CANCELLED);
    ck_assert_str_eq(find(&bench, &ticket)->reason, VIEW_CANCELLED_QUEUED);
    ck_assert_ptr_nonnull(strstr(message(&bench, &ticket), " 410 "));
    claim(&bench, 5);
    ck_assert_int_eq(put(&bench, &FACT(.kind = FACT_STARTED, .ticket = ticket,
                                       .claim = bench.claim, .session = 5,
                                       .run = 1, .attempt = 1)),
                     0);
    bench_fini(&bench);
}
END_TEST

START_TEST(a_retry_of_what_was_cancelled_ends_it)
{
    struct bench bench;

    bench_init(&bench);
    const struct ticket ticket = accept_one(&bench);
    claim(&bench, 5);
    const uint64_t run = start(&bench, &ticket, 5, 1);
    ck_assert_int_eq(put(&bench, &FACT(.kind = FACT_CANCEL, .ticket = ticket)),
                     1);
    ck_assert_int_eq(find(&bench, &ticket)->fold.state, TICKET_RUNNING);
    reopen(&bench);
    ck_assert(find(&bench, &ticket)->fold.is_cancelled);
    ck_assert_int_eq(put(&bench, &FACT(.kind = FACT_RETRY, .ticket = ticket,
                                       .session = 5, .run = run, .attempt = 1,
                                       .counted = true, .delay = 60000)),
                     1);
    ck_assert_int_eq(find(&bench, &ticket)->fold.state, TICKET_CANCELLED);
    ck_assert_ptr_nonnull(strstr(message(&bench, &ticket), " 410 "));
    ck_assert_ptr_nonnull(strstr(message(&bench, &ticket), "while it ran"));
    ck_assert_uint_eq(queue_one(&bench)->delayed, 0);
    bench_fini(&bench);
}
END_TEST

START_TEST(a_request_that_waits_too_long_is_a_504)
{
    struct bench bench;

    bench_init(&bench);
    const struct ticket ticket = accept_one(&bench);
    ck_assert_int_eq(put(&bench, &FACT(.kind = FACT_EXPIRED, .ticket = ticket)),
                     1);
    ck_assert_int_eq(find(&bench, &ticket)->fold.state, TICKET_EXPIRED);
    ck_assert_ptr_nonnull(strstr(message(&bench, &ticket), " 504 "));
    ck_assert_uint_eq(queue_one(&bench)->failed, 1);
    bench_fini(&bench);
}
END_TEST

/* ---- looking ------------------------------------------------------------- */

START_TEST(the_position_is_how_many_wait_before_it)
{
    struct bench bench;
    struct ticket tickets[3];
    wall_ms oldest;
    int64_t ahead;

    bench_init(&bench);
    for (int i = 0; i < 3; i++) {
        tickets[i] = new_ticket(&bench);
        ask(&bench, &REQUEST(.ticket = tickets[i], .at = 1000 + i));
    }
    ask(&bench,
        &REQUEST(.ticket = new_ticket(&bench), .queue = SLICE("two"), .at = 1));
    ck_assert_int_eq(view_ahead(bench.view, find(&bench, &tickets[2]), &ahead),
                     0);
    ck_assert_int_eq(ahead, 2);
    ck_assert_int_eq(view_oldest(bench.view, 0, &oldest), 0);
    ck_assert_int_eq(oldest, 1000);
    put(&bench, &FACT(.kind = FACT_CANCEL, .ticket = tickets[0]));
    ck_assert_int_eq(view_ahead(bench.view, find(&bench, &tickets[2]), &ahead),
                     0);
    ck_assert_int_eq(ahead, 1);
    ck_assert_int_eq(view_oldest(bench.view, 0, &oldest), 0);
    ck_assert_int_eq(oldest, 1001);
    bench_fini(&bench);
}
END_TEST

START_TEST(endings_of_the_last_minute_are_counted_apart)
{
    struct bench bench;
    uint64_t done, failed;

    bench_init(&bench);
    const wall_ms now = clock_wall();
    for (int i = 0; i < 3; i++) {
        const struct ticket ticket = accept_one(&bench);
        put(&bench, &FACT(.kind = FACT_EXPIRED, .ticket = ticket,
                          .at = now - i * 40000));
    }
    view_minute(bench.view, 0, now, &done, &failed);
    ck_assert_uint_eq(done, 0);
    ck_assert_uint_eq(failed, 2);
    ck_assert_uint_eq(queue_one(&bench)->failed, 3);
    bench_fini(&bench);
}
END_TEST

/* ---- keys ---------------------------------------------------------------- */

START_TEST(the_first_key_wins_until_its_time_is_over)
{
    struct bench bench;
    struct view_key key;

    bench_init(&bench);
    struct fact fact = FACT(.kind = FACT_KEY, .ticket = new_ticket(&bench),
                            .at = 1000, .until = 2000);
    memset(fact.key.scope, 1, KEY_BYTES);
    memset(fact.key.fingerprint, 2, KEY_BYTES);
    const struct ticket first = fact.ticket;
    ck_assert_int_eq(put(&bench, &fact), 1);
    fact.ticket = new_ticket(&bench);
    fact.at = 1999;
    fact.until = 2999;
    ck_assert_int_eq(put(&bench, &fact), 0);
    reopen(&bench);
    ck_assert_int_eq(view_key(bench.view, fact.key.scope, 1999, &key), 1);
    ck_assert(ticket_eq(&key.ticket, &first));
    ck_assert_int_eq(view_key(bench.view, fact.key.scope, 2000, &key), 0);
    fact.at = 2000;
    fact.until = 3000;
    ck_assert_int_eq(put(&bench, &fact), 1);
    ck_assert_int_eq(view_key(bench.view, fact.key.scope, 2000, &key), 1);
    ck_assert(ticket_eq(&key.ticket, &fact.ticket));
    ck_assert_int_eq(view_drop_keys(bench.view, 2999, 10), 0);
    ck_assert_int_eq(view_drop_keys(bench.view, 3000, 10), 1);
    bench_fini(&bench);
}
END_TEST

/* A key that is kept for ever, of a new ticket. */
static struct fact
put_key(struct bench *bench)
{
    struct fact fact =
        FACT(.kind = FACT_KEY, .ticket = new_ticket(bench), .until = INT64_MAX);

    memset(fact.key.scope, 1, KEY_BYTES);
    ck_assert_int_eq(put(bench, &fact), 1);
    return fact;
}

START_TEST(a_key_is_used_once_its_ticket_is_gone)
{
    struct bench bench;
    struct view_key key;

    bench_init(&bench);
    const struct fact fact = put_key(&bench);
    ask(&bench, &REQUEST(.ticket = fact.ticket, .flags = REQUEST_KEYED));
    put(&bench, &FACT(.kind = FACT_CANCEL, .ticket = fact.ticket));
    ck_assert_int_eq(view_key(bench.view, fact.key.scope, 1, &key), 1);
    ck_assert(!key.is_used);
    ck_assert_int_eq(view_drop(bench.view, find(&bench, &fact.ticket)), 0);
    reopen(&bench);
    ck_assert_int_eq(view_key(bench.view, fact.key.scope, 1, &key), 1);
    ck_assert(key.is_used);
    bench_fini(&bench);
}
END_TEST

/* The claim that it stands on is gone from the log, and so is its row. */
START_TEST(a_start_that_does_not_count_tells_that_a_key_was_used)
{
    struct bench bench;
    struct view_key key;

    bench_init(&bench);
    const struct fact fact = put_key(&bench);
    ck_assert_int_eq(
        put(&bench, &FACT(.kind = FACT_STARTED, .ticket = fact.ticket,
                          .claim = 77, .session = 5, .run = 1, .attempt = 1,
                          .flags = REQUEST_KEYED)),
        0);
    ck_assert(!is_known(&bench, &fact.ticket));
    ck_assert_int_eq(view_key(bench.view, fact.key.scope, 1, &key), 1);
    ck_assert(key.is_used);
    bench_fini(&bench);
}
END_TEST

START_TEST(what_is_ahead_of_its_request_is_counted_until_that_is_read)
{
    struct bench bench;

    bench_init(&bench);
    claim(&bench, 5);
    const struct ticket ticket = new_ticket(&bench);
    start(&bench, &ticket, 5, 1); /* of the request at 0 */
    ck_assert_uint_eq(queue_one(&bench)->ahead, 1);
    ask(&bench, &REQUEST(.ticket = ticket));
    ck_assert_uint_eq(queue_one(&bench)->ahead, 0);
    const struct ticket next = accept_one(&bench);
    start(&bench, &next, 5, 1);
    ck_assert_uint_eq(queue_one(&bench)->ahead, 0);
    bench_fini(&bench);
}
END_TEST

/* ---- the file ------------------------------------------------------------ */

START_TEST(a_view_goes_on_in_the_middle)
{
    struct bench bench;

    bench_init(&bench);
    const struct ticket ticket = accept_one(&bench);
    const struct ticket large = accept_one(&bench);
    claim(&bench, 5);
    const uint64_t run = start(&bench, &ticket, 5, 1);
    struct fact fact = FACT(.kind = FACT_RESPONSE, .ticket = large,
                            .session = 5, .run = start(&bench, &large, 5, 1));
    fact.body = (struct body_ref){.size = 1 << 20, .len = 2, .offsets = {9, 8}};
    ck_assert_int_eq(put(&bench, &fact), 1);
    reopen(&bench);
    ck_assert_int_eq(view_next(bench.view, PART), bench.offset);
    ck_assert_int_eq(view_next(bench.view, PART + 1), 0);
    ck_assert_int_eq(view_request_next(bench.view, 0, PART), 2);
    ck_assert_int_eq(view_request_next(bench.view, 0, PART + 1), -1);
    ck_assert_uint_eq(queue_one(&bench)->running, 1);
    ck_assert_uint_eq(queue_one(&bench)->accepted, 2);
    ck_assert_int_eq(respond(&bench, &ticket, 5, run, "answer"), 1);
    const struct ticket next = accept_one(&bench);
    start(&bench, &next, 5, 1); /* by the claim of before */
    reopen(&bench);
    ck_assert_str_eq(message(&bench, &ticket), "answer");
    ck_assert_uint_eq(find(&bench, &large)->body->len, 2);
    ck_assert_int_eq(find(&bench, &large)->body->offsets[1], 8);
    ck_assert_int_eq(find(&bench, &large)->pieces, 8);
    bench_fini(&bench);
}
END_TEST

START_TEST(what_was_not_committed_is_gone_after_a_rewind)
{
    struct bench bench;

    bench_init(&bench);
    const struct ticket first = accept_one(&bench);
    ck_assert_int_eq(view_commit(bench.view), 0);
    const int64_t next = view_request_next(bench.view, 0, PART);
    const struct ticket second = accept_one(&bench);
    view_check(bench.view); /* into the open transaction */
    ck_assert_int_eq(view_rewind(bench.view), 0);
    ck_assert_int_eq(view_request_next(bench.view, 0, PART), next);
    ck_assert(is_known(&bench, &first));
    ck_assert(!is_known(&bench, &second));
    ck_assert_uint_eq(queue_one(&bench)->queued, 1);
    bench_fini(&bench);
}
END_TEST

START_TEST(a_view_of_another_installation_starts_empty)
{
    struct bench bench;

    bench_init(&bench);
    const struct ticket ticket = accept_one(&bench);
    view_close(bench.view);
    bench_open(&bench, "there");
    ck_assert(!is_known(&bench, &ticket));
    ck_assert_int_eq(view_next(bench.view, PART), 0);
    bench_fini(&bench);
}
END_TEST

START_TEST(two_views_in_a_directory_are_two_files)
{
    struct bench bench;
    struct view *other;

    bench_init(&bench);
    const struct ticket ticket = accept_one(&bench);
    ck_assert_int_eq(view_open(bench.rig.directory, "here", 8, &other, NULL),
                     0);
    ck_assert_int_eq(view_next(other, PART), 0);
    view_close(other);
    reopen(&bench);
    ck_assert(is_known(&bench, &ticket));
    bench_fini(&bench);
}
END_TEST

START_TEST(a_missing_folder_is_called_missing)
{
    struct bench bench;
    struct view *view;
    struct error err = {0};
    char path[300];

    bench_init(&bench);
    snprintf(path, sizeof(path), "%s/none/view", bench.rig.directory);
    ck_assert_int_eq(view_open(path, "here", 8, &view, &err), -ENOTCONN);
    ck_assert_ptr_nonnull(strstr(err.text, "No such file or directory"));
    bench_fini(&bench);
}
END_TEST

START_TEST(a_damaged_file_starts_empty)
{
    struct bench bench;
    char path[300];

    bench_init(&bench);
    accept_one(&bench);
    view_close(bench.view);
    snprintf(path, sizeof(path), "%s/view-0.db", bench.rig.directory);
    FILE *file = fopen(path, "r+");
    ck_assert_ptr_nonnull(file);
    fprintf(file, "%0999d", 0);
    fclose(file);
    bench_open(&bench, "here");
    ck_assert_int_eq(view_next(bench.view, PART), 0);
    bench_fini(&bench);
}
END_TEST

/* ---- retention ----------------------------------------------------------- */

START_TEST(what_is_dropped_is_gone_and_its_bytes_too)
{
    struct bench bench;
    struct ticket *ended;
    size_t len;

    bench_init(&bench);
    const struct ticket ticket = accept_one(&bench);
    claim(&bench, 5);
    respond(&bench, &ticket, 5, start(&bench, &ticket, 5, 1), "answer");
    const struct ticket waiting = accept_one(&bench);
    ck_assert_int_eq(view_list(bench.view, VIEW_END, 0, 10, 0, &ended, &len),
                     0);
    ck_assert_uint_eq(len, 1);
    ck_assert(ticket_eq(&ended[0], &ticket));
    free(ended);
    ck_assert_int_eq(view_drop(bench.view, find(&bench, &ticket)), 0);
    ck_assert(!is_known(&bench, &ticket));
    ck_assert_uint_eq(queue_one(&bench)->retained, 0);
    ck_assert_uint_eq(queue_one(&bench)->done, 1);
    reopen(&bench);
    ck_assert(!is_known(&bench, &ticket));
    ck_assert(is_known(&bench, &waiting));
    bench_fini(&bench);
}
END_TEST

START_TEST(the_log_is_needed_from_the_first_fact_of_what_is_kept)
{
    struct bench bench;
    int64_t facts, pieces;

    bench_init(&bench);
    const struct ticket first = accept_one(&bench);
    put(&bench, &FACT(.kind = FACT_OVER, .session = 4)); /* at 0 */
    claim(&bench, 5);                                    /* at 1 */
    const struct ticket second = accept_one(&bench);
    start(&bench, &second, 5, 1);
    claim(&bench, 6); /* at 3 */
    ck_assert_int_eq(view_floor(bench.view, PART, &facts, &pieces), 0);
    ck_assert_int_eq(facts, 0);
    ck_assert_int_eq(pieces, INT64_MAX);
    put(&bench, &FACT(.kind = FACT_CANCEL, .ticket = first));
    ck_assert_int_eq(view_drop(bench.view, find(&bench, &first)), 0);
    ck_assert_int_eq(view_floor(bench.view, PART, &facts, &pieces), 0);
    ck_assert_int_eq(facts, 1); /* by which the second one was started */
    ck_assert_int_eq(view_drop(bench.view, find(&bench, &second)), 0);
    ck_assert_int_eq(view_floor(bench.view, PART, &facts, &pieces), 0);
    ck_assert_int_eq(facts, 3); /* in force */
    bench_fini(&bench);
}
END_TEST

START_TEST(ten_thousand_rows_are_written_as_they_were_read)
{
    struct bench bench;
    struct ticket *tickets = mem_grow(NULL, 10000, sizeof(*tickets));

    bench_init(&bench);
    claim(&bench, 5);
    for (int i = 0; i < 10000; i++) {
        tickets[i] = accept_one(&bench);
        if (i % 3 != 0)
            respond(&bench, &tickets[i], 5, start(&bench, &tickets[i], 5, 1),
                    "answer");
        if (view_is_due(bench.view, clock_mono()))
            ck_assert_int_eq(view_commit(bench.view), 0);
    }
    ck_assert_uint_eq(queue_one(&bench)->queued, 3334);
    ck_assert_uint_eq(queue_one(&bench)->done, 6666);
    view_check(bench.view);
    for (int i = 0; i < 10000; i++)
        ck_assert_int_eq(find(&bench, &tickets[i])->fold.state,
                         i % 3 == 0 ? TICKET_QUEUED : TICKET_DONE);
    free(tickets);
    bench_fini(&bench);
}
END_TEST

TESTS("broker", "view", a_request_is_queued_then_runs_then_is_done,
      a_second_answer_does_not_count, a_request_may_be_read_after_its_facts,
      what_does_not_count_leaves_nothing,
      a_failure_is_kept_with_its_reason_and_its_dead_letter,
      a_replay_is_linked_both_ways, a_retry_waits_and_then_is_queued_again,
      trouble_is_why_the_last_one_was_put_back,
      a_session_that_is_over_leaves_orphans_that_others_decide,
      orphans_are_found_before_anything_was_committed,
      a_queued_request_is_cancelled_with_a_410,
      a_retry_of_what_was_cancelled_ends_it,
      a_request_that_waits_too_long_is_a_504,
      the_position_is_how_many_wait_before_it,
      endings_of_the_last_minute_are_counted_apart,
      the_first_key_wins_until_its_time_is_over,
      a_key_is_used_once_its_ticket_is_gone,
      a_start_that_does_not_count_tells_that_a_key_was_used,
      what_is_ahead_of_its_request_is_counted_until_that_is_read,
      a_view_goes_on_in_the_middle,
      what_was_not_committed_is_gone_after_a_rewind,
      a_view_of_another_installation_starts_empty,
      two_views_in_a_directory_are_two_files,
      a_missing_folder_is_called_missing, a_damaged_file_starts_empty,
      what_is_dropped_is_gone_and_its_bytes_too,
      the_log_is_needed_from_the_first_fact_of_what_is_kept,
      ten_thousand_rows_are_written_as_they_were_read)
