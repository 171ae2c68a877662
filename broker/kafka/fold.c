/* fold.c - what the facts of one partition of `tickets` come to. */
#include "broker/kafka/fold.h"

#include <assert.h>

/* ---- claims -------------------------------------------------------------- */

void
fold_claim(struct fold_claim *claim, const struct fact *fact, int64_t offset)
{
    assert(fact->kind == FACT_CLAIM);
    claim->offset = offset;
    claim->session = fact->session;
}

void
fold_over(struct fold_claim *claim, uint64_t session)
{
    if (claim->session == session)
        claim->offset = -1; /* I5 */
}

/* ---- tickets ------------------------------------------------------------- */

struct fold_ticket
fold_ticket_none(void)
{
    return (struct fold_ticket){.state = TICKET_QUEUED, .request = -1};
}

static bool
start(struct fold_ticket *ticket, const struct fold_claim *claim,
      const struct fact *fact)
{
    if (ticket->state != TICKET_QUEUED || claim->offset < 0 ||
        claim->offset != fact->claim)
        return false; /* I1 */
    ticket->state = TICKET_RUNNING;
    ticket->is_orphan = false;
    ticket->is_cancelled = false;
    ticket->run = fact->run;
    ticket->session = fact->session;
    ticket->attempts = fact->attempt;
    ticket->put_backs = fact->put_backs;
    ticket->due = 0;
    ticket->request = fact->request;
    return true;
}

static bool
is_of_run(const struct fold_ticket *ticket, const struct fact *fact)
{
    const bool is_own = fact->session == ticket->session;

    return ticket->state == TICKET_RUNNING && ticket->run == fact->run &&
           is_own == !ticket->is_orphan; /* I2 */
}

static bool
end(struct fold_ticket *ticket, enum ticket_state state)
{
    assert(ticket_state_is_final(state));
    ticket->state = state;
    ticket->is_orphan = false;
    ticket->due = 0;
    return true;
}

static bool
go_back(struct fold_ticket *ticket, const struct fact *fact)
{
    if (!is_of_run(ticket, fact))
        return false;
    ticket->attempts = fact->counted ? fact->attempt : fact->attempt - 1;
    if (ticket->is_cancelled)
        return end(ticket, TICKET_CANCELLED);
    ticket->put_backs = fact->put_backs;
    ticket->state = TICKET_QUEUED;
    ticket->is_orphan = false;
    ticket->due = fact->delay > 0 ? fact->at + fact->delay : 0;
    return true;
}

static bool
cancel(struct fold_ticket *ticket)
{
    if (ticket->state == TICKET_QUEUED)
        return end(ticket, TICKET_CANCELLED);
    if (ticket->state != TICKET_RUNNING)
        return false; /* I3 */
    ticket->is_cancelled = true;
    return true;
}

static bool
fail(struct fold_ticket *ticket, const struct fact *fact)
{
    const bool counts = fact->run == 0 ? ticket->state == TICKET_QUEUED
                                       : is_of_run(ticket, fact);

    return counts &&
           end(ticket, ticket->is_cancelled ? TICKET_CANCELLED : fact->state);
}

static bool
fold(struct fold_ticket *ticket, const struct fold_claim *claim,
     const struct fact *fact)
{
    switch (fact->kind) {
    case FACT_STARTED:
        return start(ticket, claim, fact);
    case FACT_RESPONSE:
        return is_of_run(ticket, fact) && end(ticket, TICKET_DONE);
    case FACT_FAILED:
        return fail(ticket, fact);
    case FACT_RETRY:
        return go_back(ticket, fact);
    case FACT_CANCEL:
        return cancel(ticket);
    case FACT_EXPIRED:
        return ticket->state == TICKET_QUEUED && end(ticket, TICKET_EXPIRED);
    case FACT_CLAIM:
    case FACT_KEY:
    case FACT_OVER:
    case FACT_DROPPED:
    case FACT_REPLAYED:
    case FACTS:
        break;
    }
    assert(!"a fact about a ticket's state");
    return false;
}

bool
fold_fact(struct fold_ticket *ticket, const struct fold_claim *claim,
          const struct fact *fact)
{
    if (!fold(ticket, claim, fact))
        return false;
    if (ticket->request < 0)
        ticket->request = fact->request;
    return true;
}

bool
fold_orphan(struct fold_ticket *ticket, uint64_t session)
{
    if (ticket->state != TICKET_RUNNING || ticket->session != session)
        return false;
    ticket->is_orphan = true;
    return true;
}
