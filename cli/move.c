/* move.c - cloakroom move: what waits in an embedded store goes to Kafka.
 *
 *     pause --> drained --> refuse --> copy, page by page --> stays so
 *
 * Killed anywhere, the same command goes on: the store stays paused, Kafka
 * takes each ticket once (broker_adopt), and up to which place a queue is
 * copied stands in DIRECTORY/moved. Without that file all of it is looked up
 * again; with it, what ended in Kafka may be forgotten there before the next
 * call.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "cli/ask.h"
#include "cli/changes.h"
#include "cli/cli.h"
#include "cli/drain.h"
#include "cli/live.h"
#include "cli/show.h"
#include "common/asked.h"
#include "common/log.h"
#include "common/mem.h"

#define PAGE_MAX   256                /* requests that are copied at a time */
#define PAGE_BYTES (16 * 1024 * 1024) /* and no more of them beyond that */

enum { FLAG_FROM = 256, FLAG_TO };

static const struct flag flags[] = {
    {FLAG_FROM, "from", "FILE", "the configuration of the embedded store (-c)"},
    {FLAG_TO, "to", "FILE", "that of the installation on Kafka"},
    {'w', "wait", "D", "for what runs there: at most so long, as in 5m"},
    {0},
};

static const enum end ends[] = {END_UNREACHABLE, END_STORE, END_NOT_YET,
                                END_OK};

/* What became of one queue. */
struct tally {
    uint64_t before;  /* by earlier calls */
    uint64_t there;   /* found there */
    uint64_t copied;  /* by this call */
    uint64_t tried;   /* of those: had attempts */
    uint64_t keyless; /* of those: another request has their key */
    uint64_t damaged; /* left */
};

struct moving {
    const struct command *command;
    span_ms limit; /* for draining; below 0: none */
    int signals;   /* signalfd */
    char by[BY_SIZE];
    char why[WHY_SIZE];

    const struct settings *from, *to;
    struct broker *source, *target;
    struct queues queues; /* all of the source */
    uint64_t *pauses;     /* in their order */
    struct tally *tallies;
    json_t *mark; /* what stands in DIRECTORY/moved */
    struct live live;
};

static const char *
name_of(const struct moving *moving, size_t i)
{
    return moving->from->queues[i].name;
}

/* ---- the mark ------------------------------------------------------------ */

static char *
mark_path(const struct moving *moving, const char *suffix)
{
    return mem_printf("%s/moved%s", moving->from->directory, suffix);
}

/* One of another installation is forgotten: it may be of a rehearsal. */
static int
mark_load(struct moving *moving, struct error *err)
{
    char name[INSTALLATION_SIZE];
    char *path = mark_path(moving, "");
    const char *to = NULL;
    json_t *mark = json_load_file(path, 0, NULL);
    int r = broker_installation(moving->target, name, err);

    free(path);
    if (r == 0 && json_unpack(mark, "{s:s}", "to", &to) == 0 &&
        strcmp(to, name) == 0)
        moving->mark = json_incref(mark);
    else
        moving->mark = json_pack("{s:s, s:{}}", "to", name, "queues");
    json_decref(mark);
    return r;
}

/* Up to which place a queue is copied, and how many requests those were. */
static void
mark_read(const struct moving *moving, size_t i, int64_t *place, uint64_t *len)
{
    json_int_t at = 0, copied = 0;

    json_unpack(moving->mark, "{s:{s:{s:I, s:I}}}", "queues",
                name_of(moving, i), "place", &at, "requests", &copied);
    *place = at;
    *len = (uint64_t)copied;
}

static int
mark_write(const struct moving *moving, size_t i, int64_t place,
           struct error *err)
{
    const struct tally *tally = &moving->tallies[i];
    const uint64_t requests = tally->before + tally->there + tally->copied;
    char *path = mark_path(moving, ""), *draft = mark_path(moving, ".new");
    int r = 0;

