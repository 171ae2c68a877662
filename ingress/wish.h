/* wish.h - what an operator asks for: the JSON object of a POST, read.
 *
 * Its members are the options of the command of the same name; on-timeout may
 * be written on_timeout. A member that the command does not have is refused, so
 * that no misspelt option is passed over.
 *
 * Threads: any; pure. Source: docs/http.md, "The admin API".
 */
#ifndef INGRESS_WISH_H
#define INGRESS_WISH_H

#include <jansson.h>
#include <stdbool.h>

#include "common/clock.h"
#include "common/error.h"
#include "common/slice.h"

enum wish_kind {
    WISH_PAUSE,
    WISH_RESUME,
    WISH_REFUSE,
    WISH_ACCEPT,
    WISH_UPGRADE,
    WISHES
};

/* A text that was not given is NULL. */
struct wish {
    enum wish_kind kind;
    const char *reason;
    const char *release; /* RESUME */
    const char *to;      /* UPGRADE; always there */
    const char *migrate, *verify, *rollback;
    const char *on_timeout;     /* "stay", "resume" or "kill" */
    const char *timeout, *ramp; /* as given: "30s" */
    span_ms ramp_span;
    bool wait, kill, force;
    json_t *json; /* what the texts point into */
};

/* 0; or -EINVAL with a sentence, and nothing is to be freed. An empty body is
 * an empty object. */
int wish_read(struct wish *wish, enum wish_kind kind, struct slice body,
              struct error *err);
void wish_fini(struct wish *wish);

/* Are these words good for the record, a line on a terminal? 0; -EINVAL with a
 * sentence that says what such words are. */
int wish_check_words(const char *words, struct error *err);

bool wish_has_commands(const struct wish *wish); /* to be run by a shell */
const char *wish_word(enum wish_kind kind);      /* "pause" */

#endif
