/* crews.c - hires and dismisses the workers of `up`. */
#include "cli/crews.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/mem.h"

/* Beyond a handler's own timeout, for what the worker does at its end. */
#define WORKER_PATIENCE 15000 /* ms */
#define WORKERS_STEP    1     /* after the ingress */

struct crew {
    char release[RELEASE_SIZE]; /* "": there is none */
    struct child **workers;     /* as many as the queue's settings say */
};

struct lane {
    struct crew crews[FOLLOW_RELEASES];
    bool begun; /* it had a crew before */
};

struct crews {
    struct supervisor *supervisor;
    const char *program;
    const struct settings *settings;
    struct lane *lanes; /* in the order of the settings' queues */
    bool verbose;
};

struct crews *
crews_new(struct supervisor *supervisor, const char *program,
          const struct settings *settings, bool verbose)
{
    struct crews *crews = mem_new(struct crews);

    *crews = (struct crews){
        .supervisor = supervisor,
        .program = program,
        .settings = settings,
        .lanes = mem_zalloc((settings->queues_len + 1) * sizeof(struct lane)),
        .verbose = verbose,
    };
    return crews;
}

void
crews_free(struct crews *crews)
{
    if (crews == NULL)
        return;
    for (size_t i = 0; i < crews->settings->queues_len; i++)
        for (size_t n = 0; n < FOLLOW_RELEASES; n++)
            free(crews->lanes[i].crews[n].workers);
    free(crews->lanes);
    free(crews);
}

static void
dismiss(struct crews *crews, const struct queue_settings *queue,
        struct crew *crew)
{
    log_event(EVENT_NOTE, "queue=%s text=\"ends the workers of release %s\"",
              queue->name, crew->release);
    for (unsigned n = 0; n < queue->workers; n++)
        supervisor_dismiss(crews->supervisor, &crew->workers[n]);
    free(TAKE(crew->workers));
    crew->release[0] = '\0';
}

static void
hire(struct crews *crews, const struct queue_settings *queue, struct crew *crew,
     const char *release)
{
    char *name = mem_printf("worker %s, release %s", queue->name, release);

    snprintf(crew->release, sizeof(crew->release), "%s", release);
    crew->workers = mem_zalloc((queue->workers + 1) * sizeof(struct child *));
    for (unsigned n = 0; n < queue->workers; n++)
        crew->workers[n] = supervisor_add(
            crews->supervisor, crews->program,
            &(struct child_options){
                .name = name,
                .step = WORKERS_STEP,
                .patience = queue->timeout + WORKER_PATIENCE,
                .words = {"worker", "-c", crews->settings->path, "--queue",
                          queue->name, "--release", release,
                          crews->verbose ? "--verbose" : NULL},
            });
    free(name);
}

static bool
is_needed(const struct followed *followed, const char *release)
{
    for (size_t i = 0; i < FOLLOW_RELEASES; i++) {
        if (strcmp(followed->releases[i], release) == 0)
            return true;
    }
    return false;
}

/* The crew of that release, which may be "" for a free place; or NULL. */
static struct crew *
crew_of(struct lane *lane, const char *release)
{
    for (size_t i = 0; i < FOLLOW_RELEASES; i++) {
        if (strcmp(lane->crews[i].release, release) == 0)
            return &lane->crews[i];
    }
    return NULL;
}

void
crews_follow(struct crews *crews, const struct followed *followed)
{
    const int i = settings_queue(crews->settings, followed->queue);

    if (i < 0 || crews->settings->queues[i].workers == 0)
        return;
    const struct queue_settings *queue = &crews->settings->queues[i];
    struct lane *lane = &crews->lanes[i];
    for (size_t n = 0; n < FOLLOW_RELEASES; n++) {
        struct crew *crew = &lane->crews[n];
        if (crew->release[0] != '\0' && !is_needed(followed, crew->release))
            dismiss(crews, queue, crew);
    }
    for (size_t n = 0; n < FOLLOW_RELEASES; n++) {
        const char *release = followed->releases[n];
        if (release[0] == '\0' || crew_of(lane, release) != NULL)
            continue;
        struct crew *place = crew_of(lane, "");
        assert(place != NULL); /* both that are needed fit */
        hire(crews, queue, place, release);
        if (lane->begun)
            log_event(EVENT_NOTE,
                      "queue=%s text=\"starts workers of release %s\"",
                      queue->name, release);
    }
    lane->begun = true;
}