    json_object_set_new(json_object_get(moving->mark, "queues"),
                        name_of(moving, i),
                        json_pack("{s:I, s:I}", "place", (json_int_t)place,
                                  "requests", (json_int_t)requests));
    int fd = open(draft, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0 || json_dumpfd(moving->mark, fd, JSON_INDENT(2)) < 0 ||
        fsync(fd) < 0 || rename(draft, path) < 0)
        r = error_system(err, -errno, "writing %s", path);
    if (fd >= 0)
        close(fd);
    free(draft);
    free(path);
    return r;
}

/* ---- copying ------------------------------------------------------------- */

/* What a submission points into. */
struct copy {
    struct moved moved;
    struct request_key key;
    struct ticket replays;
    struct buf text;
};

struct page {
    unsigned queue; /* of the target */
    int64_t place;  /* of the last one looked at */
    size_t len, bytes;
    unsigned damaged, tried;
    bool is_last;
    struct submission list[PAGE_MAX];
    struct copy copies[PAGE_MAX];
};

/* Room was reserved: nothing of it moves. */
static struct slice
keep(struct buf *text, struct slice slice)
{
    const size_t at = text->len;

    buf_add_slice(text, slice);
    return (struct slice){text->at + at, slice.len};
}

static void
copy(struct page *page, const struct waiting *waiting)
{
    struct submission *submission = &page->list[page->len];
    struct copy *copy = &page->copies[page->len++];
    const struct origin *origin = &waiting->origin;
    const size_t size = waiting->message.len + origin->peer.len +
                        origin->local.len + origin->scheme.len +
                        origin->principal.len + origin->route.len + 1;

    buf_init(&copy->text, size);
    if (buf_reserve(&copy->text, size) == NULL)
        abort(); /* of memory */
    copy->moved =
        (struct moved){.age = waiting->age, .key_until = waiting->key_until};
    copy->key = waiting->key;
    copy->replays = waiting->replays;
    *submission = (struct submission){
        .ticket = waiting->ticket,
        .queue = page->queue,
        .idempotent = waiting->idempotent,
        .origin = {.peer = keep(&copy->text, origin->peer),
                   .local = keep(&copy->text, origin->local),
                   .scheme = keep(&copy->text, origin->scheme),
                   .principal = keep(&copy->text, origin->principal),
                   .route = keep(&copy->text, origin->route)},
        .message = keep(&copy->text, waiting->message),
        .key = waiting->has_key ? &copy->key : NULL,
        .replays = waiting->has_replays ? &copy->replays : NULL,
        .moved = &copy->moved,
    };
    page->bytes += size;
    page->tried += waiting->attempts > 0;
}

/* On a thread of the source. */
static bool
on_waiting(const struct waiting *waiting, void *opaque)
{
    struct page *page = opaque;

    page->is_last = page->len < PAGE_MAX && page->bytes < PAGE_BYTES;
    if (!page->is_last)
        return false;
    page->place = waiting->place;
    if (waiting->is_damaged)
        page->damaged++;
    else
        copy(page, waiting);
    return true;
}

/* Nothing may run there beside what is copied, or be added. */
static int
check_shut(const struct moving *moving, size_t i, struct error *err)
{
    struct control control;
    int r = broker_control(moving->source, (unsigned)i, &control, err);

    if (r < 0 || (control.state == CONTROL_DRAINED && !control.accepting &&
                  control.paused_epoch == moving->pauses[i]))
        return r;
    return error_set(err, -ECANCELED,
                     "queue %s of %s was opened meanwhile: what was copied "
                     "would run in both places; pause it again",
                     name_of(moving, i), moving->from->directory);
}

static int
check_stop(const struct moving *moving, struct error *err)
{
    struct pollfd poll_fd = {.fd = moving->signals, .events = POLLIN};

    return poll(&poll_fd, 1, 0) == 1 ? error_set(err, -EINTR, "interrupted")
                                     : 0;
}

