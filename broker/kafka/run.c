/* run.c - a session takes requests, starts them, and says what became of them.
 */
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/kafka/bodies.h"
#include "broker/kafka/follow.h"
#include "broker/kafka/session.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/own.h"
#include "common/problem.h"

#define FAILURE_CAP   4096
#define RETAINED_MAX  (READY_BYTES / 2) /* of what waits to be repeated */
#define LOADS_AT_ONCE 2
#define LOAD_LATER    50   /* ms */
#define AGAIN_MS      1000 /* what could not be read or sent */
#define LEASE_LEFT    20   /* ms of it, without which nothing is started */

/* ---- what was sent --------------------------------------------------------
 */

enum sent_what {
    SENT_CLAIM,
    SENT_STARTED,
    SENT_ENDING, /* of a held one: a response, failure or retry */
    SENT_DEAD,   /* the copy of a request; then the failure is sent */
    SENT_ASIDE,  /* the copy of a record that is none of ours */
    SENT_NOTE,   /* nothing follows */
};

struct sent {
    struct delivery delivery;
    struct mail mail;
    struct kafka_session *session;
    enum sent_what what;
    struct share *share;
    struct held *held;
    uint64_t run;
};

/* What an attempt comes to, on its way into the log. */
struct ending {
    struct verdict verdict;
    enum outcome outcome;
    char reason[200];
    struct buf failure;
    struct body_store body;
    int64_t dead;     /* where the copy of its request stands; -1 */
    mono_ms again_at; /* send it again; 0: it is on its way */
};

static void
on_delivered(struct delivery *delivery)
{
    struct sent *sent = CONTAINER_OF(delivery, struct sent, delivery);

    if (sent->what != SENT_DEAD && sent->what != SENT_ASIDE)
        kafka_settled(sent->session->kafka, sent->share->partition.id,
                      delivery->r == 0 ? delivery->offset : -1);
    mailbox_post(&sent->session->delivered, &sent->mail);
}

static struct delivery *
sent_new(struct kafka_session *session, enum sent_what what,
         struct share *share, struct held *held)
{
    struct sent *sent = mem_new(struct sent);

    sent->delivery.on_delivered = on_delivered;
    sent->session = session;
    sent->what = what;
    sent->share = share;
    sent->held = held;
    sent->run = held == NULL ? 0 : held->run;
    share->helds++; /* it is used until then */
    return &sent->delivery;
}

static void
send_fact(struct kafka_session *session, enum sent_what what,
          struct share *share, struct held *held, struct fact *fact)
{
    fact->at = clock_wall();
    fact->queue = slice_of(session->settings->name);
    fact->session = session->id;
    session->notes += what == SENT_NOTE;
    if (what != SENT_STARTED) /* that was counted when it was begun */
        kafka_sends(session->kafka, share->partition.id);
    kafka_send_fact(session->kafka, session->kafka->keeper, share->partition.id,
                    fact, sent_new(session, what, share, held));
}

void
run_claim(struct kafka_session *session, struct share *share)
{
    struct fact fact = {.kind = FACT_CLAIM,
                        .epoch = session->control.epoch,
                        .release = slice_of(session->release)};

    if (share->is_claiming)
        return;
    run_tell(session, share, INT64_MAX); /* by the claim that it stands on */
    share->is_claiming = true;
    send_fact(session, SENT_CLAIM, share, NULL, &fact);
}

/* ---- messages in memory ---------------------------------------------------
 */

static struct slice
keep(struct buf *buf, struct slice bytes)
{
    const size_t at = buf->len;

    /* Room was reserved for it all: buf->at does not move. */
    buf_add_slice(buf, bytes);
    return (struct slice){buf->at + at, bytes.len};
}

static struct held *
held_empty(struct kafka_session *session, struct share *share, int64_t offset,
           const struct ticket *ticket)
{
    struct held *held = mem_new(struct held);
    struct attempt *attempt = &held->attempt;

    held->session = session;
    held->share = share;
    held->offset = offset;
    attempt->ticket = *ticket;
    attempt->queue = session->options.queue;
    buf_init(&attempt->response, session->settings->max_response);
    return held;
}

struct held *
held_new(struct kafka_session *session, struct share *share, int64_t offset,
         const struct queued *queued)
{
    const struct origin *from = &queued->origin;
    struct held *held = held_empty(session, share, offset, &queued->ticket);
    struct attempt *attempt = &held->attempt;
    struct origin *to = &attempt->origin;
    const size_t size = from->peer.len + from->local.len + from->scheme.len +
                        from->principal.len + from->route.len +
                        queued->message.len;

    held->flags = queued->flags;
    held->submitted = queued->at;
    held->has_replays = queued->has_replays;
    held->replays = queued->replays;
    held->body = queued->body;
    held->is_loaded =
        queued->body.size == 0 && (queued->flags & REQUEST_TWIN) == 0;
    attempt->repeatable =
        queued_is_repeatable(queued->flags, session->settings);
    buf_init(&attempt->store, size + 1);
    if (buf_reserve(&attempt->store, size + 1) == NULL)
        abort(); /* of memory; the lease ends, another worker takes it */
    attempt->message = keep(&attempt->store, queued->message);
    to->peer = keep(&attempt->store, from->peer);
    to->local = keep(&attempt->store, from->local);
    to->scheme = keep(&attempt->store, from->scheme);
    to->principal = keep(&attempt->store, from->principal);
    to->route = keep(&attempt->store, from->route);
    return held;
}

