/* cgi.c - runs a CGI program for each attempt.
 *
 *     request -> path, environment -> child -> output -> response
 *                     ^                          |
 *                     +---- local redirect ------+ (at most REDIRECTS_MAX)
 *
 * Threads: the loop. Source: RFC 3875, docs/handlers.md.
 */
#include <assert.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/mem.h"
#include "common/own.h"
#include "workers/child.h"
#include "workers/handlers/cgi_env.h"
#include "workers/handlers/cgi_output.h"
#include "workers/handlers/cgi_path.h"
#include "workers/handlers/handler.h"
#include "workers/run.h"

#define REDIRECTS_MAX 10

struct cgi {
    struct handler handler; /* first */
    const struct handler_ground *ground;
    struct cgi_settings settings; /* for our release */
    char *home;                   /* working directory of the programs */
};

/* One attempt. */
struct cgi_run {
    struct cgi *cgi;
    struct run *run;
    struct message request;
    struct slice target; /* the request's, or that of the last redirect */
    char *redirect;      /* what target points into then */
    unsigned redirects;
    char *program;
    bool running; /* the child */
    struct child child;
    struct stderr_log log;
};

/* ---- the end of a run -----------------------------------------------------
 */

static void
cgi_run_free(struct cgi_run *it)
{
    message_fini(&it->request);
    free(it->redirect);
    free(it->program);
    free(it);
}

/* These end the run: `it` is gone afterwards. */
static void
refuse(struct cgi_run *it, int status, const char *code, const char *detail)
{
    struct run *run = it->run;

    cgi_run_free(it);
    run_refuse(run, status, code, "%s", detail);
}

static void
fail(struct cgi_run *it, enum outcome outcome, const char *reason)
{
    struct run *run = it->run;

    cgi_run_free(it);
    run_failed(run, outcome, "%s", reason);
}

/* ---- starting -------------------------------------------------------------
 */

/* Finds the program of a directory, or the configured one. */
static int
find_program(struct cgi_run *it, const struct cgi_path *path, struct error *err)
{
    const struct cgi_settings *settings = &it->cgi->settings;
    struct stat st;

    free(it->program);
    if (settings->directory == NULL) {
        it->program = mem_strdup(settings->command[0]);
        return 0;
    }
    it->program =
        mem_printf("%s/%.*s", settings->directory, SLICE_ARG(path->program));
    if (stat(it->program, &st) < 0 || !S_ISREG(st.st_mode) ||
        access(it->program, X_OK) < 0)
        return error_set(err, -ENOENT, "there is no program %.*s",
                         SLICE_ARG(path->program));
    return 0;
}

static bool
is_nph(const char *program)
{
    const char *slash = strrchr(program, '/');
    const char *name = slash == NULL ? program : slash + 1;

    return strncmp(name, "nph-", 4) == 0;
}

static int
plan_arguments(const struct cgi_run *it, struct spawn_plan *plan)
{
    const struct cgi_settings *settings = &it->cgi->settings;
    char *const *more =
        settings->directory == NULL ? settings->command + 1 : NULL;
    const char *argument = it->program;

    buf_init(&plan->arguments, CGI_ENVIRONMENT_MAX);
    plan->arguments_len = 0;
    while (argument != NULL) {
        int r = buf_add(&plan->arguments, argument, strlen(argument) + 1);
        if (r < 0)
            return r;
        plan->arguments_len++;
        argument = more == NULL ? NULL : *more++;
    }
    return 0;
}

static int
make_plan(const struct cgi_run *it, const struct cgi_path *path,
          struct spawn_plan *plan)
{
    const struct handler_ground *ground = it->cgi->ground;
    const struct cgi_call call = {
        .attempt = it->run->attempt,
        .request = &it->request,
        .path = path,
        .settings = &it->cgi->settings,
        .queue = ground->queue->name,
        .release = ground->release,
        .filename = it->program,
        .target = it->target,
        .redirected = it->redirects > 0,
    };

    plan->directory = it->cgi->home;
    plan->program = it->program;
    int r = plan_arguments(it, plan);
    return r < 0 ? r : cgi_env_build(&call, plan);
}

static void on_child_end(struct child *child);

static int
start_child(struct cgi_run *it, const struct spawn_plan *plan)
{
    const struct handler_ground *ground = it->cgi->ground;
    struct slice body =
        it->redirects > 0 ? (struct slice){"", 0} : it->request.body;

    stderr_log_init(&it->log, &it->run->attempt->ticket, ground->queue->name,
                    it->run->attempt->number);
    it->child.on_end = on_child_end;
    int r = child_start(&it->child, ground->loop, ground->spawner,
                        it->run->slot, plan, body,
                        ground->queue->max_response + CGI_HEADER_MAX, &it->log);
    it->running = r == 0;
    return r;
}