static void
count(struct tally *tally, const struct page *page)
{
    tally->damaged += page->damaged;
    tally->tried += page->tried;
    for (size_t i = 0; i < page->len; i++) {
        tally->there += page->list[i].joined;
        tally->copied += !page->list[i].joined;
        tally->keyless += page->copies[i].moved.key_taken;
    }
}

static void
show_progress(struct moving *moving, size_t i)
{
    const struct tally *tally = &moving->tallies[i];
    char *line = mem_printf("%s: %" PRIu64 " copied", name_of(moving, i),
                            tally->before + tally->there + tally->copied);
    char *lines = mem_printf("%s\n", line);

    live_show(&moving->live, line, lines);
    free(lines);
    free(line);
}

/* Copies some requests from behind page->place on. */
static int
copy_page(struct moving *moving, size_t i, struct page *page, struct error *err)
{
    int r = check_stop(moving, err);

    if (r == 0)
        r = check_shut(moving, i, err);
    if (r == 0)
        r = broker_waiting(moving->source, (unsigned)i, page->place, on_waiting,
                           page, err);
    if (r == 0 && page->len > 0)
        r = broker_adopt(moving->target, page->list, page->len, err);
    if (r == 0)
        count(&moving->tallies[i], page);
    if (r == 0 && page->len > 0)
        r = mark_write(moving, i, page->place, err);
    for (size_t n = 0; n < page->len; n++)
        buf_fini(&page->copies[n].text);
    return r;
}

static int
copy_queue(struct moving *moving, size_t i, struct error *err)
{
    struct page *page = mem_new(struct page);
    int64_t place;
    int r;

    mark_read(moving, i, &place, &moving->tallies[i].before);
    do {
        memset(page, 0, sizeof(*page));
        page->queue = (unsigned)settings_queue(moving->to, name_of(moving, i));
        page->place = place;
        page->is_last = true; /* if there is none */
        r = copy_page(moving, i, page, err);
        place = page->place;
        if (!page->is_last)
            show_progress(moving, i);
    } while (r == 0 && !page->is_last);
    free(page);
    return r;
}

static int
copy_queues(struct moving *moving, struct error *err)
{
    int r = 0;

    live_init(&moving->live, stderr);
    for (size_t i = 0; r == 0 && i < moving->queues.len; i++)
        r = copy_queue(moving, i, err);
    live_fini(&moving->live, r == 0);
    return r;
}

/* ---- what was done ------------------------------------------------------- */

static const char *
plural(uint64_t n)
{
    return n == 1 ? "" : "s";
}

static void
print_tally(const char *name, const struct tally *tally)
{
    const uint64_t before = tally->before + tally->there;

    printf("%s: %" PRIu64 " request%s copied", name, tally->copied,
           plural(tally->copied));
    if (before > 0)
        printf(", %" PRIu64 " there already", before);
    if (tally->tried > 0)
        printf("; of %" PRIu64 " that had been tried the attempts are counted "
               "anew",
               tally->tried);
    if (tally->keyless > 0)
        printf("; %" PRIu64 " without the Idempotency-Key, which another "
               "request has there",
               tally->keyless);
    if (tally->damaged > 0)
        printf("; %" PRIu64 " damaged and left", tally->damaged);
    putchar('\n');
}

static int
tell_moved(const struct moving *moving)
{
    for (size_t i = 0; i < moving->queues.len; i++)
        print_tally(name_of(moving, i), &moving->tallies[i]);
    printf("%s stays paused and takes no new requests; its tickets that have "
           "ended stay there\n",
           moving->from->directory);
    return END_OK;
}

static int
tell_stopped(const struct moving *moving, int r, const struct error *err)
{
    return command_fails(moving->command, end_of(r),
                         "%s\n%s stays paused; the same command goes on where "
                         "this one stopped",
                         err->text, moving->from->directory);
}

/* ---- the source is shut -------------------------------------------------- */

static int
change_all(const struct moving *moving, enum change_kind kind,
           struct error *err)
{
    const struct change change = {
        .kind = kind, .by = moving->by, .why = moving->why};
    struct changes changes;
    int r =
        changes_make(moving->source, &moving->queues, &change, &changes, err);