static void
ending_free(struct ending *ending)
{
    if (ending == NULL)
        return;
    buf_fini(&ending->failure);
    free(ending);
}

void
held_free(struct held *held)
{
    struct attempt *attempt = &held->attempt;

    ending_free(TAKE(held->ending));
    attempt_free(attempt);
}

/* Out of the session's list; the worker's own are left to it. */
static void
let_go(struct held *held)
{
    if (held->is_untold) { /* nobody waits for it any more */
        held->session->untold--;
        kafka_settled(held->session->kafka, held->share->partition.id, -1);
    }
    if (held->is_listed) {
        DL_DELETE(held->session->helds, held);
        held->share->helds--;
        held->is_listed = false;
    }
    if (held->is_lent)
        ending_free(TAKE(held->ending));
    else
        held_free(held);
}

static void
list(struct held *held)
{
    DL_APPEND(held->session->helds, held);
    held->share->helds++;
    held->is_listed = true;
}

static void
unlist(struct held *held)
{
    DL_DELETE(held->session->helds, held);
    held->share->helds--;
    held->is_listed = false;
}

static struct held *
find_held(const struct kafka_session *session, uint64_t run)
{
    struct held *held;

    DL_FOREACH(session->helds, held)
    if (held->run == run && run != 0)
        return held;
    return NULL;
}

static struct entry *
find_entry(const struct held *held)
{
    struct entry *entry;

    HASH_FIND(hh, held->share->partition.entries, &held->attempt.ticket,
              sizeof(held->attempt.ticket), entry);
    return entry;
}

/* Puts a message (back) to its entry, where it waits to be started. */
static void
stash(struct kafka_session *session, struct entry *entry, struct held *held)
{
    entry->held = held;
    session->bytes += held->attempt.store.len;
}

static struct held *
unstash(struct kafka_session *session, struct entry *entry)
{
    struct held *held = TAKE(entry->held);

    if (held != NULL)
        session->bytes -= held->attempt.store.len;
    return held;
}

void
held_drop(struct held *held)
{
    held->session->bytes -= held->attempt.store.len;
    held_free(held);
}

void
run_forget(struct kafka_session *session, struct share *share)
{
    struct entry *entry, *next;

    HASH_ITER(hh, share->partition.entries, entry, next)
    {
        struct held *held = unstash(session, entry);
        if (held != NULL)
            held_free(held);
    }
}

/* Its request waits: is its message kept for then? At most so much of all. */
static bool
keep_for_later(struct kafka_session *session, struct held *held, size_t max)
{
    struct entry *entry = find_entry(held);

    if (held->is_void || held->is_lent || session->is_lost ||
        session->bytes + held->attempt.store.len > max || entry == NULL ||
        entry->held != NULL || entry->offset != held->offset ||
        ticket_state_is_final(entry->fold.state))
        return false;
    if (held->is_listed)
        unlist(held);
    ending_free(TAKE(held->ending));
    buf_clear(&held->attempt.response);
    held->is_out = held->is_ended = held->is_orphan = false;
    held->run = 0;
    stash(session, entry, held);
    return true;
}

/* ---- `started` ------------------------------------------------------------
 */

static struct fact
fact_of_run(const struct held *held)
{
    return (struct fact){.ticket = held->attempt.ticket,
                         .run = held->run,
                         .attempt = held->attempt.number,
                         .put_backs = held->put_backs,
                         .request = held->offset,
                         .dead = -1};
}

static void
send_started(struct kafka_session *session, struct held *held)
{
    struct fact fact = fact_of_run(held);

    fact.kind = FACT_STARTED;
    fact.claim = held->share->claim;
    fact.release = slice_of(session->release);
    fact.flags = held->flags;
    fact.has_other = held->has_replays;
    fact.other = held->replays;
    send_fact(session, SENT_STARTED, held->share, held, &fact);
}

/* The `started` of what may be repeated was held back, so that it goes together
 * with the response if that comes at once. */
static void
tell(struct kafka_session *session, struct held *held)
{
    if (!held->is_untold)
        return;
    held->is_untold = false;
    session->untold--;
    send_started(session, held);
}