static void
tell_not_started(struct cgi_run *it, int r, enum spawn_step step)
{
    static const char *const steps[SPAWN_STEPS] = {
        [SPAWN_FORK] = "no process could be made for",
        [SPAWN_CHDIR] = "the working directory could not be entered for",
        [SPAWN_EXEC] = "cannot run",
    };
    const char *advice = "";
    struct error err;

    if (r == -EAGAIN)
        advice = "; raise the limit of processes (ulimit -u, TasksMax)";
    else if (r == -EMFILE || r == -ENFILE)
        advice = "; raise the limit of open files (ulimit -n)";
    else if (r == -ENOEXEC)
        advice = "; a script needs a first line such as #!/bin/sh";
    else if (r == -ENOENT && access(it->program, F_OK) == 0)
        advice = "; it is there, but the interpreter of its #! line is not";
    else if (r == -ESTALE)
        advice = "; the worker's lease ended";
    error_set(&err, r, "%s %s: %s%s", steps[step], it->program, strerror(-r),
              advice);
    /* After a redirect something ran already, which is not to run again as if
     * it had not. */
    fail(it, it->redirects == 0 ? OUTCOME_NOT_STARTED : OUTCOME_CRASHED,
         err.text);
}

static void
begin_at(struct cgi_run *it, const struct cgi_path *path)
{
    struct spawn_plan plan = {0};
    struct error err;

    if (find_program(it, path, &err) < 0) {
        refuse(it, 404, "not-found", err.text);
        return;
    }
    if (is_nph(it->program)) {
        fail(it, OUTCOME_BAD_OUTPUT,
             "the program's name begins with nph-, and NPH programs are not "
             "supported; rename it if it prints a CGI header");
        return;
    }
    int r = make_plan(it, path, &plan);
    if (r == 0)
        r = start_child(it, &plan);
    spawn_plan_fini(&plan);
    if (r == -EMSGSIZE || r == -E2BIG)
        refuse(it, 431, "too-large",
               "the request's fields and target do not fit the environment of "
               "a CGI program");
    else if (r < 0)
        tell_not_started(it, r, SPAWN_FORK);
}

static void
begin(struct cgi_run *it)
{
    const struct cgi_settings *settings = &it->cgi->settings;
    struct cgi_path path;
    struct error err;

    int r = cgi_path_cut(it->target, it->run->attempt->origin.route,
                         settings->directory != NULL, &path, &err);
    if (r < 0) {
        refuse(it, error_http_status(r), error_word(r), err.text);
        return;
    }
    begin_at(it, &path);
    cgi_path_fini(&path);
}

/* ---- the child's end ------------------------------------------------------
 */

/* RFC 3875 section 6.2.2: as if the client had asked for it. */
static void
redirect(struct cgi_run *it, struct slice location)
{
    struct slice route = it->run->attempt->origin.route;
    struct error err;

    if (it->redirects == REDIRECTS_MAX) {
        fail(it, OUTCOME_BAD_OUTPUT,
             "the program redirected locally more than 10 times");
        return;
    }
    if (!slice_starts(location, route) ||
        (location.len > route.len &&
         memchr("/?", location.at[route.len], 2) == NULL)) {
        error_set(&err, -EPROTO,
                  "the program redirected locally to %.*s, which is not below "
                  "its route; give a status or a whole URL to send the client "
                  "there",
                  location.len < 80 ? (int)location.len : 80, location.at);
        fail(it, OUTCOME_BAD_OUTPUT, err.text);
        return;
    }
    free(it->redirect);
    it->redirect = mem_strndup(location.at, location.len);
    it->target = (struct slice){it->redirect, location.len};
    it->redirects++;
    begin(it);
}

static void
answer(struct cgi_run *it, const struct cgi_output *output, bool head)
{
    const struct queue_settings *queue = it->cgi->ground->queue;
    struct run *run = it->run;
    struct buf *response = &run->attempt->response;
    struct error err;

    buf_fini(response);
    buf_init(response, queue->max_response + 2 * CGI_HEADER_MAX);
    if (output->body.len > queue->max_response ||
        cgi_output_message(output, head, response) < 0) {
        error_set(&err, -EMSGSIZE,
                  "the answer is larger than the queue's max_response of %zu "
                  "bytes",
                  queue->max_response);
        fail(it, OUTCOME_TOO_LARGE, err.text);
        return;
    }
    cgi_run_free(it);
    run_answered(run);
}