    if (r < 0)
        return r;
    for (size_t i = 0; kind == CHANGE_PAUSE && i < moving->queues.len; i++)
        moving->pauses[i] = changes.states[i].paused_epoch;
    changes_fini(&changes);
    return 0;
}

static int
shut(const struct moving *moving, struct error *err)
{
    const struct drain drain = {
        .settings = moving->from,
        .broker = moving->source,
        .queues = &moving->queues,
        .pauses = moving->pauses,
        .limit = moving->limit,
        .stop_fd = moving->signals,
        .progress = stderr,
    };
    int r = change_all(moving, CHANGE_PAUSE, err);

    if (r == 0)
        r = drain_await(&drain, err);
    if (r == 0)
        r = change_all(moving, CHANGE_REFUSE, err);
    return r;
}

/* ---- both are opened ----------------------------------------------------- */

/* -1, or the exit code after what is wrong was told. */
static int
check_settings(struct moving *moving)
{
    const struct settings *from = moving->from, *to = moving->to;
    char *names = NULL;
    size_t missing = 0;

    if (from->directory == NULL)
        return command_fails(moving->command, END_CONFIG,
                             "%s has no broker.embedded: requests are moved "
                             "from an embedded store to Kafka",
                             from->path);
    if (to->kafka.servers == NULL)
        return command_fails(moving->command, END_CONFIG,
                             "%s has no broker.kafka: requests are moved from "
                             "an embedded store to Kafka",
                             to->path);
    for (size_t i = 0; i < from->queues_len; i++) {
        if (settings_queue(to, name_of(moving, i)) >= 0)
            continue;
        char *longer = mem_printf("%s%s%s", missing > 0 ? names : "",
                                  missing > 0 ? ", " : "", name_of(moving, i));
        free(names);
        names = longer;
        missing++;
    }
    if (missing == 0)
        return -1;
    command_fails(moving->command, END_CONFIG,
                  "%s lacks queue%s %s of %s: add %s, and run `cloakroom "
                  "topics apply -c %s`",
                  to->path, missing == 1 ? "" : "s", names, from->path,
                  missing == 1 ? "it" : "them", to->path);
    free(names);
    return END_CONFIG;
}

/* The target gets the source's secret, if it has none. */
static int
open_target(struct moving *moving, struct ask **out, struct error *err)
{
    const char *to = moving->to->kafka.secret_file;
    char *from = mem_printf("%s/ticket.key", moving->from->directory);
    bool made;
    int r = ticket_secret_copy(from, to, &made, err);

    free(from);
    if (r == -ENOENT) /* that is what opening the source says, too */
        r = error_wrap(err, -EINVAL, "the secret");
    if (r < 0)
        return r;
    r = ask_open(moving->to, out, err);
    if (r == -EINVAL && made)
        unlink(to);
    return r;
}

/* One call at a time: what two copy at once might be there twice. */
static int
lock_source(const struct moving *moving, int *fd, struct error *err)
{
    const char *directory = moving->from->directory;

    *fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (*fd < 0)
        return error_system(err, -errno, "%s", directory);
    if (flock(*fd, LOCK_EX | LOCK_NB) == 0)
        return 0;
    return errno == EWOULDBLOCK
               ? error_set(err, -EBUSY, "another `cloakroom move` is at %s",
                           directory)
               : error_system(err, -errno, "locking %s", directory);
}

static int
move(struct moving *moving)
{
    OWNED(ask) source = NULL;
    OWNED(ask) target = NULL;
    struct error err;
    int r = ask_open(moving->from, &source, &err);

    if (r == 0)
        r = open_target(moving, &target, &err);
    if (r < 0)
        return command_fails(moving->command, end_of_open(r), "%s", err.text);
    moving->source = ask_broker(source);
    moving->target = ask_broker(target);
    r = mark_load(moving, &err);
    if (r < 0)
        return command_fails(moving->command, end_of(r), "%s", err.text);
    r = shut(moving, &err);
    if (r == 0)
        r = copy_queues(moving, &err);
    return r == 0 ? tell_moved(moving) : tell_stopped(moving, r, &err);
}