void
run_tell(struct kafka_session *session, const struct share *share,
         mono_ms before)
{
    struct held *held;

    if (session->untold == 0)
        return;
    DL_FOREACH(session->helds, held)
    if (held->begun < before && (share == NULL || held->share == share))
        tell(session, held);
}

/* ---- endings --------------------------------------------------------------
 */

static enum ticket_state
state_of(enum outcome outcome)
{
    if (outcome == OUTCOME_CANCELLED)
        return TICKET_CANCELLED;
    return outcome == OUTCOME_EXPIRED ? TICKET_EXPIRED : TICKET_FAILED;
}

static void
send_retry(struct kafka_session *session, struct held *held)
{
    const struct ending *ending = held->ending;
    const struct queue_settings *settings = session->settings;
    const bool counted = ending->verdict.action == ACTION_RETRY;
    struct fact fact = fact_of_run(held);
    char quoted[400];

    fact.kind = FACT_RETRY;
    fact.counted = counted;
    fact.put_backs += ending->verdict.action == ACTION_PUT_BACK;
    fact.reason = slice_of(ending->reason);
    if (ending->verdict.action != ACTION_RETURN)
        fact.delay = outcome_backoff(
            settings->backoff_first, settings->backoff_max,
            counted ? fact.attempt : fact.put_backs, randombytes_random());
    log_ticket(counted ? EVENT_RETRY : EVENT_PUT_BACK, &fact.ticket,
               settings->name, fact.attempt, "wait_ms=%lld text=%s",
               (long long)fact.delay,
               log_quote(fact.reason, quoted, sizeof(quoted)));
    send_fact(session, SENT_ENDING, held->share, held, &fact);
}

static void
send_failure(struct kafka_session *session, struct held *held)
{
    struct ending *ending = held->ending;
    struct fact fact = fact_of_run(held);

    if (ending->failure.len == 0 &&
        problem_message(&ending->failure, ending->verdict.status,
                        outcome_word(ending->outcome), ending->reason,
                        &fact.ticket) < 0)
        abort(); /* a reason has a cap */
    fact.kind = FACT_FAILED;
    fact.state = state_of(ending->outcome);
    fact.reason = slice_of(ending->reason);
    fact.dead = ending->dead;
    if (ending->dead >= 0) {
        fact.size =
            held->body.size > 0 ? held->body.size : held->attempt.message.len;
        fact.body = held->body;
    }
    fact.message = buf_slice(&ending->failure);
    send_fact(session, SENT_ENDING, held->share, held, &fact);
}

static void
send_response(struct kafka_session *session, struct held *held)
{
    const struct ending *ending = held->ending;
    struct fact fact = fact_of_run(held);

    fact.kind = FACT_RESPONSE;
    if (ending->body.ref.size > 0)
        fact.body = ending->body.ref;
    else
        fact.message = buf_slice(&held->attempt.response);
    send_fact(session, SENT_ENDING, held->share, held, &fact);
}

static void
send_copy(struct kafka_session *session, struct held *held)
{
    const struct attempt *attempt = &held->attempt;
    const struct queued queued = {.ticket = attempt->ticket,
                                  .queue = slice_of(session->settings->name),
                                  .at = held->submitted,
                                  .flags = held->flags,
                                  .origin = attempt->origin,
                                  .has_replays = held->has_replays,
                                  .replays = held->replays,
                                  .body = held->body};
    char key[RECORD_KEY_MAX];
    rd_kafka_headers_t *headers = queued_write(&queued, key);

    producer_send(session->kafka->keeper,
                  session->kafka->dead_topics[attempt->queue],
                  held->share->partition.id, key,
                  held->body.size > 0 ? SLICE("") : attempt->message, headers,
                  sent_new(session, SENT_DEAD, held->share, held));
}

static void
on_body_stored(struct body_store *store)
{
    struct ending *ending = CONTAINER_OF(store, struct ending, body);
    struct held *held = store->opaque;

    ending->body.message = SLICE("");
    mailbox_post(&held->session->loaded, &held->mail);
}

static void
store_response(struct kafka_session *session, struct held *held)
{
    struct body_store *store = &held->ending->body;

    store->message = buf_slice(&held->attempt.response);
    store->on_stored = on_body_stored;
    store->opaque = held;
    bodies_store(session->kafka, session->kafka->keeper, &held->attempt.ticket,
                 store);
}

/* The next step of an ending. */
static void
send_ending(struct kafka_session *session, struct held *held)
{
    struct ending *ending = held->ending;

    ending->again_at = 0;
    switch (ending->verdict.action) {
    case ACTION_DONE:
        if (bodies_needs(buf_slice(&held->attempt.response)) &&
            ending->body.ref.size == 0)
            store_response(session, held);
        else
            send_response(session, held);
        break;
    case ACTION_RETRY:
    case ACTION_PUT_BACK:
    case ACTION_RETURN:
        send_retry(session, held);
        break;
    case ACTION_FAIL:
        if (ending->verdict.dead_letter && ending->dead < 0)
            send_copy(session, held);
        else
            send_failure(session, held);
        break;
    case ACTIONS:
        assert(!"an action");
    }
}

