/* mailbox.c - hands messages to the thread that owns the other end. */
#include "common/mailbox.h"

#include <assert.h>
#include <stddef.h>

#include "common/lock.h"

void
mailbox_init(struct mailbox *box, void (*wake)(void *), void *opaque)
{
    *box = (struct mailbox){.wake = wake, .opaque = opaque};
    box->last = &box->first;
    pthread_mutex_init(&box->lock, NULL);
}

void
mailbox_fini(struct mailbox *box)
{
    assert(box->first == NULL);
    pthread_mutex_destroy(&box->lock);
}

/* Adds to the list; true when it was empty. */
static bool
append(struct mailbox *box, struct mail *mail)
{
    LOCKED(&box->lock);
    bool was_empty = box->first == NULL;
    mail->next = NULL;
    *box->last = mail;
    box->last = &mail->next;
    return was_empty;
}

void
mailbox_post(struct mailbox *box, struct mail *mail)
{
    if (append(box, mail))
        box->wake(box->opaque);
}

struct mail *
mailbox_take(struct mailbox *box)
{
    LOCKED(&box->lock);
    struct mail *first = box->first;
    box->first = NULL;
    box->last = &box->first;
    return first;
}

bool
mailbox_is_empty(struct mailbox *box)
{
    LOCKED(&box->lock);
    return box->first == NULL;
}
