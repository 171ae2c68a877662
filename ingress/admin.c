/* admin.c - the admin listener: /healthz and /readyz.
 *
 * A listener of its own with one thread, which may block on the broker: it
 * carries no request of a client.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/problem.h"
#include "ingress/ingress_priv.h"
#include "ingress/text.h"

#define CONNECTIONS  64
#define IDLE_SECONDS 10
#define ANSWER_SIZE  8192

static enum MHD_Result
answer(struct MHD_Connection *connection, unsigned status, const char *type,
       struct slice body)
{
    char *at = (char *)(uintptr_t)body.at;
    struct MHD_Response *response =
        MHD_create_response_from_buffer(body.len, at, MHD_RESPMEM_MUST_COPY);

    MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
    MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL,
                            "no-store");
    if (status == 405)
        MHD_add_response_header(response, "Allow", "GET, HEAD");
    enum MHD_Result r = MHD_queue_response(connection, status, response);
    MHD_destroy_response(response);
    return r;
}

static enum MHD_Result
answer_problem(struct MHD_Connection *connection, int status, const char *code,
               const char *detail)
{
    struct buf body;

    buf_init(&body, ANSWER_SIZE);
    int r = problem_body(&body, status, code, detail, NULL);
    enum MHD_Result sent =
        r < 0 ? MHD_NO
              : answer(connection, (unsigned)status, "application/problem+json",
                       buf_slice(&body));
    buf_fini(&body);
    return sent;
}

/* ---- ready? ---- */

static bool
has_worker(const struct worker_info *workers, size_t len, const char *queue)
{
    for (size_t i = 0; i < len; i++)
        if (strcmp(workers[i].queue, queue) == 0 && workers[i].lease_left > 0)
            return true;
    return false;
}

/* A line for each queue that should have a worker and has none. */
static void
check_workers(const struct ingress *ingress, struct text *reasons)
{
    const struct ingress_options *options = ingress->options;
    struct worker_info *workers = NULL;
    struct error err;
    size_t len = 0;

    if (options->worked_queues_len == 0)
        return;
    if (broker_workers(ingress->broker, &workers, &len, &err) < 0) {
        text_add(reasons, slice_of(err.text));
        text_add(reasons, SLICE("\n"));
        return;
    }
    for (size_t i = 0; i < options->worked_queues_len; i++) {
        const char *name =
            ingress->settings->queues[options->worked_queues[i]].name;
        if (has_worker(workers, len, name))
            continue;
        text_add(reasons, SLICE("queue "));
        text_add(reasons, slice_of(name));
        text_add(reasons, SLICE(": no worker has said hello\n"));
    }
    free(workers);
}

static enum MHD_Result
answer_ready(struct ingress *ingress, struct MHD_Connection *connection)
{
    char storage[ANSWER_SIZE];
    struct text reasons = text_over(storage, sizeof(storage));
    struct error err;

    if (broker_ready(ingress->broker, &err) < 0) {
        text_add(&reasons, slice_of(err.text));
        text_add(&reasons, SLICE("\n"));
    } else {
        check_workers(ingress, &reasons);
    }
    if (reasons.len > 0)
        return answer(connection, 503, "text/plain",
                      (struct slice){reasons.at, reasons.len});
    return answer(connection, 200, "text/plain", SLICE("ok\n"));
}

static enum MHD_Result
on_request(void *opaque, struct MHD_Connection *connection, const char *url,
           const char *method, const char *version, const char *at, size_t *len,
           void **context)
{
    static int seen;

    (void)version;
    (void)at;
    if (*context == NULL || *len > 0) {
        *context = &seen;
        *len = 0;
        return MHD_YES;
    }
    bool is_health = strcmp(url, "/healthz") == 0;
    if (!is_health && strcmp(url, "/readyz") != 0)
        return answer_problem(connection, 404, "not-found",
                              "the admin listener has /healthz and /readyz");
    if (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0)
        return answer_problem(connection, 405, "method-not-allowed",
                              "this can be read only; see Allow");
    if (is_health)
        return answer(connection, 200, "text/plain", SLICE("ok\n"));
    return answer_ready(opaque, connection);
}

int
admin_start(struct ingress *ingress, struct MHD_Daemon **out, struct error *err)
{
    int fd = address_listen(&ingress->settings->admin, "ingress.admin", err);

    if (fd < 0)
        return fd;
    *out = MHD_start_daemon(
        MHD_USE_EPOLL_INTERNAL_THREAD | MHD_USE_ITC, 0, NULL, NULL, on_request,
        ingress, MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_CONNECTION_LIMIT,
        (unsigned)CONNECTIONS, MHD_OPTION_CONNECTION_TIMEOUT,
        (unsigned)IDLE_SECONDS, MHD_OPTION_END);
    if (*out != NULL)
        return 0;
    close(fd);
    return error_set(err, -EIO, "ingress.admin: the listener does not start");
}