/* The attempt is over: what it comes to is sent until it is acknowledged. */
static void
end_run(struct kafka_session *session, struct held *held, enum outcome outcome,
        const char *reason)
{
    const struct entry *entry = find_entry(held);
    struct ending *ending = mem_new(struct ending);
    char quoted[400];

    tell(session, held);
    if (entry != NULL && entry->fold.is_cancelled &&
        outcome != OUTCOME_ANSWERED) {
        outcome = OUTCOME_CANCELLED;
        reason = "cancelled by the client while it ran";
    }
    ending->outcome = outcome;
    ending->dead = -1;
    buf_init(&ending->failure, FAILURE_CAP);
    snprintf(ending->reason, sizeof(ending->reason), "%s", reason);
    ending->verdict = outcome_decide(outcome, held->attempt.repeatable,
                                     held->attempt.number, session->settings);
    if (session->is_kept && ending->verdict.action == ACTION_PUT_BACK)
        ending->verdict.action = ACTION_RETURN; /* as if it had not been */
    held->ending = ending;
    held->is_ended = true;
    session->ending++;
    if (ending->verdict.dead_letter && ending->verdict.action == ACTION_FAIL)
        log_ticket(EVENT_DEAD, &held->attempt.ticket, session->settings->name,
                   held->attempt.number, "text=%s",
                   log_quote(slice_of(reason), quoted, sizeof(quoted)));
    send_ending(session, held);
}

/* A run of ours that counts and that nobody runs: it goes back, uncounted. */
static void
give_back(struct kafka_session *session, struct share *share,
          const struct entry *entry)
{
    struct fact fact = {.kind = FACT_RETRY,
                        .ticket = entry->ticket,
                        .run = entry->fold.run,
                        .attempt = entry->fold.attempts,
                        .put_backs = entry->fold.put_backs,
                        .request = entry->fold.request,
                        .reason = SLICE("it was not started")};

    send_fact(session, SENT_NOTE, share, NULL, &fact);
}

/* Does that run of ours go on, by the log? */
static bool
is_ours(const struct kafka_session *session, const struct entry *entry,
        uint64_t run)
{
    const struct fold_ticket *fold = &entry->fold;

    return fold->state == TICKET_RUNNING && !fold->is_orphan &&
           fold->session == session->id && fold->run == run;
}

/* ---- starting --------------------------------------------------------------
 */

static bool
has_lease(struct kafka_session *session)
{
    return atomic_load(&session->lease) > clock_boot() + LEASE_LEFT;
}

static bool
is_admitted(const struct kafka_session *session)
{
    const struct control *control = &session->control;

    return session->is_probe ? control->state == CONTROL_PROBING &&
                                   control->epoch == session->probe_epoch
                             : control_admits(control, session->release);
}

static bool
may_start(struct kafka_session *session, const struct share *share)
{
    return share->is_active && !session->is_lost &&
           !atomic_load(&session->stopping) &&
           !atomic_load(&session->closing) && is_admitted(session) &&
           has_lease(session);
}

static void
hand_out(struct kafka_session *session, struct held *held)
{
    struct attempt *attempt = &held->attempt;

    held->is_out = true;
    session->out++;
    atomic_fetch_add(&session->running, 1);
    log_ticket(EVENT_TAKEN, &attempt->ticket, session->settings->name,
               attempt->number, "session=%llu",
               (unsigned long long)session->id);
    session->options.on_take(session->options.opaque, &attempt);
}

static uint64_t
new_run(void)
{
    uint64_t run;

    do {
        randombytes_buf(&run, sizeof(run));
        run >>= 2; /* 19 decimal digits at most */
    } while (run == 0);
    return run;
}

static void
start(struct kafka_session *session, struct share *share, struct entry *entry)
{
    struct held *held = unstash(session, entry);
    struct attempt *attempt = &held->attempt;
    const bool is_told = !session->is_probe || session->is_kept;
    const bool waits = is_told && !attempt->repeatable;

    held->run = entry->run = new_run();
    held->put_backs = entry->fold.put_backs;
    attempt->number = entry->fold.attempts + 1;
    attempt->epoch = session->control.epoch;
    attempt->id = held->run;
    list(held);
    partition_place(&share->partition, entry, waits ? PLACE_ASKED : PLACE_OUT);
    session->asked += waits;
    if (is_told)
        kafka_sends(session->kafka, share->partition.id);
    if (waits) {
        send_started(session, held);
        return;
    }
    held->is_untold = is_told;
    held->begun = clock_mono();
    session->untold += is_told;
    hand_out(session, held);
}

