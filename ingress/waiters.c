/* waiters.c - who waits for the response of which ticket. */
#include "ingress/waiters.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/lock.h"
#include "common/mem.h"
#include "common/own.h"

#define SHARDS  64   /* locks */
#define BUCKETS 8192 /* lists, over all shards */

struct shard {
    pthread_mutex_t lock; /* guards its buckets and their waiters' state */
    struct waiter *buckets[BUCKETS / SHARDS];
} __attribute__((aligned(64)));

struct waiters {
    struct shard shards[SHARDS];
};

/* ---- answers ---- */

struct answer *
answer_new(struct stored **stored)
{
    struct answer *answer = mem_new(struct answer);

    atomic_init(&answer->refs, 1);
    answer->stored = TAKE(*stored);
    return answer;
}

struct answer *
answer_ref(struct answer *answer)
{
    atomic_fetch_add(&answer->refs, 1);
    return answer;
}

void
answer_unref(struct answer *answer)
{
    if (answer == NULL || atomic_fetch_sub(&answer->refs, 1) > 1)
        return;
    stored_free(answer->stored);
    free(answer);
}

/* ---- the table ---- */

struct waiters *
waiters_new(void)
{
    struct waiters *waiters = aligned_alloc(64, sizeof(*waiters));

    assert(waiters != NULL);
    memset(waiters, 0, sizeof(*waiters));
    for (size_t i = 0; i < SHARDS; i++)
        pthread_mutex_init(&waiters->shards[i].lock, NULL);
    return waiters;
}

void
waiters_free(struct waiters *waiters)
{
    if (waiters == NULL)
        return;
    for (size_t i = 0; i < SHARDS; i++) {
        for (size_t k = 0; k < BUCKETS / SHARDS; k++)
            assert(waiters->shards[i].buckets[k] == NULL);
        pthread_mutex_destroy(&waiters->shards[i].lock);
    }
    free(waiters);
}

/* The last bytes of a ticket are its tag, as good as a hash. */
static unsigned
hash_of(const struct ticket *ticket)
{
    return (unsigned)ticket->bytes[TICKET_BYTES - 1] << 8 |
           ticket->bytes[TICKET_BYTES - 2];
}

static struct shard *
shard_of(struct waiters *waiters, const struct ticket *ticket)
{
    return &waiters->shards[hash_of(ticket) % SHARDS];
}

static struct waiter **
bucket_of(struct shard *shard, const struct ticket *ticket)
{
    return &shard->buckets[hash_of(ticket) / SHARDS % (BUCKETS / SHARDS)];
}

void
waiters_add(struct waiters *waiters, struct waiter *waiter,
            const struct ticket *ticket, struct mailbox *box)
{
    struct shard *shard = shard_of(waiters, ticket);
    struct waiter **bucket = bucket_of(shard, ticket);

    assert(waiter->state == WAITER_OUT);
    waiter->ticket = *ticket;
    waiter->box = box;
    waiter->answer = NULL;
    LOCKED(&shard->lock);
    waiter->state = WAITER_LISTED;
    waiter->next = *bucket;
    *bucket = waiter;
}

static void
unlink_waiter(struct waiter **bucket, struct waiter *waiter)
{
    while (*bucket != waiter)
        bucket = &(*bucket)->next;
    *bucket = waiter->next;
}

bool
waiters_withdraw(struct waiters *waiters, struct waiter *waiter)
{
    struct shard *shard = shard_of(waiters, &waiter->ticket);

    LOCKED(&shard->lock);
    if (waiter->state == WAITER_LISTED) {
        unlink_waiter(bucket_of(shard, &waiter->ticket), waiter);
        waiter->state = WAITER_OUT;
    }
    return waiter->state == WAITER_OUT;
}

struct answer *
waiter_take(struct waiter *waiter)
{
    assert(waiter->state == WAITER_POSTED);
    waiter->state = WAITER_OUT;
    return TAKE(waiter->answer);
}

bool
waiters_wanted(struct waiters *waiters, const struct ticket *ticket)
{
    struct shard *shard = shard_of(waiters, ticket);

    LOCKED(&shard->lock);
    for (struct waiter *w = *bucket_of(shard, ticket); w != NULL; w = w->next)
        if (ticket_eq(&w->ticket, ticket))
            return true;
    return false;
}

/* Takes all that wait for ticket out of the table, as a list. */
static struct waiter *
take_listed(struct waiters *waiters, const struct ticket *ticket)
{
    struct shard *shard = shard_of(waiters, ticket);
    struct waiter *taken = NULL;

    LOCKED(&shard->lock);
    struct waiter **at = bucket_of(shard, ticket);
    while (*at != NULL) {
        struct waiter *waiter = *at;
        if (!ticket_eq(&waiter->ticket, ticket)) {
            at = &waiter->next;
            continue;
        }
        *at = waiter->next;
        waiter->state = WAITER_POSTED;
        waiter->next = taken;
        taken = waiter;
    }
    return taken;
}

void
waiters_deliver(struct waiters *waiters, const struct ticket *ticket,
                struct stored **stored)
{
    struct waiter *next, *waiter = take_listed(waiters, ticket);
    struct answer *answer = answer_new(stored);

    for (; waiter != NULL; waiter = next) {
        next = waiter->next;
        waiter->answer = answer_ref(answer);
        mailbox_post(waiter->box,
                     &waiter->mail); /* from here it is the lane's */
    }
    answer_unref(answer);
}
