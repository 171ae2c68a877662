/* cgi_env.c - the environment of a CGI program: built, never inherited. */
#include "workers/handlers/cgi_env.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIELDS_MAX 1000 /* message.h reads no more */

struct env {
    const struct cgi_call *call;
    struct spawn_plan *plan;
    int r; /* the first failure; then nothing more is added */
};

/* ---- adding ---------------------------------------------------------------
 */

static void
add(struct env *env, struct slice part)
{
    if (env->r == 0 && part.len > 0)
        env->r = buf_add_slice(&env->plan->environment, part);
}

static void
end_variable(struct env *env)
{
    add(env, (struct slice){"", 1}); /* its NUL */
    env->plan->environment_len++;
}

static void
put_always(struct env *env, const char *name, struct slice value)
{
    add(env, slice_of(name));
    add(env, SLICE("="));
    add(env, value);
    end_variable(env);
}

static bool
is_configured(const struct env *env, struct slice name)
{
    const struct cgi_settings *cgi = env->call->settings;

    for (size_t i = 0; i < cgi->environment_len; i++)
        if (slice_is(name, cgi->environment[i].name))
            return true;
    return false;
}

static void
put(struct env *env, const char *name, struct slice value)
{
    if (!is_configured(env, slice_of(name)))
        put_always(env, name, value);
}

static void
put_if(struct env *env, const char *name, struct slice value)
{
    if (value.len > 0)
        put(env, name, value);
}

/* ---- addresses ------------------------------------------------------------
 */

/* "192.0.2.1:80" and "[::1]:80" cut at the last colon. A host keeps its
 * brackets. */
static void
cut_address(struct slice address, struct slice *host, struct slice *port)
{
    const char *colon =
        address.len == 0 ? NULL : memrchr(address.at, ':', address.len);

    *host = address;
    *port = (struct slice){"", 0};
    if (colon == NULL || address.at[address.len - 1] == ']')
        return;
    host->len = (size_t)(colon - address.at);
    *port = slice_from(address, host->len + 1);
}

static struct slice
without_brackets(struct slice host)
{
    if (host.len >= 2 && host.at[0] == '[' && host.at[host.len - 1] == ']')
        return (struct slice){host.at + 1, host.len - 2};
    return host;
}

static void
put_server(struct env *env)
{
    const struct origin *origin = &env->call->attempt->origin;
    struct slice host, port, asked, ignored;

    cut_address(origin->local, &host, &port);
    cut_address(message_field(env->call->request, "Host"), &asked, &ignored);
    put(env, "SERVER_NAME", asked.len > 0 ? asked : host);
    put(env, "SERVER_PORT", port);
    put(env, "SERVER_PROTOCOL", SLICE("HTTP/1.1"));
    put(env, "SERVER_SOFTWARE", SLICE("cloakroom"));
    put_if(env, "REQUEST_SCHEME", origin->scheme);
    if (slice_is(origin->scheme, "https"))
        put(env, "HTTPS", SLICE("on"));
}

static void
put_client(struct env *env)
{
    const struct origin *origin = &env->call->attempt->origin;
    struct slice host, port, scheme;

    cut_address(origin->peer, &host, &port);
    host = without_brackets(host);
    put(env, "REMOTE_ADDR", host);
    /* RFC 3875 section 4.1.9 lets the address stand in for a name that would
     * cost a look-up. */
    put(env, "REMOTE_HOST", host);
    put_if(env, "REMOTE_PORT", port);
    if (origin->principal.len == 0)
        return;
    put(env, "REMOTE_USER", origin->principal);
    struct slice rest = message_field(env->call->request, "Authorization");
    if (slice_cut(&rest, ' ', &scheme))
        put_if(env, "AUTH_TYPE", scheme);
}

/* ---- the request ----------------------------------------------------------
 */

static void
put_request(struct env *env)
{
    const struct cgi_call *call = env->call;

    put(env, "GATEWAY_INTERFACE", SLICE("CGI/1.1"));
    put(env, "REQUEST_METHOD",
        call->redirected ? SLICE("GET") : call->request->method);
    put(env, "REQUEST_URI", call->target);
    put(env, "QUERY_STRING", call->path->query);
    put(env, "SCRIPT_NAME", call->path->script);
    put(env, "SCRIPT_FILENAME", slice_of(call->filename));
    put_if(env, "PATH_INFO", call->path->info);
}

static void
put_body(struct env *env)
{
    const struct message *request = env->call->request;
    char length[24];

    if (env->call->redirected)
        return;
    if (request->body.len > 0 ||
        message_field(request, "Content-Length").at != NULL) {
        snprintf(length, sizeof(length), "%zu", request->body.len);
        put(env, "CONTENT_LENGTH", slice_of(length));
    }
    put_if(env, "CONTENT_TYPE", message_field(request, "Content-Type"));
}

/* ---- fields ---------------------------------------------------------------
 */

/* Only letters, digits and "-" have one spelling as HTTP_*: were "_" let
 * through, "X_User" could stand in for the "X-User" that a proxy in front takes
 * out or sets. Apache and nginx drop the same names. */
