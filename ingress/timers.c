/* timers.c - a deadline for each of many connections. */
#include "ingress/timers.h"

#include <assert.h>
#include <stdlib.h>

#include "common/mem.h"

void
timers_init(struct timers *timers)
{
    *timers = (struct timers){0};
}

void
timers_fini(struct timers *timers)
{
    assert(timers->len == 0);
    free(timers->heap);
}

static void
put(struct timers *timers, size_t i, struct timer *timer)
{
    timers->heap[i] = timer;
    timer->place = i + 1;
}

static void
sift_up(struct timers *timers, size_t i)
{
    struct timer *timer = timers->heap[i];

    while (i > 0 && timers->heap[(i - 1) / 2]->key > timer->key) {
        put(timers, i, timers->heap[(i - 1) / 2]);
        i = (i - 1) / 2;
    }
    put(timers, i, timer);
}

static void
sift_down(struct timers *timers, size_t i)
{
    struct timer *timer = timers->heap[i];

    for (;;) {
        size_t child = 2 * i + 1;
        if (child + 1 < timers->len &&
            timers->heap[child + 1]->key < timers->heap[child]->key)
            child++;
        if (child >= timers->len || timers->heap[child]->key >= timer->key)
            break;
        put(timers, i, timers->heap[child]);
        i = child;
    }
    put(timers, i, timer);
}

static void
insert(struct timers *timers, struct timer *timer)
{
    if (timers->len == timers->room) {
        timers->room = timers->room == 0 ? 64 : timers->room * 2;
        timers->heap =
            mem_grow(timers->heap, timers->room, sizeof(struct timer *));
    }
    timer->key = timer->due;
    put(timers, timers->len++, timer);
    sift_up(timers, timers->len - 1);
}

void
timers_set(struct timers *timers, struct timer *timer, mono_ms due)
{
    timer->due = due;
    if (timer->place == 0) {
        if (due != TIMERS_NEVER)
            insert(timers, timer);
    } else if (due < timer->key) {
        timer->key = due;
        sift_up(timers, timer->place - 1);
    }
}

void
timers_remove(struct timers *timers, struct timer *timer)
{
    timer->due = TIMERS_NEVER;
    if (timer->place == 0)
        return;
    size_t i = timer->place - 1;
    struct timer *last = timers->heap[--timers->len];
    timer->place = 0;
    if (last == timer)
        return;
    put(timers, i, last);
    sift_up(timers, i);
    sift_down(timers, last->place - 1);
}

mono_ms
timers_next(const struct timers *timers)
{
    return timers->len == 0 ? TIMERS_NEVER : timers->heap[0]->key;
}

struct timer *
timers_expired(struct timers *timers, mono_ms now)
{
    while (timers->len > 0 && timers->heap[0]->key <= now) {
        struct timer *first = timers->heap[0];
        if (first->due <= now) {
            timers_remove(timers, first);
            return first;
        }
        if (first->due == TIMERS_NEVER) {
            timers_remove(timers, first);
        } else {
            first->key = first->due;
            sift_down(timers, 0);
        }
    }
    return NULL;
}
