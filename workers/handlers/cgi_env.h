/* cgi_env.h - the environment of a CGI program: built, never inherited.
 *
 * PATH, the meta-variables, what the configuration adds (which wins over
 * those), and CLOAKROOM_* (which nothing overrides).
 *
 * Threads: any. Source: RFC 3875 section 4.1, docs/handlers.md.
 */
#ifndef WORKERS_HANDLERS_CGI_ENV_H
#define WORKERS_HANDLERS_CGI_ENV_H

#include <stdbool.h>

#include "broker/broker.h"
#include "common/message.h"
#include "workers/handlers/cgi_path.h"
#include "workers/spawner.h"

#define CGI_ENVIRONMENT_MAX ((size_t)256 * 1024)

struct cgi_call {
    const struct attempt *attempt;
    const struct message *request;
    const struct cgi_path *path;
    const struct cgi_settings *settings;
    const char *queue; /* its name */
    const char *release;
    const char *filename; /* of the program, absolute */
    struct slice target;
    bool redirected; /* locally: as GET, without the body */
};

/* Fills plan->environment, which is empty. -EMSGSIZE: over the cap. */
int cgi_env_build(const struct cgi_call *call, struct spawn_plan *plan);

#endif