/* ---- the command --------------------------------------------------------- */

static int
lock_and_move(struct moving *moving)
{
    const size_t len = moving->from->queues_len;
    struct error err;
    int fd = -1;
    int end = check_settings(moving);

    if (end >= 0)
        return end;
    int r = lock_source(moving, &fd, &err);
    if (r < 0)
        return command_fails(moving->command, end_of_open(r), "%s", err.text);
    moving->pauses = mem_zalloc((len + 1) * sizeof(*moving->pauses));
    moving->tallies = mem_zalloc((len + 1) * sizeof(*moving->tallies));
    end = queues_choose(moving->command, moving->from, NULL, 0, true,
                        &moving->queues);
    if (end < 0)
        end = move(moving);
    queues_fini(&moving->queues);
    json_decref(moving->mark);
    free(moving->tallies);
    free(moving->pauses);
    close(fd);
    return end;
}

static int
load_and_move(struct moving *moving, const struct options *options,
              const char *to)
{
    OWNED(settings) source = NULL;
    OWNED(settings) target = NULL;
    struct options other = *options;
    int end;

    moving->from = source = config_load(options, &end);
    if (source == NULL)
        return end;
    other.config = to;
    moving->to = target = config_load(&other, &end);
    if (target == NULL)
        return end;
    snprintf(moving->why, sizeof(moving->why), "moved to Kafka, prefix %s",
             moving->to->kafka.prefix != NULL ? moving->to->kafka.prefix : "");
    moving->signals = asked_open();
    if (moving->signals < 0)
        return command_fails(moving->command, END_FAILED, "signalfd: %s",
                             strerror(-moving->signals));
    end = lock_and_move(moving);
    close(moving->signals);
    return end;
}

static int
run(const struct command *command, int argc, char **argv)
{
    struct moving moving = {.command = command, .limit = -1};
    const char *from = NULL, *to = NULL;
    struct options options;
    struct error err;

    options_init(&options, command, argc, argv);
    for (int flag; (flag = options_next(&options)) != OPTIONS_OVER;) {
        if (flag == FLAG_FROM)
            from = options.value;
        else if (flag == FLAG_TO)
            to = options.value;
        else if (settings_parse_span(options.value, &moving.limit, &err) < 0)
            return command_fails(command, END_USAGE, "--wait: %s", err.text);
    }
    if (options.end >= 0 || options_arguments(&options, 0, 0) == NULL)
        return options.end;
    if (to == NULL)
        return command_fails(command, END_USAGE,
                             "--to is missing: the configuration of the "
                             "installation on Kafka");
    if (from != NULL)
        options.config = from;
    queues_operator(NULL, moving.by);
    log_init_command(command->name, options.verbose);
    return load_and_move(&moving, &options, to);
}

const struct command move_command = {
    .name = "move",
    .arguments = "--from FILE --to FILE [--wait D]",
    .summary = "move what waits in an embedded store to Kafka",
    .details =
        "Pauses every queue of the store, waits until nothing runs there, "
        "refuses new\nrequests, and copies those that wait, in their order and "
        "under the same tickets,\nwith their Idempotency-Keys. The store stays "
        "as it is, paused and refusing.\nCalled again it goes on where it was "
        "stopped, and copies nothing twice.\n\n"
        "The queues must be in both files, the topics be there, and the secret "
        "the same:\nwhere broker.kafka.secret_file is missing, the store's is "
        "copied there. Not moved:\nwhat has ended, dead letters, and how often "
        "a request was tried.\n\n"
        "Example: cloakroom move --from old.yaml --to new.yaml --wait 5m\n",
    .flags = flags,
    .ends = ends,
    .run = run,
};
