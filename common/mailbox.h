/* mailbox.h - hands messages to the thread that owns the other end.
 *
 * Posting passes ownership with the message. The wake function is called after
 * a post to an empty mailbox, from the posting thread and without the lock: it
 * makes the owner come and take (uv_async_send, an eventfd, a futex).
 * Messages come out in the order in which they were posted.
 *
 * Threads: post from any; take and fini by the owner.
 */
#ifndef COMMON_MAILBOX_H
#define COMMON_MAILBOX_H

#include <pthread.h>
#include <stdbool.h>

/* The first member of whatever is sent. */
struct mail {
    struct mail *next;
};

struct mailbox {
    pthread_mutex_t lock; /* guards the list */
    struct mail *first;
    struct mail **last;
    void (*wake)(void *opaque);
    void *opaque;
};

void mailbox_init(struct mailbox *box, void (*wake)(void *), void *opaque);
void mailbox_fini(struct mailbox *box); /* must be empty */
void mailbox_post(struct mailbox *box, struct mail *mail);

/* All that is there, a list linked by next; NULL when empty. */
struct mail *mailbox_take(struct mailbox *box);
bool mailbox_is_empty(struct mailbox *box);

#endif
