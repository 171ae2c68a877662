/* claim.c - Idempotency-Keys: whose the first one is, by the log. */
#include <stdlib.h>
#include <string.h>

#include "broker/kafka/follow_priv.h"
#include "common/mem.h"
#include "common/own.h"

/* Where facts about a key stand. */
static int32_t
partition_of(const struct kafka *kafka, const struct request_key *key)
{
    return (int32_t)(((unsigned)key->scope[0] << 8 | key->scope[1]) %
                     (unsigned)kafka->partitions);
}

static void
answer(struct follow *follow, struct query *query, int r)
{
    struct key_claim *claim = query->call;

    (void)follow;
    claim->r = r;
    query_free(query);
    claim->on_claimed(claim);
}

/* What the view has of it at that time: 1 and the claim's outputs, 0. -EEXIST:
 * it is another request's. */
static int
look(struct follow *follow, struct query *query, wall_ms at)
{
    struct key_claim *claim = query->call;
    const struct view_row *row;
    struct view_key key;
    int r = view_key(follow->view, claim->key->scope, at, &key);

    if (r <= 0)
        return r < 0 ? follow_fails(follow, r) : 0;
    if (memcmp(key.fingerprint, claim->key->fingerprint, KEY_BYTES) != 0)
        return -EEXIST;
    r = view_find(follow->view, &key.ticket, &row);
    if (r < 0)
        return follow_fails(follow, r);
    claim->first = key.ticket;
    claim->is_first = ticket_eq(&key.ticket, &claim->ticket);
    claim->has_request = key.is_used || r == 1;
    return 1;
}

static void
end_hope(struct follow *follow, struct query *query)
{
    struct key_claim *claim = query->call;
    const struct view_row *row;
    int r = view_find(follow->view, &claim->first, &row);

    claim->has_request = r == 1;
    query->answer(follow, query, r < 0 ? follow_fails(follow, r) : 0);
}

/* Another one has it, who may be about to submit it. */
static void
hope(struct follow *follow, struct query *query)
{
    const struct key_claim *claim = query->call;

    query->ticket = claim->first;
    query->is_hoping = true;
    query_wait(follow, query, end_hope);
}

static void
decide(struct follow *follow, struct query *query, int r)
{
    const struct key_claim *claim = query->call;

    if (r == 1 && !claim->is_first && !claim->has_request)
        hope(follow, query);
    else
        query->answer(follow, query, r == 1 ? 0 : r == 0 ? -EIO : r);
}

/* Ours was read, and with it the one that was in force before, if any. */
static void
read_back(struct follow *follow, struct query *query)
{
    /* Delivered late: what would come next has no time left. */
    decide(follow, query,
           clock_mono() < query->until ? look(follow, query, query->at)
                                       : -ENOTCONN);
}

static void
start_claim(struct follow *follow, struct query *query)
{
    const struct key_claim *claim = query->call;

    query->at = clock_wall();
    int r = look(follow, query, query->at);
    if (r != 0) {
        decide(follow, query, r);
        return;
    }
    const struct fact fact = {
        .kind = FACT_KEY,
        .at = query->at,
        .queue = slice_of(claim->queue),
        .ticket = claim->ticket,
        .key = *claim->key,
        .until = claim->until > query->at ? claim->until : query->at + 1,
    };
    query_send(follow, query, partition_of(follow->kafka, claim->key), &fact,
               read_back);
}

static void
start_find(struct follow *follow, struct query *query)
{
    int r = look(follow, query, clock_wall());

    decide(follow, query, r == 0 ? -ENOENT : r);
}

static void
post(struct follow *follow, struct key_claim *claim, query_step_fn *step)
{
    struct query *query = query_new(follow, NULL, step, answer, claim);

    /* The request comes after it, with all of the timeout. */
    query->until -= follow->kafka->settings->kafka.timeout / 2;
    free(TAKE(query->sent)); /* by sessions, which know of no keys */

    query_post(query);
}

void
follow_claim_key(struct follow *follow, struct key_claim *claim)
{
    post(follow, claim, start_claim);
}

void
follow_find_key(struct follow *follow, struct key_claim *claim)
{
    post(follow, claim, start_find);
}
