/* news.c - what the broker's thread does for a worker.
 *
 * Each callback becomes a piece of news in the mailbox, and the loop acts on
 * them in order. Only a handler that answers at once is called right there: a
 * hand-over would cost more than its answer. Of a probe there is but one, and
 * the loop is to hear of it.
 */
#include <stdlib.h>

#include "common/mem.h"
#include "common/own.h"
#include "workers/worker_priv.h"

static void
wake(void *opaque)
{
    struct worker *worker = OBJ_CAST(worker, WORKER_MAGIC, opaque);

    uv_async_send(&worker->wake);
}

static void
post(void *opaque, const struct news *news)
{
    struct worker *worker = OBJ_CAST(worker, WORKER_MAGIC, opaque);
    struct news *copy = mem_new(struct news);

    *copy = *news;
    mailbox_post(&worker->mailbox, &copy->mail);
}

static void
on_take(void *opaque, struct attempt **attempt)
{
    struct worker *worker = OBJ_CAST(worker, WORKER_MAGIC, opaque);

    if (worker->runs != NULL || worker->options->probe != NULL) {
        post(worker,
             &(struct news){.kind = NEWS_TAKE, .attempt = TAKE(*attempt)});
        return;
    }
    worker->handler->kind->answer(worker->handler, *attempt);
    (*attempt)->again = true;
    broker_finish(worker->session, attempt);
}

static void
on_lease(void *opaque, boot_ms until)
{
    post(opaque, &(struct news){.kind = NEWS_LEASE, .until = until});
}

static void
on_lost(void *opaque)
{
    post(opaque, &(struct news){.kind = NEWS_LOST});
}

static void
on_cancel(void *opaque, const struct ticket *ticket, uint64_t attempt_id,
          enum outcome why)
{
    post(opaque, &(struct news){.kind = NEWS_CANCEL,
                                .ticket = *ticket,
                                .attempt_id = attempt_id,
                                .why = why});
}

void
news_on_drained(void *opaque)
{
    post(opaque, &(struct news){.kind = NEWS_DRAINED});
}

void
news_init(struct worker *worker)
{
    struct session_options *options = &worker->session_options;

    mailbox_init(&worker->mailbox, wake, worker);
    options->on_take = on_take;
    options->on_lease = on_lease;
    options->on_lost = on_lost;
    options->on_cancel = on_cancel;
    options->opaque = worker;
}

void
news_fini(struct worker *worker)
{
    struct mail *mail = mailbox_take(&worker->mailbox);

    while (mail != NULL) {
        struct news *news = CONTAINER_OF(mail, struct news, mail);
        mail = mail->next;
        if (news->attempt != NULL)
            attempt_free(news->attempt);
        free(news);
    }
    mailbox_fini(&worker->mailbox);
}