static bool
has_one_spelling(struct slice name)
{
    for (size_t i = 0; i < name.len; i++) {
        char c = name.at[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
              (c >= '0' && c <= '9') || c == '-'))
            return false;
    }
    return name.len > 0;
}

static bool
is_passed(const struct env *env, struct slice name)
{
    if (!has_one_spelling(name) || message_is_hop_by_hop(name))
        return false;
    /* HTTP_PROXY is a setting to many programs (httpoxy, CVE-2016-5385). */
    if (slice_is_nocase(name, "Proxy"))
        return false;
    if (env->call->redirected && name.len > 8 &&
        strncasecmp(name.at, "Content-", 8) == 0)
        return false;
    return !slice_is_nocase(name, "Content-Type") &&
           !slice_is_nocase(name, "Content-Length");
}

/* By name without case, then in the order sent. */
static int
compare_fields(const void *a, const void *b)
{
    const struct field *x = *(const struct field *const *)a;
    const struct field *y = *(const struct field *const *)b;
    size_t len = x->name.len < y->name.len ? x->name.len : y->name.len;

    int r = strncasecmp(x->name.at, y->name.at, len);
    if (r == 0 && x->name.len != y->name.len)
        r = x->name.len < y->name.len ? -1 : 1;
    if (r == 0)
        r = x < y ? -1 : 1;
    return r;
}

static void
name_variable(struct slice field, char *name)
{
    memcpy(name, "HTTP_", 5);
    for (size_t i = 0; i < field.len; i++) {
        char c = field.at[i];
        if (c >= 'a' && c <= 'z')
            c = (char)(c - 'a' + 'A');
        name[5 + i] = c == '-' ? '_' : c;
    }
    name[5 + field.len] = '\0';
}

/* One variable for the len fields of one name. */
static void
put_field(struct env *env, const struct field *const *fields, size_t len)
{
    struct slice separator =
        slice_is_nocase(fields[0]->name, "Cookie") ? SLICE("; ") : SLICE(", ");
    char name[300];

    if (fields[0]->name.len > sizeof(name) - 6) {
        env->r = -EMSGSIZE;
        return;
    }
    name_variable(fields[0]->name, name);
    if (is_configured(env, slice_of(name)))
        return;
    add(env, slice_of(name));
    add(env, SLICE("="));
    for (size_t i = 0; i < len; i++) {
        if (i > 0)
            add(env, separator);
        add(env, fields[i]->value);
    }
    end_variable(env);
}

static void
put_fields(struct env *env)
{
    const struct message *request = env->call->request;
    const struct field *fields[FIELDS_MAX];
    size_t len = 0, same = 0;

    assert(request->fields_len <= FIELDS_MAX);
    for (size_t i = 0; i < request->fields_len; i++)
        if (is_passed(env, request->fields[i].name))
            fields[len++] = &request->fields[i];
    qsort(fields, len, sizeof(fields[0]), compare_fields);
    for (size_t i = 0; i < len; i += same) {
        same = 1;
        while (i + same < len &&
               slice_eq_nocase(fields[i]->name, fields[i + same]->name))
            same++;
        put_field(env, fields + i, same);
    }
}

/* ---- ours -----------------------------------------------------------------
 */

static void
put_configured(struct env *env)
{
    const struct cgi_settings *cgi = env->call->settings;

    for (size_t i = 0; i < cgi->environment_len; i++)
        if (strncmp(cgi->environment[i].name, "CLOAKROOM_", 10) != 0)
            put_always(env, cgi->environment[i].name,
                       slice_of(cgi->environment[i].value));
}

static void
put_cloakroom(struct env *env)
{
    const struct cgi_call *call = env->call;
    char ticket[TICKET_TEXT + 1], attempt[16], epoch[24];

    ticket_format(&call->attempt->ticket, ticket);
    snprintf(attempt, sizeof(attempt), "%u", call->attempt->number);
    put_always(env, "CLOAKROOM_TICKET", slice_of(ticket));
    put_always(env, "CLOAKROOM_ATTEMPT", slice_of(attempt));
    snprintf(epoch, sizeof(epoch), "%llu",
             (unsigned long long)call->attempt->epoch);
    put_always(env, "CLOAKROOM_EPOCH", slice_of(epoch));
    put_always(env, "CLOAKROOM_QUEUE", slice_of(call->queue));
    put_always(env, "CLOAKROOM_RELEASE", slice_of(call->release));
}

int
cgi_env_build(const struct cgi_call *call, struct spawn_plan *plan)
{
    struct env env = {.call = call, .plan = plan};

    buf_init(&plan->environment, CGI_ENVIRONMENT_MAX);
    plan->environment_len = 0;
    put(&env, "PATH", SLICE("/usr/local/bin:/usr/bin:/bin"));
    put_request(&env);
    put_body(&env);
    put_server(&env);
    put_client(&env);
    put_fields(&env);
    put_configured(&env);
    put_cloakroom(&env);
    return env.r;
}
