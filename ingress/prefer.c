/* prefer.c - what a client prefers: to wait, and for how long. */
#include "ingress/prefer.h"

#include <limits.h>
#include <stdio.h>

#include "ingress/list.h"

/* The inside of a quoted string; numbers need no escapes. */
static struct slice
unquote(struct slice word)
{
    if (word.len >= 2 && word.at[0] == '"' && word.at[word.len - 1] == '"')
        return (struct slice){word.at + 1, word.len - 2};
    return word;
}

/* Whole seconds; what is too large for the type is the largest. */
static bool
parse_seconds(struct slice word, unsigned *seconds)
{
    unsigned n = 0;

    for (size_t i = 0; i < word.len; i++) {
        if (word.at[i] < '0' || word.at[i] > '9')
            return false;
        unsigned digit = (unsigned)(word.at[i] - '0');
        n = n > (UINT_MAX - digit) / 10 ? UINT_MAX : n * 10 + digit;
    }
    *seconds = n;
    return word.len > 0;
}

static void
apply_one(struct prefer *prefer, struct slice name, struct slice word)
{
    if (slice_is_nocase(name, "respond-async") && word.len == 0)
        prefer->respond_async = true;
    if (slice_is_nocase(name, "wait") && !prefer->has_wait)
        prefer->has_wait = parse_seconds(word, &prefer->wait);
}

void
prefer_parse(struct prefer *prefer, struct slice value)
{
    struct slice preference, rest = value;

    while (list_cut(&rest, ',', &preference)) {
        struct slice first, name, word = {NULL, 0};
        list_cut(&preference, ';', &first); /* no parameters known */
        if (!list_cut(&first, '=', &name))
            continue;
        if (first.at != NULL)
            word = unquote(slice_trim(first));
        apply_one(prefer, slice_trim(name), word);
    }
}

struct wait_plan
prefer_plan(const struct prefer *prefer, span_ms own, span_ms cap)
{
    span_ms asked = (span_ms)prefer->wait * 1000;

    if (prefer->has_wait)
        return (struct wait_plan){
            .wait = asked < cap ? asked : cap,
            .takes_ticket = prefer->respond_async || asked == 0,
            .async_applied = prefer->respond_async,
            .wait_applied = true,
        };
    if (prefer->respond_async)
        return (struct wait_plan){.takes_ticket = true, .async_applied = true};
    return (struct wait_plan){.wait = own};
}

void
prefer_applied(const struct wait_plan *plan, bool is_ticket,
               char text[PREFER_APPLIED_SIZE])
{
    bool async = plan->async_applied && is_ticket;
    const char *comma = async && plan->wait_applied ? ", " : "";

    int len = snprintf(text, PREFER_APPLIED_SIZE, "%s%s",
                       async ? "respond-async" : "", comma);
    if (plan->wait_applied)
        snprintf(text + len, PREFER_APPLIED_SIZE - (size_t)len, "wait=%lld",
                 (long long)(plan->wait / 1000));
}