static void
expire(struct kafka_session *session, struct share *share, struct entry *entry)
{
    struct fact fact = {.kind = FACT_EXPIRED,
                        .ticket = entry->ticket,
                        .request = entry->offset};

    /* Until the fact is read back it is in no list. */
    partition_place(&share->partition, entry, PLACE_NONE);
    entry->is_decided = true;
    send_fact(session, SENT_NOTE, share, NULL, &fact);
}

/* Reads its message, or has it wait: large ones must not fill the memory. */
static void
load(struct kafka_session *session, struct share *share, struct entry *entry)
{
    if (session->loading >= LOADS_AT_ONCE || session->bytes >= READY_BYTES) {
        entry->fold.due = clock_wall() + LOAD_LATER; /* here only */
        partition_place(&share->partition, entry, PLACE_DELAYED);
        return;
    }
    struct held *held = unstash(session, entry);
    if (held == NULL)
        held = held_empty(session, share, entry->offset, &entry->ticket);
    list(held);
    session->loading++;
    partition_place(&share->partition, entry, PLACE_LOADING);
    load_start(session, held);
}

static bool
is_expired(struct kafka_session *session, const struct entry *entry,
           wall_ms now)
{
    return control_log_open_for(session->kafka->control, session->options.queue,
                                entry->at, now) > session->settings->ttl;
}

/* Delayed ones that are due; the time of the next one, if sooner than that. */
static wall_ms
promote(struct share *share, wall_ms now, wall_ms next)
{
    struct partition *partition = &share->partition;
    struct entry *entry;

    while ((entry = partition->delayed) != NULL && entry->fold.due <= now)
        partition_place(partition, entry, PLACE_READY);
    if (entry != NULL && (next == 0 || entry->fold.due < next))
        next = entry->fold.due;
    return next;
}

/* The share whose first request is the oldest. */
static struct share *
oldest(struct kafka_session *session)
{
    struct share *found = NULL;

    for (int32_t i = 0; i < session->kafka->partitions; i++) {
        struct share *share = &session->shares[i];
        const struct entry *entry = share->partition.ready;
        if (entry == NULL || !share->is_active)
            continue;
        if (found == NULL ||
            memcmp(entry->ticket.bytes, found->partition.ready->ticket.bytes,
                   TICKET_BYTES) < 0)
            found = share;
    }
    return found;
}

wall_ms
run_take(struct kafka_session *session)
{
    const wall_ms now = clock_wall();
    struct share *share;
    span_ms grows = 0;
    wall_ms next = 0;

    for (int32_t i = 0; i < session->kafka->partitions; i++)
        if (session->shares[i].is_active)
            next = promote(&session->shares[i], now, next);
    while (atomic_load(&session->want) > 0 &&
           (share = oldest(session)) != NULL && may_start(session, share)) {
        struct entry *entry = share->partition.ready;
        const unsigned slots = control_slots(
            &session->control, session->options.concurrency, now, &grows);
        if (session->out + session->asked >= slots) {
            if (grows > 0 && (next == 0 || now + grows < next))
                next = now + grows;
            break;
        }
        if (!session->is_probe && is_expired(session, entry, now)) {
            expire(session, share, entry);
        } else if (entry->held == NULL || !entry->held->is_loaded) {
            load(session, share, entry);
        } else {
            atomic_fetch_sub(&session->want, 1);
            start(session, share, entry);
        }
    }
    return next;
}

/* ---- what the facts say ----------------------------------------------------
 */

/* A run whose session is over: by the table for a lost attempt. */
static void
decide_orphan(struct kafka_session *session, struct share *share,
              struct entry *entry)
{
    const bool repeatable =
        queued_is_repeatable(entry->flags, session->settings);
    const struct verdict verdict = outcome_decide(
        entry->fold.is_cancelled ? OUTCOME_CANCELLED : OUTCOME_LOST, repeatable,
        entry->fold.attempts, session->settings);
    struct held *held = unstash(session, entry);

    if (held == NULL)
        held = held_empty(session, share, entry->offset, &entry->ticket);
    entry->is_decided = true;
    held->is_orphan = true;
    held->run = entry->fold.run;
    held->flags = entry->flags;
    held->put_backs = entry->fold.put_backs;
    held->attempt.number = entry->fold.attempts;
    held->attempt.repeatable = repeatable;
    list(held);
    if (verdict.dead_letter && verdict.action == ACTION_FAIL &&
        held->attempt.store.at == NULL)
        load_start(session, held); /* for the dead letter */
    else
        end_run(session, held, OUTCOME_LOST, "its worker was lost");
}

void
run_settle(struct kafka_session *session, struct share *share,
           struct entry *entry)
{
    struct partition *partition = &share->partition;

