/* follow.c - cloakroom follow: tells `up` the control state of the queues. */
#include "cli/follow.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/ask.h"
#include "cli/child.h"
#include "cli/cli.h"
#include "common/asked.h"
#include "common/log.h"
#include "common/mem.h"

/* No change goes unnoticed; it is only for the case that we are wrong there. */
#define LOOK_EVERY 10000 /* ms */

static const struct flag flags[] = {
    CHILD_FLAGS,
    {0},
};

/* ---- lines --------------------------------------------------------------- */

struct followed
follow_of(const char *queue, const struct control *control)
{
    const struct upgrade *upgrade = &control->upgrade;
    struct followed followed = {0};

    snprintf(followed.queue, sizeof(followed.queue), "%s", queue);
    snprintf(followed.releases[0], RELEASE_SIZE, "%s", control->release);
    if ((upgrade->step == STEP_STARTING || upgrade->step == STEP_VERIFYING) &&
        strcmp(upgrade->to, control->release) != 0)
        snprintf(followed.releases[1], RELEASE_SIZE, "%s", upgrade->to);
    return followed;
}

void
follow_print(const struct followed *followed, char line[FOLLOW_SIZE])
{
    snprintf(line, FOLLOW_SIZE, "%s %s%s%s", followed->queue,
             followed->releases[0], followed->releases[1][0] != '\0' ? " " : "",
             followed->releases[1]);
}

/* Copies the word at *at and steps over it and the space behind it, which is
 * not the end; false when it is empty or too long. */
static bool
take_word(const char **at, char *word, size_t room)
{
    const size_t len = strcspn(*at, " ");

    if (len == 0 || len >= room)
        return false;
    memcpy(word, *at, len);
    word[len] = '\0';
    *at += len;
    return **at == '\0' || *++*at != '\0';
}

bool
follow_parse(const char *line, struct followed *followed)
{
    struct followed it = {0};

    if (!take_word(&line, it.queue, sizeof(it.queue)))
        return false;
    for (size_t i = 0; i == 0 || (i < FOLLOW_RELEASES && *line != '\0'); i++) {
        if (!take_word(&line, it.releases[i], RELEASE_SIZE) ||
            settings_check_release(it.releases[i], NULL) < 0)
            return false;
    }
    if (*line != '\0' || strcmp(it.releases[0], it.releases[1]) == 0)
        return false;
    *followed = it;
    return true;
}

/* ---- following ----------------------------------------------------------- */

/* Its end is not waited for by anyone but `up`, and it has nothing in hand: it
 * ends where it stands. */
static void *
await_signal(void *opaque)
{
    int signal;

    sigwait(opaque, &signal);
    _exit(END_OK);
}

static void
start_await_signal(void)
{
    static sigset_t set;
    pthread_t thread;

    signal(SIGPIPE, SIG_IGN);
    asked_signals(&set);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    if (pthread_create(&thread, NULL, await_signal, &set) != 0)
        abort();
    pthread_detach(thread);
}

/* False: nobody listens any more. */
static bool
tell(int fd, char *line)
{
    size_t len = strlen(line);

    line[len++] = '\n'; /* in the place of the NUL */
    for (size_t at = 0; at < len;) {
        const ssize_t n = write(fd, line + at, len - at);
        if (n < 0)
            return false;
        at += (size_t)n;
    }
    return true;
}

/* Tells what is not as it was told last. 0; -EPIPE: nobody listens. */
static int
tell_news(struct broker *broker, const struct settings *settings, int fd,
          struct followed *told, struct error *err)
{
    for (unsigned i = 0; i < settings->queues_len; i++) {
        struct control control;
        char line[FOLLOW_SIZE];
        int r = broker_control(broker, i, &control, err);
        if (r < 0)
            return r;
        const struct followed now =
            follow_of(settings->queues[i].name, &control);
        if (memcmp(&told[i], &now, sizeof(now)) == 0)
            continue;
        told[i] = now;
        follow_print(&now, line);
        if (!tell(fd, line))
            return -EPIPE;
    }
    return 0;
}

static int
follow(const struct settings *settings, int fd)
{
    OWNED(ask) ask = NULL;
    struct followed *told;
    struct error err;
    int r;

    r = ask_open(settings, &ask, &err);
    if (r < 0)
        return process_fails(r, &err);
    struct broker *broker = ask_broker(ask);
    told = mem_zalloc((settings->queues_len + 1) * sizeof(*told));
    do {
        const uint64_t seen = broker_control_seen(broker);
        r = tell_news(broker, settings, fd, told, &err);
        if (r == 0)
            broker_control_wait(broker, seen, LOOK_EVERY);
    } while (r == 0);
    free(told);
    if (r == -EPIPE)
        return END_OK;
    process_fails(r, &err);
    return END_FAILED; /* which a new start may help */
}

static int
run(const struct command *command, int argc, char **argv)
{
    OWNED(settings) settings = NULL;
    struct child_end child = CHILD_END_INIT;
    struct options options;
    int end;

    options_init(&options, command, argc, argv);
    for (int flag; (flag = options_next(&options)) != OPTIONS_OVER;)
        child_take_flag(&child, flag, options.value);
    if (options.end >= 0 || options_arguments(&options, 0, 0) == NULL)
        return options.end;
    log_init("follow", options.verbose ? LOG_DEBUG : LOG_INFO);
    start_await_signal();
    if (child_follow(&child) < 0)
        return END_OK;
    settings = config_load(&options, &end);
    if (settings == NULL)
        return end;
    return follow(settings, child.ready >= 0 ? child.ready : STDOUT_FILENO);
}

const struct command follow_command = {
    .name = "follow",
    .arguments = "[-c FILE]",
    .details = "Started by `cloakroom up`, to tell it which releases need "
               "workers. Not for people.\n",
    .flags = flags,
    .run = run,
};
