/* settings.c - the configuration file from its path to a struct settings. */
#include "common/settings.h"

#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/mem.h"
#include "common/settings_priv.h"

/* ---- loading ------------------------------------------------------------- */

static char *
absolute(const char *path)
{
    char *here = getcwd(NULL, 0);
    char *result = path_from_file(here == NULL ? "/" : here, path);

    free(here);
    return result;
}

static void
read_root(struct reader *reader, const struct node *root)
{
    const struct place place = {.node = root, .line = 1, .column = 1};

    if (root == NULL || (root->type == NODE_TEXT && root->is_null))
        complain(reader, &place,
                 "the file is empty; `cloakroom check --defaults` prints one "
                 "to begin with");
    else if (root->type != NODE_MAP)
        complain(reader, &place,
                 "the file is no map; write `queues:` and `routes:` at the "
                 "start of a line");
    else
        section_read(reader, &place, SECTION_FILE, reader->settings);
}

/* Null when there is a complaint. */
static struct settings *
load(const char *path, struct complaints *complaints)
{
    OWNED(settings) settings = mem_new(struct settings);
    struct yaml *yaml = yaml_read(path, complaints);
    char *folder = mem_strdup(path);
    struct reader reader = {.settings = settings,
                            .folder = dirname(folder),
                            .complaints = complaints};

    settings->path = mem_strdup(path);
    if (yaml != NULL)
        read_root(&reader, yaml->root);
    free(folder);
    yaml_free(yaml);
    return complaints->len == 0 ? TAKE(settings) : NULL;
}

struct settings *
settings_load(const char *path, FILE *errors)
{
    struct complaints complaints = {.len = 0};
    char *file = absolute(path);
    struct settings *settings = load(file, &complaints);

    complaints_print(&complaints, file, errors);
    complaints_fini(&complaints);
    free(file);
    return settings;
}

/* ---- freeing ------------------------------------------------------------- */

static void
queue_fini(struct queue_settings *queue)
{
    cgi_settings_fini(&queue->handler.cgi);
    respond_settings_fini(&queue->handler.respond);
    free(queue->release);
    free(queue->name);
}

static void
route_fini(struct route_settings *route)
{
    free(route->path);
    free(route->host);
    texts_free(route->methods);
}

static void
kafka_fini(struct kafka_settings *kafka)
{
    pairs_free(kafka->properties, kafka->properties_len);
    free(kafka->servers);
    free(kafka->prefix);
    free(kafka->view);
    free(kafka->secret_file);
}

void
settings_free(struct settings *settings)
{
    if (settings == NULL)
        return;
    for (size_t i = 0; i < settings->queues_len; i++)
        queue_fini(&settings->queues[i]);
    for (size_t i = 0; i < settings->routes_len; i++)
        route_fini(&settings->routes[i]);
    free(settings->queues);
    free(settings->routes);
    free(settings->path);
    free(settings->directory);
    kafka_fini(&settings->kafka);
    free(settings->listen.host);
    free(settings->admin.host);
    free(settings);
}

/* ---- asking -------------------------------------------------------------- */

int
settings_queue(const struct settings *settings, const char *name)
{
    for (size_t i = 0; i < settings->queues_len; i++)
        if (settings->queues[i].name != NULL &&
            strcmp(settings->queues[i].name, name) == 0)
            return (int)i;
    return -1;
}

const char *
settings_queue_hint(const struct settings *settings, const char *name,
                    char hint[HINT_SIZE])
{
    const char **names = mem_zalloc(settings->queues_len * sizeof(*names));

    for (size_t i = 0; i < settings->queues_len; i++)
        names[i] = settings->queues[i].name;
    nearest_hint(hint, name, names, settings->queues_len);
    free(names);
    return hint;
}

/* What is wrong with a program or a cgi-bin, or NULL. */
static const char *
program_fault(const char *path, bool is_directory)
{
    struct stat st;

    if (stat(path, &st) != 0)
        return errno == ENOENT || errno == ENOTDIR
                   ? "is not there; make it, or mend the path"
                   : "cannot be reached; mend the path or its modes";
    if (is_directory)
        return S_ISDIR(st.st_mode) ? NULL : "is no directory; mend the path";
    if (!S_ISREG(st.st_mode))
        return "is no program; mend the path";
    if (faccessat(AT_FDCWD, path, X_OK, AT_EACCESS) != 0)
        return "is not executable; run chmod +x on it";
    return NULL;
}

int
settings_check_program(const struct settings *settings, unsigned queue,
                       const char *release, FILE *errors)
{
    const struct handler_settings *handler = &settings->queues[queue].handler;

    if (handler->type != HANDLER_CGI)
        return 0;
    struct cgi_settings cgi = cgi_settings_expand(&handler->cgi, release);
    const bool is_directory = cgi.directory != NULL;
    const char *path = is_directory ? cgi.directory : cgi.command[0];
    const char *fault = program_fault(path, is_directory);
    if (fault != NULL)
        fprintf(errors, "%s:%d:%d: queues[%u].handler.cgi.%s: %s %s\n",
                settings->path, cgi.line, cgi.column, queue,
                is_directory ? "directory" : "command", path, fault);
    cgi_settings_fini(&cgi);
    return fault == NULL ? 0 : -ENOENT;
}

int
settings_check_programs(const struct settings *settings, FILE *errors)
{
    int r = 0;

    for (unsigned i = 0; i < settings->queues_len; i++)
        if (settings_check_program(settings, i, settings->queues[i].release,
                                   errors) < 0)
            r = -ENOENT;
    return r;
}
