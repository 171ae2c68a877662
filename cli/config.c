/* config.c - finds the configuration, and says how results end a command. */
#include "cli/cli.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/log.h"
#include "common/own.h"

const char *const cli_version = CLOAKROOM_VERSION;

static const char *const places[] = {
    "./cloakroom.yaml",
    "/etc/cloakroom/cloakroom.yaml",
};

const char *
config_find(const char *given, struct error *err)
{
    const char *wanted = given != NULL ? given : getenv("CLOAKROOM_CONFIG");

    if (wanted != NULL && (given != NULL || wanted[0] != '\0')) {
        if (access(wanted, R_OK) == 0)
            return wanted;
        error_system(err, -errno, "the configuration %s%s cannot be read",
                     wanted, given != NULL ? "" : " (CLOAKROOM_CONFIG)");
        return NULL;
    }
    for (size_t i = 0; i < ARRAY_LEN(places); i++) {
        if (access(places[i], R_OK) == 0)
            return places[i];
        /* One that is there and closed to us is not passed over. */
        if (errno != ENOENT) {
            error_system(err, -errno, "the configuration %s cannot be read",
                         places[i]);
            return NULL;
        }
    }
    error_set(err, -ENOENT,
              "there is no configuration: tried %s and %s; name one with -c "
              "FILE",
              places[0], places[1]);
    return NULL;
}

struct settings *
config_load(const struct options *options, int *end)
{
    struct error err;
    const char *path = config_find(options->config, &err);
    struct settings *settings;

    *end = END_CONFIG;
    if (path == NULL) {
        command_fails(options->command, END_CONFIG, "%s", err.text);
        return NULL;
    }
    settings = settings_load(path, stderr);
    return settings; /* what was wrong stands on stderr already */
}

int
end_of(int r)
{
    switch (r) {
    case 0:
        return END_OK;
    case -EAGAIN:
    case -ECONNREFUSED:
    case -ENOBUFS:
    case -ENOSPC:
    case -ETIMEDOUT:
        return END_NOT_YET;
    case -ENOTCONN:
    case -ESHUTDOWN:
    case -EADDRINUSE:
        return END_UNREACHABLE;
    case -EIO:
    case -EUCLEAN:
        return END_STORE;
    default:
        return END_FAILED;
    }
}

int
end_of_open(int r)
{
    switch (r) {
    case -ENOENT:
    case -EBUSY:
        return END_UNREACHABLE;
    case -EACCES:
    case -EPERM:
    case -EROFS:
    case -EINVAL:
        return END_CONFIG;
    default:
        return end_of(r);
    }
}

int
process_fails(int r, const struct error *err)
{
    char quoted[sizeof(err->text) + 100];

    log_event(EVENT_FAILED, "text=%s",
              log_quote(slice_of(err->text), quoted, sizeof(quoted)));
    return end_of_open(r);
}