static void
read_output(struct cgi_run *it, struct slice bytes)
{
    bool head = it->redirects == 0 && slice_is(it->request.method, "HEAD");
    struct cgi_output output = {0};
    struct error err;

    if (cgi_output_parse(bytes, head, &output, &err) < 0)
        fail(it, OUTCOME_BAD_OUTPUT, err.text);
    else if (output.is_local_redirect)
        redirect(it, output.location);
    else
        answer(it, &output, head);
    cgi_output_fini(&output);
}

/* A sentence for a program that did not end well. */
static void
tell_crash(struct cgi_run *it, const struct spawn_exit *how, size_t printed)
{
    struct error err;

    if (how->code == CLD_EXITED)
        error_set(&err, -EIO,
                  "the program exited with status %d (after %zu bytes of "
                  "output)",
                  how->status, printed);
    else
        error_set(&err, -EIO,
                  "the program was killed by signal %d, %s (after %zu bytes of "
                  "output)",
                  how->status, strsignal(how->status), printed);
    fail(it, OUTCOME_CRASHED, err.text);
}

static void
tell_too_large(struct cgi_run *it)
{
    struct error err;

    error_set(&err, -EMSGSIZE,
              "the program printed more than the queue's max_response of %zu "
              "bytes, and was killed",
              it->cgi->ground->queue->max_response);
    fail(it, OUTCOME_TOO_LARGE, err.text);
}

static void
on_child_end(struct child *child)
{
    struct cgi_run *it = CONTAINER_OF(child, struct cgi_run, child);
    const struct spawn_exit how = child->how;
    struct buf printed = {.cap = child->output.cap};

    it->running = false;
    buf_move(&printed, &child->output);
    if (how.strays > 0 && !child->overflowed && !run_is_interrupted(it->run))
        run_tell_strays(it->run, how.strays, how.stubborn);
    if (how.error != 0 && how.error != E2BIG)
        tell_not_started(it, -how.error, how.step);
    else if (!run_may_answer(it->run))
        fail(it, OUTCOME_LOST, ""); /* the interruption says why */
    else if (how.error == E2BIG)
        refuse(it, 431, "too-large",
               "the request's fields and target do not fit the environment of "
               "a CGI program");
    else if (child->overflowed)
        tell_too_large(it);
    else if (how.code != CLD_EXITED || how.status != 0)
        tell_crash(it, &how, printed.len);
    else
        read_output(it, buf_slice(&printed));
    buf_fini(&printed);
}

/* ---- the kind -------------------------------------------------------------
 */

static void
cgi_close(struct handler *handler)
{
    struct cgi *cgi = CONTAINER_OF(handler, struct cgi, handler);

    cgi_settings_fini(&cgi->settings);
    free(cgi->home);
    free(cgi);
}

static int
cgi_open(const struct handler_ground *ground, struct handler **out,
         struct error *err)
{
    struct cgi *cgi = mem_new(struct cgi);

    (void)err;
    cgi->handler.kind = &cgi_kind;
    cgi->ground = ground;
    cgi->settings =
        cgi_settings_expand(&ground->queue->handler.cgi, ground->release);
    if (cgi->settings.directory != NULL) {
        cgi->home = mem_strdup(cgi->settings.directory);
    } else {
        const char *program = cgi->settings.command[0];
        const char *slash = strrchr(program, '/');
        assert(slash != NULL); /* settings_load makes paths absolute */
        cgi->home = slash == program
                        ? mem_strdup("/")
                        : mem_strndup(program, (size_t)(slash - program));
    }
    *out = &cgi->handler;
    return 0;
}

static void
cgi_start(struct handler *handler, struct run *run)
{
    struct cgi_run *it = mem_new(struct cgi_run);
    struct error err;

    it->cgi = CONTAINER_OF(handler, struct cgi, handler);
    it->run = run;
    run->opaque = it;
    if (message_parse(run->attempt->message, &it->request, &err) < 0) {
        error_wrap(&err, -EPROTO, "the stored request cannot be read");
        refuse(it, 500, "internal", err.text);
        return;
    }
    it->target = it->request.target;
    begin(it);
}

static void
cgi_kill(struct handler *handler, struct run *run, enum kill_how how)
{
    struct cgi_run *it = run->opaque;

    (void)handler;
    if (it->running)
        child_kill(&it->child, how == KILL_NOW ? SIGKILL : SIGTERM);
}

const struct handler_kind cgi_kind = {
    .needs_spawner = true,
    .open = cgi_open,
    .close = cgi_close,
    .start = cgi_start,
    .kill = cgi_kill,
};