    if (entry->place == PLACE_LOADING || entry->place == PLACE_ASKED ||
        entry->place == PLACE_OUT)
        return;
    partition_place(partition, entry, PLACE_NONE);
    /* Of a run of ours the message may be kept for the next one already. */
    if (ticket_state_is_final(entry->fold.state) ||
        (entry->fold.state == TICKET_RUNNING && entry->run == 0)) {
        struct held *held = unstash(session, entry);
        if (held != NULL)
            held_free(held);
    }
    if (entry->fold.state == TICKET_RUNNING && entry->fold.is_orphan &&
        share->is_active && !entry->is_decided && entry->offset >= 0)
        decide_orphan(session, share, entry);
    if (entry->fold.state == TICKET_QUEUED && entry->offset >= 0 &&
        entry->run == 0 && !entry->is_decided)
        partition_place(partition, entry,
                        entry->fold.due > clock_wall() ? PLACE_DELAYED
                                                       : PLACE_READY);
}

/* Our `started` was read back. */
static void
started_read(struct kafka_session *session, struct share *share,
             struct entry *entry, uint64_t run, bool counts)
{
    struct held *held = find_held(session, run);

    if (held == NULL || held->is_void) {
        if (counts && entry->run != run) /* nobody runs it, or did */
            give_back(session, share, entry);
        return;
    }
    if (held->is_out || held->is_ended) {
        if (counts)
            return;
        /* Another claim came first: what it runs counts for nothing. */
        log_ticket(EVENT_FENCED, &entry->ticket, session->settings->name,
                   held->attempt.number,
                   "text=\"its start came after another session's claim\"");
        held->is_void = true;
        if (held->is_ended)
            entry->run = 0; /* else the entry waits for its end */
        if (held->is_out)
            session->options.on_cancel(session->options.opaque, &entry->ticket,
                                       held->attempt.id, OUTCOME_KILLED);
        return;
    }
    partition_place(&share->partition, entry, PLACE_NONE);
    session->asked--;
    if (counts && may_start(session, share)) {
        partition_place(&share->partition, entry, PLACE_OUT);
        hand_out(session, held);
        return;
    }
    atomic_fetch_add(&session->want, 1);
    if (counts)
        give_back(session, share, entry);
    else
        entry->run = 0;
    if (!keep_for_later(session, held, RETAINED_MAX))
        let_go(held);
}

void
run_fact(struct kafka_session *session, struct share *share,
         struct entry *entry, const struct fact *fact, bool counts)
{
    struct held *held;

    if (fact->kind == FACT_STARTED && fact->session == session->id)
        started_read(session, share, entry, fact->run, counts);
    if (!counts)
        return;
    entry->is_decided = false;
    if (fact->kind == FACT_STARTED)
        entry->flags = fact->flags;
    if (fact->kind == FACT_RETRY)
        entry->run = 0;
    if (fact->kind == FACT_CANCEL && entry->fold.state == TICKET_RUNNING &&
        (held = find_held(session, entry->fold.run)) != NULL && held->is_out &&
        !held->is_void)
        session->options.on_cancel(session->options.opaque, &entry->ticket,
                                   held->attempt.id, OUTCOME_CANCELLED);
    run_settle(session, share, entry);
}

void
run_activate(struct kafka_session *session, struct share *share)
{
    struct entry *entry, *next;

    HASH_ITER(hh, share->partition.entries, entry, next)
    {
        const struct fold_ticket *fold = &entry->fold;
        entry->is_decided = false;
        if (fold->state == TICKET_RUNNING && fold->session == session->id &&
            !fold->is_orphan && find_held(session, fold->run) == NULL)
            give_back(session, share, entry);
        run_settle(session, share, entry);
    }
}

/* ---- what is none of ours --------------------------------------------------
 */

void
run_set_aside(struct kafka_session *session, struct share *share,
              const rd_kafka_message_t *message, const char *why)
{
    char quoted[300];
    rd_kafka_headers_t *headers = rd_kafka_headers_new(3);

    log_event(EVENT_STORE_CORRUPT,
              "queue=%s partition=%d offset=%lld text=%s what_now=\"it is set "
              "aside in %s\"",
              session->settings->name, message->partition,
              (long long)message->offset,
              log_quote(slice_of(why), quoted, sizeof(quoted)),
              session->kafka->dead_topics[session->options.queue]);
    rd_kafka_header_add(headers, "cloakroom", -1, "damaged/1", -1);
    rd_kafka_header_add(headers, "reason", -1, why, -1);
    struct delivery *delivery = sent_new(session, SENT_ASIDE, share, NULL);
    producer_send(session->kafka->keeper,
                  session->kafka->dead_topics[session->options.queue],
                  message->partition, "damaged",
                  (struct slice){message->payload, message->len}, headers,
                  delivery);
    /* Should the copy fail, the record is still in `requests` until that is
     * cut, and the log says where. */
    partition_skip(&share->partition, message->offset);
}

/* ---- what comes back -------------------------------------------------------
 */

void
run_finish(struct kafka_session *session, struct attempt *attempt)
{
    struct held *held = CONTAINER_OF(attempt, struct held, attempt);
    struct entry *entry = find_entry(held);
    const bool again = attempt->again;

    assert(held->is_out);
    held->is_out = false;
    session->out--;
    atomic_fetch_sub(&session->running, 1);
    if (again)
        atomic_fetch_add(&session->want, 1);
    if (entry != NULL && entry->run == held->run)
        partition_place(&held->share->partition, entry, PLACE_NONE);
    if (held->is_void || session->is_lost) {
        log_ticket(EVENT_FENCED, &attempt->ticket, session->settings->name,
                   attempt->number, "text=\"its run does not count any more\"");
        if (entry != NULL && entry->run == held->run && !session->is_lost) {
            entry->run = 0;
            if (is_ours(session, entry, held->run)) /* it landed after all */
                give_back(session, held->share, entry);
            run_settle(session, held->share, entry);
        }
        let_go(held);
        return;
    }
    if (session->is_probe && !session->is_kept) {
        let_go(held); /* its request is left as it was */
        return;
    }
    if (session->control.state == CONTROL_PAUSED) {
        const bool killed = attempt->outcome == OUTCOME_KILLED;
        session->counts.ended += !killed;
        session->counts.killed += killed;
        session->counts.put_back += killed && attempt->repeatable;
    }
    end_run(session, held, attempt->outcome, attempt->reason);
}

static void
ended(struct kafka_session *session, struct held *held, int r)
{
    if (r < 0 && !session->is_lost && !held->is_void) {
        held->ending->again_at = clock_mono() + AGAIN_MS;
        return; /* run_take's caller comes by */
    }
    session->ending--;
    held->is_ended = false;
    if (held->ending->verdict.action == ACTION_FAIL ||
        held->ending->verdict.action == ACTION_DONE ||
        !keep_for_later(session, held, RETAINED_MAX))
        let_go(held);
}

/* Not all of a large response was stored: from its beginning again. */
static void
store_failed(struct kafka_session *session, struct held *held)
{
    struct ending *ending = held->ending;

    ending->body.ref.size = 0;
    ended(session, held, ending->body.r);
}

static void
claimed(struct kafka_session *session, struct share *share,
        const struct delivery *delivery)
{
    share->is_claiming = false;
    if (delivery->r < 0)
        share->claim_at = clock_mono() + AGAIN_MS;
    else
        share->claim = delivery->offset;
    share_look(session, share);
}

/* It is not known whether it stands in the log: the run is given back in any
 * case, and the ones that wait for it to be read wait no longer. */
static void
start_failed(struct kafka_session *session, struct sent *sent)
{
    struct held *held = find_held(session, sent->run);
    struct entry *entry = held == NULL ? NULL : find_entry(held);

    if (held == NULL || held->is_ended || session->is_lost)
        return;
    struct fact fact = fact_of_run(held);
    fact.kind = FACT_RETRY;
    fact.reason = SLICE("its start was not acknowledged");
    send_fact(session, SENT_NOTE, sent->share, NULL, &fact);
    if (held->is_out) {
        held->is_void = true; /* the entry waits for its end */
        session->options.on_cancel(session->options.opaque,
                                   &held->attempt.ticket, held->attempt.id,
                                   OUTCOME_KILLED);
        return;
    }
    if (entry != NULL) {
        entry->run = 0;
        partition_place(&sent->share->partition, entry, PLACE_NONE);
        run_settle(session, sent->share, entry);
    }
    session->asked--;
    atomic_fetch_add(&session->want, 1);
    let_go(held);
}

/* What it was about is looked at again, under a new claim. */
static void
note_failed(struct kafka_session *session, struct share *share)
{
    session->is_owing = true;
    if (session->is_lost || !share->is_owned)
        return;
    share->is_active = false;
    if (share->claim_at == 0)
        share->claim_at = clock_mono() + AGAIN_MS;
}

static void
delivered(struct kafka_session *session, struct sent *sent)
{
    const struct delivery *delivery = &sent->delivery;
    struct held *held = sent->held;

    sent->share->helds--;
    switch (sent->what) {
    case SENT_CLAIM:
        claimed(session, sent->share, delivery);
        break;
    case SENT_STARTED:
        if (delivery->r < 0)
            start_failed(session, sent);
        break;
    case SENT_DEAD:
        if (delivery->r == 0)
            held->ending->dead = delivery->offset;
        if (delivery->r == 0 && !session->is_lost)
            send_ending(session, held);
        else
            ended(session, held, session->is_lost ? 0 : delivery->r);
        break;
    case SENT_ENDING:
        ended(session, held, delivery->r);
        break;
    case SENT_NOTE:
        session->notes--;
        if (delivery->r < 0)
            note_failed(session, sent->share);
        break;
    case SENT_ASIDE:
        break;
    }
}

void
run_delivered(struct kafka_session *session)
{
    struct mail *mail = mailbox_take(&session->delivered);

    while (mail != NULL) {
        struct sent *sent = CONTAINER_OF(mail, struct sent, mail);
        mail = mail->next;
        delivered(session, sent);
        free(sent);
    }
}

/* A message that nothing can read is an ending of its own; so is a twin of what
 * has ended: it counts for nobody who knows of that. */
static void
unreadable(struct kafka_session *session, struct held *held,
           struct entry *entry)
{
    struct buf failure;
    struct fact fact = {.kind = FACT_FAILED,
                        .ticket = held->attempt.ticket,
                        .request = held->offset,
                        .dead = -1,
                        .state = TICKET_FAILED,
                        .reason = SLICE("the stored request is damaged: it was "
                                        "not run")};

    if (entry->fold.state == TICKET_RUNNING) {
        fact.run = entry->fold.run;
        fact.attempt = entry->fold.attempts;
    }
    buf_init(&failure, FAILURE_CAP);
    problem_message(&failure, 500, "store-corrupt", fact.reason.at,
                    &fact.ticket);
    fact.message = buf_slice(&failure);
    entry->is_decided = true;
    send_fact(session, SENT_NOTE, held->share, NULL, &fact);
    buf_fini(&failure);
}

static void
loaded(struct kafka_session *session, struct held *held)
{
    struct share *share = held->share;
    struct entry *entry = find_entry(held);

    session->loading -= !held->is_orphan;
    if (session->is_lost || entry == NULL) {
        let_go(held);
        return;
    }
    if (entry->place == PLACE_LOADING)
        partition_place(&share->partition, entry, PLACE_NONE);
    if (held->load_r == -EIO || held->load_r == -ENOENT ||
        held->load_r == -EALREADY) {
        unreadable(session, held, entry);
        let_go(held);
        return;
    }
    if (held->is_orphan && held->load_r == 0) {
        end_run(session, held, OUTCOME_LOST, "its worker was lost");
        return;
    }
    entry->is_decided = false;
    if (held->load_r < 0) {
        entry->fold.due = clock_wall() + AGAIN_MS; /* here only */
        let_go(held);
    } else {
        entry->at = held->submitted;
        entry->flags = held->flags;
        if (!keep_for_later(session, held, SIZE_MAX))
            let_go(held);
    }
    run_settle(session, share, entry);
}

void
run_loaded(struct kafka_session *session)
{
    struct mail *mail = mailbox_take(&session->loaded);

    while (mail != NULL) {
        struct held *held = CONTAINER_OF(mail, struct held, mail);
        mail = mail->next;
        if (held->ending == NULL)
            loaded(session, held);
        else if (held->ending->body.r < 0)
            store_failed(session, held);
        else
            send_ending(session, held);
    }
}

/* ---- all of them -----------------------------------------------------------
 */

mono_ms
run_send_again(struct kafka_session *session, mono_ms now)
{
    struct held *held, *tmp;
    mono_ms next = 0;

    DL_FOREACH_SAFE(session->helds, held, tmp)
    {
        if (held->ending == NULL || held->ending->again_at == 0)
            continue;
        if (session->is_lost)
            ended(session, held, 0);
        else if (held->ending->again_at <= now)
            send_ending(session, held);
        else if (next == 0 || held->ending->again_at < next)
            next = held->ending->again_at;
    }
    return next;
}

void
run_kill(struct kafka_session *session)
{
    struct held *held, *tmp;

    DL_FOREACH_SAFE(session->helds, held, tmp)
    if (held->is_out && !held->is_void)
        session->options.on_cancel(session->options.opaque,
                                   &held->attempt.ticket, held->attempt.id,
                                   OUTCOME_KILLED);
}

void
run_void(struct kafka_session *session)
{
    struct held *held, *tmp;

    DL_FOREACH_SAFE(session->helds, held, tmp)
    {
        held->is_void = true;
        if (!held->is_out && !held->is_ended && held->ending == NULL &&
            held->run != 0 && !held->is_orphan) {
            session->asked--;
            let_go(held);
        }
    }
}

void
run_give_up(struct kafka_session *session)
{
    struct held *held, *tmp;

    DL_FOREACH_SAFE(session->helds, held, tmp)
    {
        if (!held->is_out)
            continue;
        held->is_out = false;
        held->is_lent = true;
        session->out--;
        if (held->is_void || session->is_lost ||
            (session->is_probe && !session->is_kept)) {
            let_go(held);
            continue;
        }
        session->counts.waited_out++;
        end_run(session, held, OUTCOME_LOST,
                "its worker said goodbye while it ran");
    }
}
